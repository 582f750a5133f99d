// Adagrad: Duchi, Hazan & Singer, "Adaptive Subgradient Methods for Online Learning", JMLR 12, 2011.
#pragma once

#include <cmath>

#include "kernel/rules/common.hpp"

namespace {

template <class T>
struct Adagrad {
  static constexpr const char* name = "adagrad";
  static constexpr auto state_names = names("sum");
  static constexpr auto scalar_names = names("eps", "lr");

  T eps, lr;

  void operator()(T& p, T g, T& sum) const {
    sum = sum + g * g;
    p = p - (lr * g) / (std::sqrt(sum) + eps);
  }
};

}  // namespace
