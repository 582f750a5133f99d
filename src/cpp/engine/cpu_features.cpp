#include "engine/cpu_features.hpp"

#if defined(_MSC_VER) && !defined(__clang__) && defined(_M_X64)
#include <immintrin.h>
#include <intrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace pyadam {

#if defined(_MSC_VER) && !defined(__clang__) && defined(_M_X64)

namespace {

// Bits of EBX of CPUID leaf 7, if the operating system saves the registers named by `xcr0_mask`.
bool leaf7_ebx_has(unsigned bits, unsigned long long xcr0_mask) {
  int registers[4];
  __cpuid(registers, 0);
  if (registers[0] < 7) return false;
  __cpuid(registers, 1);
  const bool os_saves_registers = (registers[2] & (1 << 27)) != 0;
  if (!os_saves_registers || (_xgetbv(0) & xcr0_mask) != xcr0_mask) return false;
  __cpuidex(registers, 7, 0);
  return (static_cast<unsigned>(registers[1]) & bits) == bits;
}

}  // namespace

bool cpu_has_avx2() { return leaf7_ebx_has(1u << 5, 0x6); }
bool cpu_has_avx512() { return leaf7_ebx_has(1u << 16 | 1u << 17 | 1u << 30 | 1u << 31, 0xe6); }
bool cpu_has_sve() { return false; }

#elif defined(__x86_64__)

bool cpu_has_avx2() { return __builtin_cpu_supports("avx2"); }
bool cpu_has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool cpu_has_sve() { return false; }

#elif defined(__aarch64__) && defined(__linux__)

bool cpu_has_avx2() { return false; }
bool cpu_has_avx512() { return false; }
bool cpu_has_sve() {
  constexpr unsigned long hwcap_sve = 1ul << 22;
  return (getauxval(AT_HWCAP) & hwcap_sve) != 0;
}

#else

bool cpu_has_avx2() { return false; }
bool cpu_has_avx512() { return false; }
bool cpu_has_sve() { return false; }

#endif

}  // namespace pyadam
