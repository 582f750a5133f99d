#include "arrays.hpp"

#include <algorithm>
#include <iterator>

namespace pyadam {
namespace {

using Flags = py::detail::npy_api;

constexpr const char* parameter_dtypes = "float64, float32, bfloat16 or float16";

const py::detail::PyArray_Proxy* proxy(py::handle array) { return py::detail::array_proxy(array.ptr()); }

bool is_array(py::handle value) { return py::isinstance<py::array>(value); }

std::string type_name(py::handle value) { return Py_TYPE(value.ptr())->tp_name; }

std::string dtype_name(const py::array& array) { return py::str(array.dtype()); }

std::vector<py::ssize_t> shape_of(const py::array& array) { return {array.shape(), array.shape() + array.ndim()}; }

// A mask says which elements are not there; to ignore it would be to train on them.
void refuse_masked(py::handle value, const std::string& name) {
  if (py::hasattr(value, "mask") && py::hasattr(value, "fill_value")) {
    throw py::type_error(name + " is a masked array, whose mask an update would ignore; pass .filled(...) or .data");
  }
}

bool is_native_order(const py::array& array) { return array.dtype().attr("isnative").cast<bool>(); }

// float32 and float64 by their singletons: a comparison of pointers covers almost every call.
bool fast_dtype(py::handle array, DType& dtype) {
  static const PyObject* const float32 = py::dtype::of<float>().release().ptr();
  static const PyObject* const float64 = py::dtype::of<double>().release().ptr();
  const PyObject* descr = proxy(array)->descr;
  if (descr == float32) {
    dtype = DType::float32;
    return true;
  }
  if (descr == float64) {
    dtype = DType::float64;
    return true;
  }
  return false;
}

// The kernel's name for a dtype in native byte order, if it reads that dtype.
bool kernel_dtype(const py::array& array, DType& dtype) {
  if (!is_native_order(array)) return false;
  const py::dtype type = array.dtype();
  const bool is_float = type.kind() == 'f';
  if (is_float && type.itemsize() == 4) {
    dtype = DType::float32;
  } else if (is_float && type.itemsize() == 8) {
    dtype = DType::float64;
  } else if (is_float && type.itemsize() == 2) {
    dtype = DType::float16;
  } else if (dtype_name(array) == "bfloat16") {
    dtype = DType::bfloat16;
  } else {
    return false;
  }
  return true;
}

bool is_floating(const py::array& array) { return array.dtype().kind() == 'f' || dtype_name(array) == "bfloat16"; }

bool same_shape(py::handle array, const std::vector<py::ssize_t>& shape) {
  const auto* a = proxy(array);
  return static_cast<std::size_t>(a->nd) == shape.size() && std::equal(shape.begin(), shape.end(), a->dimensions);
}

bool is_plain_array(py::handle value) {
  static const PyTypeObject* const ndarray = Flags::get().PyArray_Type_;
  return Py_TYPE(value.ptr()) == ndarray;
}

MemoryRange range_of(const void* data, std::size_t size, DType dtype) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  return {begin, begin + size * itemsize(dtype)};
}

// The bytes between an array's first and last element.
MemoryRange extent_of(const py::array& array) {
  const auto* a = proxy(array);
  const auto begin = reinterpret_cast<std::uintptr_t>(a->data);
  std::ptrdiff_t low = 0;
  std::ptrdiff_t high = array.itemsize();
  for (int axis = 0; axis < a->nd; ++axis) {
    if (a->dimensions[axis] == 0) return {begin, begin};
    const std::ptrdiff_t reach = (a->dimensions[axis] - 1) * a->strides[axis];
    (reach < 0 ? low : high) += reach;
  }
  return {begin + static_cast<std::uintptr_t>(low), begin + static_cast<std::uintptr_t>(high)};
}

// Whether a gradient of the right shape lies in its parameter's memory order, in a dtype that the kernel reads.
bool read_in_place(py::handle gradient, const ParameterView& parameter, GradientView& view) {
  if (!same_shape(gradient, parameter.shape)) return false;
  const int flags = proxy(gradient)->flags;
  const bool in_order = (parameter.c_order && (flags & Flags::NPY_ARRAY_C_CONTIGUOUS_) != 0) ||
                        (parameter.f_order && (flags & Flags::NPY_ARRAY_F_CONTIGUOUS_) != 0);
  if (!in_order || (flags & Flags::NPY_ARRAY_ALIGNED_) == 0) return false;
  if (!fast_dtype(gradient, view.dtype) && !kernel_dtype(py::reinterpret_borrow<py::array>(gradient), view.dtype)) {
    return false;
  }
  view.data = proxy(gradient)->data;
  view.extent = range_of(view.data, parameter.size, view.dtype);
  return true;
}

}  // namespace

std::pair<std::size_t, std::size_t> DisjointRanges::assign(std::vector<Owned> ranges) {
  ranges.erase(
      std::remove_if(ranges.begin(), ranges.end(), [](const Owned& o) { return o.range.begin == o.range.end; }),
      ranges.end());
  std::sort(ranges.begin(), ranges.end(), [](const Owned& a, const Owned& b) { return a.range.begin < b.range.begin; });
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].range.begin < ranges[i - 1].range.end) {
      return std::minmax(ranges[i - 1].owner, ranges[i].owner);
    }
  }
  ranges_ = std::move(ranges);
  return {none, none};
}

std::vector<std::size_t> DisjointRanges::overlapped_by(MemoryRange range) const {
  std::vector<std::size_t> owners;
  if (range.begin == range.end) return owners;
  auto next = std::lower_bound(ranges_.begin(), ranges_.end(), range.end,
                               [](const Owned& o, std::uintptr_t end) { return o.range.begin < end; });
  // Disjoint ranges end in the order in which they begin.
  for (; next != ranges_.begin() && std::prev(next)->range.end > range.begin; --next) {
    owners.push_back(std::prev(next)->owner);
  }
  return owners;
}

MemoryRange ParameterView::range() const { return range_of(data, size, dtype); }

ParameterView check_parameter(py::handle value, const std::string& name) {
  if (!is_array(value)) {
    throw py::type_error(name + " must be a numpy.ndarray of " + parameter_dtypes + ", found " + type_name(value));
  }
  refuse_masked(value, name);
  const auto array = py::reinterpret_borrow<py::array>(value);
  DType dtype{};
  if (!kernel_dtype(array, dtype)) {
    throw py::type_error(name + " must be of dtype " + parameter_dtypes + " in native byte order, found " +
                         dtype_name(array));
  }
  if (!array.writeable()) {
    throw py::value_error(name + " must be writeable, found a read-only array");
  }
  const int flags = array.flags();
  if ((flags & (Flags::NPY_ARRAY_C_CONTIGUOUS_ | Flags::NPY_ARRAY_F_CONTIGUOUS_)) == 0) {
    throw py::value_error(name + " must be contiguous in C or Fortran order, found shape " +
                          shape_text(shape_of(array)) + " with strides " +
                          shape_text({array.strides(), array.strides() + array.ndim()}));
  }
  if ((flags & Flags::NPY_ARRAY_ALIGNED_) == 0) {
    throw py::value_error(name + " must be aligned to its elements, found its data at an address between them");
  }
  return {const_cast<void*>(array.data()),
          static_cast<std::size_t>(array.size()),
          dtype,
          (flags & Flags::NPY_ARRAY_C_CONTIGUOUS_) != 0,
          (flags & Flags::NPY_ARRAY_F_CONTIGUOUS_) != 0,
          shape_of(array)};
}

bool is_unchanged(py::handle array, const ParameterView& view) {
  const auto* a = proxy(array);
  const int order = view.c_order ? Flags::NPY_ARRAY_C_CONTIGUOUS_ : Flags::NPY_ARRAY_F_CONTIGUOUS_;
  DType dtype{};
  return a->data == view.data && (a->flags & order) != 0 && (a->flags & Flags::NPY_ARRAY_WRITEABLE_) != 0 &&
         same_shape(array, view.shape) &&
         (fast_dtype(array, dtype) || kernel_dtype(py::reinterpret_borrow<py::array>(array), dtype)) &&
         dtype == view.dtype;
}

GradientView view_gradient(py::object& gradient, const ParameterView& parameter, const std::string& path) {
  GradientView view{};
  if (is_plain_array(gradient) && read_in_place(gradient, parameter, view)) return view;

  const std::string name = "gradient of " + path;
  const py::module_ numpy = py::module_::import("numpy");
  // What NumPy returns for a sum over everything is a scalar: it fits a parameter of shape ().
  if (PyFloat_Check(gradient.ptr()) || py::isinstance(gradient, numpy.attr("generic"))) {
    gradient = numpy.attr("asarray")(gradient);
  }
  if (!is_array(gradient)) {
    throw py::type_error(name + " must be a numpy.ndarray or None, found " + type_name(gradient));
  }
  refuse_masked(gradient, name);
  const auto array = py::reinterpret_borrow<py::array>(gradient);
  if (!is_floating(array)) {
    throw py::type_error(name + " must be of a floating dtype, found " + dtype_name(array));
  }
  if (!same_shape(array, parameter.shape)) {
    throw py::value_error(name + " must have its parameter's shape " + shape_text(parameter.shape) + ", found " +
                          shape_text(shape_of(array)));
  }
  if (!read_in_place(gradient, parameter, view)) {
    DType dtype{};
    if (!kernel_dtype(array, dtype)) dtype = array.itemsize() >= 8 ? DType::float64 : DType::float32;
    gradient = numpy.attr("array")(array, py::arg("dtype") = numpy_dtype(dtype),
                                   py::arg("order") = parameter.c_order ? "C" : "F", py::arg("subok") = false);
    view = {proxy(gradient)->data, dtype, extent_of(array)};
  }
  return view;
}

py::dtype numpy_dtype(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return py::dtype::of<float>();
    case DType::float64:
      return py::dtype::of<double>();
    case DType::float16:
      return py::dtype("float16");
    case DType::int16:
      return py::dtype::of<std::int16_t>();
    case DType::bfloat16:
      break;
  }
  try {
    return py::dtype::from_args(py::module_::import("ml_dtypes").attr("bfloat16"));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ImportError)) throw;
    throw py::import_error("arrays of bfloat16 need the package ml_dtypes: pip install 'pyadam[bfloat16]'");
  }
}

bool is_writeable(py::handle array) { return (proxy(array)->flags & Flags::NPY_ARRAY_WRITEABLE_) != 0; }

bool shares_memory(py::handle a, py::handle b) {
  return py::module_::import("numpy").attr("shares_memory")(a, b).cast<bool>();
}

std::string shape_text(const std::vector<py::ssize_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace pyadam
