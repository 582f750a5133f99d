// RAdam: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020.
#pragma once

#include <cmath>

#include "kernel/rules/common.hpp"

namespace {

template <class T>
struct RAdam {
  static constexpr const char* name = "radam";
  static constexpr auto state_names = names("exp_avg", "exp_avg_sq");
  static constexpr auto scalar_names =
      names("beta1", "one_minus_beta1", "beta2", "one_minus_beta2", "eps", "lr", "is_rectified");

  T beta1, one_minus_beta1, beta2, one_minus_beta2, eps, lr, is_rectified;

  void operator()(T& p, T g, T& m, T& v) const {
    m = beta1 * m + one_minus_beta1 * g;
    v = beta2 * v + one_minus_beta2 * (g * g);
    // In the first steps the variance of 1 / sqrt(v) has no bound, and the step is one of plain momentum.
    p = p - (lr * m) / (is_rectified != 0 ? std::sqrt(v) + eps : T(1));
  }
};

}  // namespace
