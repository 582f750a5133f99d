// The Python module pyadam._core. Its stub is src/pyadam/_core.pyi.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../dispatch.hpp"
#include "../memory.hpp"
#include "../norms.hpp"
#include "../parallel.hpp"
#include "../thread_pool.hpp"
#include "addressed_parameters.hpp"
#include "bound_parameters.hpp"
#include "dlpack.hpp"
#include "gil.hpp"
#include "snapshot.hpp"
#include "tensor_handles.hpp"

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

// Addresses of functions of OpenMP's run time, or 0 and 0.
void use_host_threads(std::uintptr_t parallel, std::uintptr_t thread_number) {
  // NOLINTBEGIN(performance-no-int-to-ptr): Python knows addresses as integers
  pyadam::use_host_threads(reinterpret_cast<pyadam::HostParallel>(parallel),
                           reinterpret_cast<pyadam::HostThreadNumber>(thread_number));
  // NOLINTEND(performance-no-int-to-ptr)
}

void zero_new_memory(const std::vector<std::uintptr_t>& addresses, const std::vector<std::size_t>& sizes) {
  if (addresses.size() != sizes.size()) throw std::invalid_argument("each address needs a size");
  std::vector<pyadam::MemoryBlock> blocks;
  blocks.reserve(addresses.size());
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): Python knows addresses as integers
    blocks.push_back({reinterpret_cast<void*>(addresses[i]), sizes[i]});
  }
  std::size_t bytes = 0;
  for (const std::size_t size : sizes) bytes += size;
  pyadam::without_gil(bytes / sizeof(float), [&] { pyadam::zero_new_memory(blocks); });
}

// The sum of the squares of a norm, in the order in which a step adds them.
double sum_of_tiles(const py::array_t<double, py::array::c_style | py::array::forcecast>& tiles) {
  std::vector<double> copy(tiles.data(), tiles.data() + tiles.size());
  return pyadam::sum_of_tiles(copy.data(), copy.size());
}

bool step_part(pyadam::BoundParameters& parameters, const py::object& grads, const py::tuple& plans, double grad_scale,
               const std::optional<std::pair<double, bool>>& whole, bool is_last) {
  std::optional<pyadam::GradSquares> squares;
  if (whole) squares = {whole->first, whole->second};
  return parameters.step_part(grads, plans, grad_scale, squares, is_last);
}

}  // namespace

PYBIND11_MODULE(_core, m) {  // NOLINT(misc-const-correctness): of the macro
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the import lock is held
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
  m.attr("LARGE_MEMORY") = pyadam::large_memory;
  m.attr("RULES") = rules();
  m.attr("GRADIENT_DTYPES") = pyadam::gradient_dtypes();

  m.def("isa", [] { return std::string(pyadam::active_kernels().isa); });
  m.def("available_isas", &pyadam::available_isas);
  m.def("select_isa", &pyadam::select_isa, "isa"_a);
  m.def("set_num_threads", &set_num_threads, "threads"_a);
  m.def("get_num_threads", &pyadam::get_num_threads);
  m.def("set_min_share", &set_min_share, "elements"_a);
  m.def("use_host_threads", &use_host_threads, "parallel"_a, "thread_number"_a);
  m.def("get_min_share", &pyadam::get_min_share);

  m.def("sum_of_tiles", &sum_of_tiles, "tiles"_a);
  m.def("zero_new_memory", &zero_new_memory, "addresses"_a, "sizes"_a);
  m.def("place_of", &pyadam::place_of, "index"_a, "size"_a, "used"_a);
  m.def("kept_arrays", &pyadam::names_of_kept_arrays, "rule"_a, "dtype"_a, "master"_a, "state_dtype"_a, "has_ema"_a,
        "path"_a);

  using pyadam::GivenGradients;
  py::class_<GivenGradients>(m, "GivenGradients")
      .def(py::init<const py::list&, const py::list&>(), "addresses"_a, "dtypes"_a)
      .def_property_readonly("places", &GivenGradients::places);

  using pyadam::AddressedParameters;
  py::class_<AddressedParameters>(m, "AddressedParameters")
      .def(py::init<>())
      .def("add_group", &AddressedParameters::add_group, "rule"_a, "master"_a, "state_dtype"_a, "has_ema"_a)
      .def("add", &AddressedParameters::add, "path"_a, "group"_a, "address"_a, "size"_a, "dtype"_a, "kept"_a, "step"_a,
           "step_address"_a, "step_dtype"_a, "first_element"_a)
      .def("set_bounds", &AddressedParameters::set_bounds, "index"_a, "lower"_a, "upper"_a)
      .def("set_bound_arrays", &AddressedParameters::set_bound_arrays, "index"_a, "lower"_a, "upper"_a)
      .def("step", &AddressedParameters::step, "gradients"_a, "plans"_a, "grad_scale"_a = 1.0)
      .def_readwrite("clip_norm", &AddressedParameters::clip_norm)
      .def_readwrite("skip_nonfinite", &AddressedParameters::skip_nonfinite)
      .def_readwrite("flush_denormals", &AddressedParameters::flush_denormals)
      .def_readwrite("seed", &AddressedParameters::seed)
      .def_readonly("grad_norm", &AddressedParameters::grad_norm)
      .def_readonly("has_grad_norm", &AddressedParameters::has_grad_norm)
      .def_property_readonly("steps", &AddressedParameters::steps);

  using pyadam::Snapshot;
  py::class_<Snapshot>(m, "Snapshot").def(py::init<const py::list&>(), "containers"_a).def("holds", &Snapshot::holds);

  m.def("are_plain", &pyadam::are_plain, "exchange_api"_a, "types"_a, "tensors"_a);

  using pyadam::WatchedTensors;
  py::class_<WatchedTensors>(m, "WatchedTensors")
      .def(py::init<const py::capsule&, const py::object&, const py::list&>(), "exchange_api"_a, "tensor_type"_a,
           "tensors"_a)
      .def("hold", &WatchedTensors::hold)
      .def("gradients_of", &WatchedTensors::gradients_of, "owners"_a);

  using pyadam::TensorHandles;
  py::class_<TensorHandles>(m, "TensorHandles")
      .def(py::init<const std::vector<std::uintptr_t>&, const py::list&, std::size_t>(), "functions"_a, "handles"_a,
           "numbers"_a)
      .def("hold", &TensorHandles::hold);

  using pyadam::BoundParameters;
  py::class_<BoundParameters>(m, "BoundParameters")
      .def(py::init<>())
      .def("add_group", &BoundParameters::add_group, "rule"_a, "arrays"_a, "paths"_a, "initial_state"_a, "master"_a,
           "state_dtype"_a, "has_ema"_a)
      .def("set_bounds", &BoundParameters::set_bounds, "index"_a, "lower"_a, "upper"_a)
      .def("step", &BoundParameters::step, "grads"_a, "plans"_a, "new_arrays"_a = py::none(), "grad_scale"_a = 1.0,
           "zero_grad"_a = false)
      .def("check_gradients", &BoundParameters::check_gradients, "grads"_a)
      .def("grad_squares", &BoundParameters::grad_squares, "grads"_a)
      .def("step_part", &step_part, "grads"_a, "plans"_a, "grad_scale"_a, "whole"_a, "is_last"_a)
      .def("accumulate", &BoundParameters::accumulate, "grads"_a)
      .def("clear_accumulated", &BoundParameters::clear_accumulated)
      .def("check_parameters", &BoundParameters::check_parameters)
      .def("restore", &BoundParameters::restore, "step_count"_a, "steps"_a, "states"_a)
      .def("state", &BoundParameters::state, "index"_a)
      .def_readwrite("clip_norm", &BoundParameters::clip_norm)
      .def_readwrite("skip_nonfinite", &BoundParameters::skip_nonfinite)
      .def_readwrite("flush_denormals", &BoundParameters::flush_denormals)
      .def_readwrite("state_dir", &BoundParameters::state_dir)
      .def_readwrite("seed", &BoundParameters::seed)
      .def_readwrite("first_element", &BoundParameters::first_element)
      .def_readwrite("skipped", &BoundParameters::skipped)
      .def_readonly("grad_norm", &BoundParameters::grad_norm)
      .def_readonly("has_grad_norm", &BoundParameters::has_grad_norm)
      .def_property_readonly("accumulated", &BoundParameters::accumulated)
      .def("accumulated_sums",
           [](const py::object& self) { return self.cast<const BoundParameters&>().accumulated_sums(self); })
      .def_property_readonly("step_count", &BoundParameters::step_count)
      .def_property_readonly("steps", &BoundParameters::steps)
      .def_property_readonly("arrays", &BoundParameters::arrays);
}
