#include "python/dlpack.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace pyadam {
namespace {

// The table behind the capsule. Only its version, which must be 1.x, and the last function here are used.
struct ExchangeApi {
  std::uint32_t major_version;
  std::uint32_t minor_version;
  void* previous;
  void* allocate;
  void* managed_from_object;
  void* managed_to_object;
  int (*tensor_from_object)(void* object, DLPackTensor* tensor);
};

constexpr std::int32_t cpu = 1;

// Returns false for a type that no gradient may have.
bool dtype_of(const DLPackTensor& tensor, DType& dtype) {
  if (tensor.type_lanes != 1) return false;
  for (const DTypeFacts& known : all_dtypes) {
    if (known.is_numeric && tensor.type_code == static_cast<std::uint8_t>(known.dlpack) &&
        tensor.type_bits == 8 * known.bytes) {
      dtype = known.dtype;
      return true;
    }
  }
  return false;
}

TensorLook look_of(const DLPackTensor& tensor) {
  return {static_cast<const char*>(tensor.data) + tensor.byte_offset,
          tensor.type_code << 24 | tensor.type_bits << 16 | tensor.type_lanes, tensor.ndim, tensor.shape,
          tensor.strides};
}

bool has_one_element(const DLPackTensor& tensor) {
  return std::all_of(tensor.shape, tensor.shape + tensor.ndim, [](std::int64_t size) { return size == 1; });
}

bool is_empty(const DLPackTensor& tensor) {
  for (std::int32_t i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] == 0) return true;
  }
  return false;
}

bool has_memory(const DLPackTensor& tensor) { return tensor.data != nullptr || is_empty(tensor); }

bool is_in_row_order(const DLPackTensor& tensor) {
  std::int64_t expected = 1;
  for (std::int32_t i = tensor.ndim; i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

bool has_same_shape(const DLPackTensor& a, const DLPackTensor& b) {
  return a.ndim == b.ndim && std::equal(a.shape, a.shape + a.ndim, b.shape);
}

bool is_of(PyObject* object, const py::handle& type) {
  return reinterpret_cast<PyObject*>(Py_TYPE(object)) == type.ptr();
}

DLPackLook look_function(const py::capsule& exchange_api) {
  const auto* api = static_cast<const ExchangeApi*>(PyCapsule_GetPointer(exchange_api.ptr(), "dlpack_exchange_api"));
  if (api == nullptr) throw py::error_already_set();
  if (api->major_version != 1) {
    throw py::value_error("DLPack's exchange API must be of version 1, found " + std::to_string(api->major_version));
  }
  return api->tensor_from_object;
}

// Returns false if there is nothing to see: a tensor on another device, or one that is no plain memory.
bool look(DLPackLook function, PyObject* object, DLPackTensor& tensor) {
  if (function(object, &tensor) == 0) return tensor.device_type == cpu && tensor.strides != nullptr;
  PyErr_Clear();
  return false;
}

py::object grad_of(PyObject* object) {
  static PyObject* const name = PyUnicode_InternFromString("grad");
  auto gradient = py::reinterpret_steal<py::object>(PyObject_GetAttr(object, name));
  if (!gradient) throw py::error_already_set();
  return gradient;
}

// Whether the numbers are those in memory with the other sign, which the exchange API does not tell.
bool is_negated(const py::handle& tensor) {
  static PyObject* const name = PyUnicode_InternFromString("is_neg");
  const auto is_neg = py::reinterpret_steal<py::object>(PyObject_CallMethodNoArgs(tensor.ptr(), name));
  if (!is_neg) throw py::error_already_set();
  return is_neg.ptr() == Py_True;
}

// The same for a gradient: larger ones that PyTorch negates are parts of complex tensors, with gaps, which no parameter
// has.
bool is_negated(const py::handle& gradient, const DLPackTensor& tensor) {
  return has_one_element(tensor) && is_negated(gradient);
}

}  // namespace

bool are_plain(const py::capsule& exchange_api, const py::tuple& types, const py::list& tensors) {
  const DLPackLook function = look_function(exchange_api);
  const auto is_plain = [&](PyObject* object, DLPackTensor& tensor) {
    DType dtype{};
    return look(function, object, tensor) && dtype_of(tensor, dtype) && has_memory(tensor) && is_in_row_order(tensor);
  };
  for (const py::handle object : tensors) {
    const auto is_type = [&](const py::handle& type) { return is_of(object.ptr(), type); };
    DLPackTensor tensor{};
    if (!std::any_of(types.begin(), types.end(), is_type) || !is_plain(object.ptr(), tensor) || is_negated(object)) {
      return false;
    }
    const py::object gradient = grad_of(object.ptr());
    if (gradient.is_none()) continue;
    DLPackTensor other{};
    if (!is_of(gradient.ptr(), types[0]) || !is_plain(gradient.ptr(), other) || !has_same_shape(tensor, other) ||
        is_negated(gradient, other)) {
      return false;
    }
  }
  return true;
}

WatchedTensors::WatchedTensors(const py::capsule& exchange_api, const py::object& type, const py::list& tensors)
    : look_(look_function(exchange_api)), type_(type) {
  for (const py::handle object : tensors) {
    DLPackTensor tensor{};
    if (!look(look_, object.ptr(), tensor)) throw py::value_error("a tensor without memory on the CPU");
    tensors_.push_back(py::reinterpret_borrow<py::object>(object));
    seen_.add(look_of(tensor));
    has_one_element_.push_back(has_one_element(tensor));
  }
}

bool WatchedTensors::hold() const {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    DLPackTensor tensor{};
    if (!look(look_, tensors_[i].ptr(), tensor) || !seen_.is(i, look_of(tensor))) return false;
  }
  return true;
}

bool WatchedTensors::add_gradients(const py::list& owners, std::vector<Gradient>& gradients,
                                   std::vector<py::object>& objects) const {
  // An own tuple, since the code of a `grad` property, or another thread, may change the list.
  const auto own = py::reinterpret_steal<py::tuple>(PyList_AsTuple(owners.ptr()));
  if (!own) throw py::error_already_set();
  if (own.size() != seen_.size()) throw std::invalid_argument("an owner for each tensor is needed");
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    py::object gradient = grad_of(PyTuple_GET_ITEM(own.ptr(), static_cast<Py_ssize_t>(i)));
    if (gradient.is_none()) continue;
    // Of gradients that lie as their tensors do, only those of one element may be negated: see above.
    if (!is_of(gradient.ptr(), type_) || (has_one_element_[i] && is_negated(gradient))) return false;
    gradients.push_back({i, nullptr, DType::float32});
    objects.push_back(std::move(gradient));
  }
  return true;
}

bool WatchedTensors::read(const std::vector<py::object>& objects, std::vector<Gradient>& gradients) const {
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    Gradient& gradient = gradients[i];
    DLPackTensor tensor{};
    if (!look(look_, objects[i].ptr(), tensor) || !seen_.has_layout(gradient.slot, look_of(tensor)) ||
        !dtype_of(tensor, gradient.dtype) || !has_memory(tensor)) {
      return false;
    }
    gradient.data = look_of(tensor).data;
  }
  return true;
}

}  // namespace pyadam
