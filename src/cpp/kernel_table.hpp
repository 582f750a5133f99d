// The one thing each ISA's object exports: the table of its update functions.
#pragma once

#include <cstddef>

#include "step.hpp"

namespace pyadam {

// Updates elements [begin, end) of a parameter.
using UpdateFunction = void (*)(const Task& task, std::size_t begin, std::size_t end) noexcept;

struct RuleEntry {
  const char* name;
  const char* const* state_names;
  std::size_t states;
  const char* const* scalar_names;
  std::size_t scalars;
  UpdateFunction float32;
  UpdateFunction float64;
};

struct KernelTable {
  const char* isa;
  const RuleEntry* rules;
  std::size_t rule_count;
};

}  // namespace pyadam
