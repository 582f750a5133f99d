// The parameters of an optimizer, bound once: their buffers, what is kept beside them and their step counts.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../memory.hpp"
#include "../step.hpp"
#include "../whole_step.hpp"
#include "arrays.hpp"
#include "gradient_sums.hpp"
#include "kept_arrays.hpp"
#include "plans.hpp"

namespace pyadam {

namespace py = pybind11;

class BoundParameters {
 public:
  // Adds parameters that share hyperparameters. `paths` name them in messages; the state of `rule` starts at
  // `initial_state`, a number for each of its arrays; `master` and `state_dtype` are None or names.
  void add_group(const std::string& rule, const py::list& arrays, const std::vector<std::string>& paths,
                 const std::vector<double>& initial_state, const std::optional<std::string>& master,
                 const std::optional<std::string>& state_dtype, bool has_ema);

  // Keeps parameter `index` in the box [lower, upper]: two numbers, or two arrays of its shape, memory order and
  // compute type. None, None takes the box away.
  void set_bounds(std::size_t index, const py::object& lower, const py::object& upper);

  // Updates every parameter whose gradient is not None, and returns true; or false if the step was skipped. `plans`
  // holds a function per group: plan(t) returns the stages' numbers and the rule's scalars for the step t (from 1) of
  // that group's parameters. `grads` None stands for the accumulated ones; `new_arrays`, if not None, replaces the
  // parameters first. Everything is checked, and all Python code has run, before anything is written.
  bool step(const py::object& grads, const py::tuple& plans, const py::object& new_arrays, double grad_scale,
            bool zero_grad);

  // Raises what `step` would raise for these gradients.
  void check_gradients(const py::object& grads);

  // The sums of the gradients' squares, one for each tile of each parameter whose gradient is not None, and whether an
  // element is not finite.
  py::tuple grad_squares(const py::object& grads);

  // A part of a step, as `step`: the parameters whose gradients are not None. `whole` is what the norm of all gradients
  // of the step is made of, where it is needed; the part that `is_last` counts the step.
  bool step_part(const py::object& grads, const py::tuple& plans, double grad_scale, std::optional<GradSquares> whole,
                 bool is_last);

  // Adds gradients to those that the next step will take the mean of.
  void accumulate(const py::object& grads);
  void clear_accumulated();

  // The sums of what was accumulated, live, one after the other in the parameter's memory order; None where nothing
  // was.
  py::list accumulated_sums(const py::object& self) const;
  std::int64_t accumulated() const { return sums_.count(); }

  // Throws ValueError if an array is no longer as it was bound.
  void check_parameters() const;

  // Sets step counts and copies arrays in. `states[i]` maps names to arrays; what it does not name, or all if it is
  // None, starts anew.
  void restore(std::int64_t step_count, const std::vector<std::int64_t>& steps, const py::list& states);

  std::int64_t step_count() const { return step_count_; }
  std::vector<std::int64_t> steps() const;
  py::list arrays() const;

  // What is kept beside parameter `index`, live, by name; the arrays have its shape and memory order.
  py::dict state(std::size_t index) const;

  // Of the optimizer, not of a group: see StepOptions.
  double clip_norm = std::numeric_limits<double>::infinity();
  bool skip_nonfinite = false;
  bool flush_denormals = false;
  std::uint64_t seed = 0;
  std::string state_dir;            // where groups that are added keep their state in files; empty: in memory
  std::uint64_t first_element = 0;  // where these parameters are a part of others: how many elements come before them

  std::int64_t skipped = 0;
  double grad_norm = 0;  // of the last step, if `has_grad_norm`
  bool has_grad_norm = false;

 private:
  struct Slot {
    py::array array;
    ParameterView view;
    std::string path;
    std::size_t group;
    std::int64_t step = 0;
    std::vector<KeptArray> kept;
    Task task{};  // all that is the same in every step
    bool is_bounded = false;
    Bounds bounds{};
    py::object bound_arrays;  // keeps what `bounds` points to
  };

  struct Group {
    Keeping keeping;
    std::shared_ptr<ZeroedMemory> memory;
  };

  class Busy;

  DisjointRanges ranges_of(const std::vector<Slot>& slots) const;
  std::vector<Slot> rebound(const py::object& new_arrays) const;
  void collect_gradients(const py::object& grads);
  bool takes_part(std::size_t index) const;
  void make_plans(const py::tuple& plans);
  static void check_unchanged(const Slot& slot);
  GradientView checked_gradient(std::size_t index, const std::vector<Slot>& slots, const DisjointRanges& ranges);
  void collect_tasks(const std::vector<Slot>& slots, const DisjointRanges& ranges);
  void make_tasks(const std::vector<Slot>& slots, const DisjointRanges& ranges, bool zero_grad);
  void check_zeroable(const std::vector<py::object>& given) const;
  StepResult run_step(const StepOptions& options, bool is_last = true);

  std::vector<Group> groups_;
  std::vector<Slot> slots_;
  DisjointRanges ranges_;
  std::int64_t step_count_ = 0;
  bool busy_ = false;
  GradientSums sums_;

  // Of the step in hand; members so that their memory is used again.
  bool uses_sums_ = false;
  std::vector<py::object> grads_;
  Plans plans_;
  std::vector<std::size_t> plan_of_slot_;
  std::vector<Task> tasks_;
  std::vector<std::size_t> slot_of_task_;
  StepMemory memory_;
};

}  // namespace pyadam
