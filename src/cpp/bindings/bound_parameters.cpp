#include "bound_parameters.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "../dispatch.hpp"
#include "../parallel.hpp"

namespace pyadam {
namespace {

// Shorter work keeps the GIL: to give it up and wait for it again costs more than the work.
constexpr std::size_t gil_release_elements = 16 * tile_elements;

std::size_t rule_index(const std::string& name) {
  const KernelTable& kernels = active_kernels();
  for (std::size_t i = 0; i < kernels.rule_count; ++i) {
    if (name == kernels.rules[i].name) return i;
  }
  throw std::invalid_argument("unknown rule '" + name + "'");
}

std::size_t padded_bytes(const ParameterView& view) {
  const MemoryRange range = view.range();
  return (range.end - range.begin + state_alignment - 1) / state_alignment * state_alignment;
}

void read_doubles(PyObject* values, double* out, std::size_t count, const char* what) {
  if (!PyTuple_CheckExact(values) || static_cast<std::size_t>(PyTuple_GET_SIZE(values)) != count) {
    throw std::invalid_argument(std::string("a plan must have a tuple of ") + std::to_string(count) + " " + what);
  }
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(values, static_cast<Py_ssize_t>(i)));
  }
  if (PyErr_Occurred() != nullptr) throw py::error_already_set();
}

Plan make_plan(const py::handle& function, std::size_t rule, std::int64_t t) {
  const auto result = py::reinterpret_steal<py::object>(
      PyObject_CallOneArg(function.ptr(), py::reinterpret_steal<py::object>(PyLong_FromLongLong(t)).ptr()));
  if (!result) throw py::error_already_set();
  if (!PyTuple_CheckExact(result.ptr()) || PyTuple_GET_SIZE(result.ptr()) != 2) {
    throw std::invalid_argument("a plan must be a tuple of two tuples");
  }
  Plan plan{};
  plan.rule = rule;
  std::array<double, 4> stages{};
  read_doubles(PyTuple_GET_ITEM(result.ptr(), 0), stages.data(), stages.size(), "stage factors");
  plan.gradient_sign = stages[0];
  plan.l2 = stages[1];
  plan.l1 = stages[2];
  plan.decay = stages[3];
  read_doubles(PyTuple_GET_ITEM(result.ptr(), 1), plan.scalars.data(), active_kernels().rules[rule].scalars, "scalars");
  return plan;
}

// The data of an array that must fit a parameter exactly: what the Python layer has prepared.
const void* buffer_of(const py::handle& value, const ParameterView& parameter, const std::string& path) {
  py::object array = py::reinterpret_borrow<py::object>(value);
  const GradientView view = view_gradient(array, parameter, path);
  if (!array.is(value) || view.dtype != parameter.dtype) {
    throw std::invalid_argument("an array of the dtype and memory order of " + path + " is needed");
  }
  return view.data;
}

py::array array_over(const ParameterView& view, void* data, const py::handle& owner) {
  const bool is_double = view.dtype == DType::float64;
  const auto itemsize = static_cast<py::ssize_t>(is_double ? sizeof(double) : sizeof(float));
  const auto strides =
      view.c_order ? py::detail::c_strides(view.shape, itemsize) : py::detail::f_strides(view.shape, itemsize);
  return py::array(is_double ? py::dtype::of<double>() : py::dtype::of<float>(), view.shape, strides, data, owner);
}

}  // namespace

// Marks a step in hand. It is refused to begin another on the same parameters, from another thread or from a plan.
class BoundParameters::Busy {
 public:
  explicit Busy(BoundParameters& owner) : owner_(owner) {
    if (owner.busy_) throw std::runtime_error("a step of these parameters is already running");
    owner.busy_ = true;
  }
  ~Busy() {
    owner_.grads_.clear();
    owner_.busy_ = false;
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  BoundParameters& owner_;
};

void BoundParameters::add_group(const std::string& rule, const py::list& arrays, const std::vector<std::string>& paths,
                                const std::vector<double>& initial_state) {
  const Busy busy(*this);
  Group group{rule_index(rule), initial_state, nullptr};
  const std::size_t states = active_kernels().rules[group.rule].states;
  if (initial_state.size() != states) throw std::invalid_argument("a number for each state buffer is needed");

  std::vector<Slot> slots = slots_;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const ParameterView view = check_parameter(arrays[i], paths.at(i));
    Slot slot{};
    slot.array = arrays[i].cast<py::array>();
    slot.view = view;
    slot.path = paths[i];
    slot.group = groups_.size();
    slots.push_back(slot);
    bytes += states * padded_bytes(view);
  }
  DisjointRanges ranges = ranges_of(slots);

  group.memory = std::make_shared<ZeroedMemory>(bytes);
  std::byte* next = group.memory->data();
  groups_.push_back(group);
  for (std::size_t i = slots_.size(); i < slots.size(); ++i) {
    for (std::size_t s = 0; s < states; ++s) {
      slots[i].state[s] = next;
      next += padded_bytes(slots[i].view);
    }
    fill_initial(slots[i], false);
  }
  slots_ = std::move(slots);
  ranges_ = std::move(ranges);
}

// Memory that is zero already is left untouched, for the threads that will use it.
void BoundParameters::fill_initial(Slot& slot, bool also_zeros) const {
  const std::vector<double>& values = groups_[slot.group].initial_state;
  for (std::size_t s = 0; s < values.size(); ++s) {
    if (values[s] == 0 && !also_zeros) continue;
    if (slot.view.dtype == DType::float64) {
      std::fill_n(static_cast<double*>(slot.state[s]), slot.view.size, values[s]);
    } else {
      std::fill_n(static_cast<float*>(slot.state[s]), slot.view.size, static_cast<float>(values[s]));
    }
  }
}

void BoundParameters::set_bounds(std::size_t index, const py::object& lower, const py::object& upper) {
  const Busy busy(*this);
  Slot& slot = slots_.at(index);
  Bounds bounds{};
  py::object arrays = py::none();
  if (py::isinstance<py::array>(lower)) {
    arrays = py::make_tuple(lower, upper);
    bounds.lower_array = buffer_of(lower, slot.view, slot.path);
    bounds.upper_array = buffer_of(upper, slot.view, slot.path);
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
  }
  return slots;
}

void BoundParameters::step(const py::object& grads, const py::tuple& plans, const py::object& new_arrays) {
  const Busy busy(*this);
  collect_gradients(grads);
  make_plans(plans);
  // From here on no user's code runs, so what is checked stays true until it is used.
  if (new_arrays.is_none()) {
    make_tasks(slots_, ranges_);
    make_room_for_norms();
  } else {
    std::vector<Slot> slots = rebound(new_arrays);
    DisjointRanges ranges = ranges_of(slots);
    make_tasks(slots, ranges);
    make_room_for_norms();
    slots_ = std::move(slots);
    ranges_ = std::move(ranges);
  }
  run_tasks();
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

// Parameters of a group that have the same age share a plan; as a rule that is all of them.
void BoundParameters::make_plans(const py::tuple& plans) {
  plans_.clear();
  plan_of_slot_.resize(slots_.size());
  using Key = std::pair<std::size_t, std::int64_t>;
  std::map<Key, std::size_t> earlier;  // stays empty, and allocates nothing, where all have one age
  Key last_key{0, 0};
  std::size_t last_plan = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (grads_[i].is_none()) continue;
    const Key key{slots_[i].group, slots_[i].step + 1};
    if (key != last_key) {
      if (!plans_.empty()) earlier.emplace(last_key, last_plan);
      const auto known = earlier.find(key);
      if (known == earlier.end()) {
        last_plan = plans_.size();
        plans_.push_back(make_plan(plans[key.first], groups_[key.first].rule, key.second));
      } else {
        last_plan = known->second;
      }
      last_key = key;
    }
    plan_of_slot_[i] = last_plan;
  }
}

void BoundParameters::make_tasks(const std::vector<Slot>& slots, const DisjointRanges& ranges) {
  tasks_.clear();
  std::size_t elements = 0;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (grads_[i].is_none()) continue;
    const Slot& slot = slots[i];
    if (!is_unchanged(slot.array, slot.view)) {
      throw py::value_error(slot.path +
                            " was made read-only, reshaped, resized or given another dtype since it was bound");
    }
    const py::object given = grads_[i];
    const GradientView grad = view_gradient(grads_[i], slot.view, slot.path);
    for (const std::size_t owner : ranges.overlapped_by(grad.extent)) {
      if (shares_memory(given, slots[owner].array)) {
        throw py::value_error("gradient of " + slot.path + " shares memory with " + slots[owner].path);
      }
    }
    tasks_.push_back({slot.view.data, grad.data, slot.state, slot.view.size, elements, slot.view.dtype, grad.dtype,
                      &plans_[plan_of_slot_[i]], slot.is_bounded ? &slot.bounds : nullptr, nullptr, 1.0});
    elements += slot.view.size;
  }
}

void BoundParameters::make_room_for_norms() {
  std::size_t count = 0;
  for (const Task& task : tasks_) count += has_two_passes(task) ? tiles(task.size) : 0;
  norms_.resize(count);
  Norms* next = norms_.data();
  for (Task& task : tasks_) {
    if (!has_two_passes(task)) continue;
    task.norms = next;
    next += tiles(task.size);
  }
}

void BoundParameters::run_tasks() {
  for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i].step += grads_[i].is_none() ? 0 : 1;
  ++step_count_;
  const std::size_t elements = tasks_.empty() ? 0 : tasks_.back().first + tasks_.back().size;
  if (elements < gil_release_elements) {
    run(tasks_);
  } else {
    const py::gil_scoped_release release;
    run(tasks_);
  }
}

void BoundParameters::restore(std::int64_t step_count, const std::vector<std::int64_t>& steps, const py::list& states) {
  const Busy busy(*this);
  if (steps.size() != slots_.size() || states.size() != slots_.size()) {
    throw std::invalid_argument("restore takes a step and a state per parameter");
  }
  std::vector<std::array<const void*, max_states>> sources(slots_.size());
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (states[i].is_none()) continue;
    const auto buffers = states[i].cast<py::tuple>();
    if (buffers.size() != groups_[slots_[i].group].initial_state.size()) {
      throw std::invalid_argument("restore takes an array per state buffer of " + slots_[i].path);
    }
    for (std::size_t s = 0; s < buffers.size(); ++s) {
      sources[i][s] = buffer_of(buffers[s], slots_[i].view, slots_[i].path);
    }
  }
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const MemoryRange range = slots_[i].view.range();
    slots_[i].step = steps[i];
    if (states[i].is_none()) {
      fill_initial(slots_[i], true);
      continue;
    }
    for (std::size_t s = 0; s < groups_[slots_[i].group].initial_state.size(); ++s) {
      std::memmove(slots_[i].state[s], sources[i][s], range.end - range.begin);
    }
  }
  step_count_ = step_count;
}

std::vector<std::int64_t> BoundParameters::steps() const {
  std::vector<std::int64_t> steps;
  for (const Slot& slot : slots_) steps.push_back(slot.step);
  return steps;
}

py::list BoundParameters::arrays() const {
  py::list arrays;
  for (const Slot& slot : slots_) arrays.append(slot.array);
  return arrays;
}

py::tuple BoundParameters::state(std::size_t index) const {
  const Slot& slot = slots_.at(index);
  const Group& group = groups_[slot.group];
  const std::size_t count = group.initial_state.size();
  py::tuple state(count);
  // The capsule shares ownership of the group's memory, so that an array may outlive the optimizer.
  for (std::size_t s = 0; s < count; ++s) {
    const py::capsule owner(new std::shared_ptr<ZeroedMemory>(group.memory),
                            [](void* memory) { delete static_cast<std::shared_ptr<ZeroedMemory>*>(memory); });
    state[s] = array_over(slot.view, slot.state[s], owner);
  }
  return state;
}

}  // namespace pyadam
