// AdaMax: Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 2.
#pragma once

#include <cmath>

#include "kernel/rules/common.hpp"

namespace {

template <class T>
struct Adamax {
  static constexpr const char* name = "adamax";
  static constexpr auto state_names = names("exp_avg", "exp_inf");
  static constexpr auto scalar_names = names("beta1", "one_minus_beta1", "beta2", "eps", "lr");

  T beta1, one_minus_beta1, beta2, eps, lr;

  void operator()(T& p, T g, T& m, T& u) const {
    m = beta1 * m + one_minus_beta1 * g;
    u = maximum(beta2 * u, std::fabs(g) + eps);
    p = p - (lr * m) / u;
  }
};

}  // namespace
