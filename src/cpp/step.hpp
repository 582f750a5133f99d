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
  double l1;             // added to the gradient, times the parameter's sign
  double decay;          // decoupled weight decay: the parameter's factor before the update
  std::array<double, max_scalars> scalars;
};

// The box that a parameter is kept in. Arrays, where there are any, lie beside the parameter and go before the numbers.
struct Bounds {
  double lower;
  double upper;
  const void* lower_array;
  const void* upper_array;
};

// Squares of the norms of a tile, or of a parameter, that a rule of two passes asks for.
struct Norms {
  double param;
  double direction;
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
  const Bounds* bounds;  // or null
  Norms* norms;          // of each tile, for a rule of two passes, or null
  double trust_ratio;    // what the norms of all tiles give: the factor of the last scalar, else 1
};

constexpr std::size_t tiles(std::size_t elements) { return (elements + tile_elements - 1) / tile_elements; }

}  // namespace pyadam
