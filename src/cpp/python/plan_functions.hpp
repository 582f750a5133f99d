// The plans of a step, as the Python layer's functions make them.
#pragma once

#include <pybind11/pybind11.h>

#include "engine/parameters.hpp"

namespace pyadam {

namespace py = pybind11;

// `functions` is a tuple with a function per group: function(t, step_count) returns the stages' numbers and the rule's
// scalars for the step t (from 1). It must stay while the source is used. Throws std::invalid_argument for another
// number of functions.
PlanSource plan_source(const py::tuple& functions, const Parameters& parameters);

}  // namespace pyadam
