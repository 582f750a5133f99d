// The hot loop. CMake compiles this file once per ISA, each time with that ISA's flags and its name in PYADAM_ISA.
//
// All code is in an anonymous namespace and only the table is exported, so that the linker cannot hand one ISA's code
// to another. Nothing here may fuse, reorder or approximate: see "The arithmetic" in CONTRIBUTING.md.
#include <algorithm>
#include <cstddef>
#include <utility>

#include "kernel_table.hpp"
#include "rules/all.hpp"
#include "storage/gradient.hpp"

#define PYADAM_CONCAT_(a, b) a##b
#define PYADAM_CONCAT(a, b) PYADAM_CONCAT_(a, b)
#define PYADAM_STRING_(a) #a
#define PYADAM_STRING(a) PYADAM_STRING_(a)

namespace {

using pyadam::DType;
using pyadam::Plan;
using pyadam::Task;
using pyadam::tile_elements;

// The loop that everything else is for. Sign and decay are exact no-ops when they are 1.
template <class Rule, class T, class... State>
void sweep(const Rule& rule, T sign, T decay, std::size_t n, T* __restrict p, const T* __restrict g,
           State* __restrict... s) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) {
    T param = p[i] * decay;
    rule(param, sign * g[i], s[i]...);
    p[i] = param;
  }
}

// The gradient as the rule shall see it, for the cases that `sweep` cannot read straight from memory.
template <class T, class Stored>
void prepare(T* __restrict tile, const Stored* __restrict g, const T* __restrict p, std::size_t n, T sign, T l2) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) tile[i] = sign * decode<T>(g[i]);
  if (l2 != 0) {
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) tile[i] = tile[i] + l2 * p[i];
  }
}

template <class T>
void prepare(T* tile, const Task& task, std::size_t begin, std::size_t n, T sign, T l2) {
  const T* p = static_cast<const T*>(task.param) + begin;
  switch (task.grad_dtype) {
    case DType::float32:
      return prepare(tile, static_cast<const float*>(task.grad) + begin, p, n, sign, l2);
    case DType::float64:
      return prepare(tile, static_cast<const double*>(task.grad) + begin, p, n, sign, l2);
    case DType::float16:
      return prepare(tile, static_cast<const Float16*>(task.grad) + begin, p, n, sign, l2);
    case DType::bfloat16:
      return prepare(tile, static_cast<const BFloat16*>(task.grad) + begin, p, n, sign, l2);
  }
}

// Rounds the plan's doubles once, in the order of the rule's members.
template <class Rule, class T, std::size_t... I>
Rule make_rule(const Plan& plan, std::index_sequence<I...>) {
  return Rule{static_cast<T>(plan.scalars[I])...};
}

template <class Rule, class T, std::size_t... I>
void update_states(const Task& task, std::size_t begin, std::size_t end, std::index_sequence<I...>) {
  const Plan& plan = *task.plan;
  const Rule rule = make_rule<Rule, T>(plan, std::make_index_sequence<Rule::scalar_names.size()>());
  const T sign = static_cast<T>(plan.gradient_sign);
  const T l2 = static_cast<T>(plan.l2);
  const T decay = static_cast<T>(plan.decay);

  constexpr DType native = sizeof(T) == sizeof(float) ? DType::float32 : DType::float64;
  if (task.grad_dtype == native && l2 == 0) {
    sweep(rule, sign, decay, end - begin, static_cast<T*>(task.param) + begin, static_cast<const T*>(task.grad) + begin,
          static_cast<T*>(task.state[I]) + begin...);
    return;
  }
  alignas(64) T tile[tile_elements];
  for (; begin < end; begin += tile_elements) {
    const std::size_t n = std::min(tile_elements, end - begin);
    prepare(tile, task, begin, n, sign, l2);
    sweep(rule, T(1), decay, n, static_cast<T*>(task.param) + begin, tile, static_cast<T*>(task.state[I]) + begin...);
  }
}

template <class Rule, class T>
void update(const Task& task, std::size_t begin, std::size_t end) noexcept {
  update_states<Rule, T>(task, begin, end, std::make_index_sequence<Rule::state_names.size()>());
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
          update<Rule<float>, float>,
          update<Rule<double>, double>};
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
