// The processor's mode of floating-point arithmetic, which belongs to a thread.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace pyadam {

// Sets this thread's mode for as long as it lives: rounding to nearest, and numbers too small to be normal count as
// zero, as operands and as results, only if that is asked for. Other libraries in the process may have set another
// mode, in the caller's thread but not in the workers.
class FloatMode {
 public:
  explicit FloatMode(bool flush_denormals)
      : before_(mode()), mode_((before_ & ~(flush | other)) | (flush_denormals ? flush : 0)) {
    if (mode_ != before_) set_mode(mode_);
  }
  ~FloatMode() {
    if (mode_ != before_) set_mode(before_);
  }
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
  // `flush`: operands and results that are denormal are zero. `other`: directed rounding and, on AArch64, NaNs without
  // their payload, and flushing in half precision.
#if defined(__x86_64__) || defined(_M_X64)
  static constexpr std::uint64_t flush = 0x8040;
  static constexpr std::uint64_t other = 0x6000;
  static std::uint64_t mode() { return _mm_getcsr(); }
  static void set_mode(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__) && defined(__GNUC__)
  static constexpr std::uint64_t flush = std::uint64_t{1} << 24;
  static constexpr std::uint64_t other = std::uint64_t{0x2c8} << 16;
  static std::uint64_t mode() {
    std::uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void set_mode(std::uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  static constexpr std::uint64_t flush = 0;
  static constexpr std::uint64_t other = 0;
  static std::uint64_t mode() { return 0; }
  static void set_mode(std::uint64_t /*mode*/) {}
#endif

  std::uint64_t before_;
  std::uint64_t mode_;
};

}  // namespace pyadam
