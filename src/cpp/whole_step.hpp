// A step over all parameters, from the gradients' norm to the last update.
#pragma once

#include <limits>
#include <vector>

#include "norms.hpp"
#include "step.hpp"

namespace pyadam {

struct StepOptions {
  double grad_divisor = 1;  // loss scale times the number of gradients that were added up
  double clip_norm = std::numeric_limits<double>::infinity();
  bool skip_nonfinite = false;
  bool flush_denormals = false;
};

struct StepResult {
  bool has_stepped;
  bool has_grad_norm;  // whether it was asked for
  double grad_norm;    // of all gradients, divided, before clipping
};

// The numbers of tiles that passes write. Kept from step to step, so that its memory is used again.
struct StepMemory {
  std::vector<double> grad_squares;
  std::vector<Norms> norms;

  // Gives each task its places; throws std::bad_alloc.
  void reserve(std::vector<Task>& tasks, const StepOptions& options);
};

// Takes the step, or leaves all as it is but gradients that are to be zeroed. `tasks` have places in a StepMemory, and
// their plans, which get the gradient's whole factor here, are in `plans`.
StepResult take_step(std::vector<Task>& tasks, std::vector<Plan>& plans, const StepOptions& options) noexcept;

}  // namespace pyadam
