// The hot loop. CMake compiles this file once per ISA, each time with that ISA's flags and its name in PYADAM_ISA.
//
// All code is in an anonymous namespace and only the table is exported, so that the linker cannot hand one ISA's code
// to another. Nothing here may fuse, reorder or approximate: see "The arithmetic" in CONTRIBUTING.md.
#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

#include "kernel/kernel_table.hpp"
#include "kernel/prefetch.hpp"
#include "kernel/rules/all.hpp"
#include "kernel/square_sums.hpp"
#include "kernel/stages.hpp"
#include "kernel/storage/tiles.hpp"

#define PYADAM_CONCAT_(a, b) a##b
#define PYADAM_CONCAT(a, b) PYADAM_CONCAT_(a, b)
#define PYADAM_STRING_(a) #a
#define PYADAM_STRING(a) PYADAM_STRING_(a)

namespace {

using pyadam::Task;
using pyadam::tile_elements;

// The loop that everything else is for. Factor and decay are exact no-ops when they are 1.
template <class Rule, class T, class... State>
inline void update_elements(const Rule& rule, T factor, T decay, std::size_t n, T* __restrict p, const T* __restrict g,
                            State* __restrict... s) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) {
    T param = p[i] * decay;
    rule(param, factor * g[i], s[i]...);
    p[i] = param;
  }
}

// Rules that first `advance` the state, and then take their step knowing the norm of its `direction`.
template <class Rule, class = void>
struct HasTwoPasses : std::false_type {};
template <class Rule>
struct HasTwoPasses<Rule, std::void_t<decltype(&Rule::direction)>> : std::true_type {};

// The loop over cache lines, which asks for those ahead. It does no harm where an array is a block that was loaded,
// which asked for its own. `rule` is passed by value: the compiler then knows that no store changes it, and keeps it in
// registers.
template <class Rule, class T, class... State>
[[gnu::always_inline]] inline void update_lines(const Rule rule, T factor, T decay, std::size_t n, T* p, const T* g,
                                                State*... s) {
  std::size_t i = 0;
  for (; i + line<T> <= n; i += line<T>) {
    prefetch<Access::writes>(p + i);
    if (!HasTwoPasses<Rule>::value) prefetch<Access::reads>(g + i);  // a second pass has no use for it
    (prefetch<Access::writes>(s + i), ...);
    update_elements(rule, factor, decay, line<T>, p + i, g + i, s + i...);
  }
  update_elements(rule, factor, decay, n - i, p + i, g + i, s + i...);
}

// The place of the scalar that is multiplied by the trust ratio, which a rule of two passes names; of others, none.
template <class Rule>
constexpr std::size_t place_of_trust_ratio() {
  constexpr std::size_t none = Rule::scalar_names.size();
  if constexpr (HasTwoPasses<Rule>::value) {
    for (std::size_t i = 0; i < none; ++i) {
      if (std::string_view(Rule::scalar_names[i]) == Rule::scaled_by_trust_ratio) return i;
    }
  }
  return none;
}

// Rounds the plan's doubles once, in the order of the rule's members.
template <class Rule, class T, std::size_t... I>
Rule make_rule(const Task& task, std::index_sequence<I...>) {
  constexpr std::size_t scaled = place_of_trust_ratio<Rule>();
  static_assert(HasTwoPasses<Rule>::value == (scaled < sizeof...(I)), "no scalar has the name that the rule gives");
  return Rule{static_cast<T>(I == scaled ? task.plan->scalars[I] * task.trust_ratio : task.plan->scalars[I])...};
}

template <class Rule, class T>
Rule make_rule(const Task& task) {
  return make_rule<Rule, T>(task, std::make_index_sequence<Rule::scalar_names.size()>());
}

bool has_native_state(const Task& task) { return task.state_dtype != pyadam::DType::bfloat16; }

// Whether a step is the rule alone, on arrays of the compute type.
template <class T>
bool is_plain(const Task& task) {
  return is_direct<T>(task) && task.param_storage == pyadam::Storage::native && has_native_state(task) &&
         task.box == nullptr && task.ema == nullptr && !task.zeroes_grad;
}

// Blocks are short, so that the processor loads and stores one while it still divides for the one before.
constexpr std::size_t block_elements = 128;

template <class Rule, class T, std::size_t... I>
void update_plain(const Task& task, std::size_t begin, std::size_t end, std::index_sequence<I...>) {
  T* p = static_cast<T*>(task.param) + begin;
  const T* g = static_cast<const T*>(task.grad) + begin;
  [[maybe_unused]] const std::array<T*, sizeof...(I)> s{static_cast<T*>(task.state[I]) + begin...};
  const Rule rule = make_rule<Rule, T>(task);
  const T factor = static_cast<T>(task.plan->gradient_factor);
  const T decay = static_cast<T>(task.plan->decay);
  update_lines(rule, factor, decay, end - begin, p, g, s[I]...);
}

template <class Rule, class T, std::size_t... I>
void update_blocks(const Task& task, std::size_t begin, std::size_t end, std::index_sequence<I...>) {
  const Rule rule = make_rule<Rule, T>(task);
  const T decay = static_cast<T>(task.plan->decay);
  Randomness random(task);
  alignas(64) T block[2 + sizeof...(I)][block_elements];
  for (; begin < end; begin += block_elements) {
    const std::size_t n = std::min(block_elements, end - begin);
    T* p = load_param(block[0], task, begin, n);
    const std::array<T*, sizeof...(I)> s{load_state(block[2 + I], task, I, begin, n)...};
    const Gradient<T> g = load_gradient(block[1], task, p, begin, n);
    update_lines(rule, g.factor, decay, n, p, g.values, s[I]...);
    if (task.box != nullptr) clamp(p, begin, n, *task.box);
    if (task.ema != nullptr) average(static_cast<T*>(task.ema) + begin, p, n, static_cast<T>(task.plan->ema_rate));
    store_param(p, task, random, begin, n);
    store_states(s, task, random, begin, n);
    if (task.zeroes_grad) zero_gradient(task, begin, n);
  }
}

template <class Rule, class T>
void update(const Task& task, std::size_t begin, std::size_t end) noexcept {
  constexpr auto states = std::make_index_sequence<Rule::state_names.size()>();
  if (is_plain<T>(task)) {
    update_plain<Rule, T>(task, begin, end, states);
  } else {
    update_blocks<Rule, T>(task, begin, end, states);
  }
}

enum class Measure { moved_state, final_state };

// The first of two passes, over at most `lanes` elements. A state that is final already is only measured.
template <Measure what, class Rule, class T, class... S>
inline void advance(const Rule& rule, T factor, std::size_t n, SquareSums& params, SquareSums& directions,
                    const T* __restrict p, const T* __restrict g, S* __restrict... s) {
  T direction[lanes];
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) {
    if (what == Measure::moved_state) rule.advance(factor * g[i], s[i]...);
    direction[i] = rule.direction(p[i], s[i]...);
  }
  params.add(p, n);
  directions.add(direction, n);
}

template <Measure what, class Rule, class T, class... S>
pyadam::SquaredNorms measure_tile(const Rule& rule, T factor, std::size_t n, const T* p, const T* g, S*... s) {
  SquareSums params, directions;
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    prefetch<Access::reads>(p + i);
    prefetch<Access::reads>(g + i);
    (prefetch<Access::writes>(s + i), ...);
    advance<what>(rule, factor, lanes, params, directions, p + i, g + i, s + i...);
  }
  advance<what>(rule, factor, n - i, params, directions, p + i, g + i, s + i...);
  return {params.total(), directions.total()};
}

template <class Rule, class T, std::size_t... I>
void measure_states(const Task& task, std::size_t begin, std::size_t end, std::index_sequence<I...>) {
  const Rule rule = make_rule<Rule, T>(task);
  Randomness random(task);
  alignas(64) T tile[2 + sizeof...(I)][tile_elements];
  for (; begin < end; begin += tile_elements) {
    const std::size_t n = std::min(tile_elements, end - begin);
    const T* p = load_param(tile[0], task, begin, n);
    const Gradient<T> g = load_gradient(tile[1], task, p, begin, n);
    const std::array<T*, sizeof...(I)> s{load_state(tile[2 + I], task, I, begin, n)...};
    pyadam::SquaredNorms& norms = task.norms[begin / tile_elements];
    norms = measure_tile<Measure::moved_state>(rule, g.factor, n, p, g.values, s[I]...);
    if (has_native_state(task)) continue;
    // What counts is the state that the second pass will read: as it was stored, rounded.
    store_states(s, task, random, begin, n);
    (load_state(s[I], task, I, begin, n), ...);
    norms = measure_tile<Measure::final_state>(rule, g.factor, n, p, g.values, s[I]...);
  }
}

template <class Rule, class T>
void measure(const Task& task, std::size_t begin, std::size_t end) noexcept {
  measure_states<Rule, T>(task, begin, end, std::make_index_sequence<Rule::state_names.size()>());
}

// The sum of the squares of a tile of a gradient.
template <class Stored>
double sum_of_squares(const Stored* g, std::size_t n) {
  SquareSums sums;
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    prefetch<Access::reads, 2048>(g + i);  // far ahead, since one stream alone is over a page sooner
    sums.add(g + i, lanes);
  }
  sums.add(g + i, n - i);
  return sums.total();
}

template <class Stored>
double sum_of_decoded_squares(const Stored* g, std::size_t n) {
  alignas(64) float tile[tile_elements];
  load<Access::reads>(tile, g, n);
  return sum_of_squares(tile, n);
}

double sum_of_squares(const Float16* g, std::size_t n) { return sum_of_decoded_squares(g, n); }
double sum_of_squares(const BFloat16* g, std::size_t n) { return sum_of_decoded_squares(g, n); }

void sum_squares(const Task& task, std::size_t begin, std::size_t end) noexcept {
  for (; begin < end; begin += tile_elements) {
    const std::size_t n = std::min(tile_elements, end - begin);
    double& sum = task.grad_squares[begin / tile_elements];
    with_gradient(task, [&](const auto* g) { sum = sum_of_squares(g + begin, n); });
  }
}

template <class T, class Stored>
void add_to(T* __restrict sum, const Stored* __restrict g, std::size_t n) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) sum[i] = sum[i] + decode<T>(g[i]);
}

void accumulate(const Task& task, std::size_t begin, std::size_t end) noexcept {
  with_gradient(task, [&](const auto* g) {
    if (task.param_dtype == pyadam::DType::float64) {
      add_to(static_cast<double*>(task.param) + begin, g + begin, end - begin);
    } else {
      add_to(static_cast<float*>(task.param) + begin, g + begin, end - begin);
    }
  });
}

void zero_grad(const Task& task, std::size_t begin, std::size_t end) noexcept {
  zero_gradient(task, begin, end - begin);
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
const KernelTable PYADAM_CONCAT(kernel_table_, PYADAM_ISA) = {
    PYADAM_STRING(PYADAM_ISA), rules.data(), rules.size(), sum_squares, accumulate, zero_grad};

}  // namespace pyadam
