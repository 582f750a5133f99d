// Stored elements and their values in the compute type: `decode` and, rounding to nearest even, `encode`.
#pragma once

#include <cstdint>
#include <cstring>

namespace {

struct Float16 {
  std::uint16_t bits;
};

struct BFloat16 {
  std::uint16_t bits;
};

// GCC does not vectorise a loop that copies by memcpy.
#if defined(_MSC_VER) && !defined(__clang__)
template <class To, class From>
To bit_cast(From from) {
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
#else
template <class To, class From>
To bit_cast(From from) {
  return __builtin_bit_cast(To, from);
}
#endif

inline float as_float(std::uint32_t bits) { return bit_cast<float>(bits); }
inline std::uint32_t as_bits(float x) { return bit_cast<std::uint32_t>(x); }

constexpr std::uint32_t sign_bit = 0x80000000u;
constexpr std::uint32_t infinity_bits = 0x7f800000u;

template <class T>
T decode(float x) {
  return static_cast<T>(x);
}

template <class T>
T decode(double x) {
  return static_cast<T>(x);
}

template <class T>
T decode(BFloat16 x) {
  return static_cast<T>(as_float(static_cast<std::uint32_t>(x.bits) << 16));
}

template <class T>
T decode(Float16 x) {
  const std::uint32_t magnitude = static_cast<std::uint32_t>(x.bits & 0x7fffu) << 13;
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
  // float16's exponent bias is 112 less than float32's; one exact product moves it, for subnormals too.
  const float finite = as_float(magnitude | sign) * 0x1p112f;
  const float not_finite = as_float(magnitude | sign | infinity_bits);
  return static_cast<T>((x.bits & 0x7c00u) == 0x7c00u ? not_finite : finite);
}

constexpr std::uint32_t float16_nan = 0x7e00u;

inline bool is_nan(float x) { return x != x; }

// The bits of x, with one quiet NaN for all NaNs: rounding some others up would carry into the sign.
inline std::uint32_t roundable_bits(float x) { return is_nan(x) ? 0x7fc00000u : as_bits(x); }

inline BFloat16 encode(float x, BFloat16 /*format*/) {
  const std::uint32_t bits = roundable_bits(x);
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

// The bits of float32 of the least normal float16.
constexpr std::uint32_t float16_normal = 0x38800000u;

// Puts a float16 together from its magnitude, given in units of its last bit; float32's exponent bias is 112 more.
inline std::uint32_t float16_magnitude(std::uint32_t normal, std::uint32_t subnormal, float x) {
  const auto magnitude = static_cast<std::int32_t>(as_bits(x) & ~sign_bit);
  const auto moved = static_cast<std::int32_t>(normal) - (112 << 10);
  const std::int32_t bounded = moved > 0x7c00 ? 0x7c00 : moved;
  const std::int32_t finite =
      magnitude < static_cast<std::int32_t>(float16_normal) ? static_cast<std::int32_t>(subnormal) : bounded;
  return is_nan(x) ? float16_nan : static_cast<std::uint32_t>(finite);
}

inline Float16 encode(float x, Float16 /*format*/) {
  const std::uint32_t bits = as_bits(x);
  const std::uint32_t magnitude = bits & ~sign_bit;
  const std::uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // The last bit of 0.5f weighs as much as that of a subnormal float16: the sum is rounded just where it must be.
  const std::uint32_t subnormal = as_bits(as_float(magnitude) + 0.5f) - as_bits(0.5f);
  const std::uint32_t sign = (bits & sign_bit) >> 16;
  return {static_cast<std::uint16_t>(sign | float16_magnitude(normal, subnormal, x))};
}

}  // namespace
