// What the CPU and the operating system can run. Compiled without the features it asks about.
#pragma once

namespace pyadam {

bool cpu_has_avx2();
bool cpu_has_avx512();  // F, BW, DQ and VL: Skylake-X, Zen 4 and later
bool cpu_has_sve();

}  // namespace pyadam
