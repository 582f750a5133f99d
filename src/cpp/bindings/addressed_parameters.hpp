// The parameters of an optimizer whose arrays, state too, belong to another library: known by their addresses alone.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../step.hpp"
#include "../whole_step.hpp"
#include "arrays.hpp"
#include "kept_arrays.hpp"
#include "plans.hpp"

namespace pyadam {

namespace py = pybind11;

// Numbers of the dtypes of gradients, by name.
py::dict gradient_dtypes();
std::size_t gradient_dtype_number(DType dtype);

// Names and names of dtypes of what must be kept beside a parameter. Throws ValueError, beginning with the parameter's
// `path`, if it cannot be kept so.
py::list names_of_kept_arrays(const std::string& rule, const std::string& dtype,
                              const std::optional<std::string>& master, const std::optional<std::string>& state_dtype,
                              bool has_ema, const std::string& path);

// The caller answers for the addresses: that the memory is there, of the size and dtype that it says, dense, and that
// a parameter and what is kept beside it have their elements in one order.
class AddressedParameters {
 public:
  // Begins a group: parameters added from now on share these.
  void add_group(const std::string& rule, const std::optional<std::string>& master,
                 const std::optional<std::string>& state_dtype, bool has_ema);

  // Adds a parameter. `kept` has the addresses of the arrays that `names_of_kept_arrays` lists; `step_address` is that
  // of a number of `step_dtype` that always has the step count, which may be changed there, or 0 if there is none.
  // `first_element` numbers its elements for random rounding.
  void add(const std::string& path, std::uintptr_t address, std::size_t size, const std::string& dtype,
           const std::vector<std::uintptr_t>& kept, std::int64_t step, std::uintptr_t step_address,
           const std::string& step_dtype, std::uint64_t first_element);

  // Keeps parameter `index` in a box of two numbers, or of arrays at two addresses.
  void set_bounds(std::size_t index, double lower, double upper);
  void set_bound_arrays(std::size_t index, std::uintptr_t lower, std::uintptr_t upper);

  // Updates every parameter and returns true; or false if the step was skipped. `grads` is a list with the address of
  // each gradient, None where there is none, `dtypes` a list with the numbers of their dtypes. `plans` holds a function
  // per group, as for BoundParameters. Everything is checked, and all Python code has run, before anything is written.
  bool step(const py::list& grads, const py::list& dtypes, const py::tuple& plans, double grad_scale);

  std::vector<std::int64_t> steps() const;

  double clip_norm = std::numeric_limits<double>::infinity();
  bool skip_nonfinite = false;
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

  void read_gradients(const py::list& grads, const py::list& dtypes);
  void read_steps();
  void write_step(Slot& slot);
  void make_plans(const py::tuple& plans);
  void make_tasks();
  void check_overlaps();

  std::vector<Keeping> groups_;
  std::vector<Slot> slots_;
  DisjointRanges ranges_;
  bool has_ranges_ = false;
  bool busy_ = false;

  // Of the step in hand; members so that their memory is used again.
  struct Given {
    std::size_t slot;
    const void* data;
    DType dtype;
    std::size_t plan;
  };
  std::vector<Given> grads_;
  Plans plans_;
  std::vector<Task> tasks_;
  StepMemory memory_;
};

}  // namespace pyadam
