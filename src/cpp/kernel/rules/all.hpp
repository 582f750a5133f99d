// The list of rules: a new one is its header and its line here.
#pragma once

#include "adadelta.hpp"
#include "adagrad.hpp"
#include "adam.hpp"
#include "adamax.hpp"
#include "lamb.hpp"
#include "lion.hpp"
#include "nadam.hpp"
#include "radam.hpp"
#include "rmsprop.hpp"
#include "sgd.hpp"

namespace {

template <template <class> class... Rule>
struct RuleList {};

using AllRules = RuleList<Adam, AMSGrad, NAdam, RAdam, Adamax, Adadelta, Adagrad, RMSprop, RMSpropMomentum,
                          RMSpropCentered, RMSpropCenteredMomentum, SGD, SGDMomentum, SGDNesterov, Lion, LAMB>;

}  // namespace
