#include "engine/dispatch.hpp"

#include <atomic>
#include <stdexcept>

#include "engine/cpu_features.hpp"

// isa_list.inc is written by CMake, a line per ISA, the fastest first: PYADAM_ISA(name, condition on the CPU)
namespace pyadam {

#define PYADAM_ISA(name, condition) extern const KernelTable kernel_table_##name;
#include "isa_list.inc"
#undef PYADAM_ISA

namespace {

std::vector<const KernelTable*> supported_tables() {
  std::vector<const KernelTable*> tables;
#define PYADAM_ISA(name, condition) \
  if (condition) tables.push_back(&kernel_table_##name);
#include "isa_list.inc"
#undef PYADAM_ISA
  return tables;
}

std::atomic<const KernelTable*> active{supported_tables().front()};

}  // namespace

const KernelTable& active_kernels() { return *active.load(std::memory_order_acquire); }

std::vector<std::string> available_isas() {
  std::vector<std::string> isas;
  for (const KernelTable* table : supported_tables()) isas.emplace_back(table->isa);
  return isas;
}

void select_isa(const std::string& isa) {
  std::string available;
  for (const KernelTable* table : supported_tables()) {
    if (isa == table->isa) {
      active.store(table, std::memory_order_release);
      return;
    }
    available += (available.empty() ? "" : ", ") + std::string(table->isa);
  }
  throw std::invalid_argument("ISA '" + isa + "' is unknown or this CPU lacks it; available: " + available);
}

}  // namespace pyadam
