// NumPy arrays as the kernel needs them: what is checked, and the looks that run no Python code.
#pragma once

#include <pybind11/numpy.h>

#include <cstddef>
#include <string>
#include <vector>

#include "engine/gradient_sums.hpp"
#include "engine/kept_arrays.hpp"
#include "engine/ranges.hpp"

namespace pyadam {

namespace py = pybind11;

// A parameter's array as it was when it was checked. Order is the memory order in which its elements are counted.
struct ArrayView {
  py::array array;
  py::object descr;  // its dtype; an own reference, so that no other object can have its address
  DType dtype;
  bool c_order;
  bool f_order;
  void* data;
  std::size_t size;
  std::vector<py::ssize_t> shape;

  Buffer buffer() const { return {data, size, dtype}; }
};

// May run a user's code. Throws TypeError or ValueError, beginning with `name`, if `value` cannot be updated in place.
ArrayView check_parameter(py::handle value, const std::string& name);

// Whether the array still is what was checked: the same memory, shape and dtype, still writeable. Runs no Python code.
bool is_unchanged(const ArrayView& view);

// Throws ValueError if it is not.
void refuse_changed(const ArrayView& view, const std::string& path);

// Reads where a gradient lies, and returns whether the kernel can read it there: whether it is an array in its
// parameter's shape and memory order, and of a dtype that the kernel knows. Runs no Python code.
bool read_in_place(py::handle gradient, const ArrayView& parameter, Gradient& read);

// Whether reading in place is all that is to be checked: a subclass may have a mask.
bool is_plain_array(py::handle value);

// Returns the gradient, if it is one, as an array that can be read in place, which may be a copy. May run a user's
// code. Throws TypeError or ValueError, naming the parameter by its `path`.
py::array readable_gradient(py::object gradient, const ArrayView& parameter, const std::string& path);

// The bytes between an array's first and last element.
MemoryRange extent_of(py::handle array);

// Whether two arrays have an element in common; exact, and slow where strides interleave. Of subclasses, only the
// memory is looked at.
bool shares_memory(py::handle a, py::handle b);

// The data of an array that must fit a parameter exactly: what the Python layer has prepared. Runs no user's code.
const void* buffer_of(py::handle value, const ArrayView& parameter, DType dtype, const std::string& path);

// NumPy's dtype; that of bfloat16 is ml_dtypes'. Throws ImportError where that package is missing.
py::dtype numpy_dtype(DType dtype);

bool is_writeable(py::handle array);

std::string shape_text(const std::vector<py::ssize_t>& shape);

}  // namespace pyadam
