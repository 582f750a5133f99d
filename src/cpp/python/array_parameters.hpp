// The door for NumPy: parameters of the engine that lie in arrays.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/parameters.hpp"
#include "python/given_arrays.hpp"

namespace pyadam {

namespace py = pybind11;

class ArrayParameters {
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

  // A part of a step: of the parameters `slots`, whose gradients were checked. The squares are those of all gradients
  // of the step, where they are needed; the part that `is_last` counts the step.
  bool step_part(const std::vector<std::size_t>& slots, const py::object& grads, const py::tuple& plans,
                 double grad_scale, std::optional<GradSquares> known_squares, bool is_last);

  // The sums of the squares of such gradients, one for each tile of each parameter whose gradient is not None, and
  // whether an element is not finite.
  py::tuple grad_squares(const std::vector<std::size_t>& slots, const py::object& grads);

  // Adds gradients to those that the next step will take the mean of.
  void accumulate(const py::object& grads);
  void clear_accumulated();

  // The sums of what was accumulated, live, one after the other in the parameter's memory order; None where nothing
  // was.
  py::list accumulated_sums(const py::object& self) const;

  // Throws ValueError if an array is no longer as it was bound.
  void check_parameters() const { refuse_changed(arrays_); }

  // Sets step counts and copies arrays in. `states[i]` maps names to arrays; what it does not name, or all if it is
  // None, starts anew.
  void restore(std::int64_t step_count, const std::vector<std::int64_t>& steps, const py::list& states);

  py::list arrays() const;
  py::dict state(std::size_t index) const;

  Parameters& engine() { return engine_; }
  const Parameters& engine() const { return engine_; }

  std::string state_dir;  // where groups that are added keep their state in files; empty: in memory

 private:
  class Call;

  void hold(const py::object& grads);
  void hold_part(const std::vector<std::size_t>& slots, const py::object& grads);
  std::vector<NamedView> exchanged(const py::object& new_arrays) const;
  void check_writeable(const std::vector<py::object>& given) const;

  Parameters engine_;
  std::vector<NamedView> arrays_;  // of the engine's slots
  GivenArrays given_;              // of the call in hand; a member so that its memory is used again
};

}  // namespace pyadam
