// Memory for optimizer state: zeroed, 64-byte aligned, in huge pages where it is large.
#pragma once

#include <cstddef>
#include <string>

namespace pyadam {

constexpr std::size_t state_alignment = 64;

struct MemoryBlock {
  void* data;
  std::size_t bytes;
};

// From this size on, memory usually comes straight from the operating system, as an address that has no pages yet.
constexpr std::size_t large_memory = std::size_t{1} << 20;

// Gives memory its pages, which is quicker than touching one after the other. Advice only: where the system declines,
// the memory works all the same.
void populate(void* data, std::size_t bytes);

// Asks for huge pages, of which fewer have to be looked up in every step. Where memory has small ones already, the
// system exchanges them little by little, while they are used.
void prefer_huge_pages(void* data, std::size_t bytes);

class ZeroedMemory {
 public:
  explicit ZeroedMemory(std::size_t bytes);  // throws std::bad_alloc

  // In a file without a name in `directory`, so that it may be larger than the machine's memory; the file is gone with
  // the object. Throws std::system_error.
  ZeroedMemory(std::size_t bytes, const std::string& directory);
  ~ZeroedMemory();
  ZeroedMemory(const ZeroedMemory&) = delete;
  ZeroedMemory& operator=(const ZeroedMemory&) = delete;

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  void* block_;
  std::size_t block_size_;
  std::byte* data_;
  std::size_t size_;
  bool is_mapped_;
};

}  // namespace pyadam
