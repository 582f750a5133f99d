// The Python module pyadam._core. Its stub is src/pyadam/_core.pyi.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <string>

#include "../dispatch.hpp"
#include "../parallel.hpp"
#include "../thread_pool.hpp"
#include "bound_parameters.hpp"

namespace py = pybind11;
using namespace py::literals;

namespace {

py::tuple names(const char* const* first, std::size_t count) {
  py::tuple result(count);
  for (std::size_t i = 0; i < count; ++i) result[i] = first[i];
  return result;
}

py::dict rules() {
  py::dict result;
  const pyadam::KernelTable& kernels = pyadam::active_kernels();
  for (std::size_t i = 0; i < kernels.rule_count; ++i) {
    const pyadam::RuleEntry& rule = kernels.rules[i];
    result[rule.name] = py::make_tuple(names(rule.state_names, rule.states), names(rule.scalar_names, rule.scalars));
  }
  return result;
}

std::string compiler() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#elif defined(__GNUC__)
  return "GCC " __VERSION__;
#elif defined(_MSC_VER)
  return "MSVC " + std::to_string(_MSC_VER);
#else
  return "unknown";
#endif
}

using pyadam::max_threads;

void set_num_threads(int threads) {
  if (threads < 1 || threads > max_threads) {
    throw py::value_error("threads must be from 1 to " + std::to_string(max_threads) + ", found " +
                          std::to_string(threads));
  }
  pyadam::set_num_threads(threads);
}

void set_min_share(std::size_t elements) {
  if (elements < 1) throw py::value_error("elements must be at least 1, found 0");
  pyadam::set_min_share(elements);
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  if (const char* isa = std::getenv("PYADAM_ISA"); isa != nullptr && *isa != '\0') {
    try {
      pyadam::select_isa(isa);
    } catch (const std::invalid_argument& error) {
      throw py::import_error(std::string("PYADAM_ISA: ") + error.what());
    }
  }

  m.attr("__version__") = PYADAM_VERSION;
  m.attr("COMPILER") = compiler();
  m.attr("MAX_THREADS") = max_threads;
  m.attr("TILE") = pyadam::tile_elements;
  m.attr("RULES") = rules();

  m.def("isa", [] { return std::string(pyadam::active_kernels().isa); });
  m.def("available_isas", &pyadam::available_isas);
  m.def("select_isa", &pyadam::select_isa, "isa"_a);
  m.def("set_num_threads", &set_num_threads, "threads"_a);
  m.def("get_num_threads", &pyadam::get_num_threads);
  m.def("set_min_share", &set_min_share, "elements"_a);
  m.def("get_min_share", &pyadam::get_min_share);

  using pyadam::BoundParameters;
  py::class_<BoundParameters>(m, "BoundParameters")
      .def(py::init<>())
      .def("add_group", &BoundParameters::add_group, "rule"_a, "arrays"_a, "paths"_a, "initial_state"_a)
      .def("set_bounds", &BoundParameters::set_bounds, "index"_a, "lower"_a, "upper"_a)
      .def("step", &BoundParameters::step, "grads"_a, "plans"_a, "new_arrays"_a = py::none())
      .def("restore", &BoundParameters::restore, "step_count"_a, "steps"_a, "states"_a)
      .def("state", &BoundParameters::state, "index"_a)
      .def_property_readonly("step_count", &BoundParameters::step_count)
      .def_property_readonly("steps", &BoundParameters::steps)
      .def_property_readonly("arrays", &BoundParameters::arrays);
}
