#include "python/array_parameters.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "engine/reentry_guard.hpp"
#include "python/gil.hpp"
#include "python/plan_functions.hpp"

namespace pyadam {
namespace {

py::array array_over(const ArrayView& view, const KeptArray& kept, const py::handle& owner) {
  const auto bytes = static_cast<py::ssize_t>(itemsize(kept.dtype));
  const auto strides =
      view.c_order ? py::detail::c_strides(view.shape, bytes) : py::detail::f_strides(view.shape, bytes);
  return py::array(numpy_dtype(kept.dtype), view.shape, strides, kept.data, owner);
}

// Keeps Python objects alive for the engine, which lets go of them while the GIL is held.
std::shared_ptr<const void> owner_of(py::object objects) { return std::make_shared<py::object>(std::move(objects)); }

}  // namespace

// A call in hand, of which there is one at a time. Its gradients are let go of at the end.
class ArrayParameters::Call {
 public:
  explicit Call(ArrayParameters& owner) : owner_(owner), guard_(owner.engine_.busy()) {}
  ~Call() { owner_.given_.release(); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  ArrayParameters& owner_;
  ReentryGuard guard_;
};

void ArrayParameters::add_group(const std::string& rule, const py::list& arrays, const std::vector<std::string>& paths,
                                const std::vector<double>& initial_state, const std::vector<double>& initial_carried,
                                const std::optional<std::string>& master, const std::optional<std::string>& state_dtype,
                                bool has_ema) {
  const Call call(*this);
  Keeping keeping = keeping_of(rule, master, state_dtype, has_ema, initial_carried);
  keeping.initial_state = initial_state;
  std::vector<ArrayView> views = checked_parameters(arrays, paths);
  std::vector<Parameters::New> members;
  members.reserve(views.size());
  for (std::size_t i = 0; i < views.size(); ++i) members.push_back({paths[i], views[i].buffer()});
  const std::size_t size = arrays_.size() + views.size();
  if (size > arrays_.capacity()) arrays_.reserve(std::max(size, 2 * arrays_.capacity()));
  try {
    engine_.add_group(std::move(keeping), members, state_dir);
  } catch (const std::system_error& error) {
    PyErr_SetString(PyExc_OSError, error.what());
    throw py::error_already_set();
  }
  for (std::size_t i = 0; i < views.size(); ++i) arrays_.push_back({std::move(views[i]), std::move(members[i].path)});
}

void ArrayParameters::set_bounds(std::size_t index, const py::object& lower, const py::object& upper) {
  const Call call(*this);
  const NamedView& parameter = arrays_.at(index);
  if (lower.is_none()) {
    engine_.set_box(index, std::nullopt, nullptr);
  } else if (py::isinstance<py::array>(lower)) {
    const DType dtype = compute_dtype(parameter.view.dtype);
    auto owner = owner_of(py::make_tuple(lower, upper));
    const void* const low = buffer_of(lower, parameter.view, dtype, parameter.path);
    const void* const high = buffer_of(upper, parameter.view, dtype, parameter.path);
    engine_.set_box(index, Box{0, 0, low, high}, std::move(owner));
  } else {
    engine_.set_box(index, Box{lower.cast<double>(), upper.cast<double>(), nullptr, nullptr}, nullptr);
  }
}

void ArrayParameters::hold(const py::object& grads) { given_.hold(grads, arrays_.size(), nullptr, engine_.begin()); }

void ArrayParameters::hold_part(const std::vector<std::size_t>& slots, const py::object& grads) {
  for (const std::size_t slot : slots) {
    if (slot >= arrays_.size()) throw std::invalid_argument("there is no parameter " + std::to_string(slot));
  }
  given_.hold(grads, slots.size(), &slots, engine_.begin());
}

std::vector<NamedView> ArrayParameters::exchanged(const py::object& new_arrays) const {
  const auto arrays = py::reinterpret_steal<py::list>(PySequence_List(new_arrays.ptr()));
  if (!arrays) throw py::error_already_set();
  if (arrays.size() != arrays_.size()) {
    throw py::value_error("params must have " + std::to_string(arrays_.size()) + " arrays, found " +
                          std::to_string(arrays.size()));
  }
  std::vector<NamedView> result;
  result.reserve(arrays_.size());
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    const auto& [old, path] = arrays_[i];
    ArrayView view = check_parameter(arrays[i], path);
    if (view.shape != old.shape || view.dtype != old.dtype) {
      throw py::value_error(path + " must keep its shape " + shape_text(old.shape) + " and dtype, found " +
                            shape_text(view.shape) + " of " + std::string(py::str(view.descr)));
    }
    if (view.c_order != old.c_order || view.f_order != old.f_order) {
      throw py::value_error(path + " must keep its memory order, C or Fortran, since its state is in that order");
    }
    result.push_back({std::move(view), path});
  }
  refuse_changed(result);
  return result;
}

void ArrayParameters::check_writeable(const std::vector<py::object>& given) const {
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!py::isinstance<py::array>(given[i]) || !is_writeable(given[i])) {
      throw py::value_error("gradient of " + arrays_[engine_.gradients()[i].slot].path +
                            " must be a writeable array for zero_grad=True");
    }
  }
}

bool ArrayParameters::step(const py::object& grads, const py::tuple& plans, const py::object& new_arrays,
                           double grad_scale, bool zero_grad) {
  const Call call(*this);
  const bool uses_sums = grads.is_none();
  if (uses_sums) {
    engine_.begin_with_sums();
  } else {
    engine_.refuse_sums();
    hold(grads);
  }
  engine_.plan(plan_source(plans, engine_));
  std::vector<py::object> given;
  py::object fill;
  if (zero_grad && !uses_sums) {
    given = given_.objects();
    fill = py::module_::import("numpy").attr("ndarray").attr("fill");  // not that of a user's class
  }
  std::vector<NamedView> new_views;
  std::optional<Parameters::Exchange> exchange;
  if (!new_arrays.is_none()) {
    new_views = exchanged(new_arrays);
    std::vector<void*> data;
    data.reserve(new_views.size());
    for (const NamedView& parameter : new_views) data.push_back(parameter.view.data);
    exchange = engine_.exchange_for(std::move(data));
  }
  const std::vector<NamedView>& views = exchange ? new_views : arrays_;
  if (!uses_sums) given_.read(engine_.gradients(), views, exchange ? exchange->ranges : engine_.ranges());
  // From here on no user's code runs, so that what was looked at stays true until it is used.
  if (uses_sums || exchange) refuse_changed(views);
  check_writeable(given);
  Parameters::Request request;
  request.grad_divisor = grad_scale;
  request.zeroes_gradients = zero_grad;
  request.exchange = exchange ? &*exchange : nullptr;
  engine_.prepare(request);
  if (exchange) arrays_.swap(new_views);
  const StepResult result = without_gil(engine_.elements(), [&] { return engine_.run(); });
  engine_.finish(result);
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!given[i].is(given_.objects()[i])) fill(given[i], 0);  // what was read is a copy
  }
  return result.has_stepped;
}

void ArrayParameters::check_gradients(const py::object& grads) {
  const Call call(*this);
  hold(grads);
  given_.read(engine_.gradients(), arrays_, engine_.ranges());
  engine_.check_gradients();
}

bool ArrayParameters::step_part(const std::vector<std::size_t>& slots, const py::object& grads, const py::tuple& plans,
                                double grad_scale, std::optional<GradSquares> known_squares, bool is_last) {
  const Call call(*this);
  hold_part(slots, grads);
  engine_.plan(plan_source(plans, engine_));
  given_.read(engine_.gradients(), arrays_, engine_.ranges());
  Parameters::Request request;
  request.grad_divisor = grad_scale;
  request.is_last = is_last;
  request.known_squares = known_squares;
  engine_.prepare(request);
  const StepResult result = without_gil(engine_.elements(), [&] { return engine_.run(); });
  engine_.finish(result);
  return result.has_stepped;
}

py::tuple ArrayParameters::grad_squares(const std::vector<std::size_t>& slots, const py::object& grads) {
  const Call call(*this);
  hold_part(slots, grads);
  given_.read(engine_.gradients(), arrays_, engine_.ranges());
  engine_.prepare_squares();
  const bool is_nonfinite = without_gil(engine_.elements(), [&] { return engine_.measure(); });
  const std::vector<double>& squares = engine_.squares();
  return py::make_tuple(py::array_t<double>(static_cast<py::ssize_t>(squares.size()), squares.data()), is_nonfinite);
}

void ArrayParameters::accumulate(const py::object& grads) {
  const Call call(*this);
  hold(grads);
  given_.read(engine_.gradients(), arrays_, engine_.ranges());
  engine_.prepare_sums();
  without_gil(engine_.sums().elements(), [&] { engine_.run_sums(); });
}

void ArrayParameters::clear_accumulated() {
  const Call call(*this);
  engine_.clear_sums();
}

py::list ArrayParameters::accumulated_sums(const py::object& self) const {
  return arrays_of_sums(engine_.sums(), arrays_, self);
}

void ArrayParameters::restore(std::int64_t step_count, const std::vector<std::int64_t>& steps,
                              const std::vector<std::vector<double>>& carried, const py::list& states) {
  const Call call(*this);
  if (steps.size() != arrays_.size() || carried.size() != arrays_.size() || states.size() != arrays_.size()) {
    throw std::invalid_argument("restore takes a step, carried numbers and a state per parameter");
  }
  std::vector<py::object> given;  // own references
  for (const py::handle state : states) given.push_back(py::reinterpret_borrow<py::object>(state));
  struct Source {
    std::size_t slot;
    std::size_t kept;
    py::object array;
  };
  std::vector<Source> found;
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    if (given[i].is_none()) continue;
    const auto state = given[i].cast<py::dict>();
    for (std::size_t k = 0; k < engine_.kept(i).size(); ++k) {
      const char* const name = engine_.kept(i)[k].name;
      if (state.contains(name)) found.push_back({i, k, state[name]});
    }
  }
  std::vector<std::vector<const void*>> sources(arrays_.size());
  for (std::size_t i = 0; i < arrays_.size(); ++i) sources[i].assign(engine_.kept(i).size(), nullptr);
  const auto look = [&] {
    for (const auto& [slot, k, array] : found) {
      sources[slot][k] = buffer_of(array, arrays_[slot].view, engine_.kept(slot)[k].dtype, arrays_[slot].path);
    }
  };
  look();  // may have to import a package for a dtype
  look();
  check_parameters();
  engine_.restore(step_count, steps, carried, sources);
}

py::list ArrayParameters::arrays() const {
  py::list arrays;
  for (const NamedView& parameter : arrays_) arrays.append(parameter.view.array);
  return arrays;
}

py::dict ArrayParameters::state(std::size_t index) const {
  const std::vector<KeptArray>& all_kept = engine_.kept(index);
  py::dict state;
  // The capsule shares ownership of the group's memory, so that an array may outlive the optimizer.
  for (const KeptArray& kept : all_kept) {
    const py::capsule owner(new std::shared_ptr<ZeroedMemory>(engine_.memory_of(index)),
                            [](void* memory) { delete static_cast<std::shared_ptr<ZeroedMemory>*>(memory); });
    state[kept.name] = array_over(arrays_[index].view, kept, owner);
  }
  return state;
}

}  // namespace pyadam
