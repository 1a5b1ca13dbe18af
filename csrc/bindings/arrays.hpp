// What a binding may take: arrays, a matrix (dense or CSR) and ints, each checked where it is taken, and one way to
// refuse. Arguments arrive as plain objects, so that a wrong dtype or an int out of range gets our sentence too.
#pragma once
#include <pybind11/numpy.h>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>

namespace traitcore_bindings {

namespace py = pybind11;
using Arg = const py::object&;

/// One axis of an array: what its length is, for the message, and the length; -1: any.
struct Axis {
  const char* what;
  std::int64_t length = -1;
};

/// A C-contiguous array, alive as long as the argument it was taken from.
template <class T>
struct Array {
  T* data = nullptr;
  std::int64_t shape[3] = {0, 0, 0};
};

/// (rows, columns), either `dense` or by the three arrays of a CSR; the others are null.
template <class T, class Pointer, class Index>
struct Matrix {
  std::int64_t rows = 0, entries = 0;
  const T* dense = nullptr;
  const Pointer* indptr = nullptr;
  const Index* indices = nullptr;
  const T* data = nullptr;
};

/// Takes the arguments of one function, which it names in its messages.
class Caller {
 public:
  explicit Caller(const char* function) : function_(function) {}

  template <class Error = py::value_error>
  [[noreturn]] void refuse(const std::string& name, const std::string& rule, const std::string& got) const {
    throw Error("The '" + name + "' parameter of " + function_ + " must be " + rule + ". Got " + got + " instead.");
  }

  void require(bool good, const char* name, const char* rule, std::int64_t got) const {
    if (!good) refuse(name, rule, std::to_string(got));
  }

  /// An array; one of const T is read, one of T is written into and must be writable.
  template <class T>
  Array<T> array(const std::string& name, Arg value, std::initializer_list<Axis> axes) const {
    using Number = std::remove_const_t<T>;
    if (!py::isinstance<py::array_t<Number, py::array::c_style>>(value))
      refuse<py::type_error>(name, rule_of<T>(axes), described(value));
    const auto given = py::reinterpret_borrow<py::array>(value);
    bool fits = given.ndim() == static_cast<py::ssize_t>(axes.size()) && (std::is_const_v<T> || given.writeable());
    Array<T> taken{static_cast<Number*>(const_cast<void*>(given.data())), {0, 0, 0}};
    for (py::ssize_t i = 0; fits && i < given.ndim(); ++i) {
      const std::int64_t wanted = axes.begin()[i].length;
      taken.shape[i] = given.shape(i);
      fits = wanted < 0 || wanted == taken.shape[i];
    }
    if (!fits) refuse(name, rule_of<T>(axes), described(value));
    return taken;
  }

  /// The data of such an array; null for None.
  template <class T>
  T* data_or_null(const std::string& name, Arg value, std::initializer_list<Axis> axes) const {
    return value.is_none() ? nullptr : array<T>(name, value, axes).data;
  }

  /// A matrix: an array, or an object that stores (and so keeps alive) one as `dense`, or the three arrays of a CSR.
  template <class T, class Pointer, class Index>
  Matrix<T, Pointer, Index> matrix(const std::string& name, Arg value, const Axis& columns) const {
    const py::object dense =
        py::isinstance<py::array>(value) ? value : py::object(py::getattr(value, "dense", py::none()));
    if (!dense.is_none()) {
      const auto all = array<const T>(name, dense, {{"rows"}, columns});
      return {all.shape[0], all.shape[0] * all.shape[1], all.data, nullptr, nullptr, nullptr};
    }
    const auto part = [&](const char* of_csr) { return py::object(py::getattr(value, of_csr, py::none())); };
    const auto indptr = array<const Pointer>(name + ".indptr", part("indptr"), {{"rows + 1"}});
    const auto indices = array<const Index>(name + ".indices", part("indices"), {{"entries"}});
    const std::int64_t entries = indices.shape[0];
    const auto data = array<const T>(name + ".data", part("data"), {{"number of indices", entries}});
    if (indptr.shape[0] < 1) refuse(name + ".indptr", "of a row or more", "none");
    return {indptr.shape[0] - 1, entries, nullptr, indptr.data, indices.data, data.data};
  }

  struct Sequences {
    const std::int32_t* tokens;
    const std::int64_t* offsets;  ///< (n + 1,) the first >= 0, the last among the tokens; whether they rise the core asks
    std::int64_t n;
  };

  /// Arguments `tokens` and `offsets`: sequences end to end.
  Sequences sequences(Arg tokens, Arg offsets) const {
    const auto t = array<const std::int32_t>("tokens", tokens, {{"n_tokens"}});
    const auto o = array<const std::int64_t>("offsets", offsets, {{"n_sequences + 1"}});
    const std::int64_t n = o.shape[0] - 1;
    require(n >= 0, "offsets", "of a value or more", 0);
    require(o.data[0] >= 0, "offsets", "of values >= 0", o.data[0]);
    require(o.data[n] <= t.shape[0], "offsets", "at most the number of tokens", o.data[n]);
    return {t.data, o.data, n};
  }

  /// An int in [low, high].
  template <class Int = std::int64_t>
  Int integer(const char* name, Arg value, std::common_type_t<Int> low = 0,
              std::common_type_t<Int> high = std::numeric_limits<Int>::max()) const {
    const std::string rule = "an int in [" + std::to_string(low) + ", " + std::to_string(high) + "]";
    const auto whole = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
    if (!whole) {
      PyErr_Clear();
      refuse<py::type_error>(name, rule, described(value));
    }
    const auto number = [&] {
      if constexpr (std::is_signed_v<Int>)
        return PyLong_AsLongLong(whole.ptr());
      else
        return PyLong_AsUnsignedLongLong(whole.ptr());
    }();
    const bool overflow = PyErr_Occurred() != nullptr;
    PyErr_Clear();
    if (overflow || number < low || number > high) refuse(name, rule, described(value));
    return static_cast<Int>(number);
  }

  /// work(T{}) for the first of these types that is the array's dtype.
  template <class First, class... Rest, class Work>
  auto with_dtype(const std::string& name, Arg array, const Work& work) const {
    if (py::isinstance<py::array_t<First>>(array)) return work(First{});
    if constexpr (sizeof...(Rest) > 0)
      if ((py::isinstance<py::array_t<Rest>>(array) || ...)) return with_dtype<Rest...>(name, array, work);
    const std::string others = (std::string() + ... + (" or " + name_of<Rest>()));
    refuse<py::type_error>(name, "an array of " + name_of<First>() + others, described(array));
  }

 private:
  template <class T>
  static std::string name_of() {
    return py::str(py::dtype::of<std::remove_const_t<T>>());
  }

  template <class T>
  static std::string rule_of(std::initializer_list<Axis> axes) {
    std::string shape;
    for (const Axis& axis : axes) {
      shape += (shape.empty() ? "" : ", ") + std::string(axis.what);
      if (axis.length >= 0) shape += " = " + std::to_string(axis.length);
    }
    return std::string(std::is_const_v<T> ? "a" : "a writable") + " C-contiguous array of " + name_of<T>() +
           " of shape (" + shape + (axes.size() == 1 ? ",)" : ")");
  }

  static std::string described(Arg value) {
    if (!py::isinstance<py::array>(value)) {
      const std::string shown = py::repr(value);
      return shown.size() <= 80 ? shown : shown.substr(0, 77) + "...";
    }
    const auto array = py::reinterpret_borrow<py::array>(value);
    const bool contiguous = (array.flags() & py::array::c_style) != 0;
    return std::string(array.writeable() ? "" : "a read-only ") + std::string(py::str(array.dtype())) + " of shape " +
           std::string(py::str(array.attr("shape"))) + (contiguous ? "" : ", not C-contiguous");
  }

  const char* function_;
};

/// Ctrl-C ends a long pass, of the main thread: called now and then without the GIL.
inline void poll() {
  py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

/// Asked now and then by a long training, without the GIL, whether to go on: looks for Ctrl-C and calls progress(done),
/// unless that is None. What either raises is kept, to be handed to the caller beside what was trained until then.
class Watch {
 public:
  explicit Watch(Arg progress) : progress_(progress) {}

  template <class Number>
  bool operator()(Number done) {
    py::gil_scoped_acquire acquire;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (!progress_.is_none()) progress_(done);
      return true;
    } catch (py::error_already_set& e) {
      error_ = std::make_unique<py::error_already_set>(std::move(e));
      return false;
    }
  }

  py::object raised() const { return error_ ? py::reinterpret_borrow<py::object>(error_->value()) : py::none(); }

 private:
  Arg progress_;
  std::unique_ptr<py::error_already_set> error_;
};

/// work() while other Python threads run.
template <class Work>
auto without_gil(const Work& work) {
  py::gil_scoped_release release;
  return work();
}

/// Adds a function whose parameters have these names.
template <class Function, class... Names>
void define(py::module_& m, const char* name, const Function& function, const char* doc, const Names*... names) {
  m.def(name, function, py::arg(names)..., doc);
}

}  // namespace traitcore_bindings
