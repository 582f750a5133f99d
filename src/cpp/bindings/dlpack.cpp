#include "dlpack.hpp"

#include <stdexcept>
#include <string>

#include "addressed_parameters.hpp"

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
constexpr std::uint8_t type_float = 2;
constexpr std::uint8_t type_bfloat = 4;

// Returns false for a type that no gradient may have.
bool dtype_of(const DLPackTensor& tensor, DType& dtype) {
  if (tensor.type_lanes != 1) return false;
  if (tensor.type_code == type_bfloat && tensor.type_bits == 16) {
    dtype = DType::bfloat16;
  } else if (tensor.type_code == type_float && tensor.type_bits == 32) {
    dtype = DType::float32;
  } else if (tensor.type_code == type_float && tensor.type_bits == 64) {
    dtype = DType::float64;
  } else if (tensor.type_code == type_float && tensor.type_bits == 16) {
    dtype = DType::float16;
  } else {
    return false;
  }
  return true;
}

const void* address_of(const DLPackTensor& tensor) {
  return static_cast<const char*>(tensor.data) + tensor.byte_offset;
}

bool is_empty(const DLPackTensor& tensor) {
  for (std::int32_t i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] == 0) return true;
  }
  return false;
}

}  // namespace

WatchedTensors::WatchedTensors(const py::capsule& exchange_api, const py::object& type, const py::list& tensors)
    : type_(type) {
  const auto* api = static_cast<const ExchangeApi*>(PyCapsule_GetPointer(exchange_api.ptr(), "dlpack_exchange_api"));
  if (api == nullptr) throw py::error_already_set();
  if (api->major_version != 1) {
    throw py::value_error("DLPack's exchange API must be of version 1, found " + std::to_string(api->major_version));
  }
  look_ = api->tensor_from_object;
  for (const py::handle object : tensors) {
    DLPackTensor tensor{};
    if (!look(object.ptr(), tensor)) throw py::value_error("a tensor without memory on the CPU");
    tensors_.push_back(py::reinterpret_borrow<py::object>(object));
    seen_.push_back({address_of(tensor), tensor.ndim, tensor.type_code, tensor.type_bits, extents_.size()});
    extents_.insert(extents_.end(), tensor.shape, tensor.shape + tensor.ndim);
    extents_.insert(extents_.end(), tensor.strides, tensor.strides + tensor.ndim);
  }
}

bool WatchedTensors::look(PyObject* object, DLPackTensor& tensor) const {
  if (look_(object, &tensor) == 0) return tensor.device_type == cpu && tensor.strides != nullptr;
  PyErr_Clear();
  return false;
}

bool WatchedTensors::same_layout(const Seen& seen, const DLPackTensor& tensor) const {
  if (seen.ndim != tensor.ndim) return false;
  const std::int64_t* shape = extents_.data() + seen.extents;
  const std::int64_t* strides = shape + seen.ndim;
  for (std::int32_t i = 0; i < seen.ndim; ++i) {
    if (shape[i] != tensor.shape[i] || (strides[i] != tensor.strides[i] && shape[i] != 1)) return false;
  }
  return true;
}

bool WatchedTensors::hold() const {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    DLPackTensor tensor{};
    if (!look(tensors_[i].ptr(), tensor)) return false;
    const Seen& seen = seen_[i];
    if (seen.data != address_of(tensor) || seen.type_code != tensor.type_code || seen.type_bits != tensor.type_bits ||
        !same_layout(seen, tensor)) {
      return false;
    }
  }
  return true;
}

py::object WatchedTensors::addresses_of(const py::list& gradients) const {
  if (gradients.size() > seen_.size()) throw std::invalid_argument("more gradients than tensors");
  const py::list addresses(gradients.size());
  const py::list dtypes(gradients.size());
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    PyObject* const gradient = PyList_GET_ITEM(gradients.ptr(), static_cast<Py_ssize_t>(i));
    DType dtype = DType::float32;
    if (gradient == Py_None) {
      addresses[i] = py::none();
    } else {
      DLPackTensor tensor{};
      if (!py::handle(reinterpret_cast<PyObject*>(Py_TYPE(gradient))).is(type_) || !look(gradient, tensor) ||
          !same_layout(seen_[i], tensor) || !dtype_of(tensor, dtype) || (tensor.data == nullptr && !is_empty(tensor))) {
        return py::none();
      }
      addresses[i] = py::int_(reinterpret_cast<std::uintptr_t>(address_of(tensor)));
    }
    dtypes[i] = py::int_(gradient_dtype_number(dtype));
  }
  return py::make_tuple(addresses, dtypes);
}

}  // namespace pyadam
