#include "addressed_parameters.hpp"

#include <stdexcept>
#include <utility>

#include "../dispatch.hpp"
#include "../parallel.hpp"
#include "dtype_names.hpp"
#include "gil.hpp"
#include "turn.hpp"

namespace pyadam {
namespace {

DType dtype_named(const std::string& name) {
  for (const NamedDType& known : named_dtypes) {
    if (name == known.name) return known.dtype;
  }
  throw std::invalid_argument("unknown dtype '" + name + "'");
}

const char* name_of(DType dtype) {
  for (const NamedDType& known : named_dtypes) {
    if (dtype == known.dtype) return known.name;
  }
  return nullptr;
}

// NOLINTNEXTLINE(performance-no-int-to-ptr): Python knows addresses as integers
void* pointer(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

Keeping keeping_of(const std::string& rule, const std::optional<std::string>& master,
                   const std::optional<std::string>& state_dtype, bool has_ema) {
  const DType dtype = state_dtype == "bfloat16" ? DType::bfloat16 : DType::float32;
  return {rule_index(rule), {}, master.value_or(""), dtype, has_ema};
}

// What a step count becomes in a floating type, which is how it is kept outside.
double as_kept(std::int64_t step, DType dtype) {
  return dtype == DType::float64 ? static_cast<double>(step) : static_cast<double>(static_cast<float>(step));
}

double read(const void* memory, DType dtype) {
  return dtype == DType::float64 ? *static_cast<const double*>(memory) : *static_cast<const float*>(memory);
}

}  // namespace

py::list names_of_kept_arrays(const std::string& rule, const std::string& dtype,
                              const std::optional<std::string>& master, const std::optional<std::string>& state_dtype,
                              bool has_ema, const std::string& path) {
  const Keeping keeping = keeping_of(rule, master, state_dtype, has_ema);
  const DType param = dtype_named(dtype);
  py::list names;
  for (const KeptArray& kept : kept_arrays(param, keeping, storage_of(param, keeping, path))) {
    names.append(py::make_tuple(kept.name, name_of(kept.dtype)));
  }
  return names;
}

void AddressedParameters::add_group(const std::string& rule, const std::optional<std::string>& master,
                                    const std::optional<std::string>& state_dtype, bool has_ema) {
  const Turn turn(busy_);
  groups_.push_back(keeping_of(rule, master, state_dtype, has_ema));
}

void AddressedParameters::add(const std::string& path, std::size_t group, std::uintptr_t address, std::size_t size,
                              const std::string& dtype, const std::vector<std::uintptr_t>& kept, std::int64_t step,
                              std::uintptr_t step_address, const std::string& step_dtype, std::uint64_t first_element) {
  const Turn turn(busy_);
  if (group >= groups_.size()) throw std::invalid_argument("there is no group " + std::to_string(group));
  const Keeping& keeping = groups_[group];
  ParameterView view{};
  view.data = pointer(address);
  view.size = size;
  view.dtype = dtype_named(dtype);
  const Storage storage = storage_of(view.dtype, keeping, path);
  std::vector<KeptArray> arrays = kept_arrays(view.dtype, keeping, storage);
  if (kept.size() != arrays.size()) throw std::invalid_argument("an address for each array kept is needed");
  for (std::size_t k = 0; k < kept.size(); ++k) {
    arrays[k].data = pointer(kept[k]);
    small_pages_.push_back({arrays[k].data, size * itemsize(arrays[k].dtype)});
  }

  Slot slot{path, view.range(), group, step, pointer(step_address), dtype_named(step_dtype)};
  slot.task = task_of(view, arrays, active_kernels().rules[keeping.rule].states, storage);
  slot.task.random_offset = first_element;
  slots_.push_back(std::move(slot));
  has_ranges_ = false;
}

void AddressedParameters::set_bounds(std::size_t index, double lower, double upper) {
  const Turn turn(busy_);
  Slot& slot = slots_.at(index);
  slot.is_bounded = true;
  slot.bounds = {lower, upper, nullptr, nullptr};
}

void AddressedParameters::set_bound_arrays(std::size_t index, std::uintptr_t lower, std::uintptr_t upper) {
  const Turn turn(busy_);
  Slot& slot = slots_.at(index);
  slot.is_bounded = true;
  slot.bounds = {0, 0, pointer(lower), pointer(upper)};
}

bool AddressedParameters::step(const GivenGradients& gradients, const py::tuple& plans, double grad_scale) {
  const Turn turn(busy_);
  if (plans.size() != groups_.size()) throw std::invalid_argument("a plan for each group is needed");
  if (gradients.parameters() != slots_.size()) {
    throw std::invalid_argument("an address and a dtype for each parameter is needed");
  }
  const Gradients& given = gradients.all();
  read_steps(given);
  make_plans(given, plans);
  check_overlaps(given);
  make_tasks(given);
  const StepOptions options{grad_scale, clip_norm, skip_nonfinite, flush_denormals};
  memory_.reserve(tasks_, options);
  const StepResult result = without_gil(elements_of(tasks_), [&] { return take_step(tasks_, plans_.all(), options); });
  grad_norm = result.grad_norm;
  has_grad_norm = result.has_grad_norm;
  if (!result.has_stepped) return false;
  for (const auto& gradient : given) write_step(slots_[gradient.parameter]);
  exchange_small_pages();
  return true;
}

// A count in a floating type stops at its largest odd number; the one kept here does not.
void AddressedParameters::read_steps(const Gradients& gradients) {
  for (const auto& gradient : gradients) {
    Slot& slot = slots_[gradient.parameter];
    if (slot.step_memory == nullptr) continue;
    const double step = read(slot.step_memory, slot.step_dtype);
    if (step == as_kept(slot.step, slot.step_dtype)) continue;
    const bool is_count = step >= 0 && step < 0x1p63 && step == static_cast<double>(static_cast<std::int64_t>(step));
    if (!is_count) {
      throw py::value_error("step of " + slot.path + " must be a whole number from 0 to 2**63 - 1, found " +
                            std::to_string(step));
    }
    slot.step = static_cast<std::int64_t>(step);
  }
}

void AddressedParameters::write_step(Slot& slot) {
  ++slot.step;
  if (slot.step_memory == nullptr) return;
  if (slot.step_dtype == DType::float64) {
    *static_cast<double*>(slot.step_memory) = static_cast<double>(slot.step);
  } else {
    *static_cast<float*>(slot.step_memory) = static_cast<float>(slot.step);
  }
}

void AddressedParameters::make_plans(const Gradients& gradients, const py::tuple& plans) {
  plans_.begin();
  places_.clear();
  for (const auto& gradient : gradients) {
    const Slot& slot = slots_[gradient.parameter];
    places_.push_back(plans_.place_of(slot.group, groups_[slot.group].rule, slot.step + 1, 0, plans[slot.group], seed));
  }
}

void AddressedParameters::check_overlaps(const Gradients& gradients) {
  if (!has_ranges_) {
    std::vector<DisjointRanges::Owned> owned;
    owned.reserve(slots_.size());
    for (std::size_t i = 0; i < slots_.size(); ++i) owned.push_back({slots_[i].range, i});
    DisjointRanges ranges;
    const auto [first, second] = ranges.assign(std::move(owned));
    if (first != DisjointRanges::none) {
      throw py::value_error(slots_[first].path + " and " + slots_[second].path +
                            " share memory, so one update would overwrite the other");
    }
    ranges_ = std::move(ranges);
    has_ranges_ = true;
  }
  for (const auto& gradient : gradients) {
    const Slot& slot = slots_[gradient.parameter];
    const auto begin = reinterpret_cast<std::uintptr_t>(gradient.data);
    const std::size_t bytes = slot.task.size * itemsize(gradient.dtype);
    const auto owners = ranges_.overlapped_by({begin, begin + bytes});
    if (!owners.empty()) {
      throw py::value_error("gradient of " + slot.path + " shares memory with " + slots_[owners.front()].path);
    }
  }
}

void AddressedParameters::make_tasks(const Gradients& gradients) {
  tasks_.clear();
  std::size_t elements = 0;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    Slot& slot = slots_[gradients[i].parameter];
    Task& task = tasks_.emplace_back(slot.task);
    task.grad = gradients[i].data;
    task.grad_dtype = gradients[i].dtype;
    task.plan = &plans_.all()[places_[i]];
    task.bounds = slot.is_bounded ? &slot.bounds : nullptr;
    task.first = elements;
    elements += task.size;
  }
}

// After the first step, not before: a huge page may be slow to get, above all on a virtual machine, and the first step
// would have to wait for all of them.
void AddressedParameters::exchange_small_pages() {
  for (const MemoryBlock& kept : small_pages_) prefer_huge_pages(kept.data, kept.bytes);
  small_pages_.clear();
}

std::vector<std::int64_t> AddressedParameters::steps() const {
  std::vector<std::int64_t> steps;
  steps.reserve(slots_.size());
  for (const Slot& slot : slots_) steps.push_back(slot.step);
  return steps;
}

}  // namespace pyadam
