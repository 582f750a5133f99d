// What the rule headers share.
//
// Everything under rules/ and storage/ lives in an anonymous namespace: these headers are compiled once per ISA, and
// the linker must never replace the code of one ISA by the copy of another.
#pragma once

#include <array>

namespace {

template <class... Name>
constexpr std::array<const char*, sizeof...(Name)> names(Name... name) {
  return {name...};
}

// As numpy.maximum: a NaN on either side wins.
template <class T>
T maximum(T a, T b) {
  return (b > a || b != b) ? b : a;  // NOLINT(misc-redundant-expression): that is how NaN is told
}

// As numpy.sign: 0 for either zero, NaN for NaN.
template <class T>
T sign(T x) {
  return x > 0 ? T(1) : (x < 0 ? T(-1) : (x == 0 ? T(0) : x));
}

}  // namespace
