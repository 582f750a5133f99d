// The Python module pyadam._core. Its stub is src/pyadam/_core.pyi.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/dispatch.hpp"
#include "engine/limits.hpp"
#include "engine/memory.hpp"
#include "engine/norms.hpp"
#include "engine/parallel.hpp"
#include "engine/thread_pool.hpp"
#include "python/array_parameters.hpp"
#include "python/dlpack.hpp"
#include "python/fast_method.hpp"
#include "python/gil.hpp"
#include "python/gradient_arrays.hpp"
#include "python/snapshot.hpp"
#include "python/tensor_handles.hpp"
#include "python/tensor_parameters.hpp"

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

// All that is known of dtypes: name to (bytes, name in safetensors files, number as a gradient's dtype or None).
py::dict dtypes() {
  py::dict result;
  for (std::size_t i = 0; i < pyadam::all_dtypes.size(); ++i) {
    const pyadam::DTypeFacts& facts = pyadam::all_dtypes[i];
    const py::object number = facts.is_numeric ? py::object(py::int_(i)) : py::none();
    result[facts.name] = py::make_tuple(facts.bytes, facts.safetensors, number);
  }
  return result;
}

// Those that a gradient may have, with their numbers.
py::dict gradient_dtypes() {
  py::dict result;
  for (const auto& [name, facts] : dtypes()) {
    const py::object number = py::reinterpret_borrow<py::tuple>(facts)[2];
    if (!number.is_none()) result[name] = number;
  }
  return result;
}

using pyadam::ArrayParameters;
using pyadam::TensorParameters;

bool step_part(ArrayParameters& parameters, const std::vector<std::size_t>& slots, const py::object& grads,
               const py::tuple& plans, double grad_scale, const std::optional<std::pair<double, bool>>& known_squares,
               bool is_last) {
  std::optional<pyadam::GradSquares> squares;
  if (known_squares) squares = {known_squares->first, known_squares->second};
  return parameters.step_part(slots, grads, plans, grad_scale, squares, is_last);
}

py::object step_arrays(ArrayParameters& self, PyObject* const* values, Py_ssize_t positional, PyObject* keywords) {
  const pyadam::Arguments<5> given({"grads", "plans", "new_arrays", "grad_scale", "zero_grad"}, 2, values, positional,
                                   keywords);
  return py::bool_(
      self.step(given.object(0), given.tuple(1, "plans"), given.object(2), given.number(3, 1), given.flag(4)));
}

py::object step_of(TensorParameters& self, PyObject* const* values, Py_ssize_t positional, PyObject* keywords) {
  const pyadam::Arguments<3> given({"owners", "plans", "grad_scale"}, 2, values, positional, keywords);
  const py::object owners = given.object(0);
  if (!PyList_Check(owners.ptr())) throw py::type_error("owners must be a list");
  return self.step_of(py::reinterpret_borrow<py::list>(owners), given.tuple(1, "plans"), given.number(2, 1));
}

py::object holds(pyadam::Snapshot& self, PyObject* const* values, Py_ssize_t positional, PyObject* keywords) {
  const pyadam::Arguments<0> given({}, 0, values, positional, keywords);
  return py::bool_(self.holds());
}

// What both doors have of the engine.
template <class Door>
void add_options(py::class_<Door>& type) {
  const auto option = [&type](const char* name, auto member) {
    type.def_property(
        name, [member](const Door& self) { return self.engine().options.*member; },
        [member](Door& self, std::decay_t<decltype(pyadam::Parameters::Options{}.*member)> value) {
          self.engine().options.*member = value;
        });
  };
  using Options = pyadam::Parameters::Options;
  option("clip_norm", &Options::clip_norm);
  option("skip_nonfinite", &Options::skip_nonfinite);
  option("flush_denormals", &Options::flush_denormals);
  option("seed", &Options::seed);
  type.def_property_readonly("grad_norm", [](const Door& self) { return self.engine().grad_norm; })
      .def_property_readonly("has_grad_norm", [](const Door& self) { return self.engine().has_grad_norm; })
      .def_property_readonly("steps", [](const Door& self) { return self.engine().steps(); })
      .def("carried", [](const Door& self, std::size_t index) { return self.engine().carried(index); }, "index"_a);
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
  m.attr("PAGE") = pyadam::page_bytes;
  m.attr("MAX_STEP") = pyadam::max_step;
  m.attr("LARGE_MEMORY") = pyadam::large_memory;
  m.attr("RULES") = rules();
  m.attr("GRADIENT_DTYPES") = gradient_dtypes();
  m.attr("DTYPES") = dtypes();

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
  m.def("place_of", &pyadam::staggered_place, "index"_a, "size"_a, "used"_a);
  m.def("kept_arrays", &pyadam::names_of_kept_arrays, "rule"_a, "dtype"_a, "master"_a, "state_dtype"_a, "has_ema"_a,
        "path"_a);

  using pyadam::GivenGradients;
  py::class_<GivenGradients>(m, "GivenGradients")
      .def(py::init<const py::list&, const py::list&>(), "addresses"_a, "dtypes"_a);

  py::class_<TensorParameters> tensor_parameters(m, "TensorParameters");
  tensor_parameters.def(py::init<>())
      .def("add_group", &TensorParameters::add_group, "rule"_a, "master"_a, "state_dtype"_a, "has_ema"_a,
           "initial_carried"_a)
      .def("add", &TensorParameters::add, "path"_a, "group"_a, "address"_a, "size"_a, "dtype"_a, "kept"_a, "step"_a,
           "step_place"_a, "carried"_a, "carried_places"_a, "first_element"_a)
      .def("set_bounds", &TensorParameters::set_bounds, "index"_a, "lower"_a, "upper"_a)
      .def("set_bound_arrays", &TensorParameters::set_bound_arrays, "index"_a, "lower"_a, "upper"_a)
      .def("watch", &TensorParameters::watch, "tensors"_a, "beside"_a)
      .def("step", &TensorParameters::step, "gradients"_a, "plans"_a, "grad_scale"_a = 1.0, "watched"_a = py::none())
      .def_property_readonly("stepped", &TensorParameters::stepped);
  pyadam::add_fast_method<TensorParameters, &step_of>(tensor_parameters, "step_of");
  add_options(tensor_parameters);

  using pyadam::Snapshot;
  py::class_<Snapshot> snapshot(m, "Snapshot");
  snapshot.def(py::init<const py::list&>(), "containers"_a);
  pyadam::add_fast_method<Snapshot, &holds>(snapshot, "holds");

  m.def("are_plain", &pyadam::are_plain, "exchange_api"_a, "types"_a, "tensors"_a);

  using pyadam::WatchedTensors;
  py::class_<WatchedTensors>(m, "WatchedTensors")
      .def(py::init<const py::capsule&, const py::object&, const py::list&>(), "exchange_api"_a, "tensor_type"_a,
           "tensors"_a)
      .def("hold", &WatchedTensors::hold);

  using pyadam::TensorHandles;
  py::class_<TensorHandles>(m, "TensorHandles")
      .def(py::init<const std::vector<std::uintptr_t>&, const py::list&, std::size_t>(), "functions"_a, "handles"_a,
           "numbers"_a)
      .def("hold", &TensorHandles::hold);

  using pyadam::GradientArrays;
  py::class_<GradientArrays>(m, "GradientArrays")
      .def(py::init<const py::list&, const std::vector<std::string>&>(), "arrays"_a, "paths"_a)
      .def("checked", &GradientArrays::checked, "grads"_a)
      .def("accumulate", &GradientArrays::accumulate, "grads"_a)
      .def("clear_accumulated", &GradientArrays::clear_accumulated)
      .def_property_readonly("accumulated", &GradientArrays::accumulated)
      .def("accumulated_sums",
           [](const py::object& self) { return self.cast<const GradientArrays&>().accumulated_sums(self); });

  py::class_<ArrayParameters> array_parameters(m, "ArrayParameters");
  array_parameters.def(py::init<>())
      .def_property_readonly("size", [](const ArrayParameters& self) { return self.engine().size(); })
      .def("add_group", &ArrayParameters::add_group, "rule"_a, "arrays"_a, "paths"_a, "initial_state"_a,
           "initial_carried"_a, "master"_a, "state_dtype"_a, "has_ema"_a)
      .def("set_bounds", &ArrayParameters::set_bounds, "index"_a, "lower"_a, "upper"_a)
      .def("check_gradients", &ArrayParameters::check_gradients, "grads"_a)
      .def("grad_squares", &ArrayParameters::grad_squares, "slots"_a, "grads"_a)
      .def("step_part", &step_part, "slots"_a, "grads"_a, "plans"_a, "grad_scale"_a, "known_squares"_a, "is_last"_a)
      .def("accumulate", &ArrayParameters::accumulate, "grads"_a)
      .def("clear_accumulated", &ArrayParameters::clear_accumulated)
      .def("check_parameters", &ArrayParameters::check_parameters)
      .def("restore", &ArrayParameters::restore, "step_count"_a, "steps"_a, "carried"_a, "states"_a)
      .def("state", &ArrayParameters::state, "index"_a)
      .def_readwrite("state_dir", &ArrayParameters::state_dir)
      .def_property(
          "first_element", [](const ArrayParameters& self) { return self.engine().options.first_element; },
          [](ArrayParameters& self, std::uint64_t count) { self.engine().options.first_element = count; })
      .def_property(
          "skipped", [](const ArrayParameters& self) { return self.engine().skipped; },
          [](ArrayParameters& self, std::int64_t count) { self.engine().skipped = count; })
      .def_property_readonly("accumulated", [](const ArrayParameters& self) { return self.engine().sums().count(); })
      .def("accumulated_sums",
           [](const py::object& self) { return self.cast<const ArrayParameters&>().accumulated_sums(self); })
      .def_property_readonly("step_count", [](const ArrayParameters& self) { return self.engine().step_count(); })
      .def_property_readonly("arrays", &ArrayParameters::arrays);
  pyadam::add_fast_method<ArrayParameters, &step_arrays>(array_parameters, "step");
  add_options(array_parameters);
}
