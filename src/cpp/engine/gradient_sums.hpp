// Gradients that were added up, a buffer per parameter, for a step to take the mean of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/memory.hpp"
#include "engine/ranges.hpp"
#include "engine/step.hpp"

namespace pyadam {

// The gradient of a parameter, which is known by its number, in the step in hand. Its elements lie as the parameter's.
struct Gradient {
  std::size_t slot;
  const void* data;
  DType dtype;
};

// A buffer holds zeros wherever nothing was added yet.
class GradientSums {
 public:
  std::int64_t count() const { return count_; }
  bool has(std::size_t slot) const { return slot < sums_.size() && sums_[slot].is_used; }
  Gradient sum(std::size_t slot) const { return {slot, sums_[slot].memory->data(), sums_[slot].dtype}; }
  std::size_t slots() const { return sums_.size(); }

  // Makes room to add gradients, the first one of a parameter deciding in which type; throws std::bad_alloc.
  // `size_of(slot)` is the number of a parameter's elements.
  template <class SizeOf>
  void prepare(const std::vector<Gradient>& gradients, const SizeOf& size_of) {
    tasks_.clear();
    std::size_t elements = 0;
    for (const Gradient& gradient : gradients) {
      const std::size_t size = size_of(gradient.slot);
      tasks_.push_back(task_of(gradient, size, elements));
      elements += size;
    }
    added_.assign(gradients.begin(), gradients.end());
  }

  std::size_t elements() const { return tasks_.empty() ? 0 : tasks_.back().first + tasks_.back().size; }

  // Adds what was prepared.
  void run() noexcept;

  // Begins anew, where a step has left zeros.
  void forget();
  void clear();

 private:
  struct Sum {
    std::unique_ptr<ZeroedMemory> memory;
    DType dtype;
    bool is_used;
  };

  Task task_of(const Gradient& gradient, std::size_t size, std::size_t first);

  std::vector<Sum> sums_;
  std::int64_t count_ = 0;

  // Of the addition in hand; members so that their memory is used again.
  std::vector<Task> tasks_;
  std::vector<Gradient> added_;
};

}  // namespace pyadam
