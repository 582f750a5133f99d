#include "bound_parameters.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "../dispatch.hpp"
#include "../parallel.hpp"
#include "gil.hpp"
#include "turn.hpp"

namespace pyadam {
namespace {

// The data of an array that must fit a parameter exactly: what the Python layer has prepared.
const void* buffer_of(const py::handle& value, const ParameterView& parameter, DType dtype, const std::string& path) {
  py::object array = py::reinterpret_borrow<py::object>(value);
  if (!py::isinstance<py::array>(array) ||
      !py::reinterpret_borrow<py::array>(array).dtype().equal(numpy_dtype(dtype))) {
    throw std::invalid_argument("an array of another dtype is needed for " + path);
  }
  if (dtype == DType::int16) array = array.attr("view")("float16");  // as wide, and of a dtype that a gradient may have
  const py::object viewed = array;
  const GradientView view = view_gradient(array, parameter, path);
  if (!array.is(viewed)) throw std::invalid_argument("an array of the memory order of " + path + " is needed");
  return view.data;
}

py::array array_over(const ParameterView& view, const KeptArray& kept, const py::handle& owner) {
  const auto bytes = static_cast<py::ssize_t>(itemsize(kept.dtype));
  const auto strides =
      view.c_order ? py::detail::c_strides(view.shape, bytes) : py::detail::f_strides(view.shape, bytes);
  return py::array(numpy_dtype(kept.dtype), view.shape, strides, kept.data, owner);
}

std::shared_ptr<ZeroedMemory> zeroed_memory(std::size_t bytes, const std::string& directory) {
  if (directory.empty()) return std::make_shared<ZeroedMemory>(bytes);
  try {
    return std::make_shared<ZeroedMemory>(bytes, directory);
  } catch (const std::system_error& error) {
    PyErr_SetString(PyExc_OSError, error.what());
    throw py::error_already_set();
  }
}

}  // namespace

class BoundParameters::Busy {
 public:
  explicit Busy(BoundParameters& owner) : owner_(owner), turn_(owner.busy_) {}
  ~Busy() { owner_.grads_.clear(); }

 private:
  BoundParameters& owner_;
  Turn turn_;
};

void BoundParameters::add_group(const std::string& rule, const py::list& arrays, const std::vector<std::string>& paths,
                                const std::vector<double>& initial_state, const std::optional<std::string>& master,
                                const std::optional<std::string>& state_dtype, bool has_ema) {
  const Busy busy(*this);
  Group group{{rule_index(rule), initial_state, master.value_or(""),
               state_dtype == "bfloat16" ? DType::bfloat16 : DType::float32, has_ema},
              nullptr};
  const std::size_t states = active_kernels().rules[group.keeping.rule].states;
  if (initial_state.size() != states) throw std::invalid_argument("a number for each state buffer is needed");

  std::vector<Slot> slots = slots_;
  std::vector<Storage> storages;
  std::vector<std::size_t> places;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const ParameterView view = check_parameter(arrays[i], paths.at(i));
    storages.push_back(storage_of(view.dtype, group.keeping, paths[i]));
    Slot slot{};
    slot.array = arrays[i].cast<py::array>();
    slot.view = view;
    slot.path = paths[i];
    slot.group = groups_.size();
    slot.kept = kept_arrays(view.dtype, group.keeping, storages.back());
    for (std::size_t k = 0; k < slot.kept.size(); ++k) {
      const std::size_t array_bytes = view.size * itemsize(slot.kept[k].dtype);
      places.push_back(place_of(k, array_bytes, bytes));
      bytes = places.back() + array_bytes;
    }
    slots.push_back(slot);
  }
  DisjointRanges ranges = ranges_of(slots);

  group.memory = zeroed_memory(bytes, state_dir);
  auto place = places.begin();
  for (std::size_t i = slots_.size(); i < slots.size(); ++i) {
    Slot& slot = slots[i];
    for (std::size_t k = 0; k < slot.kept.size(); ++k) {
      slot.kept[k].data = group.memory->data() + *place++;
      fill_initial(k, slot.kept[k], group.keeping, slot.view, false);
    }
    slot.task = task_of(slot.view, slot.kept, states, storages[i - slots_.size()]);
    slot.task.random_offset = i == 0 ? 0 : slots[i - 1].task.random_offset + slots[i - 1].view.size;
  }
  groups_.push_back(group);
  slots_ = std::move(slots);
  ranges_ = std::move(ranges);
}

void BoundParameters::set_bounds(std::size_t index, const py::object& lower, const py::object& upper) {
  const Busy busy(*this);
  Slot& slot = slots_.at(index);
  Bounds bounds{};
  py::object arrays = py::none();
  if (py::isinstance<py::array>(lower)) {
    arrays = py::make_tuple(lower, upper);
    bounds.lower_array = buffer_of(lower, slot.view, compute_dtype(slot.view.dtype), slot.path);
    bounds.upper_array = buffer_of(upper, slot.view, compute_dtype(slot.view.dtype), slot.path);
  } else if (!lower.is_none()) {
    bounds.lower = lower.cast<double>();
    bounds.upper = upper.cast<double>();
  }
  slot.is_bounded = !lower.is_none();
  slot.bounds = bounds;
  slot.bound_arrays = arrays;
}

DisjointRanges BoundParameters::ranges_of(const std::vector<Slot>& slots) const {
  std::vector<DisjointRanges::Owned> owned;
  owned.reserve(slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) owned.push_back({slots[i].view.range(), i});
  DisjointRanges ranges;
  const auto [first, second] = ranges.assign(std::move(owned));
  if (first != DisjointRanges::none) {
    throw py::value_error(slots[first].path + " and " + slots[second].path +
                          " share memory, so one update would overwrite the other");
  }
  return ranges;
}

std::vector<BoundParameters::Slot> BoundParameters::rebound(const py::object& new_arrays) const {
  const auto arrays = py::reinterpret_steal<py::list>(PySequence_List(new_arrays.ptr()));
  if (!arrays) throw py::error_already_set();
  if (arrays.size() != slots_.size()) {
    throw py::value_error("params must have " + std::to_string(slots_.size()) + " arrays, found " +
                          std::to_string(arrays.size()));
  }
  std::vector<Slot> slots = slots_;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const ParameterView old = slots[i].view;
    const ParameterView view = check_parameter(arrays[i], slots[i].path);
    if (view.shape != old.shape || view.dtype != old.dtype) {
      throw py::value_error(slots[i].path + " must keep its shape " + shape_text(old.shape) + " and dtype, found " +
                            shape_text(view.shape) + " of " + std::string(py::str(arrays[i].attr("dtype"))));
    }
    if (view.c_order != old.c_order || view.f_order != old.f_order) {
      throw py::value_error(slots[i].path +
                            " must keep its memory order, C or Fortran, since its state is in that order");
    }
    slots[i].array = arrays[i].cast<py::array>();
    slots[i].view = view;
    slots[i].task.param = view.data;
  }
  return slots;
}

bool BoundParameters::step(const py::object& grads, const py::tuple& plans, const py::object& new_arrays,
                           double grad_scale, bool zero_grad) {
  const Busy busy(*this);
  uses_sums_ = grads.is_none();
  if (uses_sums_ && sums_.count() == 0) {
    throw py::value_error("step() without gradients takes the mean of those given to accumulate(), and there are none");
  }
  if (!uses_sums_ && sums_.count() > 0) {
    throw py::value_error("step() was given gradients while " + std::to_string(sums_.count()) +
                          " are accumulated: add these with accumulate() and call step() without any, or forget the "
                          "others with zero_grad()");
  }
  if (!uses_sums_) collect_gradients(grads);
  make_plans(plans);
  const std::vector<py::object> given = zero_grad ? grads_ : std::vector<py::object>();
  py::object fill;
  if (zero_grad) fill = py::module_::import("numpy").attr("ndarray").attr("fill");  // not that of a user's class
  StepOptions options{grad_scale, clip_norm, skip_nonfinite, flush_denormals};
  if (uses_sums_) options.grad_divisor *= static_cast<double>(sums_.count());
  // From here on no user's code runs, so what is checked stays true until it is used.
  if (new_arrays.is_none()) {
    make_tasks(slots_, ranges_, zero_grad || uses_sums_);
    check_zeroable(given);
    memory_.reserve(tasks_, options);
  } else {
    std::vector<Slot> slots = rebound(new_arrays);
    DisjointRanges ranges = ranges_of(slots);
    make_tasks(slots, ranges, zero_grad || uses_sums_);
    check_zeroable(given);
    memory_.reserve(tasks_, options);
    slots_.swap(slots);
    ranges_ = std::move(ranges);
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      if (tasks_[i].bounds != nullptr) tasks_[i].bounds = &slots_[slot_of_task_[i]].bounds;
    }
  }
  const StepResult result = run_step(options);
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!given[i].is(grads_[i])) fill(given[i], 0);  // what was read is a copy
  }
  if (uses_sums_) sums_.forget();
  return result.has_stepped;
}

// Own references, because another thread may change the list while the GIL is released.
void BoundParameters::collect_gradients(const py::object& grads) {
  const auto items = py::reinterpret_steal<py::object>(PySequence_Fast(grads.ptr(), "grads must be a sequence"));
  if (!items) throw py::error_already_set();
  const auto count = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(items.ptr()));
  if (count != slots_.size()) {
    throw py::value_error("grads must have " + std::to_string(slots_.size()) + " entries, one per parameter, found " +
                          std::to_string(count));
  }
  PyObject** const first = PySequence_Fast_ITEMS(items.ptr());
  grads_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) grads_.push_back(py::reinterpret_borrow<py::object>(first[i]));
}

bool BoundParameters::takes_part(std::size_t index) const {
  return uses_sums_ ? sums_.has(index) : !grads_[index].is_none();
}

void BoundParameters::make_plans(const py::tuple& plans) {
  plans_.begin();
  plan_of_slot_.resize(slots_.size());
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!takes_part(i)) continue;
    const std::size_t group = slots_[i].group;
    plan_of_slot_[i] = plans_.place_of(group, groups_[group].keeping.rule, slots_[i].step + 1, step_count_, plans[group], seed);
  }
}

GradientView BoundParameters::checked_gradient(std::size_t index, const std::vector<Slot>& slots,
                                               const DisjointRanges& ranges) {
  const Slot& slot = slots[index];
  check_unchanged(slot);
  if (uses_sums_) return sums_.view(index);
  const py::object given = grads_[index];
  const GradientView grad = view_gradient(grads_[index], slot.view, slot.path);
  for (const std::size_t owner : ranges.overlapped_by(grad.extent)) {
    if (shares_memory(given, slots[owner].array)) {
      throw py::value_error("gradient of " + slot.path + " shares memory with " + slots[owner].path);
    }
  }
  return grad;
}

void BoundParameters::collect_tasks(const std::vector<Slot>& slots, const DisjointRanges& ranges) {
  tasks_.clear();
  slot_of_task_.clear();
  std::size_t elements = 0;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!takes_part(i)) continue;
    const GradientView grad = checked_gradient(i, slots, ranges);
    Task& task = tasks_.emplace_back(slots[i].task);
    slot_of_task_.push_back(i);
    task.grad = grad.data;
    task.grad_dtype = grad.dtype;
    task.first = elements;
    elements += task.size;
  }
}

void BoundParameters::make_tasks(const std::vector<Slot>& slots, const DisjointRanges& ranges, bool zero_grad) {
  collect_tasks(slots, ranges);
  for (std::size_t t = 0; t < tasks_.size(); ++t) {
    const std::size_t i = slot_of_task_[t];
    Task& task = tasks_[t];
    task.zeroes_grad = zero_grad;
    task.plan = &plans_.all()[plan_of_slot_[i]];
    task.bounds = slots[i].is_bounded ? &slots[i].bounds : nullptr;
    task.random_offset += first_element;
  }
}

// One gradient must not be zeroed before another that lies in the same memory is read.
void BoundParameters::check_zeroable(const std::vector<py::object>& given) const {
  std::vector<DisjointRanges::Owned> zeroed;
  for (std::size_t t = 0; t < tasks_.size() && !given.empty(); ++t) {
    const std::size_t i = slot_of_task_[t];
    if (!py::isinstance<py::array>(given[i]) || !is_writeable(given[i])) {
      throw py::value_error("gradient of " + slots_[i].path + " must be a writeable array for zero_grad=True");
    }
    const auto begin = reinterpret_cast<std::uintptr_t>(tasks_[t].grad);
    zeroed.push_back({{begin, begin + tasks_[t].size * itemsize(tasks_[t].grad_dtype)}, i});
  }
  const auto [first, second] = DisjointRanges().assign(std::move(zeroed));
  if (first != DisjointRanges::none) {
    throw py::value_error("gradients of " + slots_[first].path + " and " + slots_[second].path +
                          " share memory, so zero_grad=True would zero one before it is read");
  }
}

StepResult BoundParameters::run_step(const StepOptions& options, bool is_last) {
  const StepResult result = without_gil(elements_of(tasks_), [&] { return take_step(tasks_, plans_.all(), options); });
  grad_norm = result.grad_norm;
  has_grad_norm = result.has_grad_norm;
  if (!result.has_stepped) {
    ++skipped;
    return result;
  }
  for (const std::size_t i : slot_of_task_) ++slots_[i].step;
  if (is_last) ++step_count_;
  return result;
}

void BoundParameters::check_gradients(const py::object& grads) {
  const Busy busy(*this);
  uses_sums_ = false;
  collect_gradients(grads);
  collect_tasks(slots_, ranges_);
}

py::tuple BoundParameters::grad_squares(const py::object& grads) {
  const Busy busy(*this);
  uses_sums_ = false;
  collect_gradients(grads);
  collect_tasks(slots_, ranges_);
  memory_.reserve_grad_squares(tasks_);
  const bool is_nonfinite = without_gil(elements_of(tasks_), [&] { return measure_gradients(tasks_); });
  const std::vector<double>& squares = memory_.grad_squares;
  return py::make_tuple(py::array_t<double>(static_cast<py::ssize_t>(squares.size()), squares.data()), is_nonfinite);
}

bool BoundParameters::step_part(const py::object& grads, const py::tuple& plans, double grad_scale,
                                std::optional<GradSquares> whole, bool is_last) {
  const Busy busy(*this);
  uses_sums_ = false;
  collect_gradients(grads);
  make_plans(plans);
  const StepOptions options{grad_scale, clip_norm, skip_nonfinite, flush_denormals, whole};
  make_tasks(slots_, ranges_, false);
  memory_.reserve(tasks_, options);
  return run_step(options, is_last).has_stepped;
}

void BoundParameters::accumulate(const py::object& grads) {
  const Busy busy(*this);
  uses_sums_ = false;
  collect_gradients(grads);
  tasks_.clear();
  slot_of_task_.clear();
  std::size_t elements = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!takes_part(i)) continue;
    const GradientView grad = checked_gradient(i, slots_, ranges_);
    Task& task = tasks_.emplace_back();
    slot_of_task_.push_back(i);
    task.param = sums_.reserve(i, slots_[i].view.size, grad.dtype);
    task.param_dtype = sums_.view(i).dtype;
    task.grad = grad.data;
    task.grad_dtype = grad.dtype;
    task.size = slots_[i].view.size;
    task.first = elements;
    elements += task.size;
  }
  without_gil(elements, [&] { run_pass(Pass::accumulate, tasks_); });
  for (const std::size_t i : slot_of_task_) sums_.was_added_to(i);
  sums_.count_one();
}

void BoundParameters::clear_accumulated() {
  const Busy busy(*this);
  sums_.clear();
}

py::list BoundParameters::accumulated_sums(const py::object& self) const {
  py::list sums;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!sums_.has(i)) {
      sums.append(py::none());
      continue;
    }
    const GradientView sum = sums_.view(i);
    sums.append(py::array(numpy_dtype(sum.dtype), {static_cast<py::ssize_t>(slots_[i].view.size)}, sum.data, self));
  }
  return sums;
}

void BoundParameters::check_unchanged(const Slot& slot) {
  if (!is_unchanged(slot.array, slot.view)) {
    throw py::value_error(slot.path +
                          " was made read-only, reshaped, resized or given another dtype since it was bound");
  }
}

void BoundParameters::check_parameters() const {
  for (const Slot& slot : slots_) check_unchanged(slot);
}

void BoundParameters::restore(std::int64_t step_count, const std::vector<std::int64_t>& steps, const py::list& states) {
  const Busy busy(*this);
  check_parameters();
  if (steps.size() != slots_.size() || states.size() != slots_.size()) {
    throw std::invalid_argument("restore takes a step and a state per parameter");
  }
  std::vector<std::vector<const void*>> sources(slots_.size());
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    sources[i].assign(slot.kept.size(), nullptr);
    if (states[i].is_none()) continue;
    const auto given = states[i].cast<py::dict>();
    for (std::size_t k = 0; k < slot.kept.size(); ++k) {
      const KeptArray& kept = slot.kept[k];
      if (given.contains(kept.name)) sources[i][k] = buffer_of(given[kept.name], slot.view, kept.dtype, slot.path);
    }
  }
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    slot.step = steps[i];
    for (std::size_t k = 0; k < slot.kept.size(); ++k) {
      const KeptArray& kept = slot.kept[k];
      if (sources[i][k] == nullptr) {
        fill_initial(k, kept, groups_[slot.group].keeping, slot.view, true);
      } else {
        std::memmove(kept.data, sources[i][k], slot.view.size * itemsize(kept.dtype));
      }
    }
  }
  step_count_ = step_count;
}

std::vector<std::int64_t> BoundParameters::steps() const {
  std::vector<std::int64_t> steps;
  steps.reserve(slots_.size());
  for (const Slot& slot : slots_) steps.push_back(slot.step);
  return steps;
}

py::list BoundParameters::arrays() const {
  py::list arrays;
  for (const Slot& slot : slots_) arrays.append(slot.array);
  return arrays;
}

py::dict BoundParameters::state(std::size_t index) const {
  const Slot& slot = slots_.at(index);
  py::dict state;
  // The capsule shares ownership of the group's memory, so that an array may outlive the optimizer.
  for (const KeptArray& kept : slot.kept) {
    const py::capsule owner(new std::shared_ptr<ZeroedMemory>(groups_[slot.group].memory),
                            [](void* memory) { delete static_cast<std::shared_ptr<ZeroedMemory>*>(memory); });
    state[kept.name] = array_over(slot.view, kept, owner);
  }
  return state;
}

}  // namespace pyadam
