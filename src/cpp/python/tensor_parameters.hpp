// The door for PyTorch: parameters of the engine whose arrays, state too, belong to another library.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/parameters.hpp"
#include "python/dlpack.hpp"
#include "python/given_gradients.hpp"
#include "python/tensor_handles.hpp"

namespace pyadam {

namespace py = pybind11;

// Names and names of dtypes of what must be kept beside a parameter. Throws ValueError, beginning with the parameter's
// `path`, if it cannot be kept so.
py::list names_of_kept_arrays(const std::string& rule, const std::string& dtype,
                              const std::optional<std::string>& master, const std::optional<std::string>& state_dtype,
                              bool has_ema, const std::string& path);

// The caller answers for the addresses: that the memory is there, of the size and dtype that it says, dense, and that
// a parameter and what is kept beside it have their elements in one order. What it has given to `watch`, or with a
// step, is looked at again when all Python code has run.
class TensorParameters {
 public:
  // Adds a group, whose parameters share these.
  void add_group(const std::string& rule, const std::optional<std::string>& master,
                 const std::optional<std::string>& state_dtype, bool has_ema);

  // Adds a parameter to a group, which is known by its number. `kept` has the addresses of the arrays that
  // `names_of_kept_arrays` lists; `step_address` is that of a number of `step_dtype` that always has the step count,
  // which may be changed there, or 0 if there is none. `first_element` numbers its elements for random rounding.
  void add(const std::string& path, std::size_t group, std::uintptr_t address, std::size_t size,
           const std::string& dtype, const std::vector<std::uintptr_t>& kept, std::int64_t step,
           std::uintptr_t step_address, const std::string& step_dtype, std::uint64_t first_element);

  // Keeps parameter `index` in a box of two numbers, or of arrays at two addresses.
  void set_bounds(std::size_t index, double lower, double upper);
  void set_bound_arrays(std::size_t index, std::uintptr_t lower, std::uintptr_t upper);

  // Tells where the memory belongs that was added: WatchedTensors, TensorHandles or None each. `tensors` has a tensor
  // for each parameter.
  void watch(const py::object& tensors, const py::object& beside);

  // Updates every parameter that has a gradient and returns True; or False if the step was skipped; or None, having
  // changed nothing, if a tensor that is watched has moved. `plans` holds a function per group, as for ArrayParameters.
  // Everything is checked, and all Python code has run, before anything is written. `watched` notices where the
  // gradients move.
  py::object step(const GivenGradients& gradients, const py::tuple& plans, double grad_scale,
                  const py::object& watched);

  // The same with the gradients that `owners`, a list, have as their attribute `grad`. Also returns None if one does
  // not lie exactly as its parameter does.
  py::object step_of(const py::list& owners, const py::tuple& plans, double grad_scale);

  // The places of the parameters that the last step has updated, or None if that is all of them.
  py::object stepped() const { return GivenGradients::places_of(engine_.gradients(), engine_.size()); }

  Parameters& engine() { return engine_; }
  const Parameters& engine() const { return engine_; }

 private:
  // What can be looked at again without Python code.
  struct Watched {
    py::object owner;
    const WatchedTensors* tensors = nullptr;
    const TensorHandles* handles = nullptr;

    bool hold() const { return (tensors == nullptr || tensors->hold()) && (handles == nullptr || handles->hold()); }
  };

  static Watched watched(const py::object& object);

  // Plans and takes a step. `look` takes the gradients' addresses anew and returns whether nothing has moved.
  template <class Look>
  py::object take(const py::tuple& plans, double grad_scale, const Look& look);

  Parameters engine_;
  Watched tensors_;
  Watched beside_;
  std::vector<py::object> objects_;  // gradients of the step in hand; a member so that its memory is used again
};

}  // namespace pyadam
