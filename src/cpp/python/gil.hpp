// Giving up Python's global lock for long work.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

#include "engine/step.hpp"

namespace pyadam {

// Shorter work keeps the GIL: to give it up and wait for it again costs more than the work.
constexpr std::size_t gil_release_elements = 16 * tile_elements;

// In place of pybind11's gil_scoped_release, which ends the process if the interpreter ends meanwhile: Python then
// makes threads that ask for the GIL exit, by unwinding their stacks, and that must not go through a destructor, nor
// through C++ that expects to hold the GIL. Such a thread sleeps in here until the process is over.
class GilRelease {
 public:
  explicit GilRelease(std::size_t elements)
      : thread_(elements < gil_release_elements ? nullptr : PyEval_SaveThread()) {}
  ~GilRelease();
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  PyThreadState* thread_;
};

// Does work on so many elements, without the GIL where it is long, and returns its result.
template <class Work>
auto without_gil(std::size_t elements, const Work& work) {
  const GilRelease release(elements);
  return work();
}

}  // namespace pyadam
