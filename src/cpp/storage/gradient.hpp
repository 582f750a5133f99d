// How a stored element becomes a value of the compute type. A new storage format is one `decode`.
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

inline float as_float(std::uint32_t bits) {
#if defined(_MSC_VER) && !defined(__clang__)
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
#else
  return __builtin_bit_cast(float, bits);  // GCC does not vectorise a loop that copies by memcpy
#endif
}

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
  const float not_finite = as_float(magnitude | sign | 0x7f800000u);
  return static_cast<T>((x.bits & 0x7c00u) == 0x7c00u ? not_finite : finite);
}

}  // namespace
