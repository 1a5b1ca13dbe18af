#include "bindings.hpp"

#include <traitcore/next_item.hpp>

#include <functional>
#include <memory>

namespace traitcore_bindings {
namespace {

using traitcore::NextItemModel;

std::unique_ptr<NextItemModel> make_model(Arg counts, Arg vector_size, Arg window, Arg negative, double ns_exponent,
                                          double scale, Arg batch, double alpha, double min_alpha, double decay,
                                          Arg seed) {
  const Caller of("NextItemModel");
  const auto c = of.array<const std::int64_t>("counts", counts, {{"n_items"}});
  const traitcore::NextItemOptions options{
      of.integer<std::size_t>("vector_size", vector_size, 1), of.integer<int>("window", window, 1),
      of.integer<int>("negative", negative, 1), ns_exponent, scale, of.integer<int>("batch", batch, 1), alpha, min_alpha,
      decay, of.integer<std::uint64_t>("seed", seed)};
  py::gil_scoped_release release;
  return std::make_unique<NextItemModel>(options, c.data, static_cast<std::size_t>(c.shape[0]));
}

py::tuple train(NextItemModel& model, Arg tokens, Arg offsets, Arg weights, Arg epoch, double schedule_start,
                double schedule_stop, Arg workers, bool update, Arg progress) {
  const Caller of("NextItemModel.train");
  const Caller::Sequences s = of.sequences(tokens, offsets);
  const auto* w = of.data_or_null<const float>("weights", weights, {{"number of sequences", s.n}});
  const traitcore::NextItemBlock block{
      s.tokens, s.offsets, s.n, w, of.integer<std::uint64_t>("epoch", epoch), schedule_start, schedule_stop};
  const auto threads = of.integer<int>("workers", workers, 1);
  Watch watch(progress);
  const traitcore::NextItemStats stats = without_gil([&] { return model.train(block, threads, update, std::ref(watch)); });
  return py::make_tuple(stats.loss, stats.weight, stats.examples, watch.raised());
}

// Arrays over the model's own memory, kept alive by it.
py::array of_vector(const py::object& self, std::vector<float>& (NextItemModel::*which)()) {
  std::vector<float>& values = (self.cast<NextItemModel&>().*which)();
  return py::array_t<float>(static_cast<py::ssize_t>(values.size()), values.data(), self);
}

}  // namespace

void bind_next_item(py::module_& m) {
  const auto view = [](std::vector<float>& (NextItemModel::*which)()) {
    return [which](const py::object& self) { return of_vector(self, which); };
  };
  py::class_<NextItemModel>(m, "NextItemModel", "Unit item vectors, biases and a session's weights, and their training.")
      .def(py::init(&make_model), py::kw_only(), py::arg("counts"), py::arg("vector_size"), py::arg("window"),
           py::arg("negative"), py::arg("ns_exponent"), py::arg("scale"), py::arg("batch"), py::arg("alpha"),
           py::arg("min_alpha"), py::arg("decay"), py::arg("seed"))
      .def("train", &train, py::kw_only(), py::arg("tokens"), py::arg("offsets"), py::arg("weights"), py::arg("epoch"),
           py::arg("schedule_start"), py::arg("schedule_stop"), py::arg("workers"), py::arg("update"),
           py::arg("progress"), "(summed loss, summed weight, examples, error that stopped it or None); progress(share).")
      .def("item_vectors",
           [](const py::object& self) {
             traitcore::Matrix& matrix = self.cast<NextItemModel&>().items();
             matrix.compact();
             return py::array_t<float>({matrix.rows(), matrix.columns()}, matrix.data(), self);
           },
           "(n_items, vector_size) float32 over the model's memory: writable, invalid once training goes on.")
      .def("biases", view(&NextItemModel::biases), "(n_items,) likewise.")
      .def("squares", view(&NextItemModel::squares), "(n_items,) AdaGrad's sums of the vectors.")
      .def("bias_squares", view(&NextItemModel::bias_squares), "(n_items,) AdaGrad's sums of the biases.")
      .def("steps", view(&NextItemModel::steps), "(window,) weight of the item k steps back.")
      .def("step_squares", view(&NextItemModel::step_squares), "(window,) AdaGrad's sums of the weights.")
      .def("repeats", view(&NextItemModel::repeats), "(window,) added for an item that was k steps back.")
      .def("repeat_squares", view(&NextItemModel::repeat_squares), "(window,) AdaGrad's sums of them.");
}

}  // namespace traitcore_bindings
