// The hot loop. CMake compiles this file once per ISA, each time with that ISA's flags and its name in PYADAM_ISA.
//
// All code is in an anonymous namespace and only the table is exported, so that the linker cannot hand one ISA's code
// to another. Nothing here may fuse, reorder or approximate: see "The arithmetic" in CONTRIBUTING.md.
#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "kernel_table.hpp"
#include "rules/all.hpp"
#include "storage/gradient.hpp"

#define PYADAM_CONCAT_(a, b) a##b
#define PYADAM_CONCAT(a, b) PYADAM_CONCAT_(a, b)
#define PYADAM_STRING_(a) #a
#define PYADAM_STRING(a) PYADAM_STRING_(a)

namespace {

using pyadam::Bounds;
using pyadam::DType;
using pyadam::Plan;
using pyadam::Task;
using pyadam::tile_elements;

// Elements of a cache line.
template <class T>
constexpr std::size_t line = 64 / sizeof(T);

// Asks for the cache line that a stream will reach some lines from here. Hardware prefetchers stop at page borders, and
// a step has too many streams for them; to ask for memory past a stream's end does no harm.
template <class T>
void prefetch(const T* stream) {
#if defined(__GNUC__)
  constexpr std::size_t distance = 1024;
  __builtin_prefetch(reinterpret_cast<const char*>(stream) + distance);
#else
  (void)stream;
#endif
}

// The loop that everything else is for. Sign and decay are exact no-ops when they are 1.
template <class Rule, class T, class... State>
inline void update_elements(const Rule& rule, T sign, T decay, std::size_t n, T* __restrict p, const T* __restrict g,
                            State* __restrict... s) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) {
    T param = p[i] * decay;
    rule(param, sign * g[i], s[i]...);
    p[i] = param;
  }
}

// Rules that first `advance` the state, and then take their step knowing the norm of its `direction`.
template <class Rule, class = void>
struct HasTwoPasses : std::false_type {};
template <class Rule>
struct HasTwoPasses<Rule, std::void_t<decltype(&Rule::direction)>> : std::true_type {};

template <class Rule, class T, class... State>
void sweep(const Rule& rule, T sign, T decay, std::size_t n, T* p, const T* g, State*... s) {
  std::size_t i = 0;
  for (; i + line<T> <= n; i += line<T>) {
    prefetch(p + i);
    if (!HasTwoPasses<Rule>::value) prefetch(g + i);  // a second pass has no use for it
    (prefetch(s + i), ...);
    update_elements(rule, sign, decay, line<T>, p + i, g + i, s + i...);
  }
  update_elements(rule, sign, decay, n - i, p + i, g + i, s + i...);
}

// The gradient as the rule shall see it, for the cases that `sweep` cannot read straight from memory.
template <class T, class Stored>
void prepare(T* __restrict tile, const Stored* __restrict g, const T* __restrict p, std::size_t n, const Plan& plan) {
  const T gradient_sign = static_cast<T>(plan.gradient_sign);
  const T l2 = static_cast<T>(plan.l2);
  const T l1 = static_cast<T>(plan.l1);
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) tile[i] = gradient_sign * decode<T>(g[i]);
  if (l2 != 0) {
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) tile[i] = tile[i] + l2 * p[i];
  }
  if (l1 != 0) {
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) tile[i] = tile[i] + l1 * sign(p[i]);
  }
}

template <class T>
void prepare(T* tile, const Task& task, std::size_t begin, std::size_t n) {
  const T* p = static_cast<const T*>(task.param) + begin;
  switch (task.grad_dtype) {
    case DType::float32:
      return prepare(tile, static_cast<const float*>(task.grad) + begin, p, n, *task.plan);
    case DType::float64:
      return prepare(tile, static_cast<const double*>(task.grad) + begin, p, n, *task.plan);
    case DType::float16:
      return prepare(tile, static_cast<const Float16*>(task.grad) + begin, p, n, *task.plan);
    case DType::bfloat16:
      return prepare(tile, static_cast<const BFloat16*>(task.grad) + begin, p, n, *task.plan);
  }
}

// Whether the rule can read the gradient straight from memory.
template <class T>
bool is_direct(const Task& task) {
  constexpr DType native = sizeof(T) == sizeof(float) ? DType::float32 : DType::float64;
  return task.grad_dtype == native && task.plan->l2 == 0 && task.plan->l1 == 0;
}

// Keeps the parameter in its box. A NaN stays one.
template <class T>
void clamp(T* __restrict p, std::size_t begin, std::size_t n, const Bounds& bounds) {
  if (bounds.lower_array != nullptr) {
    const T* lower = static_cast<const T*>(bounds.lower_array) + begin;
    const T* upper = static_cast<const T*>(bounds.upper_array) + begin;
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) p[i] = p[i] < lower[i] ? lower[i] : (p[i] > upper[i] ? upper[i] : p[i]);
  } else {
    const T lower = static_cast<T>(bounds.lower);
    const T upper = static_cast<T>(bounds.upper);
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) p[i] = p[i] < lower ? lower : (p[i] > upper ? upper : p[i]);
  }
}

// Rounds the plan's doubles once, in the order of the rule's members.
template <class Rule, class T, std::size_t... I>
Rule make_rule(const Task& task, std::index_sequence<I...>) {
  constexpr std::size_t last = sizeof...(I) - 1;
  return Rule{static_cast<T>(I == last ? task.plan->scalars[I] * task.trust_ratio : task.plan->scalars[I])...};
}

template <class Rule, class T>
Rule make_rule(const Task& task) {
  return make_rule<Rule, T>(task, std::make_index_sequence<Rule::scalar_names.size()>());
}

template <class Rule, class T, std::size_t... I>
void update_states(const Task& task, std::size_t begin, std::size_t end, std::index_sequence<I...>) {
  const Plan& plan = *task.plan;
  const Rule rule = make_rule<Rule, T>(task);
  const T decay = static_cast<T>(plan.decay);

  const bool reads_directly = is_direct<T>(task);
  const std::size_t step = reads_directly && task.bounds == nullptr ? end - begin : tile_elements;
  alignas(64) T tile[tile_elements];
  for (; begin < end; begin += step) {
    const std::size_t n = std::min(step, end - begin);
    T* p = static_cast<T*>(task.param) + begin;
    if (reads_directly) {
      sweep(rule, static_cast<T>(plan.gradient_sign), decay, n, p, static_cast<const T*>(task.grad) + begin,
            static_cast<T*>(task.state[I]) + begin...);
    } else {
      prepare(tile, task, begin, n);
      sweep(rule, T(1), decay, n, p, tile, static_cast<T*>(task.state[I]) + begin...);
    }
    if (task.bounds != nullptr) clamp(p, begin, n, *task.bounds);
  }
}

template <class Rule, class T>
void update(const Task& task, std::size_t begin, std::size_t end) noexcept {
  update_states<Rule, T>(task, begin, end, std::make_index_sequence<Rule::state_names.size()>());
}

// Lanes of a sum of squares, in double. Their number and the order in which they are added are part of the contract, so
// that the vector width and the number of threads are not.
constexpr std::size_t lanes = 16;

struct SquareSums {
  double lane[lanes] = {};

  template <class T>
  void add(const T* x, std::size_t n) {
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) {
      const double value = static_cast<double>(x[i]);
      lane[i] = lane[i] + value * value;
    }
  }

  double total() {
    for (std::size_t half = lanes / 2; half > 0; half /= 2) {
      for (std::size_t i = 0; i < half; ++i) lane[i] = lane[i] + lane[i + half];
    }
    return lane[0];
  }
};

// The first of two passes, over at most `lanes` elements.
template <class Rule, class T, class... State>
inline void advance(const Rule& rule, T sign, std::size_t n, SquareSums& params, SquareSums& directions,
                    const T* __restrict p, const T* __restrict g, State* __restrict... s) {
  T direction[lanes];
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) {
    rule.advance(sign * g[i], s[i]...);
    direction[i] = rule.direction(p[i], s[i]...);
  }
  params.add(p, n);
  directions.add(direction, n);
}

template <class Rule, class T, class... State>
pyadam::Norms measure_tile(const Rule& rule, T sign, std::size_t n, const T* p, const T* g, State*... s) {
  SquareSums params, directions;
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    prefetch(p + i);
    prefetch(g + i);
    (prefetch(s + i), ...);
    advance(rule, sign, lanes, params, directions, p + i, g + i, s + i...);
  }
  advance(rule, sign, n - i, params, directions, p + i, g + i, s + i...);
  return {params.total(), directions.total()};
}

template <class Rule, class T, std::size_t... I>
void measure_states(const Task& task, std::size_t begin, std::size_t end, std::index_sequence<I...>) {
  const Rule rule = make_rule<Rule, T>(task);
  const T* p = static_cast<const T*>(task.param);
  alignas(64) T tile[tile_elements];
  for (; begin < end; begin += tile_elements) {
    const std::size_t n = std::min(tile_elements, end - begin);
    const T* g = tile;
    T sign = 1;
    if (is_direct<T>(task)) {
      g = static_cast<const T*>(task.grad) + begin;
      sign = static_cast<T>(task.plan->gradient_sign);
    } else {
      prepare(tile, task, begin, n);
    }
    task.norms[begin / tile_elements] =
        measure_tile(rule, sign, n, p + begin, g, static_cast<T*>(task.state[I]) + begin...);
  }
}

template <class Rule, class T>
void measure(const Task& task, std::size_t begin, std::size_t end) noexcept {
  measure_states<Rule, T>(task, begin, end, std::make_index_sequence<Rule::state_names.size()>());
}

template <class Rule, class T>
constexpr pyadam::Kernel kernel() {
  if constexpr (HasTwoPasses<Rule>::value) {
    return {measure<Rule, T>, update<Rule, T>};
  } else {
    return {nullptr, update<Rule, T>};
  }
}

template <template <class> class Rule>
constexpr pyadam::RuleEntry entry() {
  static_assert(Rule<float>::state_names.size() <= pyadam::max_states);
  static_assert(Rule<float>::scalar_names.size() <= pyadam::max_scalars);
  return {Rule<float>::name,
          Rule<float>::state_names.data(),
          Rule<float>::state_names.size(),
          Rule<float>::scalar_names.data(),
          Rule<float>::scalar_names.size(),
          kernel<Rule<float>, float>(),
          kernel<Rule<double>, double>()};
}

template <template <class> class... Rule>
constexpr std::array<pyadam::RuleEntry, sizeof...(Rule)> entries(RuleList<Rule...>) {
  return {entry<Rule>()...};
}

constexpr auto rules = entries(AllRules());

}  // namespace

namespace pyadam {

extern const KernelTable PYADAM_CONCAT(kernel_table_, PYADAM_ISA);
const KernelTable PYADAM_CONCAT(kernel_table_, PYADAM_ISA) = {PYADAM_STRING(PYADAM_ISA), rules.data(), rules.size()};

}  // namespace pyadam
