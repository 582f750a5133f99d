#include "given_gradients.hpp"

#include <array>
#include <stdexcept>
#include <string>

namespace pyadam {
namespace {

struct NamedDType {
  const char* name;
  DType dtype;
};

constexpr std::array<NamedDType, 4> dtypes_of_gradients{{{"float32", DType::float32},
                                                         {"float64", DType::float64},
                                                         {"float16", DType::float16},
                                                         {"bfloat16", DType::bfloat16}}};

std::size_t number_in(const py::list& values, std::size_t index) {
  const std::size_t number = PyLong_AsSize_t(PyList_GET_ITEM(values.ptr(), static_cast<Py_ssize_t>(index)));
  if (number == static_cast<std::size_t>(-1) && PyErr_Occurred() != nullptr) throw py::error_already_set();
  return number;
}

}  // namespace

py::dict gradient_dtypes() {
  py::dict numbers;
  for (std::size_t i = 0; i < dtypes_of_gradients.size(); ++i) numbers[dtypes_of_gradients[i].name] = i;
  return numbers;
}

GivenGradients::GivenGradients(const py::list& addresses, const py::list& dtypes) : GivenGradients(addresses.size()) {
  if (dtypes.size() != parameters_) throw std::invalid_argument("each address needs a dtype");
  for (std::size_t i = 0; i < parameters_; ++i) {
    if (PyList_GET_ITEM(addresses.ptr(), static_cast<Py_ssize_t>(i)) == Py_None) continue;
    const std::size_t dtype = number_in(dtypes, i);
    if (dtype >= dtypes_of_gradients.size()) {
      throw std::invalid_argument("no gradient has the dtype " + std::to_string(dtype));
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr): Python knows addresses as integers
    const auto* data = reinterpret_cast<const void*>(number_in(addresses, i));
    gradients_.push_back({i, data, dtypes_of_gradients[dtype].dtype});
  }
}

py::object GivenGradients::places() const {
  if (gradients_.size() == parameters_) return py::none();
  py::list places;
  for (const Gradient& gradient : gradients_) places.append(gradient.parameter);
  return places;
}

}  // namespace pyadam
