// Tensors of a library that offers DLPack's C exchange API: where they lie, without a Python object for each number.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <vector>

#include "../step.hpp"

namespace pyadam {

namespace py = pybind11;

// DLPack 1.x (https://dmlc.github.io/dlpack/latest/c_api.html), as far as it is used here.
struct DLPackTensor {
  void* data;
  std::int32_t device_type;
  std::int32_t device_id;
  std::int32_t ndim;
  std::uint8_t type_code;
  std::uint8_t type_bits;
  std::uint16_t type_lanes;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};

class WatchedTensors {
 public:
  // `exchange_api` is the capsule that the library's tensor type has as __dlpack_c_exchange_api__; `type` is that type.
  // Throws py::value_error if a tensor cannot be looked at.
  WatchedTensors(const py::capsule& exchange_api, const py::object& type, const py::list& tensors);

  // Whether all tensors still have the same memory, dtype, shape and strides.
  bool hold() const;

  // For gradients of the first tensors, None where there is none: their addresses, and the numbers of their dtypes as
  // AddressedParameters takes them, if each lies exactly as its parameter does. Else None.
  py::object addresses_of(const py::list& gradients) const;

 private:
  using Look = int (*)(void* object, DLPackTensor* tensor);

  struct Seen {
    const void* data;
    std::int32_t ndim;
    std::uint8_t type_code;
    std::uint8_t type_bits;
    std::size_t extents;  // where its shape begins in `extents_`; its strides follow
  };

  bool look(PyObject* object, DLPackTensor& tensor) const;
  bool same_layout(const Seen& seen, const DLPackTensor& tensor) const;

  Look look_;
  py::object type_;
  std::vector<py::object> tensors_;
  std::vector<Seen> seen_;
  std::vector<std::int64_t> extents_;
};

}  // namespace pyadam
