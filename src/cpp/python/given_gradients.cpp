#include "python/given_gradients.hpp"

#include <stdexcept>
#include <string>

namespace pyadam {
namespace {

std::size_t number_in(const py::list& values, std::size_t index) {
  const std::size_t number = PyLong_AsSize_t(PyList_GET_ITEM(values.ptr(), static_cast<Py_ssize_t>(index)));
  if (number == static_cast<std::size_t>(-1) && PyErr_Occurred() != nullptr) throw py::error_already_set();
  return number;
}

}  // namespace

GivenGradients::GivenGradients(const py::list& addresses, const py::list& dtypes) : parameters_(addresses.size()) {
  if (dtypes.size() != parameters_) throw std::invalid_argument("each address needs a dtype");
  for (std::size_t i = 0; i < parameters_; ++i) {
    if (PyList_GET_ITEM(addresses.ptr(), static_cast<Py_ssize_t>(i)) == Py_None) continue;
    const std::size_t dtype = number_in(dtypes, i);
    if (dtype >= all_dtypes.size() || !all_dtypes[dtype].is_numeric) {
      throw std::invalid_argument("no gradient has the dtype " + std::to_string(dtype));
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr): Python knows addresses as integers
    const auto* data = reinterpret_cast<const void*>(number_in(addresses, i));
    gradients_.push_back({i, data, all_dtypes[dtype].dtype});
  }
}

py::object GivenGradients::places_of(const std::vector<Gradient>& gradients, std::size_t parameters) {
  if (gradients.size() == parameters) return py::none();
  py::list places;
  for (const Gradient& gradient : gradients) places.append(gradient.slot);
  return places;
}

}  // namespace pyadam
