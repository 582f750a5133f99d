// Tensors of PyTorch behind its stable C ABI: a look at one takes a third of the time that it takes through Python.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "python/seen_tensors.hpp"

namespace pyadam {

namespace py = pybind11;

class TensorHandles {
 public:
  // `functions` are the addresses of PyTorch's aoti_torch_get_data_ptr, get_dtype, get_dim, get_sizes, get_strides and
  // aoti_torch_delete_tensor_object; `handles` are capsules with a tensor handle each, which are owned from now on. Of
  // the last `numbers` of them, which have one element each, only the address is looked at.
  // Throws py::value_error if a tensor cannot be looked at.
  TensorHandles(const std::vector<std::uintptr_t>& functions, const py::list& handles, std::size_t numbers);
  ~TensorHandles();
  TensorHandles(const TensorHandles&) = delete;
  TensorHandles& operator=(const TensorHandles&) = delete;

  // Whether all tensors still have the same memory and, but for numbers, dtype, shape and strides.
  bool hold() const;

 private:
  using Handle = void*;

  // As torch/csrc/inductor/aoti_torch/c/shim.h declares them; all return 0 for success.
  struct Functions {
    std::int32_t (*data)(Handle tensor, void** result);
    std::int32_t (*dtype)(Handle tensor, std::int32_t* result);
    std::int32_t (*dimensions)(Handle tensor, std::int64_t* result);
    std::int32_t (*shape)(Handle tensor, std::int64_t** result);
    std::int32_t (*strides)(Handle tensor, std::int64_t** result);
    std::int32_t (*destroy)(Handle tensor);
  };

  bool look(Handle handle, TensorLook& look) const;
  const void* address_of(Handle handle) const;  // null if there is none
  [[noreturn]] void refuse();
  void destroy();

  Functions torch_{};
  std::vector<Handle> handles_;
  SeenTensors seen_;                    // of the first handles
  std::vector<const void*> addresses_;  // of the others
};

}  // namespace pyadam
