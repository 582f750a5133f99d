// Tensors of a library that offers DLPack's C exchange API: where they lie, without a Python object for each number.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <vector>

#include "engine/gradient_sums.hpp"
#include "python/seen_tensors.hpp"

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

using DLPackLook = int (*)(void* object, DLPackTensor* tensor);

// Whether all tensors are of one of these types itself, on the CPU, of a dtype that a gradient may have and in row
// order, with no negation pending, and so is each one's attribute `grad` or else it is None, of the first type and of
// the tensor's shape. `exchange_api` is the capsule that the library's tensor type has as __dlpack_c_exchange_api__.
bool are_plain(const py::capsule& exchange_api, const py::tuple& types, const py::list& tensors);

class WatchedTensors {
 public:
  // `type` is the library's tensor type. Throws py::value_error if a tensor cannot be looked at.
  WatchedTensors(const py::capsule& exchange_api, const py::object& type, const py::list& tensors);

  std::size_t size() const { return seen_.size(); }

  // Whether all tensors still have the same memory, dtype, shape and strides. Runs no Python code.
  bool hold() const;

  // Adds the gradients that `owners` have as their attribute `grad`, by number, and own references to them. Returns
  // false if one is not of the library's own type, or would have to be negated. May run a user's code.
  bool add_gradients(const py::list& owners, std::vector<Gradient>& gradients, std::vector<py::object>& objects) const;

  // Reads where these lie, and returns whether each does exactly as the tensor of its number. Runs no Python code.
  bool read(const std::vector<py::object>& objects, std::vector<Gradient>& gradients) const;

 private:
  DLPackLook look_;
  py::object type_;
  std::vector<py::object> tensors_;
  SeenTensors seen_;
  std::vector<bool> has_one_element_;
};

}  // namespace pyadam
