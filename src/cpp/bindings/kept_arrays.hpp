// What is kept beside a parameter from step to step: the rule's state, what its storage needs, and its average.
#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <string>
#include <vector>

#include "../kernel_table.hpp"
#include "../memory.hpp"
#include "../step.hpp"
#include "arrays.hpp"

namespace pyadam {

// One of the arrays, in its parameter's shape and memory order.
struct KeptArray {
  const char* name;
  DType dtype;
  void* data;
};

// How the parameters of a group are kept.
struct Keeping {
  std::size_t rule;
  std::vector<double> initial_state;  // a number for each of the rule's state arrays
  std::string master;                 // empty, or the name of a Storage
  DType state_dtype;                  // bfloat16, or else the compute type is meant
  bool has_ema;
};

// Throws ValueError, beginning with the parameter's `path`, if it cannot be kept so.
Storage storage_of(DType param, const Keeping& keeping, const std::string& path);

// Names and dtypes of the arrays of a parameter, their data not yet allocated.
std::vector<KeptArray> kept_arrays(DType param, const Keeping& keeping, Storage storage);

// The parts of a task that stay the same. Kept arrays come in the order of kept_arrays(), the rule's `states` first.
Task task_of(const ParameterView& view, const std::vector<KeptArray>& kept, std::size_t states, Storage storage);

// Where the array number `index` of a parameter, of `bytes`, begins in memory of which the first `used` bytes are
// taken: less than a page behind them.
std::size_t place_of(std::size_t index, std::size_t bytes, std::size_t used);

// Writes what the array holds before the first step. Zeros are written only if `also_zeros`: memory that is zero
// already is left untouched, for the threads that will use it.
void fill_initial(std::size_t index, const KeptArray& array, const Keeping& keeping, const ParameterView& view,
                  bool also_zeros);

}  // namespace pyadam
