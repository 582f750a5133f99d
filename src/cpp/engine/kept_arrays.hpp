// What is kept beside a parameter from step to step: the rule's state, what its storage needs, and its average.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "engine/step.hpp"

namespace pyadam {

// Elements in memory: dense, and in an order that all arrays of a parameter share.
struct Buffer {
  void* data;
  std::size_t size;
  DType dtype;
};

// One of the arrays, of its parameter's size.
struct KeptArray {
  const char* name;
  DType dtype;
  void* data;
};

// How the parameters of a group are kept.
struct Keeping {
  std::size_t rule;
  std::vector<double> initial_state;  // a number for each of the rule's state arrays, where these begin here
  std::string master;                 // empty, or the name of a Storage
  DType state_dtype;                  // bfloat16, or else the compute type is meant
  bool has_ema;
};

// Throws std::invalid_argument if there is no rule of that name.
std::size_t rule_index(const std::string& name);

// Of what users say, by name. Throws std::invalid_argument if there is no such rule.
Keeping keeping_of(const std::string& rule, const std::optional<std::string>& master,
                   const std::optional<std::string>& state_dtype, bool has_ema);

// Throws std::invalid_argument, beginning with the parameter's `path`, if it cannot be kept so.
Storage storage_of(DType param, const Keeping& keeping, const std::string& path);

// Names and dtypes of the arrays of a parameter, their data not yet known.
std::vector<KeptArray> kept_arrays(DType param, const Keeping& keeping, Storage storage);

// The parts of a task that stay the same. Kept arrays come in the order of kept_arrays(), the rule's states first.
Task task_of(const Buffer& param, const std::vector<KeptArray>& kept, const Keeping& keeping, Storage storage);

// Where the array number `index` of a parameter, of `bytes`, begins in memory of which the first `used` bytes are
// taken: less than a page behind them.
std::size_t staggered_place(std::size_t index, std::size_t bytes, std::size_t used);

// Writes what the array holds before the first step. Zeros are written only if `also_zeros`: memory that is zero
// already is left untouched, for the threads that will use it.
void fill_initial(std::size_t index, const KeptArray& array, const Keeping& keeping, const Buffer& param,
                  bool also_zeros);

}  // namespace pyadam
