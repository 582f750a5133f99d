#include "python/snapshot.hpp"

#include "python/critical_section.hpp"

namespace pyadam {

Snapshot::Snapshot(const py::list& containers) : containers_(containers.attr("copy")()) {
  each([this](PyObject* object) {
    objects_.push_back(py::reinterpret_borrow<py::object>(object));
    return true;
  });
}

template <class See>
bool Snapshot::each(const See& see) const {
  for (const py::handle container : containers_) {
    const CriticalSection section(container.ptr());
    if (PyDict_Check(container.ptr())) {
      PyObject* key = nullptr;
      PyObject* value = nullptr;
      Py_ssize_t position = 0;
      while (PyDict_Next(container.ptr(), &position, &key, &value) != 0) {
        if (!see(key) || !see(value)) return false;
      }
    } else if (PyList_Check(container.ptr())) {
      for (Py_ssize_t i = 0; i < PyList_GET_SIZE(container.ptr()); ++i) {
        if (!see(PyList_GET_ITEM(container.ptr(), i))) return false;
      }
    } else {
      for (const py::handle object : container) {
        if (!see(object.ptr())) return false;
      }
    }
  }
  return true;
}

bool Snapshot::holds() const {
  std::size_t next = 0;
  const bool same = each([&](PyObject* object) {
    if (next == objects_.size()) return false;
    const py::object& seen = objects_[next];
    ++next;
    return seen.ptr() == object;
  });
  return same && next == objects_.size();
}

}  // namespace pyadam
