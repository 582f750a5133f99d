#include "plans.hpp"

#include <array>
#include <stdexcept>

#include "../dispatch.hpp"
#include "../storage/random.hpp"

namespace pyadam {
namespace {

void read_doubles(PyObject* values, double* out, std::size_t count, const char* what) {
  if (!PyTuple_CheckExact(values) || static_cast<std::size_t>(PyTuple_GET_SIZE(values)) != count) {
    throw std::invalid_argument(std::string("a plan must have a tuple of ") + std::to_string(count) + " " + what);
  }
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(values, static_cast<Py_ssize_t>(i)));
  }
  if (PyErr_Occurred() != nullptr) throw py::error_already_set();
}

Plan make_plan(const py::handle& function, std::size_t rule, std::int64_t t, std::int64_t step_count,
               std::uint64_t seed) {
  const auto age = py::reinterpret_steal<py::object>(PyLong_FromLongLong(t));
  const auto step = py::reinterpret_steal<py::object>(PyLong_FromLongLong(step_count));
  const std::array<PyObject*, 2> arguments{age.ptr(), step.ptr()};
  const auto result = py::reinterpret_steal<py::object>(
      PyObject_Vectorcall(function.ptr(), arguments.data(), arguments.size(), nullptr));
  if (!result) throw py::error_already_set();
  if (!PyTuple_CheckExact(result.ptr()) || PyTuple_GET_SIZE(result.ptr()) != 2) {
    throw std::invalid_argument("a plan must be a tuple of two tuples");
  }
  std::array<double, 6> stages{};
  read_doubles(PyTuple_GET_ITEM(result.ptr(), 0), stages.data(), stages.size(), "numbers for the stages");
  Plan plan{};
  plan.rule = rule;
  plan.gradient_factor = stages[0];
  plan.clip_value = stages[1];
  plan.l2 = stages[2];
  plan.l1 = stages[3];
  plan.decay = stages[4];
  plan.ema_rate = stages[5];
  plan.random_key = mix(mix(seed) + static_cast<std::uint64_t>(t));
  read_doubles(PyTuple_GET_ITEM(result.ptr(), 1), plan.scalars.data(), active_kernels().rules[rule].scalars, "scalars");
  return plan;
}

}  // namespace

std::size_t rule_index(const std::string& name) {
  const KernelTable& kernels = active_kernels();
  for (std::size_t i = 0; i < kernels.rule_count; ++i) {
    if (name == kernels.rules[i].name) return i;
  }
  throw std::invalid_argument("unknown rule '" + name + "'");
}

std::size_t Plans::place_of(std::size_t group, std::size_t rule, std::int64_t t, std::int64_t step_count,
                            const py::handle& function, std::uint64_t seed) {
  const Key key{group, t};
  if (key == last_key_) return last_place_;
  if (!plans_.empty()) earlier_.emplace(last_key_, last_place_);
  const auto known = earlier_.find(key);
  if (known == earlier_.end()) {
    plans_.push_back(make_plan(function, rule, t, step_count, seed));
    last_place_ = plans_.size() - 1;
  } else {
    last_place_ = known->second;
  }
  last_key_ = key;
  return last_place_;
}

}  // namespace pyadam
