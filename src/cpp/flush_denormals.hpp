// The processor's mode in which numbers too small to be normal count as zero, as operands and as results.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace pyadam {

// Sets this thread's mode, if it is asked to, for as long as it lives.
class FlushDenormals {
 public:
  explicit FlushDenormals(bool is_wanted) : is_wanted_(is_wanted) {
    if (!is_wanted_) return;
    before_ = mode();
    set_mode(before_ | flush);
  }
  ~FlushDenormals() {
    if (is_wanted_) set_mode(before_);
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__x86_64__) || defined(_M_X64)
  static constexpr std::uint64_t flush = 0x8040;  // flush-to-zero and denormals-are-zero
  static std::uint64_t mode() { return _mm_getcsr(); }
  static void set_mode(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__) && defined(__GNUC__)
  static constexpr std::uint64_t flush = std::uint64_t{1} << 24;
  static std::uint64_t mode() {
    std::uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void set_mode(std::uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  static constexpr std::uint64_t flush = 0;
  static std::uint64_t mode() { return 0; }
  static void set_mode(std::uint64_t /*mode*/) {}
#endif

  bool is_wanted_;
  std::uint64_t before_ = 0;
};

}  // namespace pyadam
