// The gradients of a step on addresses.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "../step.hpp"

namespace pyadam {

namespace py = pybind11;

// Names of the dtypes that a gradient may have, in a dict with their numbers as GivenGradients takes them.
py::dict gradient_dtypes();

class GivenGradients {
 public:
  struct Gradient {
    std::size_t parameter;  // its place among all
    const void* data;
    DType dtype;
  };

  // Of so many parameters, of which none has a gradient yet.
  explicit GivenGradients(std::size_t parameters) : parameters_(parameters) { gradients_.reserve(parameters); }

  // Of lists with an entry per parameter: the address of its gradient, None where there is none, and the number of its
  // dtype. Throws std::invalid_argument.
  GivenGradients(const py::list& addresses, const py::list& dtypes);

  void add(const Gradient& gradient, py::object owner) {
    gradients_.push_back(gradient);
    owners_.push_back(std::move(owner));
  }

  std::size_t parameters() const { return parameters_; }
  const std::vector<Gradient>& all() const { return gradients_; }

  // The places of the parameters that have one, or None if that is all of them.
  py::object places() const;

 private:
  std::size_t parameters_;
  std::vector<Gradient> gradients_;
  std::vector<py::object> owners_;  // of the memory, which must stay until the step is taken
};

}  // namespace pyadam
