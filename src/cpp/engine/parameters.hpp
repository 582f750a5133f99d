// The parameters of an optimizer: their memory, what is kept beside them, their ages, and the steps that they take.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/gradient_sums.hpp"
#include "engine/kept_arrays.hpp"
#include "engine/memory.hpp"
#include "engine/plans.hpp"
#include "engine/ranges.hpp"
#include "engine/step.hpp"
#include "engine/whole_step.hpp"

namespace pyadam {

// A step count that is kept outside too, where it may be changed: a number of a floating dtype, or nothing.
struct CountMirror {
  void* memory;
  DType dtype;
};

// The engine's only owner of all that belongs to parameters. It knows addresses: whoever gives them answers for what is
// there, and keeps it alive.
//
// A step is begin, plan, prepare, run, finish, in this order. What may run a caller's code is `plan` alone, so that
// addresses of gradients are given after it. All up to `prepare` may throw and has changed nothing then; `run` cannot
// fail.
class Parameters {
 public:
  struct Options {
    double clip_norm = std::numeric_limits<double>::infinity();
    bool skip_nonfinite = false;
    bool flush_denormals = false;
    std::uint64_t seed = 0;
    std::uint64_t first_element = 0;  // where these are a part of others: how many elements come before them
  };

  // A parameter to add.
  struct New {
    std::string path;  // its name in messages
    Buffer buffer;
  };

  // Adds a group, whose parameters have what is kept beside them in memory made here: in files in `directory` unless
  // that is empty. Throws std::invalid_argument, std::bad_alloc or std::system_error, and has changed nothing then.
  void add_group(Keeping keeping, const std::vector<New>& members, const std::string& directory);

  // Adds a group that has no parameters yet, and a parameter to it, whose kept arrays are at the addresses `kept`.
  void add_group(Keeping keeping);
  void add(std::size_t group, const New& parameter, const std::vector<void*>& kept, std::int64_t step,
           CountMirror mirror, std::uint64_t first_element);

  std::size_t size() const { return slots_.size(); }
  std::size_t groups() const { return groups_.size(); }
  const std::string& path(std::size_t slot) const { return slots_[slot].path; }
  Buffer buffer(std::size_t slot) const { return slots_[slot].buffer(); }
  std::vector<std::int64_t> steps() const;
  const std::vector<KeptArray>& kept(std::size_t slot) const { return slots_.at(slot).kept; }
  std::shared_ptr<ZeroedMemory> memory_of(std::size_t slot) const { return groups_[ages_[slot].group].memory; }
  std::int64_t step_count() const { return step_count_; }
  const DisjointRanges& ranges() const { return ranges_; }  // of parameters with memory of their own beside them
  std::atomic<bool>& busy() { return busy_; }

  // Keeps a parameter in a box, or with nothing in none. `owner` keeps its arrays alive.
  void set_box(std::size_t slot, const std::optional<Box>& box, std::shared_ptr<const void> owner);

  // Begins a step of the parameters in `gradients()`, which is emptied for the caller to fill, by number at first.
  std::vector<Gradient>& begin();
  std::vector<Gradient>& gradients() { return gradients_; }
  const std::vector<Gradient>& gradients() const { return gradients_; }

  // Begins a step that takes the mean of what was accumulated; throws std::invalid_argument if that is nothing.
  void begin_with_sums();

  // Throws std::invalid_argument if something is accumulated, so that a step may not take other gradients.
  void refuse_sums() const;

  // Makes the plans of the parameters in `gradients()`.
  void plan(const PlanSource& source);

  // Takes over counts that were changed where they are mirrored, and returns whether some were: the plans are of others
  // then. Throws std::invalid_argument for what is no count.
  bool take_counts();

  // Where the parameters lie from a step on, in which they are exchanged for others of their sizes and dtypes. Throws
  // std::invalid_argument if these share memory.
  struct Exchange {
    std::vector<void*> data;
    DisjointRanges ranges;
  };
  Exchange exchange_for(std::vector<void*> data) const;

  struct Request {
    double grad_divisor = 1;
    bool zeroes_gradients = false;
    bool is_last = true;  // whether the step counts, of which this may be a part
    std::optional<GradSquares> known_squares = std::nullopt;
    Exchange* exchange = nullptr;
  };

  // Checks the addresses in `gradients()` and makes all ready that `run` needs.
  void prepare(const Request& request);

  // Throws what `prepare` would throw for the addresses in `gradients()`.
  void check_gradients();

  // The elements of the step that is prepared.
  std::size_t elements() const { return tasks_.empty() ? 0 : tasks_.back().first + tasks_.back().size; }

  StepResult run() noexcept { return take_step(tasks_, plans_.all(), step_options_); }

  // Counts the step that was run, if it was not skipped.
  void finish(const StepResult& result);

  // Prepares, measures and returns the squares of the gradients' norm, one for each tile; the same memory every time.
  void prepare_squares();
  bool measure() noexcept { return measure_gradients(tasks_); }
  const std::vector<double>& squares() const { return step_memory_.grad_squares; }

  // Adds up gradients, for a step to take the mean of: begin, prepare_sums, run_sums.
  void prepare_sums();
  void run_sums() noexcept { sums_.run(); }
  const GradientSums& sums() const { return sums_; }
  void clear_sums() { sums_.clear(); }

  // Sets ages, and copies in what is kept: `sources[slot][k]`, or where that is null its initial values.
  void restore(std::int64_t step_count, const std::vector<std::int64_t>& steps,
               const std::vector<std::vector<const void*>>& sources);

  Options options;
  std::int64_t skipped = 0;
  double grad_norm = 0;  // of the last step, if `has_grad_norm`
  bool has_grad_norm = false;

 private:
  struct Group {
    Keeping keeping;
    std::shared_ptr<ZeroedMemory> memory;  // null where what is kept belongs to others
  };

  struct Slot {
    std::string path;
    std::vector<KeptArray> kept;
    Task task;  // all that is the same in every step, but for its box
    std::optional<Box> box;
    std::shared_ptr<const void> box_owner;

    Buffer buffer() const { return {task.param, task.size, task.param_dtype}; }
  };

  // What every step reads of a parameter; apart from the rest, so that it is in few cache lines.
  struct Age {
    std::size_t group;
    std::int64_t step;
  };

  Slot slot_for(const Group& group, const New& parameter) const;
  void reserve_slots(std::size_t more);
  void know_ranges();
  void check_apart(const DisjointRanges& ranges);
  void check_zeroable() const;
  void make_tasks(const Request& request);
  void make_measured_tasks();
  Task task_for(std::size_t slot, std::size_t first) const;
  void exchange_small_pages();

  std::vector<Group> groups_;
  std::vector<Slot> slots_;
  std::vector<Age> ages_;             // of each slot
  std::vector<CountMirror> mirrors_;  // of each slot, or empty
  DisjointRanges ranges_;
  bool has_ranges_ = true;  // of no parameters
  std::int64_t step_count_ = 0;
  std::vector<MemoryBlock> small_pages_;  // what is kept beside parameters, where others made it, until the first step
  GradientSums sums_;
  std::atomic<bool> busy_{false};

  // Of the step in hand; members so that their memory is used again.
  std::vector<Gradient> gradients_;
  bool uses_sums_ = false;
  bool is_last_ = true;
  Plans plans_;
  std::vector<std::size_t> plan_places_;   // of each gradient
  std::vector<std::size_t> range_places_;  // of each slot, where among the ranges its last gradient was
  std::vector<Task> tasks_;
  std::size_t current_tasks_ = 0;  // so many first ones are still those of the slots that they were made for
  std::vector<std::size_t> slot_of_task_;
  std::uint64_t tasks_first_element_ = 0;
  StepOptions step_options_;
  StepMemory step_memory_;
};

}  // namespace pyadam
