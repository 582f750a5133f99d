// The list of rules: a new one is its header and its line here.
#pragma once

#include "adam.hpp"

namespace {

template <template <class> class... Rule>
struct RuleList {};

using AllRules = RuleList<Adam, AMSGrad>;

}  // namespace
