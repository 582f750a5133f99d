// What one optimizer step is made of. Plain data: Parameters fill it, whole_step and parallel cut it, the kernel reads
// it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/dtypes.hpp"
#include "engine/limits.hpp"

namespace pyadam {

// How a parameter keeps its precision from step to step. All but `native` compute in float32.
enum class Storage {
  native,          // float32 or float64, updated where it lies
  float32_master,  // a float32 copy is updated; the parameter is its image, rounded to nearest
  split,           // bfloat16, with the float32's missing bits beside it
  stochastic,      // rounded up or down at random, right on average
  nearest,         // rounded to nearest
};

constexpr std::size_t max_states = 4;
constexpr std::size_t max_scalars = 12;

// The numbers of one step, the same for all parameters of a group that have taken the same number of steps. They are
// doubles here and are rounded once, to the compute type, when the kernel starts on a parameter.
struct Plan {
  std::size_t rule;
  double gradient_factor;  // sign, loss scale, mean and clipping by norm in one
  double clip_value;       // the gradient is kept in [-clip_value, clip_value]; infinity where it is not
  double l2;               // coupled weight decay: added to the gradient, times the parameter
  double l1;               // added to the gradient, times the parameter's sign
  double decay;            // decoupled weight decay: the parameter's factor before the update
  double ema_rate;         // how far the average moves towards the updated parameter
  std::uint64_t random_key;
  std::array<double, max_scalars> scalars;
};

// The box that a parameter is kept in. Arrays, where there are any, lie beside the parameter and go before the numbers.
struct Box {
  double lower;
  double upper;
  const void* lower_array;
  const void* upper_array;
};

// Squares of the norms of a tile, or of a parameter, that a rule of two passes asks for.
struct SquaredNorms {
  double param;
  double direction;
};

// One parameter with its gradient. Pointers are to contiguous buffers of `size` elements in one memory order.
struct Task {
  void* param;
  const void* grad;
  std::array<void*, max_states> state;
  void* master;  // of `param_storage`: the float32 master, or the bits that a split one has beside `param`; else null
  void* ema;     // the parameter's average, of the compute type, or null
  std::size_t size;
  std::size_t first;  // elements of the step that come before this parameter
  DType param_dtype;
  DType grad_dtype;
  DType state_dtype;
  Storage param_storage;
  bool zeroes_grad;  // whether the gradient is set to zero once it is used
  const Plan* plan;
  const Box* box;               // or null
  std::uint64_t random_offset;  // the number of its first element among those of the optimizer
  double* grad_squares;         // of each tile, for the norm of all gradients, or null
  SquaredNorms* norms;          // of each tile, for a rule of two passes, or null
  double trust_ratio;           // what the norms of all tiles give: the factor of a scalar that the rule names, else 1
};

}  // namespace pyadam
