// NumPy arrays as the kernel needs them: what is checked, and the views that pass.
#pragma once

#include <pybind11/numpy.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../step.hpp"

namespace pyadam {

namespace py = pybind11;

// Bytes [begin, end) of memory.
struct MemoryRange {
  std::uintptr_t begin;
  std::uintptr_t end;
};

// Ranges that share no byte, kept in order, so that a gradient is compared with its neighbours only.
class DisjointRanges {
 public:
  struct Owned {
    MemoryRange range;
    std::size_t owner;
  };

  // Returns the two owners of a byte that ranges share, or {none, none} and keeps the ranges.
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::pair<std::size_t, std::size_t> assign(std::vector<Owned> ranges);

  // The owners of bytes that `range` shares. Returns at once, and allocates nothing, where there are none.
  std::vector<std::size_t> overlapped_by(MemoryRange range) const;

 private:
  std::vector<Owned> ranges_;
};

// A parameter as it was when it was bound. Order is the memory order in which its elements are counted.
struct ParameterView {
  void* data;
  std::size_t size;
  DType dtype;
  bool c_order;
  bool f_order;
  std::vector<py::ssize_t> shape;

  MemoryRange range() const;
};

// Throws TypeError or ValueError, beginning with `name`, if `value` cannot be updated in place.
ParameterView check_parameter(py::handle value, const std::string& name);

// Whether the array still is what was bound: the same buffer, shape and dtype, still writeable.
bool is_unchanged(py::handle array, const ParameterView& view);

// A gradient that the kernel reads element by element beside its parameter.
struct GradientView {
  const void* data;
  DType dtype;
  MemoryRange extent;  // of the array that was given, whatever its strides
};

// Checks a gradient and returns how to read it. Where it cannot be read as it lies (another memory order, strides, a
// dtype the kernel does not know), `gradient` is replaced by a copy that can. Throws TypeError or ValueError, naming
// the parameter by its `path`.
GradientView view_gradient(py::object& gradient, const ParameterView& parameter, const std::string& path);

// NumPy's dtype; that of bfloat16 is ml_dtypes'. Throws ImportError where that package is missing.
py::dtype numpy_dtype(DType dtype);

bool is_writeable(py::handle array);

// Whether two arrays have an element in common; exact, and slow where strides interleave.
bool shares_memory(py::handle a, py::handle b);

std::string shape_text(const std::vector<py::ssize_t>& shape);

}  // namespace pyadam
