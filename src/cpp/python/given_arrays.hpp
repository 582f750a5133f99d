// The gradients that a call was given as NumPy arrays: held, converted where they must be, then looked at.
#pragma once

#include <pybind11/numpy.h>

#include <cstddef>
#include <string>
#include <vector>

#include "engine/gradient_sums.hpp"
#include "python/arrays.hpp"

namespace pyadam {

// A parameter's array, and its name in messages.
struct NamedView {
  ArrayView view;
  std::string path;
};

// Doors convert first, then look: whatever may run a user's code comes before one loop that runs no Python code, which
// takes every address. What that code has changed is found there.
class GivenArrays {
 public:
  // Takes own references to a sequence of `count` gradients, since another thread may change it, and writes the numbers
  // of the parameters that have one to `gradients`: `slots[i]`, or i where there are no slots.
  void hold(const py::object& grads, std::size_t count, const std::vector<std::size_t>* slots,
            std::vector<Gradient>& gradients);
  void release() { objects_.clear(); }

  // Converts what cannot be read in place, then writes where all lie to `gradients`, and checks that the parameters are
  // unchanged. `ranges` are those of the parameters, whose memory a gradient may not share.
  void read(std::vector<Gradient>& gradients, const std::vector<NamedView>& parameters, const DisjointRanges& ranges);

  // What is held: one for each entry of `gradients`. A conversion replaces it.
  const std::vector<py::object>& objects() const { return objects_; }

 private:
  static constexpr std::size_t all = static_cast<std::size_t>(-1);

  // Returns the first entry that cannot be read in place, or `all`.
  std::size_t look(std::vector<Gradient>& gradients, const std::vector<NamedView>& parameters) const;
  void convert(std::size_t index, const Gradient& gradient, const std::vector<NamedView>& parameters,
               const DisjointRanges& ranges);

  std::vector<py::object> objects_;
  std::vector<bool> is_checked_;  // of each object that is no plain array
};

// Checks arrays as parameters are checked, then looks whether all are still so. `path_of(i)` is the name of array i.
std::vector<ArrayView> checked_parameters(const py::list& arrays, const std::vector<std::string>& paths);

// What was added up, live, one element after the other in the parameter's memory order; None where nothing was. `owner`
// has the memory.
py::list arrays_of_sums(const GradientSums& sums, const std::vector<NamedView>& parameters, const py::object& owner);

// Throws ValueError if one of the parameters is no longer as it was checked.
void refuse_changed(const std::vector<NamedView>& parameters);

}  // namespace pyadam
