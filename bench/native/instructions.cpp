// A few steps of every rule, cut into parts for callgrind: with --dump-before=pyadam_part_begins, every second part
// that it writes is the steps of one rule. bench/instructions.py runs this program and reads the parts.
#include <cstdio>

#include "workload.hpp"

extern "C" {
// The part's number goes through memory that the compiler cannot see through, so that no call is left out.
volatile int pyadam_part = 0;
__attribute__((noinline)) void pyadam_part_begins() { pyadam_part = pyadam_part + 1; }
}

namespace {

constexpr std::size_t elements = 3 * pyadam::tile_elements + 3;
constexpr int steps = 4;

template <class T>
void count(std::size_t rule) {
  const workload::Streams<T> streams(elements);
  workload::Steps<T> work(rule, streams);
  pyadam_part_begins();
  for (int i = 0; i < steps; ++i) work.step();
  pyadam_part_begins();
  std::printf("%s %s\n", pyadam::active_kernels().rules[rule].name, workload::dtype_name<T>());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: pyadam_instructions ISA\n", stderr);
    return 2;
  }
  pyadam::select_isa(argv[1]);
  std::printf("elements %zu\nsteps %d\n", elements, steps);
  for (std::size_t rule = 0; rule < pyadam::active_kernels().rule_count; ++rule) {
    count<float>(rule);
    count<double>(rule);
  }
  return 0;
}
