#include "bindings.hpp"

#include <traitcore/sgns.hpp>

#include <memory>

namespace traitcore_bindings {
namespace {

using traitcore::Matrix;
using traitcore::SgnsModel;

std::unique_ptr<SgnsModel> make_model(Arg counts, Arg groups, Arg vector_size, Arg window, bool dynamic_window,
                                      Arg negative, Arg group_negative, bool shared, double sample, double ns_exponent,
                                      double alpha, double min_alpha, Arg seed, double rounds, bool reproducible,
                                      Arg lanes, Arg chunk) {
  const Caller of("SgnsModel");
  const auto c = of.array<const std::int64_t>("counts", counts, {{"n_items"}});
  const auto* g = of.data_or_null<const std::int32_t>("groups", groups, {{"length of counts", c.shape[0]}});
  const traitcore::SgnsOptions options{
      of.integer<std::size_t>("vector_size", vector_size, 1), of.integer("window", window), dynamic_window,
      of.integer<int>("negative", negative, 1), of.integer<int>("group_negative", group_negative), shared, sample,
      ns_exponent, alpha, min_alpha, of.integer<std::uint64_t>("seed", seed), rounds, reproducible,
      {of.integer<int>("lanes", lanes), of.integer<std::int64_t>("chunk", chunk)}};
  py::gil_scoped_release release;
  return std::make_unique<SgnsModel>(options, c.data, static_cast<std::size_t>(c.shape[0]), g);
}

py::tuple train(SgnsModel& model, Arg tokens, Arg offsets, Arg global_context, Arg targets, Arg epoch,
                Arg first_sequence, Arg schedule_first, Arg schedule_stop, Arg schedule_total, bool last, Arg workers, bool update,
                Arg progress) {
  const Caller of("SgnsModel.train");
  const auto t = of.array<const std::int32_t>("tokens", tokens, {{"n_tokens"}});
  const auto o = of.array<const std::int64_t>("offsets", offsets, {{"n_sequences + 1"}});
  const std::int64_t n = o.shape[0] - 1;
  of.require(n >= 0, "offsets", "of a value or more", 0);
  of.require(o.data[0] >= 0, "offsets", "of values >= 0", o.data[0]);
  of.require(o.data[n] <= t.shape[0], "offsets", "at most the number of tokens", o.data[n]);
  const auto* global =
      of.data_or_null<const std::int32_t>("global_context", global_context, {{"number of sequences", n}});
  const auto* target = of.data_or_null<const std::int32_t>("targets", targets, {{"number of sequences", n}});
  const traitcore::SgnsBlock block{
      {t.data, o.data, n}, global, target, of.integer<std::uint64_t>("epoch", epoch),
      of.integer<std::uint64_t>("first_sequence", first_sequence),
      {of.integer("schedule_first", schedule_first), of.integer("schedule_stop", schedule_stop),
       of.integer("schedule_total", schedule_total)},
      last};
  const auto threads = of.integer<int>("workers", workers, 1);
  // A signal's exception or the callback's own: kept, handed to the caller beside what was trained until then.
  std::unique_ptr<py::error_already_set> error;
  const auto poll = [&](std::int64_t done) {
    py::gil_scoped_acquire acquire;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (!progress.is_none()) progress(done);
      return true;
    } catch (py::error_already_set& e) {
      error = std::make_unique<py::error_already_set>(std::move(e));
      return false;
    }
  };
  const traitcore::SgnsStats stats = without_gil([&] { return model.train(block, threads, update, poll); });
  const py::object raised = error ? py::reinterpret_borrow<py::object>(error->value()) : py::none();
  return py::make_tuple(stats.loss, stats.pairs, stats.kept_tokens, raised);
}

// An array over the model's own memory, kept alive by it.
py::array view(py::object self, Matrix& (SgnsModel::*which)()) {
  Matrix& matrix = (self.cast<SgnsModel&>().*which)();
  matrix.compact();
  return py::array_t<float>({matrix.rows(), matrix.columns()}, matrix.data(), self);
}

}  // namespace

void bind_sgns(py::module_& m) {
  py::class_<SgnsModel>(m, "SgnsModel", "Two embedding matrices, their noise distribution, and training on blocks.")
      .def(py::init(&make_model), py::kw_only(), py::arg("counts"), py::arg("groups"), py::arg("vector_size"),
           py::arg("window"), py::arg("dynamic_window"), py::arg("negative"), py::arg("group_negative"),
           py::arg("shared"), py::arg("sample"), py::arg("ns_exponent"), py::arg("alpha"), py::arg("min_alpha"),
           py::arg("seed"), py::arg("rounds"), py::arg("reproducible"), py::arg("lanes") = 0, py::arg("chunk") = 0)
      .def("train", &train, py::kw_only(), py::arg("tokens"), py::arg("offsets"), py::arg("global_context"),
           py::arg("targets"), py::arg("epoch"), py::arg("first_sequence"), py::arg("schedule_first"),
           py::arg("schedule_stop"), py::arg("schedule_total"), py::arg("last"), py::arg("workers"),
            py::arg("update"), py::arg("progress"),
           "(summed loss, pairs, kept tokens, error that stopped it or None); progress(tokens handed out). schedule_*: "
           "tokens before the block, until the epoch's end, and in all. last: the epoch ends with the block.")
      .def("item_vectors", [](py::object self) { return view(std::move(self), &SgnsModel::items); },
           "(n_items, vector_size) float32 over the model's memory: writable, invalid once training goes on.")
      .def("context_vectors", [](py::object self) { return view(std::move(self), &SgnsModel::contexts); },
           "The context vectors, likewise.");
}

}  // namespace traitcore_bindings
