// LAMB: You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", ICLR 2020.
//
// A rule of two passes: `advance` moves the state, then the norms of p and of `direction` over the whole parameter give
// the trust ratio, by which the kernel multiplies `lr` before the second pass.
#pragma once

#include <cmath>

#include "kernel/rules/common.hpp"

namespace {

template <class T>
struct LAMB {
  static constexpr const char* name = "lamb";
  static constexpr auto state_names = names("exp_avg", "exp_avg_sq");
  static constexpr auto scalar_names = names("beta1", "one_minus_beta1", "beta2", "one_minus_beta2", "mean_scale",
                                             "root_scale", "eps", "weight_decay", "lr");
  static constexpr const char* scaled_by_trust_ratio = "lr";

  T beta1, one_minus_beta1, beta2, one_minus_beta2, mean_scale, root_scale, eps, weight_decay, lr;

  void advance(T g, T& m, T& v) const {
    m = beta1 * m + one_minus_beta1 * g;
    v = beta2 * v + one_minus_beta2 * (g * g);
  }

  T direction(T p, T m, T v) const { return (mean_scale * m) / (std::sqrt(v) * root_scale + eps) + weight_decay * p; }

  void operator()(T& p, T /*g*/, T& m, T& v) const { p = p - lr * direction(p, m, v); }
};

}  // namespace
