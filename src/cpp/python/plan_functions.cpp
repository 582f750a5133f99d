#include "python/plan_functions.hpp"

#include <array>
#include <stdexcept>
#include <string>

#include "engine/dispatch.hpp"

namespace pyadam {
namespace {

void read_doubles(PyObject* values, double* out, std::size_t count, const char* what) {
  if (!PyTuple_CheckExact(values) || static_cast<std::size_t>(PyTuple_GET_SIZE(values)) != count) {
    throw std::invalid_argument(std::string("a plan must have a tuple of ") + std::to_string(count) + " " + what);
  }
  for (std::size_t i = 0; i < count; ++i) {
    PyObject* const value = PyTuple_GET_ITEM(values, static_cast<Py_ssize_t>(i));
    if (PyFloat_CheckExact(value)) {
      out[i] = PyFloat_AS_DOUBLE(value);
      continue;
    }
    out[i] = PyFloat_AsDouble(value);
    if (out[i] == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
  }
}

void make(const PlanSource& source, std::size_t group, std::int64_t t, Plan& plan) {
  auto* const functions = static_cast<PyObject*>(const_cast<void*>(source.context));
  PyObject* const function = PyTuple_GET_ITEM(functions, static_cast<Py_ssize_t>(group));
  const auto age = py::reinterpret_steal<py::object>(PyLong_FromLongLong(t));
  const auto step = py::reinterpret_steal<py::object>(PyLong_FromLongLong(source.step_count));
  const std::array<PyObject*, 2> arguments{age.ptr(), step.ptr()};
  const auto result =
      py::reinterpret_steal<py::object>(PyObject_Vectorcall(function, arguments.data(), arguments.size(), nullptr));
  if (!result) throw py::error_already_set();
  if (!PyTuple_CheckExact(result.ptr()) || PyTuple_GET_SIZE(result.ptr()) != 2) {
    throw std::invalid_argument("a plan must be a tuple of two tuples");
  }
  std::array<double, 6> stages{};
  read_doubles(PyTuple_GET_ITEM(result.ptr(), 0), stages.data(), stages.size(), "numbers for the stages");
  plan.gradient_factor = stages[0];
  plan.clip_value = stages[1];
  plan.l2 = stages[2];
  plan.l1 = stages[3];
  plan.decay = stages[4];
  plan.ema_rate = stages[5];
  const std::size_t scalars = active_kernels().rules[plan.rule].scalars;
  read_doubles(PyTuple_GET_ITEM(result.ptr(), 1), plan.scalars.data(), scalars, "scalars");
}

}  // namespace

PlanSource plan_source(const py::tuple& functions, const Parameters& parameters) {
  if (functions.size() != parameters.groups()) throw std::invalid_argument("a plan for each group is needed");
  return {make, functions.ptr(), parameters.step_count()};
}

}  // namespace pyadam
