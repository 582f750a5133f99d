// The gradients of a step on addresses.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <vector>

#include "engine/gradient_sums.hpp"

namespace pyadam {

namespace py = pybind11;

class GivenGradients {
 public:
  // Of lists with an entry per parameter: the address of its gradient, None where there is none, and the number of its
  // dtype. Throws std::invalid_argument.
  GivenGradients(const py::list& addresses, const py::list& dtypes);

  std::size_t parameters() const { return parameters_; }
  const std::vector<Gradient>& all() const { return gradients_; }

  // The places of the parameters that have a gradient, or None if that is all of them.
  static py::object places_of(const std::vector<Gradient>& gradients, std::size_t parameters);

 private:
  std::size_t parameters_;
  std::vector<Gradient> gradients_;
};

}  // namespace pyadam
