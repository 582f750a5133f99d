// The parameters of an optimizer, bound once: their buffers, their state and their step counts.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../kernel_table.hpp"
#include "../memory.hpp"
#include "../step.hpp"
#include "arrays.hpp"

namespace pyadam {

namespace py = pybind11;

class BoundParameters {
 public:
  // Adds parameters that share hyperparameters, with state for `rule` that starts at `initial_state`, a number for each
  // of its buffers. `paths` name the parameters in messages.
  void add_group(const std::string& rule, const py::list& arrays, const std::vector<std::string>& paths,
                 const std::vector<double>& initial_state);

  // Keeps parameter `index` in the box [lower, upper]: two numbers, or two arrays of its shape, dtype and memory order.
  // None, None takes the box away.
  void set_bounds(std::size_t index, const py::object& lower, const py::object& upper);

  // Updates every parameter whose gradient is not None. `plans` holds a function per group: plan(t) returns
  // ((gradient_sign, l2, l1, decay), scalars) for the step t (from 1) of that group's parameters. `new_arrays`, if not
  // None, replaces the parameters first. Everything is checked, and all Python code has run, before anything is
  // written.
  void step(const py::object& grads, const py::tuple& plans, const py::object& new_arrays);

  // Sets step counts and copies state in. `states[i]` has an array per state buffer, or is None for
  // the initial state.
  void restore(std::int64_t step_count, const std::vector<std::int64_t>& steps, const py::list& states);

  std::int64_t step_count() const { return step_count_; }
  std::vector<std::int64_t> steps() const;
  py::list arrays() const;

  // The live state buffers of parameter `index`, as arrays of its shape and memory order.
  py::tuple state(std::size_t index) const;

 private:
  struct Slot {
    py::array array;
    ParameterView view;
    std::string path;
    std::size_t group;
    std::int64_t step = 0;
    std::array<void*, max_states> state{};
    bool is_bounded = false;
    Bounds bounds{};
    py::object bound_arrays;  // keeps what `bounds` points to
  };

  struct Group {
    std::size_t rule;
    std::vector<double> initial_state;
    std::shared_ptr<ZeroedMemory> memory;
  };

  class Busy;

  DisjointRanges ranges_of(const std::vector<Slot>& slots) const;
  std::vector<Slot> rebound(const py::object& new_arrays) const;
  void collect_gradients(const py::object& grads);
  void make_plans(const py::tuple& plans);
  void fill_initial(Slot& slot, bool also_zeros) const;
  void make_tasks(const std::vector<Slot>& slots, const DisjointRanges& ranges);
  void make_room_for_norms();
  void run_tasks();

  std::vector<Group> groups_;
  std::vector<Slot> slots_;
  DisjointRanges ranges_;
  std::int64_t step_count_ = 0;
  bool busy_ = false;

  // Of the step in hand; members so that their memory is used again.
  std::vector<py::object> grads_;
  std::vector<Plan> plans_;
  std::vector<std::size_t> plan_of_slot_;
  std::vector<Task> tasks_;
  std::vector<Norms> norms_;
};

}  // namespace pyadam
