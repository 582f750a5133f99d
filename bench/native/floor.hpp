// The byte floor: what a step must move and nothing more. The additions are there so that no read or write can be left
// out.
#pragma once

#include <omp.h>

#include <array>
#include <cstddef>
#include <utility>

namespace byte_floor {

// A parameter, its gradient and its state.
template <class T, std::size_t States>
struct Arrays {
  T* p;
  const T* g;
  std::array<T*, States> state;
  std::size_t size;
};

// What a pass over an element reads and writes. Most rules have one pass; LAMB has two, as its norms need them.
struct OnePass {
  static constexpr bool reads_gradient = true;
  static constexpr bool writes_param = true;
  static constexpr bool writes_state = true;
  template <class T, class... State>
  void operator()(T& p, T g, State&... s) const {
    p += g;
    ((s += g), ...);
  }
};

struct StatePass {
  static constexpr bool reads_gradient = true;
  static constexpr bool writes_param = false;
  static constexpr bool writes_state = true;
  template <class T, class... State>
  void operator()(const T& p, T g, State&... s) const {
    ((s += g + p), ...);
  }
};

struct ParamPass {
  static constexpr bool reads_gradient = false;
  static constexpr bool writes_param = true;
  static constexpr bool writes_state = false;
  template <class T, class... State>
  void operator()(T& p, T /*g*/, const State&... s) const {
    p += (s + ...);
  }
};

template <class Pass, class T, class... State>
void move_elements(const Pass& pass, std::size_t n, T* __restrict p, const T* __restrict g, State* __restrict... s) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) pass(p[i], g[i], s[i]...);
}

// Asks for memory ahead, as the kernel does: without it the same bytes take longer, and this would be no floor.
template <bool is_written, class T>
void prefetch(const T* stream) {
  __builtin_prefetch(reinterpret_cast<const char*>(stream) + 384 * sizeof(T), is_written ? 1 : 0, is_written ? 3 : 2);
}

template <class Pass, class T, class... State>
void move_range(const Pass& pass, std::size_t n, T* p, const T* g, State*... s) {
  constexpr std::size_t line = 64 / sizeof(T);
  std::size_t i = 0;
  for (; i + line <= n; i += line) {
    prefetch<Pass::writes_param>(p + i);
    if (Pass::reads_gradient) prefetch<false>(g + i);
    (prefetch<Pass::writes_state>(s + i), ...);
    move_elements(pass, line, p + i, g + i, s + i...);
  }
  move_elements(pass, n - i, p + i, g + i, s + i...);
}

template <class Pass, class T, std::size_t... I>
void move_part(const Pass& pass, const Arrays<T, sizeof...(I)>& arrays, std::size_t from, std::size_t to,
               std::index_sequence<I...>) {
  move_range(pass, to - from, arrays.p + from, arrays.g + from, arrays.state[I] + from...);
}

// Each thread takes an equal share of all elements, one after the other.
template <class Pass, class T, std::size_t States>
void move_share(const Pass& pass, const Arrays<T, States>* arrays, std::size_t count, std::size_t member,
                std::size_t team) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) total += arrays[i].size;
  const std::size_t begin = total * member / team;
  const std::size_t end = total * (member + 1) / team;
  for (std::size_t i = 0, first = 0; i < count && first < end; first += arrays[i].size, ++i) {
    const std::size_t from = begin > first ? begin - first : 0;
    const std::size_t to = end - first < arrays[i].size ? end - first : arrays[i].size;
    if (from < to) move_part(pass, arrays[i], from, to, std::make_index_sequence<States>());
  }
}

template <class Pass, class T, std::size_t States>
void move(const Pass& pass, const Arrays<T, States>* arrays, std::size_t count, int threads) {
  if (threads == 1) return move_share(pass, arrays, count, 0, 1);
#pragma omp parallel num_threads(threads)
  {
    const auto member = static_cast<std::size_t>(omp_get_thread_num());
    move_share(pass, arrays, count, member, static_cast<std::size_t>(omp_get_num_threads()));
  }
}

}  // namespace byte_floor
