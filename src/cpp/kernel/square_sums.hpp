// Sums of squares in double. The number of lanes and the order in which they are added are part of the contract, so
// that the vector width and the number of threads are not.
#pragma once

#include <cstddef>

namespace {

constexpr std::size_t lanes = 16;

struct SquareSums {
  double lane[lanes] = {};

  template <class T>
  void add(const T* x, std::size_t n) {
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) {
      const double value = static_cast<double>(x[i]);
      lane[i] = lane[i] + value * value;
    }
  }

  double total() {
    for (std::size_t half = lanes / 2; half > 0; half /= 2) {
      for (std::size_t i = 0; i < half; ++i) lane[i] = lane[i] + lane[i + half];
    }
    return lane[0];
  }
};

}  // namespace
