// Methods that Python calls in every step, without pybind11's way of finding out which function is meant: that takes
// longer than a step on a small array.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstddef>
#include <new>
#include <stdexcept>

namespace pyadam {

namespace py = pybind11;

// The arguments of a call, by position or name; null where one was not given.
template <std::size_t Count>
class Arguments {
 public:
  Arguments(const std::array<const char*, Count>& names, std::size_t needed, PyObject* const* values,
            Py_ssize_t positional, PyObject* keywords) {
    if (static_cast<std::size_t>(positional) > Count) throw py::type_error("too many arguments");
    for (std::size_t i = 0; i < static_cast<std::size_t>(positional); ++i) given_[i] = values[i];
    const Py_ssize_t named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t k = 0; k < named; ++k) {
      PyObject* const name = PyTuple_GET_ITEM(keywords, k);
      std::size_t i = 0;
      while (i < Count && PyUnicode_CompareWithASCIIString(name, names[i]) != 0) ++i;
      if (i == Count || given_[i] != nullptr) throw py::type_error("an argument is unknown or was given twice");
      given_[i] = values[positional + k];
    }
    for (std::size_t i = 0; i < needed; ++i) {
      if (given_[i] == nullptr) throw py::type_error(std::string("an argument is missing: ") + names[i]);
    }
  }

  PyObject* operator[](std::size_t index) const { return given_[index]; }

  py::object object(std::size_t index) const {
    return given_[index] == nullptr ? py::none() : py::reinterpret_borrow<py::object>(given_[index]);
  }

  double number(std::size_t index, double otherwise) const {
    if (given_[index] == nullptr) return otherwise;
    const double value = PyFloat_AsDouble(given_[index]);
    if (value == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    return value;
  }

  bool flag(std::size_t index) const {
    const int value = given_[index] == nullptr ? 0 : PyObject_IsTrue(given_[index]);
    if (value < 0) throw py::error_already_set();
    return value != 0;
  }

  py::tuple tuple(std::size_t index, const char* name) const {
    if (!PyTuple_Check(given_[index])) throw py::type_error(std::string(name) + " must be a tuple");
    return py::reinterpret_borrow<py::tuple>(given_[index]);
  }

 private:
  std::array<PyObject*, Count> given_{};
};

// Sets Python's error to the exception in hand, as pybind11 does.
inline void set_error() {
  try {
    throw;
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::out_of_range& error) {
    PyErr_SetString(PyExc_IndexError, error.what());
  } catch (const std::invalid_argument& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
}

// Adds a method whose body takes the C++ object and the arguments as Python's vectorcall passes them.
template <class Self,
          py::object (*body)(Self& self, PyObject* const* values, Py_ssize_t positional, PyObject* keywords)>
void add_fast_method(py::class_<Self>& type, const char* name) {
  static constexpr auto call = [](PyObject* self, PyObject* const* values, Py_ssize_t positional,
                                  PyObject* keywords) -> PyObject* {
    try {
      const auto* instance = reinterpret_cast<py::detail::instance*>(self);
      // Python has checked that it is of the type; that its __init__ was called it has not.
      if (!instance->simple_layout || instance->simple_value_holder[0] == nullptr) {
        throw py::type_error("__init__ was not called, or a class has two bases");
      }
      return body(*static_cast<Self*>(instance->simple_value_holder[0]), values, positional, keywords).release().ptr();
    } catch (...) {
      set_error();
      return nullptr;
    }
  };
  static PyMethodDef definition{
      name,
      reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(
          static_cast<PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*)>(call))),
      METH_FASTCALL | METH_KEYWORDS, nullptr};
  auto method =
      py::reinterpret_steal<py::object>(PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), &definition));
  if (!method) throw py::error_already_set();
  type.attr(name) = method;
}

}  // namespace pyadam
