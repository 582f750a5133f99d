// Adam: Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
// AMSGrad: Reddi, Kale & Kumar, "On the Convergence of Adam and Beyond", ICLR 2018.
//
// The same operations in the same order stand in src/pyadam/reference/rules.py. Which form of epsilon is meant is
// decided by the scalars alone: the paper's epsilon divides sqrt(v) by sqrt(1 - beta2^t), epsilon-hat moves that root
// into `lr`.
#pragma once

#include <cmath>

#include "kernel/rules/common.hpp"

namespace {

template <class T>
struct Adam {
  static constexpr const char* name = "adam";
  static constexpr auto state_names = names("exp_avg", "exp_avg_sq");
  static constexpr auto scalar_names =
      names("beta1", "one_minus_beta1", "beta2", "one_minus_beta2", "root_scale", "eps", "lr");

  T beta1, one_minus_beta1, beta2, one_minus_beta2, root_scale, eps, lr;

  void operator()(T& p, T g, T& m, T& v) const {
    m = beta1 * m + one_minus_beta1 * g;
    v = beta2 * v + one_minus_beta2 * (g * g);
    p = p - (lr * m) / (std::sqrt(v) * root_scale + eps);
  }
};

template <class T>
struct AMSGrad {
  static constexpr const char* name = "amsgrad";
  static constexpr auto state_names = names("exp_avg", "exp_avg_sq", "max_exp_avg_sq");
  static constexpr auto scalar_names = Adam<T>::scalar_names;

  T beta1, one_minus_beta1, beta2, one_minus_beta2, root_scale, eps, lr;

  void operator()(T& p, T g, T& m, T& v, T& v_max) const {
    m = beta1 * m + one_minus_beta1 * g;
    v = beta2 * v + one_minus_beta2 * (g * g);
    v_max = maximum(v_max, v);
    p = p - (lr * m) / (std::sqrt(v_max) * root_scale + eps);
  }
};

}  // namespace
