// Asking for memory before it is needed. Hardware prefetchers stop at page borders, and a step has too many streams for
// them. To ask for memory past a stream's end does no harm.
#pragma once

#include <cstddef>

namespace {

// Elements of a cache line.
template <class T>
constexpr std::size_t line = 64 / sizeof(T);

// How a stream is used. One that is written to is asked for as the only copy: a parameter that all cores have read, as
// they do in a backward pass, would else be fetched twice.
enum class Access { reads, writes };

// Asks for the cache line that a stream will reach some elements from here.
template <Access access, std::size_t distance = 384, class T>
void prefetch(const T* stream) {
#if defined(__GNUC__)
  const char* address = reinterpret_cast<const char*>(stream) + distance * sizeof(T);
  // What is only read goes past the first cache and leaves that to the others.
  __builtin_prefetch(address, access == Access::writes ? 1 : 0, access == Access::writes ? 3 : 2);
#else
  (void)stream;
#endif
}

// Calls work(i, n) for the elements [i, i + n) of each cache line of a stream, and last for those of a part of one.
template <class T, class Work>
[[gnu::always_inline]] inline void for_lines(std::size_t size, const Work& work) {
  std::size_t i = 0;
  for (; i + line<T> <= size; i += line<T>) work(i, line<T>);
  if (i < size) work(i, size - i);
}

}  // namespace
