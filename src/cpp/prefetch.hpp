// Asking for memory before it is needed. Hardware prefetchers stop at page borders, and a step has too many streams for
// them. To ask for memory past a stream's end does no harm.
#pragma once

#include <array>
#include <cstddef>

#include "step.hpp"

namespace {

// Elements of a cache line.
template <class T>
constexpr std::size_t line = 64 / sizeof(T);

inline void prefetch_at(const char* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

// Asks for the cache line that a stream will reach some bytes from here.
template <std::size_t distance = 1024, class T>
void prefetch(const T* stream) {
  prefetch_at(reinterpret_cast<const char*>(stream) + distance);
}

// The arrays of a task that is worked on in blocks.
class Streams {
 public:
  explicit Streams(const pyadam::Task& task) {
    add(task.param, pyadam::itemsize(task.param_dtype));
    add(task.grad, pyadam::itemsize(task.grad_dtype));
    for (const void* state : task.state) add(state, pyadam::itemsize(task.state_dtype));
    add(task.kept, task.param_storage == pyadam::Storage::split ? 2 : 4);
    add(task.ema, pyadam::itemsize(pyadam::compute_dtype(task.param_dtype)));
  }

  // Asks for all that a block of `elements` some way behind the one that begins at `element` will read.
  void prefetch_ahead(std::size_t element, std::size_t elements) const {
    constexpr std::size_t distance = 256;
    for (std::size_t i = 0; i < count_; ++i) {
      const char* begin = streams_[i].base + (element + distance) * streams_[i].itemsize;
      const char* end = begin + elements * streams_[i].itemsize;
      for (; begin < end; begin += line<char>) prefetch_at(begin);
    }
  }

 private:
  struct Stream {
    const char* base;
    std::size_t itemsize;
  };

  void add(const void* base, std::size_t itemsize) {
    if (base != nullptr) streams_[count_++] = {static_cast<const char*>(base), itemsize};
  }

  std::array<Stream, pyadam::max_states + 4> streams_{};
  std::size_t count_ = 0;
};

}  // namespace
