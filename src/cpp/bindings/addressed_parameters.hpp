// The parameters of an optimizer whose arrays, state too, belong to another library: known by their addresses alone.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../memory.hpp"
#include "../step.hpp"
#include "../whole_step.hpp"
#include "arrays.hpp"
#include "given_gradients.hpp"
#include "kept_arrays.hpp"
#include "plans.hpp"

namespace pyadam {

namespace py = pybind11;

// Names and names of dtypes of what must be kept beside a parameter. Throws ValueError, beginning with the parameter's
// `path`, if it cannot be kept so.
py::list names_of_kept_arrays(const std::string& rule, const std::string& dtype,
                              const std::optional<std::string>& master, const std::optional<std::string>& state_dtype,
                              bool has_ema, const std::string& path);

// The caller answers for the addresses: that the memory is there, of the size and dtype that it says, dense, and that
// a parameter and what is kept beside it have their elements in one order.
class AddressedParameters {
 public:
  // Adds a group, whose parameters share these.
  void add_group(const std::string& rule, const std::optional<std::string>& master,
                 const std::optional<std::string>& state_dtype, bool has_ema);

  // Adds a parameter to a group, which is known by its number. `kept` has the addresses of the arrays that
  // `names_of_kept_arrays` lists; `step_address` is that of a number of `step_dtype` that always has the step count,
  // which may be changed there, or 0 if there is none. `first_element` numbers its elements for random rounding.
  void add(const std::string& path, std::size_t group, std::uintptr_t address, std::size_t size,
           const std::string& dtype, const std::vector<std::uintptr_t>& kept, std::int64_t step,
           std::uintptr_t step_address, const std::string& step_dtype, std::uint64_t first_element);

  // Keeps parameter `index` in a box of two numbers, or of arrays at two addresses.
  void set_bounds(std::size_t index, double lower, double upper);
  void set_bound_arrays(std::size_t index, std::uintptr_t lower, std::uintptr_t upper);

  // Updates every parameter that has a gradient and returns true; or false if the step was skipped. `plans` holds a
  // function per group, as for BoundParameters. Everything is checked, and all Python code has run, before anything is
  // written.
  bool step(const GivenGradients& gradients, const py::tuple& plans, double grad_scale);

  std::vector<std::int64_t> steps() const;

  double clip_norm = std::numeric_limits<double>::infinity();
  bool skip_nonfinite = false;
  bool flush_denormals = false;
  std::uint64_t seed = 0;

  double grad_norm = 0;  // of the last step, if `has_grad_norm`
  bool has_grad_norm = false;

 private:
  struct Slot {
    std::string path;
    MemoryRange range;
    std::size_t group;
    std::int64_t step;
    void* step_memory;
    DType step_dtype;
    Task task{};  // all that is the same in every step
    bool is_bounded = false;
    Bounds bounds{};
  };

  using Gradients = std::vector<GivenGradients::Gradient>;

  void read_steps(const Gradients& gradients);
  static void write_step(Slot& slot);
  void make_plans(const Gradients& gradients, const py::tuple& plans);
  void make_tasks(const Gradients& gradients);
  void check_overlaps(const Gradients& gradients);
  void exchange_small_pages();

  std::vector<Keeping> groups_;
  std::vector<Slot> slots_;
  DisjointRanges ranges_;
  bool has_ranges_ = false;
  std::vector<MemoryBlock> small_pages_;  // what is kept beside parameters, until the first step
  bool busy_ = false;

  // Of the step in hand; members so that their memory is used again.
  Plans plans_;
  std::vector<std::size_t> places_;  // in `plans_`, of each gradient
  std::vector<Task> tasks_;
  StepMemory memory_;
};

}  // namespace pyadam
