// Adadelta: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", arXiv 1212.5701, 2012.
#pragma once

#include <cmath>

#include "kernel/rules/common.hpp"

namespace {

template <class T>
struct Adadelta {
  static constexpr const char* name = "adadelta";
  static constexpr auto state_names = names("square_avg", "acc_delta");
  static constexpr auto scalar_names = names("rho", "one_minus_rho", "eps", "lr");

  T rho, one_minus_rho, eps, lr;

  void operator()(T& p, T g, T& v, T& u) const {
    v = rho * v + one_minus_rho * (g * g);
    // One root of the quotient, where the paper divides two roots: the same number with fewer roundings.
    const T delta = std::sqrt((u + eps) / (v + eps)) * g;
    u = rho * u + one_minus_rho * (delta * delta);
    p = p - lr * delta;
  }
};

}  // namespace
