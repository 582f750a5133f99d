// Which ISA's kernels run. Chosen once, when the module is loaded; tests may choose again.
#pragma once

#include <string>
#include <vector>

#include "kernel/kernel_table.hpp"

namespace pyadam {

const KernelTable& active_kernels();

// ISAs that were built and that this CPU has, the fastest first.
std::vector<std::string> available_isas();

// Throws std::invalid_argument, naming the available ones, if `isa` is not among them.
void select_isa(const std::string& isa);

}  // namespace pyadam
