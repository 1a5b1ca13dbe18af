#include "bindings.hpp"

#include <traitcore/texts.hpp>

#include <algorithm>
#include <cstring>
#include <vector>

namespace traitcore_bindings {
namespace {

// Lists of texts are lists of pointers to objects all over memory: what comes soon is fetched ahead.
constexpr Py_ssize_t kAhead = 48, kTogether = 16, kBetweenSignals = Py_ssize_t{1} << 20;

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

void prefetch_text(const PyObject* text) {
  traitcore::prefetch(text);
  traitcore::prefetch(reinterpret_cast<const char*>(text) + 56);  // the characters, of which some lie on the next line
}

void append_utf8(PyObject* text, std::vector<char>& bytes) {
  if (!PyUnicode_Check(text))
    Caller("spans_of_strings").refuse<py::type_error>("texts", "strs or None", py::repr(py::handle(text)));
  if (PyUnicode_IS_ASCII(text)) {
    const char* data = static_cast<const char*>(PyUnicode_DATA(text));
    bytes.insert(bytes.end(), data, data + PyUnicode_GET_LENGTH(text));
    return;
  }
  const auto encoded = py::reinterpret_steal<py::object>(PyUnicode_AsUTF8String(text));
  if (!encoded) throw py::error_already_set();
  const char* data = PyBytes_AS_STRING(encoded.ptr());
  bytes.insert(bytes.end(), data, data + PyBytes_GET_SIZE(encoded.ptr()));
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
    for (Py_ssize_t k = kAhead; k < kAhead + kTogether && i + k < n; ++k) prefetch_text(items[k]);
    encode_some(items, std::min(kTogether, n - i), table, distinct, out + i);
  }
  return py::make_tuple(codes, distinct);
}

// The bytes of texts end to end in UTF-8, and where each ends. UnicodeEncodeError for a lone surrogate.
py::tuple spans_of_strings(const py::list& texts) {
  const Py_ssize_t n = PyList_GET_SIZE(texts.ptr());
  py::array_t<std::int64_t> ends(n + 1);
  std::int64_t* end = ends.mutable_data();
  std::vector<char> bytes;
  end[0] = 0;
  for (Py_ssize_t i = 0; i < n; ++i) {
    if (i % kBetweenSignals == kBetweenSignals - 1 && PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (PyList_GET_SIZE(texts.ptr()) != n) throw std::runtime_error("The list changed while it was read.");
    if (i + kAhead < n) prefetch_text(PyList_GET_ITEM(texts.ptr(), i + kAhead));
    PyObject* text = PyList_GET_ITEM(texts.ptr(), i);
    if (text != Py_None) append_utf8(text, bytes);
    end[i + 1] = static_cast<std::int64_t>(bytes.size());
  }
  py::array_t<std::uint8_t> all(static_cast<py::ssize_t>(bytes.size()));
  std::memcpy(all.mutable_data(), bytes.data(), bytes.size());
  return py::make_tuple(all, ends);
}

void code_some(const traitcore::Text* texts, std::int64_t n, traitcore::TextCodes& table, std::int32_t* out) {
  std::uint64_t hashes[kTogether];
  for (std::int64_t i = 0; i < n; ++i) {
    hashes[i] = traitcore::TextCodes::hash(texts[i]);
    table.look(hashes[i]);
  }
  for (std::int64_t i = 0; i < n; ++i) table.look_closer(hashes[i]);
  for (std::int64_t i = 0; i < n; ++i) out[i] = texts[i].size ? table.code(texts[i], hashes[i]) : -1;
}

py::array_t<std::int32_t> code_spans(traitcore::TextCodes& table, Arg buffer, Arg starts, Arg stops) {
  const Caller of("TextCodes.code");
  const auto bytes = of.array<const std::uint8_t>("buffer", buffer, {{"bytes"}});
  const auto first = of.array<const std::int64_t>("starts", starts, {{"n"}});
  const std::int64_t n = first.shape[0];
  const auto end = of.array<const std::int64_t>("stops", stops, {{"length of starts", n}});
  py::array_t<std::int32_t> codes(n);
  std::int32_t* out = codes.mutable_data();
  const std::int64_t wrong = without_gil([&] {
    for (std::int64_t i = 0; i < n; i += kTogether) {
      if (i > 0 && i % kBetweenSignals == 0) poll();
      traitcore::Text texts[kTogether];
      const std::int64_t some = std::min<std::int64_t>(kTogether, n - i);
      for (std::int64_t k = 0; k < some; ++k) {
        const std::int64_t low = first.data[i + k], high = std::max(low, end.data[i + k]);
        if (low < 0 || high > bytes.shape[0]) return i + k;
        texts[k] = {bytes.data + low, static_cast<std::size_t>(high - low), 1};
      }
      code_some(texts, some, table, out + i);
    }
    return std::int64_t{-1};
  });
  if (wrong >= 0) of.refuse("starts", "places in the buffer, as their stops", std::to_string(first.data[wrong]));
  return codes;
}

// The bytes of all texts from a code on, end to end, and where each ends.
py::tuple texts_from(const traitcore::TextCodes& table, Arg first) {
  const auto begin = Caller("TextCodes.texts").integer<std::int32_t>("first", first, 0, table.size());
  py::array_t<std::int64_t> ends(table.size() - begin + 1);
  std::int64_t* end = ends.mutable_data();
  end[0] = 0;
  for (std::int32_t code = begin; code < table.size(); ++code)
    end[code - begin + 1] = end[code - begin] + static_cast<std::int64_t>(table.text(code).size);
  py::bytes all(nullptr, static_cast<std::size_t>(end[table.size() - begin]));
  char* out = PyBytes_AS_STRING(all.ptr());
  for (std::int32_t code = begin; code < table.size(); ++code)
    std::memcpy(out + end[code - begin], table.text(code).data, table.text(code).size);
  return py::make_tuple(all, ends);
}

}  // namespace

void bind_texts(py::module_& m) {
  define(m, "encode_strings", &encode_strings,
         "((n,) int32 codes in order of first occurrence, None -1; the distinct texts) of a list or tuple of strs.",
         "texts");
  define(m, "spans_of_strings", &spans_of_strings,
         "(uint8 bytes in UTF-8 end to end, int64 (n + 1,) where each ends) of a list of strs; None is empty.", "texts");
  py::class_<traitcore::TextCodes>(m, "TextCodes", "Codes of spans of bytes by order of first sight, a block at a time.")
      .def(py::init<>())
      .def("code", &code_spans, py::arg("buffer"), py::arg("starts"), py::arg("stops"),
           "(n,) int32 codes of the spans [starts, stops) int64 (n,) of buffer uint8; -1 where empty.")
      .def("texts", &texts_from, py::arg("first"),
           "(bytes of the texts from code `first` on, end to end; int64 (n + 1,) where each ends).");
}

}  // namespace traitcore_bindings
