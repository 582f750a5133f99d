// How Parameters take a step, from the plans to the counts.
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "engine/parameters.hpp"

namespace pyadam {
namespace {

// What a step count becomes in a floating type, which is how it is kept outside.
double as_mirrored(std::int64_t step, DType dtype) {
  return dtype == DType::float64 ? static_cast<double>(step) : static_cast<double>(static_cast<float>(step));
}

double read(const CountMirror& mirror) {
  return mirror.dtype == DType::float64 ? *static_cast<const double*>(mirror.memory)
                                        : *static_cast<const float*>(mirror.memory);
}

void write(const CountMirror& mirror, std::int64_t step) {
  if (mirror.memory == nullptr) return;
  if (mirror.dtype == DType::float64) {
    *static_cast<double*>(mirror.memory) = static_cast<double>(step);
  } else {
    *static_cast<float*>(mirror.memory) = static_cast<float>(step);
  }
}

std::string step_limit() { return "2**53 - 1"; }

}  // namespace

std::vector<Gradient>& Parameters::begin() {
  uses_sums_ = false;
  gradients_.clear();
  return gradients_;
}

void Parameters::begin_with_sums() {
  if (sums_.count() == 0) {
    throw std::invalid_argument(
        "step() without gradients takes the mean of those given to accumulate(), and there are none");
  }
  begin();
  uses_sums_ = true;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (sums_.has(i)) gradients_.push_back(sums_.sum(i));
  }
}

void Parameters::refuse_sums() const {
  if (sums_.count() == 0) return;
  throw std::invalid_argument("step() was given gradients while " + std::to_string(sums_.count()) +
                              " are accumulated: add these with accumulate() and call step() without any, or forget "
                              "the others with zero_grad()");
}

void Parameters::plan(const PlanSource& source) {
  plans_.begin(groups_.size());
  plan_places_.resize(gradients_.size());
  for (std::size_t i = 0; i < gradients_.size(); ++i) {
    const Age age = ages_[gradients_[i].slot];
    if (age.step >= max_step) {
      throw std::invalid_argument(slots_[gradients_[i].slot].path + " has taken " + step_limit() +
                                  " steps, and more cannot be counted");
    }
    plan_places_[i] =
        plans_.find_or_make(age.group, groups_[age.group].keeping.rule, age.step + 1, options.seed, source);
  }
}

// A count in a floating type stops at its largest odd number; the one kept here does not.
bool Parameters::take_counts() {
  if (mirrors_.empty()) return false;
  bool have_changed = false;
  for (const Gradient& gradient : gradients_) {
    const CountMirror& mirror = mirrors_[gradient.slot];
    if (mirror.memory == nullptr) continue;
    Age& age = ages_[gradient.slot];
    const double step = read(mirror);
    if (step == as_mirrored(age.step, mirror.dtype)) continue;
    const bool is_count = step >= 0 && step <= static_cast<double>(max_step) &&
                          step == static_cast<double>(static_cast<std::int64_t>(step));
    if (!is_count) {
      throw std::invalid_argument("step of " + slots_[gradient.slot].path + " must be a whole number from 0 to " +
                                  step_limit() + ", found " + std::to_string(step));
    }
    age.step = static_cast<std::int64_t>(step);
    have_changed = true;
  }
  return have_changed;
}

void Parameters::check_apart(const DisjointRanges& ranges) {
  for (const Gradient& gradient : gradients_) {
    const std::size_t size = slots_[gradient.slot].task.size;
    const MemoryRange range = range_of(gradient.data, size, gradient.dtype);
    if (ranges.is_apart(range, range_places_[gradient.slot])) continue;
    refuse_shared_gradient(slots_[gradient.slot].path, slots_[ranges.overlapped_by(range).front()].path);
  }
}

void Parameters::check_gradients() {
  know_ranges();
  check_apart(ranges_);
}

// One gradient must not be zeroed before another that lies in the same memory is read.
void Parameters::check_zeroable() const {
  std::vector<DisjointRanges::Owned> zeroed;
  zeroed.reserve(gradients_.size());
  for (const Gradient& gradient : gradients_) {
    zeroed.push_back({range_of(gradient.data, slots_[gradient.slot].task.size, gradient.dtype), gradient.slot});
  }
  const auto [first, second] = DisjointRanges().add(std::move(zeroed));
  if (first != DisjointRanges::none) {
    throw std::invalid_argument("gradients of " + slots_[first].path + " and " + slots_[second].path +
                                " share memory, so zero_grad=True would zero one before it is read");
  }
}

Task Parameters::task_for(std::size_t slot, std::size_t first) const {
  Task task = slots_[slot].task;
  const std::optional<Box>& box = slots_[slot].box;
  task.box = box ? &*box : nullptr;
  task.random_offset += options.first_element;
  task.first = first;
  return task;
}

// Most steps are of the same parameters as the one before, whose tasks then differ in their gradients and plans alone.
void Parameters::make_tasks(const Request& request) {
  const std::size_t count = gradients_.size();
  std::size_t current = std::min(current_tasks_, count);
  if (request.exchange != nullptr || tasks_first_element_ != options.first_element) current = 0;
  current_tasks_ = 0;
  tasks_first_element_ = options.first_element;
  tasks_.resize(count);
  slot_of_task_.resize(count);
  std::size_t first = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Gradient& gradient = gradients_[i];
    Task& task = tasks_[i];
    if (i >= current || slot_of_task_[i] != gradient.slot) {
      current = 0;  // those that follow begin elsewhere
      task = task_for(gradient.slot, first);
      if (request.exchange != nullptr) task.param = request.exchange->data[gradient.slot];
      slot_of_task_[i] = gradient.slot;
    }
    task.grad = gradient.data;
    task.grad_dtype = gradient.dtype;
    task.zeroes_grad = request.zeroes_gradients || uses_sums_;
    task.plan = plans_.all().data() + plan_places_[i];
    first += task.size;
  }
  current_tasks_ = count;
}

void Parameters::prepare(const Request& request) {
  know_ranges();
  if (!uses_sums_) check_apart(request.exchange == nullptr ? ranges_ : request.exchange->ranges);
  if (request.zeroes_gradients && !uses_sums_) check_zeroable();
  step_options_ = {request.grad_divisor, options.clip_norm, options.skip_nonfinite, options.flush_denormals,
                   request.known_squares};
  if (uses_sums_) step_options_.grad_divisor *= static_cast<double>(sums_.count());
  make_tasks(request);
  step_memory_.reserve(tasks_, step_options_);
  is_last_ = request.is_last;
  if (request.exchange == nullptr) return;
  for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i].task.param = request.exchange->data[i];
  ranges_ = std::move(request.exchange->ranges);
}

void Parameters::finish(const StepResult& result) {
  grad_norm = result.grad_norm;
  has_grad_norm = result.has_grad_norm;
  if (uses_sums_) sums_.forget();
  if (!result.has_stepped) {
    ++skipped;
    return;
  }
  for (const Gradient& gradient : gradients_) ++ages_[gradient.slot].step;
  if (!mirrors_.empty()) {
    for (const Gradient& gradient : gradients_) write(mirrors_[gradient.slot], ages_[gradient.slot].step);
  }
  if (is_last_) ++step_count_;
  exchange_small_pages();
}

// After the first step, not before: a huge page may be slow to get, above all on a virtual machine, and the first step
// would have to wait for all of them.
void Parameters::exchange_small_pages() {
  for (const MemoryBlock& kept : small_pages_) prefer_huge_pages(kept.data, kept.bytes);
  small_pages_.clear();
}

void Parameters::prepare_squares() {
  check_gradients();
  make_measured_tasks();
  step_memory_.reserve_grad_squares(tasks_);
}

// Of these no plan is made.
void Parameters::make_measured_tasks() {
  current_tasks_ = 0;
  tasks_.clear();
  std::size_t first = 0;
  for (const Gradient& gradient : gradients_) {
    Task& task = tasks_.emplace_back(slots_[gradient.slot].task);
    task.grad = gradient.data;
    task.grad_dtype = gradient.dtype;
    task.first = first;
    first += task.size;
  }
}

void Parameters::prepare_sums() {
  check_gradients();
  sums_.prepare(gradients_, [this](std::size_t slot) { return slots_[slot].task.size; });
}

}  // namespace pyadam
