#include "python/given_arrays.hpp"

#include <stdexcept>
#include <utility>

#include "python/critical_section.hpp"

namespace pyadam {

void GivenArrays::hold(const py::object& grads, std::size_t count, const std::vector<std::size_t>* slots,
                       std::vector<Gradient>& gradients) {
  const auto items = py::reinterpret_steal<py::object>(PySequence_Fast(grads.ptr(), "grads must be a sequence"));
  if (!items) throw py::error_already_set();
  const CriticalSection section(items.ptr());
  const auto found = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(items.ptr()));
  if (found != count) {
    throw py::value_error("grads must have " + std::to_string(count) + " entries, one per parameter, found " +
                          std::to_string(found));
  }
  PyObject** const first = PySequence_Fast_ITEMS(items.ptr());
  objects_.clear();
  for (std::size_t i = 0; i < count; ++i) {
    if (first[i] == Py_None) continue;
    gradients.push_back({slots == nullptr ? i : (*slots)[i], nullptr, DType::float32});
    objects_.push_back(py::reinterpret_borrow<py::object>(first[i]));
  }
}

void GivenArrays::read(std::vector<Gradient>& gradients, const std::vector<NamedView>& parameters,
                       const DisjointRanges& ranges) {
  is_checked_.assign(0, false);
  std::size_t odd = look(gradients, parameters);
  if (odd == all) return;
  is_checked_.assign(objects_.size(), false);
  for (; odd < objects_.size(); ++odd) convert(odd, gradients[odd], parameters, ranges);
  // Code that ran meanwhile may have changed what was read before.
  odd = look(gradients, parameters);
  if (odd == all) return;
  const std::string& path = parameters[gradients[odd].slot].path;
  throw py::value_error("gradient of " + path + " was changed while the gradients were checked");
}

std::size_t GivenArrays::look(std::vector<Gradient>& gradients, const std::vector<NamedView>& parameters) const {
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const NamedView& parameter = parameters[gradients[i].slot];
    refuse_changed(parameter.view, parameter.path);
    const py::object& object = objects_[i];
    const bool may_be_read = is_plain_array(object) || (i < is_checked_.size() && is_checked_[i]);
    if (!may_be_read || !read_in_place(object, parameter.view, gradients[i])) return i;
  }
  return all;
}

void GivenArrays::convert(std::size_t index, const Gradient& gradient, const std::vector<NamedView>& parameters,
                          const DisjointRanges& ranges) {
  const NamedView& parameter = parameters[gradient.slot];
  Gradient read{};
  if (is_plain_array(objects_[index]) && read_in_place(objects_[index], parameter.view, read)) return;
  const py::object given = objects_[index];
  objects_[index] = readable_gradient(given, parameter.view, parameter.path);
  is_checked_[index] = true;
  if (given.is(objects_[index]) || !py::isinstance<py::array>(given)) return;  // the engine looks at what is read
  for (const std::size_t other : ranges.overlapped_by(extent_of(given))) {
    if (shares_memory(given, parameters[other].view.array)) {
      refuse_shared_gradient(parameter.path, parameters[other].path);
    }
  }
}

std::vector<ArrayView> checked_parameters(const py::list& arrays, const std::vector<std::string>& paths) {
  if (arrays.size() != paths.size()) throw std::invalid_argument("a path for each array is needed");
  // Own references, since checking one may run code that changes the list.
  std::vector<py::object> held;
  for (const py::handle array : arrays) held.push_back(py::reinterpret_borrow<py::object>(array));
  std::vector<ArrayView> views;
  views.reserve(held.size());
  for (std::size_t i = 0; i < held.size(); ++i) views.push_back(check_parameter(held[i], paths.at(i)));
  for (std::size_t i = 0; i < views.size(); ++i) refuse_changed(views[i], paths[i]);
  return views;
}

py::list arrays_of_sums(const GradientSums& sums, const std::vector<NamedView>& parameters, const py::object& owner) {
  py::list arrays;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!sums.has(i)) {
      arrays.append(py::none());
      continue;
    }
    const Gradient sum = sums.sum(i);
    arrays.append(
        py::array(numpy_dtype(sum.dtype), {static_cast<py::ssize_t>(parameters[i].view.size)}, sum.data, owner));
  }
  return arrays;
}

void refuse_changed(const std::vector<NamedView>& parameters) {
  for (const NamedView& parameter : parameters) refuse_changed(parameter.view, parameter.path);
}

}  // namespace pyadam
