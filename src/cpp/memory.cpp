#include "memory.hpp"

#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#define PYADAM_HAS_MMAP 1
#else
#define PYADAM_HAS_MMAP 0
#endif

namespace pyadam {
namespace {

// From this size on, memory comes straight from the operating system. Its pages are zero without being written, so
// the first to touch one, and to have it on its own NUMA node, is the thread that updates it.
constexpr std::size_t large = std::size_t{1} << 20;
constexpr std::size_t huge_page = std::size_t{1} << 21;

std::byte* align_up(void* address, std::size_t alignment) {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  return reinterpret_cast<std::byte*>((value + alignment - 1) / alignment * alignment);
}

bool is_mapped(std::size_t size) { return PYADAM_HAS_MMAP && size >= large; }

}  // namespace

ZeroedMemory::ZeroedMemory(std::size_t bytes) : size_(bytes) {
  const std::size_t alignment = is_mapped(bytes) ? huge_page : state_alignment;
  if (bytes > SIZE_MAX - alignment) throw std::bad_alloc();
  block_size_ = bytes + alignment;
#if PYADAM_HAS_MMAP
  if (is_mapped(bytes)) {
    block_ = mmap(nullptr, block_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block_ == MAP_FAILED) throw std::bad_alloc();
    data_ = align_up(block_, alignment);
#if defined(MADV_HUGEPAGE)
    // A wish: where it is refused, the memory works all the same.
    (void)madvise(data_, bytes, MADV_HUGEPAGE);
#endif
    return;
  }
#endif
  block_ = std::calloc(block_size_, 1);
  if (block_ == nullptr) throw std::bad_alloc();
  data_ = align_up(block_, alignment);
}

ZeroedMemory::~ZeroedMemory() {
#if PYADAM_HAS_MMAP
  if (is_mapped(size_)) {
    munmap(block_, block_size_);
    return;
  }
#endif
  std::free(block_);
}

}  // namespace pyadam
