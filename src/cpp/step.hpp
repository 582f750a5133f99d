// What one optimizer step is made of. Plain data: bindings fill it, parallel cuts it, the kernel reads it.
#pragma once

#include <array>
#include <cstddef>

namespace pyadam {

enum class DType { float32, float64, float16, bfloat16 };

constexpr std::size_t max_states = 4;
constexpr std::size_t max_scalars = 12;

// Work is cut between threads at multiples of this many elements of a parameter; a tile of each stream fits L1.
constexpr std::size_t tile_elements = 1024;

// The numbers of one step, the same for all parameters of a group that have taken the same number of steps. They are
// doubles here and are rounded once, to the compute type, when the kernel starts on a parameter.
struct Plan {
  std::size_t rule;
  double gradient_sign;  // -1 where the objective is maximised
  double l2;             // coupled weight decay: added to the gradient, times the parameter
  double decay;          // decoupled weight decay: the parameter's factor before the update
  std::array<double, max_scalars> scalars;
};

// One parameter with its gradient. Pointers are to contiguous buffers of `size` elements in one memory order.
struct Task {
  void* param;
  const void* grad;
  std::array<void*, max_states> state;
  std::size_t size;
  std::size_t first;  // elements of the step that come before this parameter
  DType param_dtype;
  DType grad_dtype;
  const Plan* plan;
};

}  // namespace pyadam
