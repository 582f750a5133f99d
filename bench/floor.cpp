// The byte floor: what a float32 or float64 Adam step must move (p, g, m, v read; p, m, v written) and nothing more.
// The additions are there so that no read or write can be left out.
#include <omp.h>

#include <cstddef>

namespace {

template <class T>
struct Arrays {
  T* p;
  const T* g;
  T* m;
  T* v;
  std::size_t size;
};

template <class T>
void add(T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v, std::size_t n) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) {
    p[i] += g[i];
    m[i] += g[i];
    v[i] += g[i];
  }
}

// Asks for memory ahead, as the kernel does: without it the same bytes take longer, and this would be no floor.
template <class T>
void prefetch(const T* stream) {
  __builtin_prefetch(reinterpret_cast<const char*>(stream) + 1024);
}

template <class T>
void move_range(const Arrays<T>& arrays, std::size_t begin, std::size_t end) {
  constexpr std::size_t line = 64 / sizeof(T);
  T *p = arrays.p, *m = arrays.m, *v = arrays.v;
  const T* g = arrays.g;
  std::size_t i = begin;
  for (; i + line <= end; i += line) {
    prefetch(p + i);
    prefetch(g + i);
    prefetch(m + i);
    prefetch(v + i);
    add(p + i, g + i, m + i, v + i, line);
  }
  add(p + i, g + i, m + i, v + i, end - i);
}

// Each thread takes an equal share of all elements, one after the other.
template <class T>
void move(const Arrays<T>* arrays, std::size_t count, int threads) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) total += arrays[i].size;
#pragma omp parallel num_threads(threads)
  {
    const auto team = static_cast<std::size_t>(omp_get_num_threads());
    const auto member = static_cast<std::size_t>(omp_get_thread_num());
    const std::size_t begin = total * member / team;
    const std::size_t end = total * (member + 1) / team;
    for (std::size_t i = 0, first = 0; i < count && first < end; first += arrays[i].size, ++i) {
      const std::size_t from = begin > first ? begin - first : 0;
      const std::size_t to = end - first < arrays[i].size ? end - first : arrays[i].size;
      if (from < to) move_range(arrays[i], from, to);
    }
  }
}

}  // namespace

extern "C" {

void move_float32(const Arrays<float>* arrays, std::size_t count, int threads) { move(arrays, count, threads); }
void move_float64(const Arrays<double>* arrays, std::size_t count, int threads) { move(arrays, count, threads); }

}  // extern "C"
