// RMSprop: Tieleman & Hinton, Coursera lecture 6.5, 2012. Centered: Graves, arXiv 1308.0850, 2013.
//
// One of eps_inside and eps_outside is 0, which adds nothing; likewise lr_in_buffer or lr is 1. All four take the same
// scalars, so that a momentum that is scheduled may be 0 at some steps.
#pragma once

#include <cmath>

#include "kernel/rules/common.hpp"

namespace {

constexpr auto rmsprop_scalars =
    names("alpha", "one_minus_alpha", "eps_inside", "eps_outside", "momentum", "lr_in_buffer", "lr");

template <class T>
struct RMSprop {
  static constexpr const char* name = "rmsprop";
  static constexpr auto state_names = names("square_avg");
  static constexpr auto scalar_names = rmsprop_scalars;

  T alpha, one_minus_alpha, eps_inside, eps_outside, momentum, lr_in_buffer, lr;

  void operator()(T& p, T g, T& v) const {
    v = alpha * v + one_minus_alpha * (g * g);
    p = p - (lr * g) / (std::sqrt(v + eps_inside) + eps_outside);
  }
};

template <class T>
struct RMSpropMomentum {
  static constexpr const char* name = "rmsprop_momentum";
  static constexpr auto state_names = names("square_avg", "momentum_buffer");
  static constexpr auto scalar_names = rmsprop_scalars;

  T alpha, one_minus_alpha, eps_inside, eps_outside, momentum, lr_in_buffer, lr;

  void operator()(T& p, T g, T& v, T& buffer) const {
    v = alpha * v + one_minus_alpha * (g * g);
    buffer = momentum * buffer + (lr_in_buffer * g) / (std::sqrt(v + eps_inside) + eps_outside);
    p = p - lr * buffer;
  }
};

template <class T>
struct RMSpropCentered {
  static constexpr const char* name = "rmsprop_centered";
  static constexpr auto state_names = names("square_avg", "grad_avg");
  static constexpr auto scalar_names = rmsprop_scalars;

  T alpha, one_minus_alpha, eps_inside, eps_outside, momentum, lr_in_buffer, lr;

  void operator()(T& p, T g, T& v, T& m) const {
    v = alpha * v + one_minus_alpha * (g * g);
    m = alpha * m + one_minus_alpha * g;
    p = p - (lr * g) / (std::sqrt(v - m * m + eps_inside) + eps_outside);
  }
};

template <class T>
struct RMSpropCenteredMomentum {
  static constexpr const char* name = "rmsprop_centered_momentum";
  static constexpr auto state_names = names("square_avg", "momentum_buffer", "grad_avg");
  static constexpr auto scalar_names = rmsprop_scalars;

  T alpha, one_minus_alpha, eps_inside, eps_outside, momentum, lr_in_buffer, lr;

  void operator()(T& p, T g, T& v, T& buffer, T& m) const {
    v = alpha * v + one_minus_alpha * (g * g);
    m = alpha * m + one_minus_alpha * g;
    buffer = momentum * buffer + (lr_in_buffer * g) / (std::sqrt(v - m * m + eps_inside) + eps_outside);
    p = p - lr * buffer;
  }
};

}  // namespace
