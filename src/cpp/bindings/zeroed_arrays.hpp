// Memory for the state of front ends that own it.
#pragma once

#include <pybind11/pybind11.h>

namespace pyadam {

namespace py = pybind11;

// Returns arrays of zeros that share one piece of memory, which lasts as long as any of them does. `wanted` has a tuple
// for each: its number among the arrays of its parameter, which says where in a page it begins; the name of its dtype;
// its shape; and its strides in elements, which leave no gaps. Large memory is untouched: the threads of the first step
// will be the first to write to it.
py::list zeroed_arrays(const py::list& wanted);

}  // namespace pyadam
