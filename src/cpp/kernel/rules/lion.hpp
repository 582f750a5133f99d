// Lion: Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023.
#pragma once

#include "kernel/rules/common.hpp"

namespace {

template <class T>
struct Lion {
  static constexpr const char* name = "lion";
  static constexpr auto state_names = names("exp_avg");
  static constexpr auto scalar_names = names("beta1", "one_minus_beta1", "beta2", "one_minus_beta2", "lr");

  T beta1, one_minus_beta1, beta2, one_minus_beta2, lr;

  void operator()(T& p, T g, T& m) const {
    p = p - lr * sign(beta1 * m + one_minus_beta1 * g);
    m = beta2 * m + one_minus_beta2 * g;
  }
};

}  // namespace
