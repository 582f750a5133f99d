#include "python/tensor_handles.hpp"

#include <stdexcept>

namespace pyadam {
namespace {

template <class Function>
void set(Function& function, std::uintptr_t address) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): Python knows addresses as integers
  function = reinterpret_cast<Function>(address);
}

}  // namespace

TensorHandles::TensorHandles(const std::vector<std::uintptr_t>& functions, const py::list& handles,
                             std::size_t numbers) {
  if (functions.size() != 6) throw std::invalid_argument("six functions are needed");
  if (numbers > handles.size()) throw std::invalid_argument("there are fewer handles than numbers");
  set(torch_.data, functions[0]);
  set(torch_.dtype, functions[1]);
  set(torch_.dimensions, functions[2]);
  set(torch_.shape, functions[3]);
  set(torch_.strides, functions[4]);
  set(torch_.destroy, functions[5]);
  for (const py::handle capsule : handles) {
    Handle handle = PyCapsule_GetPointer(capsule.ptr(), PyCapsule_GetName(capsule.ptr()));
    if (handle == nullptr) {
      destroy();
      throw py::error_already_set();
    }
    handles_.push_back(handle);
  }
  for (std::size_t i = 0; i < handles_.size() - numbers; ++i) {
    TensorLook found{};
    if (!look(handles_[i], found)) refuse();
    seen_.add(found);
  }
  for (std::size_t i = seen_.size(); i < handles_.size(); ++i) {
    addresses_.push_back(address_of(handles_[i]));
    if (addresses_.back() == nullptr) refuse();
  }
}

void TensorHandles::refuse() {
  destroy();
  throw py::value_error("a tensor without memory");
}

TensorHandles::~TensorHandles() { destroy(); }

void TensorHandles::destroy() {
  for (Handle handle : handles_) torch_.destroy(handle);
  handles_.clear();
}

bool TensorHandles::look(Handle handle, TensorLook& look) const {
  void* data = nullptr;
  std::int32_t dtype = 0;
  std::int64_t* shape = nullptr;
  std::int64_t* strides = nullptr;
  if (torch_.data(handle, &data) != 0 || torch_.dtype(handle, &dtype) != 0 ||
      torch_.dimensions(handle, &look.dimensions) != 0 || torch_.shape(handle, &shape) != 0 ||
      torch_.strides(handle, &strides) != 0) {
    return false;
  }
  look.data = data;
  look.dtype = dtype;
  look.shape = shape;
  look.strides = strides;
  return true;
}

const void* TensorHandles::address_of(Handle handle) const {
  void* data = nullptr;
  return torch_.data(handle, &data) == 0 ? data : nullptr;
}

bool TensorHandles::hold() const {
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    TensorLook found{};
    if (!look(handles_[i], found) || !seen_.is(i, found)) return false;
  }
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    if (address_of(handles_[seen_.size() + i]) != addresses_[i]) return false;
  }
  return true;
}

}  // namespace pyadam
