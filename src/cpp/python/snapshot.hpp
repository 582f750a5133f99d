// Which objects some containers hold, to notice when one of them was exchanged.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

namespace pyadam {

namespace py = pybind11;

// Compares identities alone: a few nanoseconds per object. It does not change once it is made, so that threads may ask
// it at one time; each container is read under its own lock.
class Snapshot {
 public:
  // Of dicts, lists and whatever else can be iterated over.
  explicit Snapshot(const py::list& containers);

  // Whether the same containers still hold the same objects in the same order, dicts as their keys and values.
  bool holds() const;

 private:
  // Calls see(object) for each, until it returns false.
  template <class See>
  bool each(const See& see) const;

  py::list containers_;
  std::vector<py::object> objects_;  // own references: an address is not used again while they live
};

}  // namespace pyadam
