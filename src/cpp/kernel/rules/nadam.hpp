// NAdam: Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016.
#pragma once

#include <cmath>

#include "kernel/rules/common.hpp"

namespace {

template <class T>
struct NAdam {
  static constexpr const char* name = "nadam";
  static constexpr auto state_names = names("exp_avg", "exp_avg_sq");
  static constexpr auto scalar_names =
      names("beta1", "one_minus_beta1", "beta2", "one_minus_beta2", "root_scale", "eps", "lr_gradient", "lr_momentum");

  T beta1, one_minus_beta1, beta2, one_minus_beta2, root_scale, eps, lr_gradient, lr_momentum;

  void operator()(T& p, T g, T& m, T& v) const {
    m = beta1 * m + one_minus_beta1 * g;
    v = beta2 * v + one_minus_beta2 * (g * g);
    p = p - (lr_gradient * g + lr_momentum * m) / (std::sqrt(v) * root_scale + eps);
  }
};

}  // namespace
