#include "bindings.hpp"

#include <traitcore/texts.hpp>

#include <algorithm>

namespace py = pybind11;

namespace traitcore_bindings {

namespace {

// Lists of texts are lists of pointers to objects all over memory: what comes soon is fetched ahead.
constexpr Py_ssize_t kAhead = 24, kBetweenSignals = Py_ssize_t{1} << 20;

void prefetch(const void* where) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(where);
#else
  (void)where;
#endif
}

// The GIL stays held: the texts are Python's. Signal handlers may run between blocks, so the size is looked at again.
py::tuple code_texts(const py::object& texts) {
  const bool list = PyList_CheckExact(texts.ptr());
  if (!list && !PyTuple_CheckExact(texts.ptr())) throw py::type_error("texts must be a list or a tuple");
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(texts.ptr());
  py::array_t<std::int32_t> codes(n);
  std::int32_t* out = codes.mutable_data();
  traitcore::TextCodes table;
  py::list distinct;
  for (Py_ssize_t begin = 0; begin < n; begin += kBetweenSignals) {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (PySequence_Fast_GET_SIZE(texts.ptr()) != n) throw std::runtime_error("the list changed while it was read");
    PyObject* const* items = PySequence_Fast_ITEMS(texts.ptr());
    const Py_ssize_t end = std::min(n, begin + kBetweenSignals);
    for (Py_ssize_t i = begin; i < end; ++i) {
      if (i + kAhead < n) prefetch(items[i + kAhead]);
      PyObject* const text = items[i];
      if (text == Py_None) {
        out[i] = -1;
        continue;
      }
      if (!PyUnicode_Check(text)) throw py::type_error("texts must be strs or None");
      const unsigned kind = static_cast<unsigned>(PyUnicode_KIND(text)) + (PyUnicode_IS_ASCII(text) ? 8u : 0u);
      const std::size_t bytes = static_cast<std::size_t>(PyUnicode_GET_LENGTH(text)) * (kind & 7u);
      out[i] = table.code(PyUnicode_DATA(text), bytes, kind);
      if (out[i] == static_cast<std::int32_t>(distinct.size())) distinct.append(py::handle(text));
    }
  }
  return py::make_tuple(codes, distinct);
}

}  // namespace

void bind_texts(py::module_& m) {
  m.def("code_texts", &code_texts, py::arg("texts"),
        "((n,) int32 codes by order of first sight, None -1; the distinct texts) of a list or tuple of strs.");
}

}  // namespace traitcore_bindings
