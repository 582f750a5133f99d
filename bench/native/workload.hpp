// Arrays and scalars for steps of any rule, without Python.
#pragma once

#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/dispatch.hpp"
#include "engine/memory.hpp"
#include "engine/parallel.hpp"
#include "engine/step.hpp"
#include "engine/whole_step.hpp"

namespace workload {

template <class T>
const char* dtype_name() {
  return sizeof(T) == sizeof(float) ? "float32" : "float64";
}

// A parameter, its gradient and as much state as any rule has.
template <class T>
class Streams {
 public:
  explicit Streams(std::size_t size) : size_(size), stride_(padded(size)), memory_(arrays * stride_ * sizeof(T)) {
    reset();
  }

  // Parameters and gradients without a zero, the same ones every time, and state of zeros.
  void reset() {
    std::memset(memory_.data(), 0, arrays * stride_ * sizeof(T));
    for (std::size_t i = 0; i < size_; ++i) {
      const auto value = static_cast<T>(i % 1009);
      p()[i] = T(0.5) + value / 1009;
      g()[i] = T(0.25) - value / 2019;
    }
  }

  std::size_t size() const { return size_; }
  T* p() const { return array(0); }
  T* g() const { return array(1); }
  T* state(std::size_t index) const { return array(2 + index); }

  bool same_bits(const Streams& other) const {
    return std::memcmp(memory_.data(), other.memory_.data(), arrays * stride_ * sizeof(T)) == 0;
  }

 private:
  static constexpr std::size_t arrays = 2 + pyadam::max_states;

  // Some cache lines between arrays, lest all of them meet in the same sets of a cache.
  static std::size_t padded(std::size_t size) { return (size * sizeof(T) / 64 + 1 + 9) * 64 / sizeof(T); }
  T* array(std::size_t index) const { return reinterpret_cast<T*>(memory_.data()) + index * stride_; }

  std::size_t size_;
  std::size_t stride_;
  pyadam::ZeroedMemory memory_;
};

// Steps of one rule over streams.
template <class T>
class Steps {
 public:
  Steps(std::size_t rule, const Streams<T>& streams)
      : entry_(pyadam::active_kernels().rules[rule]), plans_(1), tasks_(1) {
    pyadam::Plan& plan = plans_.front();
    plan.rule = rule;
    plan.gradient_factor = 1;
    plan.clip_value = std::numeric_limits<double>::infinity();
    plan.decay = 1;
    for (std::size_t i = 0; i < entry_.scalars; ++i) plan.scalars[i] = 0.9 / static_cast<double>(i + 1);

    pyadam::Task& task = tasks_.front();
    task.param = streams.p();
    task.grad = streams.g();
    for (std::size_t s = 0; s < entry_.states; ++s) task.state[s] = streams.state(s);
    task.size = streams.size();
    task.param_dtype = sizeof(T) == sizeof(float) ? pyadam::DType::float32 : pyadam::DType::float64;
    task.grad_dtype = task.param_dtype;
    task.state_dtype = task.param_dtype;
    task.plan = &plan;
    task.trust_ratio = 1;
    memory_.reserve(tasks_, {});
  }
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  void step() { pyadam::take_step(tasks_, plans_, {}); }

  // One pass reads p, g and the state, and writes p and the state; of two, the first leaves p and the second g alone.
  std::size_t bytes() const {
    const std::size_t streams = pyadam::has_two_passes(tasks_.front()) ? 4 + 3 * entry_.states : 3 + 2 * entry_.states;
    return streams * tasks_.front().size * sizeof(T);
  }

 private:
  const pyadam::RuleEntry& entry_;
  std::vector<pyadam::Plan> plans_;
  std::vector<pyadam::Task> tasks_;
  pyadam::StepMemory memory_;
};

}  // namespace workload
