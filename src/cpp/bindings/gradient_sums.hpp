// Gradients that were added up, a buffer per parameter, for a step to take the mean of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "../memory.hpp"
#include "arrays.hpp"

namespace pyadam {

// A buffer holds zeros wherever nothing was added yet.
class GradientSums {
 public:
  std::int64_t count() const { return count_; }
  bool has(std::size_t index) const { return index < sums_.size() && sums_[index].is_used; }

  GradientView view(std::size_t index) const {
    const Sum& sum = sums_[index];
    const auto begin = reinterpret_cast<std::uintptr_t>(sum.memory->data());
    return {sum.memory->data(), sum.dtype, {begin, begin + sum.memory->size()}};
  }

  // Makes room for gradients of parameter `index`, in the type of the first one; throws std::bad_alloc.
  void* reserve(std::size_t index, std::size_t size, DType gradient) {
    if (index >= sums_.size()) sums_.resize(index + 1);
    Sum& sum = sums_[index];
    const DType dtype = gradient == DType::float64 ? DType::float64 : DType::float32;
    if (sum.memory == nullptr || (!sum.is_used && sum.dtype != dtype)) {
      sum.dtype = dtype;
      sum.memory = std::make_unique<ZeroedMemory>(size * itemsize(sum.dtype));
    }
    return sum.memory->data();
  }

  void was_added_to(std::size_t index) { sums_[index].is_used = true; }
  void count_one() { ++count_; }

  // Begins anew, where a step has left zeros.
  void forget() {
    for (Sum& sum : sums_) sum.is_used = false;
    count_ = 0;
  }

  void clear() {
    for (Sum& sum : sums_) {
      if (sum.is_used) std::memset(sum.memory->data(), 0, sum.memory->size());
    }
    forget();
  }

 private:
  struct Sum {
    std::unique_ptr<ZeroedMemory> memory;
    DType dtype;
    bool is_used;
  };

  std::vector<Sum> sums_;
  std::int64_t count_ = 0;
};

}  // namespace pyadam
