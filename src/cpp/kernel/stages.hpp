// What happens to a tile around the rule: the gradient is made ready, the parameter is bounded and averaged.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>

#include "engine/step.hpp"
#include "kernel/prefetch.hpp"
#include "kernel/rules/common.hpp"
#include "kernel/storage/formats.hpp"

namespace {

// A number or a NaN, kept in [low, high]; a NaN stays one.
template <class T>
T clamped(T x, T low, T high) {
  return x < low ? low : (x > high ? high : x);
}

// Calls `work` with the gradient, as a pointer to its stored elements.
template <class Work>
void with_gradient(const pyadam::Task& task, const Work& work) {
  switch (task.grad_dtype) {
    case pyadam::DType::float32:
      return work(static_cast<const float*>(task.grad));
    case pyadam::DType::float64:
      return work(static_cast<const double*>(task.grad));
    case pyadam::DType::float16:
      return work(static_cast<const Float16*>(task.grad));
    case pyadam::DType::bfloat16:
      return work(static_cast<const BFloat16*>(task.grad));
    case pyadam::DType::int16:
      return;  // no gradient is
  }
}

template <class T, class Stored>
void scale_elements(T* __restrict tile, const Stored* __restrict g, std::size_t n, T factor) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) tile[i] = factor * decode<T>(g[i]);
}

// The gradient as the rule shall see it.
template <class T, class Stored>
void prepare(T* __restrict tile, const Stored* __restrict g, const T* __restrict p, std::size_t n,
             const pyadam::Plan& plan) {
  const T factor = static_cast<T>(plan.gradient_factor);
  const T clip = static_cast<T>(plan.clip_value);
  const T l2 = static_cast<T>(plan.l2);
  const T l1 = static_cast<T>(plan.l1);
  for_lines<Stored>(n, [&](std::size_t i, std::size_t count) {
    prefetch<Access::reads>(g + i);
    scale_elements(tile + i, g + i, count, factor);
  });
  if (!std::isinf(plan.clip_value)) {
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) tile[i] = clamped(tile[i], -clip, clip);
  }
  if (l2 != 0) {
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) tile[i] = tile[i] + l2 * p[i];
  }
  if (l1 != 0) {
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) tile[i] = tile[i] + l1 * sign(p[i]);
  }
}

// A gradient that the rule reads, still to be multiplied by `factor`.
template <class T>
struct Gradient {
  const T* values;
  T factor;
};

template <class T>
bool is_direct(const pyadam::Task& task) {
  const pyadam::Plan& plan = *task.plan;
  constexpr pyadam::DType native = sizeof(T) == sizeof(float) ? pyadam::DType::float32 : pyadam::DType::float64;
  return task.grad_dtype == native && plan.l2 == 0 && plan.l1 == 0 && std::isinf(plan.clip_value);
}

// Reads the gradient where it lies if the rule can, else makes it ready in `tile`.
template <class T>
Gradient<T> load_gradient(T* tile, const pyadam::Task& task, const T* p, std::size_t begin, std::size_t n) {
  if (is_direct<T>(task)) {
    return {static_cast<const T*>(task.grad) + begin, static_cast<T>(task.plan->gradient_factor)};
  }
  with_gradient(task, [&](const auto* g) { prepare(tile, g + begin, p, n, *task.plan); });
  return {tile, T(1)};
}

inline void zero_gradient(const pyadam::Task& task, std::size_t begin, std::size_t n) {
  const std::size_t size = pyadam::itemsize(task.grad_dtype);
  // Asked for by the user: the buffer is theirs, and writeable.
  std::memset(static_cast<char*>(const_cast<void*>(task.grad)) + begin * size, 0, n * size);
}

// Keeps the parameter in its box.
template <class T>
void clamp(T* __restrict p, std::size_t begin, std::size_t n, const pyadam::Box& box) {
  if (box.lower_array != nullptr) {
    const T* lower = static_cast<const T*>(box.lower_array) + begin;
    const T* upper = static_cast<const T*>(box.upper_array) + begin;
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) p[i] = clamped(p[i], lower[i], upper[i]);
  } else {
    const T lower = static_cast<T>(box.lower);
    const T upper = static_cast<T>(box.upper);
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) p[i] = clamped(p[i], lower, upper);
  }
}

// Moves the average towards the parameter. In this form an average that has arrived stays exactly there.
template <class T>
void average_elements(T* __restrict ema, const T* __restrict p, std::size_t n, T rate) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) ema[i] = ema[i] + rate * (p[i] - ema[i]);
}

template <class T>
void average(T* ema, const T* p, std::size_t size, T rate) {
  for_lines<T>(size, [&](std::size_t i, std::size_t n) {
    prefetch<Access::writes>(ema + i);
    average_elements(ema + i, p + i, n, rate);
  });
}

}  // namespace
