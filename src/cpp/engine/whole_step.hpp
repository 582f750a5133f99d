// A step over all parameters, from the gradients' norm to the last update.
#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "engine/norms.hpp"
#include "engine/step.hpp"

namespace pyadam {

// What the norm of gradients is made of.
struct GradSquares {
  double sum;
  bool has_nonfinite;  // whether an element is infinite or NaN
};

struct StepOptions {
  double grad_divisor = 1;  // loss scale times the number of gradients that were added up
  double clip_norm = std::numeric_limits<double>::infinity();
  bool skip_nonfinite = false;
  bool flush_denormals = false;
  std::optional<GradSquares> known_squares = std::nullopt;  // of all gradients, where the tasks are a part of a step
};

struct StepResult {
  bool has_stepped;
  bool has_grad_norm;  // whether it was asked for
  double grad_norm;    // of all gradients, divided, before clipping
};

// The numbers of tiles that passes write. Kept from step to step, so that its memory is used again.
struct StepMemory {
  std::vector<double> grad_squares;
  std::vector<SquaredNorms> norms;

  // Gives each task its places for a step, or for `measure_gradients`; throws std::bad_alloc.
  void reserve(std::vector<Task>& tasks, const StepOptions& options);
  void reserve_grad_squares(std::vector<Task>& tasks);
};

// Writes the sums of the gradients' squares to the tasks' places, one for each tile, and returns whether an element is
// not finite.
bool measure_gradients(const std::vector<Task>& tasks) noexcept;

// Takes the step, or leaves all as it is but gradients that are to be zeroed. `tasks` have places in a StepMemory, and
// their plans, which get the gradient's whole factor here, are in `plans`.
StepResult take_step(std::vector<Task>& tasks, std::vector<Plan>& plans, const StepOptions& options) noexcept;

}  // namespace pyadam
