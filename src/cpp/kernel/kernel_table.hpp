// The one thing each ISA's object exports: the table of its update functions.
#pragma once

#include <cstddef>

#include "engine/step.hpp"

namespace pyadam {

// Works on elements [begin, end) of a parameter, where `begin` is at a tile border.
using KernelFunction = void (*)(const Task& task, std::size_t begin, std::size_t end) noexcept;

// A rule for one compute type.
struct Kernel {
  KernelFunction measure;  // the first of two passes: moves the state and writes the norms; null if there is but one
  KernelFunction update;
};

struct RuleEntry {
  const char* name;
  const char* const* state_names;
  std::size_t states;
  const char* const* scalar_names;
  std::size_t scalars;
  Kernel float32;
  Kernel float64;
};

struct KernelTable {
  const char* isa;
  const RuleEntry* rules;
  std::size_t rule_count;
  KernelFunction sum_squares;  // writes the sums of the gradient's squares, a double per tile
  KernelFunction accumulate;   // adds the gradient to `param`, a buffer of float32 or float64
  KernelFunction zero_grad;
};

}  // namespace pyadam
