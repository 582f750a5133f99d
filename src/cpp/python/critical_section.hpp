// Containers that other threads may change, where Python has no global lock.
#pragma once

#include <pybind11/pybind11.h>

namespace pyadam {

// Holds the lock of one object for as long as it lives; nothing where the GIL does that. Python code that runs within
// may let go of it, as it may of the GIL.
class CriticalSection {
 public:
#if PY_VERSION_HEX >= 0x030D0000
  explicit CriticalSection(PyObject* object) { PyCriticalSection_Begin(&section_, object); }
  ~CriticalSection() { PyCriticalSection_End(&section_); }
#else
  explicit CriticalSection(PyObject* /*object*/) {}
  ~CriticalSection() {}  // NOLINT(modernize-use-equals-default): so that an object counts as used
#endif
  CriticalSection(const CriticalSection&) = delete;
  CriticalSection& operator=(const CriticalSection&) = delete;

#if PY_VERSION_HEX >= 0x030D0000

 private:
  PyCriticalSection section_;
#endif
};

}  // namespace pyadam
