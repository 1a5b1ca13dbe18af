#include "bindings.hpp"

#include <traitcore/texts.hpp>

#include <algorithm>

namespace traitcore_bindings {
namespace {

// Lists of texts are lists of pointers to objects all over memory: what comes soon is fetched ahead.
constexpr Py_ssize_t kAhead = 48, kTogether = 16, kBetweenSignals = Py_ssize_t{1} << 20;

void prefetch(const void* where) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(where);
#else
  (void)where;
#endif
}

// Python keeps each text in its narrowest form, so equal texts have equal bytes and width.
traitcore::Text text_of(PyObject* object) {
  if (!PyUnicode_Check(object))
    Caller("encode_strings").refuse<py::type_error>("texts", "strs or None", py::repr(py::handle(object)));
  const auto width = static_cast<std::uint32_t>(PyUnicode_KIND(object));
  const auto size = static_cast<std::size_t>(PyUnicode_GET_LENGTH(object)) * width;
  return {PyUnicode_DATA(object), size, width};
}

void encode_some(PyObject* const* items, Py_ssize_t n, traitcore::TextCodes& table, py::list& distinct,
                 std::int32_t* out) {
  traitcore::Text texts[kTogether];
  std::uint64_t hashes[kTogether];
  for (Py_ssize_t i = 0; i < n; ++i) {
    texts[i] = items[i] == Py_None ? traitcore::Text{nullptr, 0, 0} : text_of(items[i]);
    hashes[i] = traitcore::TextCodes::hash(texts[i]);
    table.look(hashes[i]);
  }
  for (Py_ssize_t i = 0; i < n; ++i) table.look_closer(hashes[i]);
  for (Py_ssize_t i = 0; i < n; ++i) {
    out[i] = texts[i].data ? table.code(texts[i], hashes[i]) : -1;
    if (table.size() > static_cast<std::int32_t>(distinct.size())) distinct.append(py::handle(items[i]));
  }
}

// The GIL stays held: the texts are Python's. Signal handlers may run between parts, so the size is looked at again.
py::tuple encode_strings(const py::object& texts) {
  if (!PyList_CheckExact(texts.ptr()) && !PyTuple_CheckExact(texts.ptr()))
    Caller("encode_strings").refuse<py::type_error>("texts", "a list or a tuple", py::repr(py::type::of(texts)));
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(texts.ptr());
  py::array_t<std::int32_t> codes(n);
  std::int32_t* out = codes.mutable_data();
  traitcore::TextCodes table;
  py::list distinct;
  for (Py_ssize_t i = 0; i < n; i += kTogether) {
    if (i % kBetweenSignals == 0) {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (PySequence_Fast_GET_SIZE(texts.ptr()) != n) throw std::runtime_error("The list changed while it was read.");
    }
    PyObject* const* items = PySequence_Fast_ITEMS(texts.ptr()) + i;
    for (Py_ssize_t k = kAhead; k < kAhead + kTogether && i + k < n; ++k) {
      prefetch(items[k]);
      prefetch(reinterpret_cast<const char*>(items[k]) + 56);  // the characters, of which some lie on the next line
    }
    encode_some(items, std::min(kTogether, n - i), table, distinct, out + i);
  }
  return py::make_tuple(codes, distinct);
}

}  // namespace

void bind_texts(py::module_& m) {
  define(m, "encode_strings", &encode_strings,
         "((n,) int32 codes in order of first occurrence, None -1; the distinct texts) of a list or tuple of strs.",
         "texts");
}

}  // namespace traitcore_bindings
