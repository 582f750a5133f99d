#include "engine/memory.hpp"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <system_error>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>
#define PYADAM_HAS_MMAP 1
#if defined(__linux__) && !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23  // of Linux 5.14, where the C library is older
#endif
#else
#define PYADAM_HAS_MMAP 0
#endif

namespace pyadam {
namespace {

constexpr std::size_t huge_page = std::size_t{1} << 21;

std::byte* align_up(void* address, std::size_t alignment) {
  const std::size_t beyond = reinterpret_cast<std::uintptr_t>(address) % alignment;
  return static_cast<std::byte*>(address) + (alignment - beyond) % alignment;
}

#if PYADAM_HAS_MMAP
// For all pages of which the memory has a part.
[[maybe_unused]] void advise(void* data, std::size_t bytes, int advice) {
  static const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t before = reinterpret_cast<std::uintptr_t>(data) % page;
  (void)madvise(static_cast<std::byte*>(data) - before, before + bytes, advice);
}
#endif

// Pages that come from the operating system are zero without being written, so the first to touch one, and to have it
// on its own NUMA node, is the thread that updates it.
bool is_mapped(std::size_t size) { return PYADAM_HAS_MMAP && size >= large_memory; }

}  // namespace

void populate([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#if defined(MADV_POPULATE_WRITE)
  advise(data, bytes, MADV_POPULATE_WRITE);
#endif
}

void prefer_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#if defined(MADV_HUGEPAGE)
  if (bytes >= huge_page) advise(data, bytes, MADV_HUGEPAGE);
#endif
}

ZeroedMemory::ZeroedMemory(std::size_t bytes) : size_(bytes), is_mapped_(is_mapped(bytes)) {
  const std::size_t alignment = is_mapped(bytes) ? huge_page : state_alignment;
  if (bytes > SIZE_MAX - alignment) throw std::bad_alloc();
  block_size_ = bytes + alignment;
#if PYADAM_HAS_MMAP
  if (is_mapped(bytes)) {
    block_ = mmap(nullptr, block_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block_ == MAP_FAILED) throw std::bad_alloc();
    data_ = align_up(block_, alignment);
    prefer_huge_pages(data_, bytes);
    return;
  }
#endif
  block_ = std::calloc(block_size_, 1);
  if (block_ == nullptr) throw std::bad_alloc();
  data_ = align_up(block_, alignment);
}

#if PYADAM_HAS_MMAP
namespace {

[[noreturn]] void fail(const std::string& what, const std::string& directory) {
  throw std::system_error(errno, std::generic_category(), what + " for state in " + directory);
}

}  // namespace

ZeroedMemory::ZeroedMemory(std::size_t bytes, const std::string& directory)
    : block_size_(bytes > 0 ? bytes : 1), size_(bytes), is_mapped_(true) {
  std::string name = directory + "/pyadam-state-XXXXXX";
  const int file = mkstemp(name.data());
  if (file < 0) fail("cannot make a file", directory);
  unlink(name.c_str());
  if (ftruncate(file, static_cast<off_t>(block_size_)) != 0) {
    const int error = errno;
    close(file);
    errno = error;
    fail("cannot make room", directory);
  }
  block_ = mmap(nullptr, block_size_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  const int error = errno;
  close(file);
  errno = error;
  if (block_ == MAP_FAILED) fail("cannot map a file", directory);
  data_ = static_cast<std::byte*>(block_);
}
#else
ZeroedMemory::ZeroedMemory(std::size_t /*bytes*/, const std::string& directory) {
  throw std::system_error(ENOTSUP, std::generic_category(), "no files are mapped on this system, as for " + directory);
}
#endif

ZeroedMemory::~ZeroedMemory() {
#if PYADAM_HAS_MMAP
  if (is_mapped_) {
    munmap(block_, block_size_);
    return;
  }
#endif
  std::free(block_);
}

}  // namespace pyadam
