// Memory for optimizer state: zeroed, 64-byte aligned, in huge pages where it is large.
#pragma once

#include <cstddef>

namespace pyadam {

constexpr std::size_t state_alignment = 64;

class ZeroedMemory {
 public:
  explicit ZeroedMemory(std::size_t bytes);  // throws std::bad_alloc
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
};

}  // namespace pyadam
