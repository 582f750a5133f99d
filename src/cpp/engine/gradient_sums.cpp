#include "engine/gradient_sums.hpp"

#include <cstring>

#include "engine/parallel.hpp"

namespace pyadam {

Task GradientSums::task_of(const Gradient& gradient, std::size_t size, std::size_t first) {
  if (gradient.slot >= sums_.size()) sums_.resize(gradient.slot + 1);
  Sum& sum = sums_[gradient.slot];
  const DType dtype = compute_dtype(gradient.dtype);
  if (sum.memory == nullptr || (!sum.is_used && sum.dtype != dtype)) {
    sum.dtype = dtype;
    sum.memory = std::make_unique<ZeroedMemory>(size * itemsize(dtype));
  }
  Task task{};
  task.param = sum.memory->data();
  task.param_dtype = sum.dtype;
  task.grad = gradient.data;
  task.grad_dtype = gradient.dtype;
  task.size = size;
  task.first = first;
  return task;
}

void GradientSums::run() noexcept {
  run_pass(Pass::accumulate, tasks_);
  for (const Gradient& gradient : added_) sums_[gradient.slot].is_used = true;
  ++count_;
}

void GradientSums::forget() {
  for (Sum& sum : sums_) sum.is_used = false;
  count_ = 0;
}

void GradientSums::clear() {
  for (Sum& sum : sums_) {
    if (sum.is_used) std::memset(sum.memory->data(), 0, sum.memory->size());
  }
  forget();
}

}  // namespace pyadam
