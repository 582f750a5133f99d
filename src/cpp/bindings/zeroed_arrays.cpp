#include "zeroed_arrays.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "../memory.hpp"
#include "arrays.hpp"
#include "dtype_names.hpp"
#include "kept_arrays.hpp"

namespace pyadam {

py::list zeroed_arrays(const py::list& wanted) {
  struct Array {
    DType dtype;
    std::vector<py::ssize_t> shape;
    std::vector<py::ssize_t> strides;
    std::size_t place;
  };
  std::vector<Array> arrays;
  arrays.reserve(wanted.size());
  std::size_t used = 0;
  using Extents = std::vector<py::ssize_t>;
  for (const py::handle item : wanted) {
    auto [index, name, shape, strides] = item.cast<std::tuple<std::size_t, std::string, Extents, Extents>>();
    const DType dtype = dtype_named(name);
    std::size_t bytes = itemsize(dtype);
    for (const py::ssize_t extent : shape) bytes *= static_cast<std::size_t>(extent);
    for (py::ssize_t& stride : strides) stride *= static_cast<py::ssize_t>(itemsize(dtype));
    const std::size_t place = place_of(index, bytes, used);
    arrays.push_back({dtype, std::move(shape), std::move(strides), place});
    used = place + bytes;
  }
  auto memory = std::make_unique<ZeroedMemory>(used);
  std::byte* data = memory->data();
  const py::capsule owner(memory.release(), [](void* owned) { delete static_cast<ZeroedMemory*>(owned); });
  py::list result;
  for (const Array& array : arrays) {
    result.append(py::array(numpy_dtype(array.dtype), array.shape, array.strides, data + array.place, owner));
  }
  return result;
}

}  // namespace pyadam
