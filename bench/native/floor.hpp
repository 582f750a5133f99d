// The byte floor of an Adam step: p, g, m, v read and p, m, v written. The additions are there so that no read or write
// can be left out.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstddef>

namespace byte_floor {

template <class T>
struct Arrays {
  T* p;
  const T* g;
  T* m;
  T* v;
  std::size_t size;
};

template <class T>
void move_elements(std::size_t n, T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) {
    p[i] += g[i];
    m[i] += g[i];
    v[i] += g[i];
  }
}

// Asks for memory ahead, as the kernel does: without it the same bytes take longer, and this would be no floor.
template <class T>
void move_range(const Arrays<T>& arrays, std::size_t from, std::size_t to) {
  constexpr std::size_t line = 64 / sizeof(T), ahead = 384;
  const auto [p, g, m, v, size] = arrays;
  for (; from + line <= to; from += line) {
    __builtin_prefetch(p + from + ahead, 1, 3);
    __builtin_prefetch(g + from + ahead, 0, 2);
    __builtin_prefetch(m + from + ahead, 1, 3);
    __builtin_prefetch(v + from + ahead, 1, 3);
    move_elements(line, p + from, g + from, m + from, v + from);
  }
  move_elements(to - from, p + from, g + from, m + from, v + from);
}

// Moves one of `team` equal shares of all elements, one after the other.
template <class T>
void move_share(const Arrays<T>* arrays, std::size_t count, std::size_t member, std::size_t team) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) total += arrays[i].size;
  const std::size_t begin = total * member / team, end = total * (member + 1) / team;
  for (std::size_t i = 0, first = 0; i < count && first < end; first += arrays[i].size, ++i) {
    const std::size_t from = std::max(begin, first), to = std::min(end, first + arrays[i].size);
    if (from < to) move_range(arrays[i], from - first, to - first);
  }
}

template <class T>
void move(const Arrays<T>* arrays, std::size_t count, int threads) {
  if (threads == 1) return move_share(arrays, count, 0, 1);  // a team of one would cost 0.2 us
#pragma omp parallel num_threads(threads)
  {
    const auto member = static_cast<std::size_t>(omp_get_thread_num());
    move_share(arrays, count, member, static_cast<std::size_t>(omp_get_num_threads()));
  }
}

}  // namespace byte_floor
