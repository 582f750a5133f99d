// Gradients of arrays that another optimizer, or several, update: checked and added up, and nothing else.
#pragma once

#include <pybind11/numpy.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/gradient_sums.hpp"
#include "engine/ranges.hpp"
#include "python/given_arrays.hpp"

namespace pyadam {

namespace py = pybind11;

class GradientArrays {
 public:
  // Checks arrays as parameters are checked, and that they share no memory.
  GradientArrays(const py::list& arrays, const std::vector<std::string>& paths);

  // Returns the gradients, checked, as arrays that lie as their parameters do: those that were given, or copies. None
  // stays None.
  py::list checked(const py::object& grads);

  // Adds gradients up. Their number is the number of calls.
  void accumulate(const py::object& grads);
  std::int64_t accumulated() const { return sums_.count(); }
  void clear_accumulated();
  py::list accumulated_sums(const py::object& self) const { return arrays_of_sums(sums_, arrays_, self); }

 private:
  class Call;

  void read(const py::object& grads);

  std::vector<NamedView> arrays_;
  DisjointRanges ranges_;
  GradientSums sums_;
  std::atomic<bool> busy_{false};
  GivenArrays given_;
  std::vector<Gradient> gradients_;
};

}  // namespace pyadam
