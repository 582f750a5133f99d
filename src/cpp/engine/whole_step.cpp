#include "engine/whole_step.hpp"

#include <algorithm>
#include <cmath>

#include "engine/parallel.hpp"

namespace pyadam {
namespace {

// As PyTorch's clip_grad_norm_ has it: keeps a norm of 0 from dividing.
constexpr double clip_eps = 1e-6;

bool needs_grad_norm(const StepOptions& options) { return options.skip_nonfinite || std::isfinite(options.clip_norm); }

double clip_coefficient(double norm, double clip_norm) {
  if (!std::isfinite(clip_norm)) return 1;
  const double coefficient = clip_norm / (norm + clip_eps);
  return coefficient > 1 ? 1 : coefficient;  // a NaN stays one
}

// Squares of float64 overflow before their elements do; those of narrower types never do.
bool has_nonfinite(const Task& task, std::size_t tile) {
  if (std::isfinite(task.grad_squares[tile])) return false;
  if (task.grad_dtype != DType::float64) return true;
  const double* g = static_cast<const double*>(task.grad);
  const std::size_t begin = tile * tile_elements;
  const std::size_t end = std::min(begin + tile_elements, task.size);
  return !std::all_of(g + begin, g + end, [](double x) { return std::isfinite(x); });
}

bool has_nonfinite(const Task& task) {
  for (std::size_t tile = 0; tile < tiles(task.size); ++tile) {
    if (has_nonfinite(task, tile)) return true;
  }
  return false;
}

bool has_nonfinite(const std::vector<Task>& tasks) {
  return std::any_of(tasks.begin(), tasks.end(), [](const Task& task) { return has_nonfinite(task); });
}

std::size_t tiles_of(const std::vector<Task>& tasks) {
  std::size_t count = 0;
  for (const Task& task : tasks) count += tiles(task.size);
  return count;
}

GradSquares measured(const std::vector<Task>& tasks, bool skip_nonfinite) {
  run_pass(Pass::sum_squares, tasks);
  const bool is_skipped = skip_nonfinite && has_nonfinite(tasks);
  const std::size_t count = tiles_of(tasks);
  return {count == 0 ? 0 : sum_of_tiles(tasks.front().grad_squares, count), is_skipped};
}

void zero_gradients(const std::vector<Task>& tasks) {
  if (!tasks.empty() && tasks.front().zeroes_grad) run_pass(Pass::zero_grad, tasks);
}

// Tasks of a group follow each other and share a plan, so that most need not be looked at.
bool have_two_passes(const std::vector<Task>& tasks) {
  const Plan* seen = nullptr;
  for (const Task& task : tasks) {
    if (task.plan == seen) continue;
    if (has_two_passes(task)) return true;
    seen = task.plan;
  }
  return false;
}

void update(std::vector<Task>& tasks, bool flush_denormals) {
  if (have_two_passes(tasks)) {
    run_pass(Pass::measure, tasks, flush_denormals);
    for (Task& task : tasks) {
      if (has_two_passes(task)) task.trust_ratio = trust_ratio(task.norms, tiles(task.size));
    }
  }
  run_pass(Pass::update, tasks, flush_denormals);
}

}  // namespace

void StepMemory::reserve(std::vector<Task>& tasks, const StepOptions& options) {
  if (needs_grad_norm(options) && !options.known_squares) reserve_grad_squares(tasks);
  if (!have_two_passes(tasks)) return;
  std::size_t two_pass_tiles = 0;
  for (const Task& task : tasks) two_pass_tiles += has_two_passes(task) ? tiles(task.size) : 0;
  norms.resize(two_pass_tiles);
  SquaredNorms* next = norms.data();
  for (Task& task : tasks) {
    if (!has_two_passes(task)) continue;
    task.norms = next;
    next += tiles(task.size);
  }
}

void StepMemory::reserve_grad_squares(std::vector<Task>& tasks) {
  grad_squares.resize(tiles_of(tasks));
  double* next = grad_squares.data();
  for (Task& task : tasks) {
    task.grad_squares = next;
    next += tiles(task.size);
  }
}

bool measure_gradients(const std::vector<Task>& tasks) noexcept {
  run_pass(Pass::sum_squares, tasks);
  return has_nonfinite(tasks);
}

StepResult take_step(std::vector<Task>& tasks, std::vector<Plan>& plans, const StepOptions& options) noexcept {
  StepResult result{true, false, 0};
  double factor = 1 / options.grad_divisor;
  if (needs_grad_norm(options)) {
    const GradSquares squares =
        options.known_squares ? *options.known_squares : measured(tasks, options.skip_nonfinite);
    result.has_grad_norm = true;
    result.grad_norm = std::sqrt(squares.sum) * factor;
    if (options.skip_nonfinite && squares.has_nonfinite) {
      result.has_stepped = false;
      zero_gradients(tasks);
      return result;
    }
    factor *= clip_coefficient(result.grad_norm, options.clip_norm);
  }
  for (Plan& plan : plans) plan.gradient_factor *= factor;
  update(tasks, options.flush_denormals);
  return result;
}

}  // namespace pyadam
