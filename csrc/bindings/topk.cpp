#include "bindings.hpp"

#include <memory>

#include <traitcore/topk_codes.hpp>

namespace traitcore_bindings {
namespace {

void search(Arg queries, Arg q_begin, Arg q_end, Arg vectors, Arg begin, Arg end, Arg scale, Arg bias, Arg first,
            Arg excluded, Arg rows, Arg scores, Arg workers, bool euclidean) {
  const Caller of("search_top_k");
  const auto v = of.array<const float>("vectors", vectors, {{"n"}, {"d"}});
  const std::int64_t n = v.shape[0], d = v.shape[1];
  const auto q = of.array<const float>("queries", queries, {{"m"}, {"columns of vectors", d}});
  const Axis of_queries{"rows of queries", q.shape[0]}, of_vectors{"rows of vectors", n};
  const auto found = of.array<std::int64_t>("rows", rows, {of_queries, {"k"}});
  const std::int64_t k = found.shape[1];
  float* products = of.array<float>("scores", scores, {of_queries, {"columns of rows", k}}).data;
  const auto q_stop = of.integer("q_end", q_end, 0, q.shape[0]), q_start = of.integer("q_begin", q_begin, 0, q_stop);
  const auto stop = of.integer("end", end, 0, n), start = of.integer("begin", begin, 0, stop);
  const auto* bounds = of.data_or_null<const std::int64_t>("first", first, {{"rows of queries + 1", q.shape[0] + 1}});
  const auto* banned = of.data_or_null<const std::int64_t>("excluded", excluded, {{"excluded rows"}});
  if (!bounds != !banned) of.refuse("excluded", "given with 'first', or not at all", "one of the two");
  const auto size = [](std::int64_t value) { return static_cast<std::size_t>(value); };
  const traitcore::TopKBlock block{
      q.data + q_start * d, size(q_stop - q_start), v.data, size(d), size(start), size(stop),
      of.array<const float>("scale", scale, {of_vectors}).data, of.array<const float>("bias", bias, {of_vectors}).data,
      banned, bounds ? bounds + q_start : nullptr, size(k), euclidean};
  const auto threads = of.integer<std::size_t>("workers", workers, 1);
  py::gil_scoped_release release;
  traitcore::search_top_k(block, {products + q_start * k, found.data + q_start * k}, threads, poll);
}

std::unique_ptr<traitcore::RowCodes> make_codes(Arg vectors) {
  const Caller of("RowCodes");
  const auto v = of.array<const float>("vectors", vectors, {{"n"}, {"d"}});
  const auto n = static_cast<std::size_t>(v.shape[0]), d = static_cast<std::size_t>(v.shape[1]);
  of.require(d <= traitcore::RowCodes::kWidest, "vectors", "of at most 65536 columns", v.shape[1]);
  py::gil_scoped_release release;
  return std::make_unique<traitcore::RowCodes>(v.data, n, d);
}

void search_coded(const traitcore::RowCodes& codes, Arg query, Arg vectors, Arg scale, Arg bias, Arg other, Arg other_bias,
                  Arg rows, Arg scores) {
  const Caller of("RowCodes.search");
  const auto n = static_cast<std::int64_t>(codes.rows()), d = static_cast<std::int64_t>(codes.width());
  const Axis of_rows{"rows of the codes", n}, of_columns{"columns of the codes", d};
  const auto found = of.array<std::int64_t>("rows", rows, {{"k"}});
  const auto others = of.array<const std::int64_t>("other", other, {{"other rows"}});
  const std::int64_t first[2] = {0, others.shape[0]};
  for (std::int64_t i = 0; i < first[1]; ++i)
    of.require(others.data[i] >= (i ? others.data[i - 1] + 1 : 0) && others.data[i] < n, "other", "rising rows",
               others.data[i]);
  const auto* biases = of.data_or_null<const float>("other_bias", other_bias, {{"length of other", first[1]}});
  const traitcore::TopKBlock block{
      of.array<const float>("query", query, {of_columns}).data, 1,
      of.array<const float>("vectors", vectors, {of_rows, of_columns}).data, codes.width(), 0, codes.rows(),
      of.array<const float>("scale", scale, {of_rows}).data, of.array<const float>("bias", bias, {of_rows}).data,
      others.data, first, static_cast<std::size_t>(found.shape[0])};
  float* products = of.array<float>("scores", scores, {{"length of rows", found.shape[0]}}).data;
  py::gil_scoped_release release;
  traitcore::search_top_k(block, codes, biases, {products, found.data}, poll);
}

}  // namespace

void bind_topk(py::module_& m) {
  py::class_<traitcore::RowCodes>(m, "RowCodes", "Rows as 8-bit codes, (n, d) float32 and finite: for single queries.")
      .def(py::init(&make_codes), py::arg("vectors"))
      .def("search", &search_coded, py::kw_only(), py::arg("query"), py::arg("vectors"), py::arg("scale"),
           py::arg("bias"), py::arg("other"), py::arg("other_bias"), py::arg("rows"), py::arg("scores"),
           "search_top_k of one query, the same bytes. vectors: those of the codes; scale >= 0; other: rising rows, "
           "left out or, with other_bias, of these biases instead; rows and scores (k,) are written into.");
  define(m, "search_top_k", &search,
         "Best k of rows [begin, end) for queries [q_begin, q_end), written into rows and scores (both (m, k)).",
         "queries", "q_begin", "q_end", "vectors", "begin", "end", "scale", "bias", "first", "excluded", "rows",
         "scores", "workers", "euclidean");
  define(
      m, "squared_norms",
      [](Arg vectors, Arg out) {
        const Caller of("squared_norms");
        const auto v = of.array<const float>("vectors", vectors, {{"n"}, {"d"}});
        double* values = of.array<double>("out", out, {{"rows of vectors", v.shape[0]}}).data;
        py::gil_scoped_release release;
        traitcore::squared_norms(v.data, static_cast<std::size_t>(v.shape[0]), static_cast<std::size_t>(v.shape[1]),
                                 values);
      },
      "|row|^2 in double, written into out (n,).",
      "vectors", "out");
  define(
      m, "euclidean_biases",
      [](Arg squared, Arg width, Arg out) {
        const Caller of("euclidean_biases");
        const auto squares = of.array<const double>("squared", squared, {{"n"}});
        float* biases = of.array<float>("out", out, {{"length of squared", squares.shape[0]}}).data;
        traitcore::euclidean_biases(squares.data, static_cast<std::size_t>(squares.shape[0]),
                                    of.integer<std::size_t>("width", width), biases);
      },
      "The bias of each row of this squared norm and width in a euclidean search_top_k, written into out (n,).",
      "squared", "width", "out");
}

}  // namespace traitcore_bindings
