#include "python/arrays.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <stdexcept>

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

// The numbers that NumPy has given to types of the name bfloat16: a package registers one, and few packages do. Never
// taken back, so that a look may read them at any time.
class BFloat16Numbers {
 public:
  bool has(int number) const {
    return std::any_of(numbers_.begin(), numbers_.end(), [number](const auto& known) { return known == number; });
  }

  void add(int number) {
    for (auto& known : numbers_) {
      int expected = -1;
      if (known == number || known.compare_exchange_strong(expected, number)) return;
    }
  }

 private:
  std::array<std::atomic<int>, 8> numbers_{-1, -1, -1, -1, -1, -1, -1, -1};
};

BFloat16Numbers& bfloat16_numbers() {
  static BFloat16Numbers numbers;
  return numbers;
}

constexpr char foreign_order = PY_LITTLE_ENDIAN != 0 ? '>' : '<';

// The kernel's name for a dtype in native byte order, if it reads that dtype.
bool dtype_of(const PyObject* descr, DType& dtype) {
  const auto* facts = py::detail::array_descriptor_proxy(descr);
  const int number = facts->type_num;
  if (facts->byteorder == foreign_order) return false;
  for (const DTypeFacts& known : all_dtypes) {
    if (known.is_numeric && known.numpy_number == number) {
      dtype = known.dtype;
      return true;
    }
  }
  dtype = DType::bfloat16;
  return bfloat16_numbers().has(number);
}

// Asks for a dtype's name what numbers cannot tell.
void learn_dtype(const py::array& array) {
  if (array.itemsize() == 2 && dtype_name(array) == facts_of(DType::bfloat16).name) {
    bfloat16_numbers().add(array.dtype().num());
  }
}

bool has_shape(const py::detail::PyArray_Proxy* array, const std::vector<py::ssize_t>& shape) {
  return static_cast<std::size_t>(array->nd) == shape.size() &&
         std::equal(shape.begin(), shape.end(), array->dimensions);
}

// The same memory as an array of no subclass, whose methods would run a user's code.
py::array base_view(py::handle array) {
  return py::reinterpret_steal<py::array>(
      Flags::get().PyArray_View_(array.ptr(), nullptr, reinterpret_cast<PyObject*>(Flags::get().PyArray_Type_)));
}

}  // namespace

MemoryRange extent_of(py::handle array) {
  const auto* a = proxy(array);
  const auto begin = reinterpret_cast<std::uintptr_t>(a->data);
  std::ptrdiff_t low = 0;
  std::ptrdiff_t high = py::reinterpret_borrow<py::array>(array).itemsize();
  for (int axis = 0; axis < a->nd; ++axis) {
    if (a->dimensions[axis] == 0) return {begin, begin};
    const std::ptrdiff_t reach = (a->dimensions[axis] - 1) * a->strides[axis];
    (reach < 0 ? low : high) += reach;
  }
  return {begin + static_cast<std::uintptr_t>(low), begin + static_cast<std::uintptr_t>(high)};
}

ArrayView check_parameter(py::handle value, const std::string& name) {
  if (!is_array(value)) {
    throw py::type_error(name + " must be a numpy.ndarray of " + parameter_dtypes + ", found " + type_name(value));
  }
  refuse_masked(value, name);
  const auto array = py::reinterpret_borrow<py::array>(value);
  learn_dtype(array);
  // From here on no Python code runs but to say what is wrong.
  const auto* a = proxy(array);
  DType dtype{};
  if (!dtype_of(a->descr, dtype)) {
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
  return {array,
          py::reinterpret_borrow<py::object>(a->descr),
          dtype,
          (flags & Flags::NPY_ARRAY_C_CONTIGUOUS_) != 0,
          (flags & Flags::NPY_ARRAY_F_CONTIGUOUS_) != 0,
          a->data,
          static_cast<std::size_t>(array.size()),
          shape_of(array)};
}

bool is_unchanged(const ArrayView& view) {
  const auto* a = proxy(view.array);
  const int order = view.c_order ? Flags::NPY_ARRAY_C_CONTIGUOUS_ : Flags::NPY_ARRAY_F_CONTIGUOUS_;
  const int wanted = order | Flags::NPY_ARRAY_WRITEABLE_ | Flags::NPY_ARRAY_ALIGNED_;
  if (a->data != view.data || (a->flags & wanted) != wanted || !has_shape(a, view.shape)) return false;
  DType dtype{};
  return a->descr == view.descr.ptr() || (dtype_of(a->descr, dtype) && dtype == view.dtype);
}

void refuse_changed(const ArrayView& view, const std::string& path) {
  if (!is_unchanged(view)) {
    throw py::value_error(path + " was made read-only, reshaped, resized or given another dtype since it was bound");
  }
}

bool read_in_place(py::handle gradient, const ArrayView& parameter, Gradient& read) {
  const auto* g = proxy(gradient);
  if (!has_shape(g, parameter.shape)) return false;
  const int flags = g->flags;
  const bool in_order = (parameter.c_order && (flags & Flags::NPY_ARRAY_C_CONTIGUOUS_) != 0) ||
                        (parameter.f_order && (flags & Flags::NPY_ARRAY_F_CONTIGUOUS_) != 0);
  if (!in_order || (flags & Flags::NPY_ARRAY_ALIGNED_) == 0) return false;
  if (g->descr == parameter.descr.ptr()) {
    read.dtype = parameter.dtype;
  } else if (!dtype_of(g->descr, read.dtype)) {
    return false;
  }
  read.data = g->data;
  return true;
}

bool is_plain_array(py::handle value) { return Flags::get().PyArray_Type_ == Py_TYPE(value.ptr()); }

py::array readable_gradient(py::object gradient, const ArrayView& parameter, const std::string& path) {
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
  auto array = py::reinterpret_borrow<py::array>(gradient);
  learn_dtype(array);
  DType dtype{};
  const bool is_known = dtype_of(proxy(array)->descr, dtype);
  if (!is_known && array.dtype().kind() != 'f' && dtype_name(array) != facts_of(DType::bfloat16).name) {
    throw py::type_error(name + " must be of a floating dtype, found " + dtype_name(array));
  }
  if (!has_shape(proxy(array), parameter.shape)) {
    throw py::value_error(name + " must have its parameter's shape " + shape_text(parameter.shape) + ", found " +
                          shape_text(shape_of(array)));
  }
  Gradient read{};
  if (read_in_place(array, parameter, read)) return array;
  if (!is_known) dtype = array.itemsize() >= 8 ? DType::float64 : DType::float32;
  return numpy.attr("array")(base_view(array), py::arg("dtype") = numpy_dtype(dtype),
                             py::arg("order") = parameter.c_order ? "C" : "F");
}

bool shares_memory(py::handle a, py::handle b) {
  return py::module_::import("numpy").attr("shares_memory")(base_view(a), base_view(b)).cast<bool>();
}

const void* buffer_of(py::handle value, const ArrayView& parameter, DType dtype, const std::string& path) {
  if (!is_array(value) ||
      py::detail::array_descriptor_proxy(proxy(value)->descr)->type_num != numpy_dtype(dtype).num()) {
    throw std::invalid_argument("an array of another dtype is needed for " + path);
  }
  const auto* a = proxy(value);
  if (!has_shape(a, parameter.shape)) {
    throw std::invalid_argument("an array of the shape of " + path + " is needed");
  }
  const int order = parameter.c_order ? Flags::NPY_ARRAY_C_CONTIGUOUS_ : Flags::NPY_ARRAY_F_CONTIGUOUS_;
  if ((a->flags & order) == 0 || (a->flags & Flags::NPY_ARRAY_ALIGNED_) == 0 ||
      py::detail::array_descriptor_proxy(a->descr)->byteorder == foreign_order) {
    throw std::invalid_argument("an array of the memory order of " + path + " is needed");
  }
  return a->data;
}

py::dtype numpy_dtype(DType dtype) {
  if (dtype != DType::bfloat16) return py::dtype(facts_of(dtype).numpy_number);
  try {
    return py::dtype::from_args(py::module_::import("ml_dtypes").attr("bfloat16"));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ImportError)) throw;
    throw py::import_error("arrays of bfloat16 need the package ml_dtypes: pip install 'pyadam[bfloat16]'");
  }
}

bool is_writeable(py::handle array) { return (proxy(array)->flags & Flags::NPY_ARRAY_WRITEABLE_) != 0; }

std::string shape_text(const std::vector<py::ssize_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace pyadam
