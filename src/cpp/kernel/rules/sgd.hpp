// Gradient descent: plain, with momentum (Polyak, 1964) and with Nesterov's momentum as Sutskever et al., ICML 2013.
//
// gradient_scale is 1 - dampening, or the step size where the buffer holds steps and not gradients. All three take the
// same scalars, so that a momentum that is scheduled may be 0 at some steps.
#pragma once

#include "kernel/rules/common.hpp"

namespace {

template <class T>
struct SGD {
  static constexpr const char* name = "sgd";
  static constexpr std::array<const char*, 0> state_names{};
  static constexpr auto scalar_names = names("momentum", "gradient_scale", "lr");

  T momentum, gradient_scale, lr;

  void operator()(T& p, T g) const { p = p - lr * g; }
};

template <class T>
struct SGDMomentum {
  static constexpr const char* name = "sgd_momentum";
  static constexpr auto state_names = names("momentum_buffer");
  static constexpr auto scalar_names = names("momentum", "gradient_scale", "lr");

  T momentum, gradient_scale, lr;

  void operator()(T& p, T g, T& buffer) const {
    buffer = momentum * buffer + gradient_scale * g;
    p = p - lr * buffer;
  }
};

template <class T>
struct SGDNesterov {
  static constexpr const char* name = "sgd_nesterov";
  static constexpr auto state_names = names("momentum_buffer");
  static constexpr auto scalar_names = names("momentum", "gradient_scale", "lr");

  T momentum, gradient_scale, lr;

  void operator()(T& p, T g, T& buffer) const {
    buffer = momentum * buffer + gradient_scale * g;
    p = p - lr * (momentum * buffer + gradient_scale * g);
  }
};

}  // namespace
