#include "bindings.hpp"

#include <traitcore/sgns.hpp>

#include <functional>
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
                Arg first_sequence, Arg schedule_first, Arg schedule_stop, Arg schedule_total, bool last, Arg workers,
                bool update, Arg progress) {
  const Caller of("SgnsModel.train");
  const Caller::Sequences s = of.sequences(tokens, offsets);
  const auto* global =
      of.data_or_null<const std::int32_t>("global_context", global_context, {{"number of sequences", s.n}});
  const auto* target = of.data_or_null<const std::int32_t>("targets", targets, {{"number of sequences", s.n}});
  const traitcore::SgnsBlock block{
      {s.tokens, s.offsets, s.n}, global, target, of.integer<std::uint64_t>("epoch", epoch),
      of.integer<std::uint64_t>("first_sequence", first_sequence),
      {of.integer("schedule_first", schedule_first), of.integer("schedule_stop", schedule_stop),
       of.integer("schedule_total", schedule_total)},
      last};
  const auto threads = of.integer<int>("workers", workers, 1);
  Watch watch(progress);
  const traitcore::SgnsStats stats = without_gil([&] { return model.train(block, threads, update, std::ref(watch)); });
  return py::make_tuple(stats.loss, stats.pairs, stats.kept_tokens, watch.raised());
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
