// Passes over CSR matrices: see csr_passes.hpp. Index arrays are int32 or int64, both of one type, and are trusted.
#include "bindings.hpp"

#include <traitcore/csr_passes.hpp>

namespace traitcore_bindings {
namespace {

using namespace traitcore;

/// Rows [start, stop) of a CSR; its arrays as some type of index.
struct Rows {
  Rows(const Caller& of, Arg start, Arg stop, Arg indptr)
      : n(static_cast<std::int64_t>(py::len(indptr)) - 1), end(of.integer("stop", stop, 0, n)), begin(of.integer("start", start, 0, end)) {}
  std::int64_t n, end, begin;
};

template <class Work>
void with_index(const Caller& of, const char* name, Arg array, const Work& work) {
  of.with_dtype<std::int32_t, std::int64_t>(name, array, work);
}

/// work(CsrEntries) for int32 or int64 indices and data of any of these types.
template <class... Numbers, class Work>
void with_csr(const Caller& of, Arg indptr, Arg indices, Arg data, const Work& work) {
  with_index(of, "indices", indices, [&](auto index) {
    of.with_dtype<Numbers...>("data", data, [&](auto number) {
      using Index = decltype(index);
      using T = decltype(number);
      const auto columns = of.array<const Index>("indices", indices, {{"entries"}});
      const auto* values = of.array<const T>("data", data, {{"number of indices", columns.shape[0]}}).data;
      const auto* starts = of.data_or_null<const Index>("indptr", indptr, {{"rows + 1"}});
      work(CsrEntries<Index, T>{starts, columns.data, values}, columns.shape[0]);
    });
  });
}

void rows_summed(Arg start, Arg stop, Arg indptr, Arg indices, Arg data, Arg sums) {
  const Caller of("sum_rows");
  const Rows rows(of, start, stop, indptr);
  double* out = of.array<double>("sums", sums, {{"rows", rows.n}}).data;
  with_csr<double, float, std::int32_t, std::int64_t>(of, indptr, indices, data, [&](const auto& m, std::int64_t) {
    without_gil([&] { sum_rows(m, rows.begin, rows.end, out); });
  });
}

void columns_summed(Arg start, Arg stop, Arg indices, Arg data, Arg sums) {
  const Caller of("sum_columns");
  double* out = of.array<double>("sums", sums, {{"columns"}}).data;
  with_csr<double, float, std::int32_t, std::int64_t>(of, py::none(), indices, data, [&](const auto& m, std::int64_t n) {
    const auto end = of.integer("stop", stop, 0, n), begin = of.integer("start", start, 0, end);
    without_gil([&] { sum_columns(m, begin, end, out); });
  });
}

template <class Index, class T>
PositivePmi<Index, T> pmi_of(const CsrEntries<Index, T>& counts, const double* row_scale, const double* column_scale) {
  return {counts, row_scale, column_scale};
}

/// work(PositivePmi)
template <class Work>
void with_pmi(const Caller& of, Arg indptr, Arg indices, Arg data, Arg row_scale, Arg column_scale, const Work& work) {
  const Axis by_row{"rows", static_cast<std::int64_t>(py::len(indptr)) - 1};
  const auto* rows = of.array<const double>("row_scale", row_scale, {by_row}).data;
  const auto* columns = of.array<const double>("column_scale", column_scale, {{"columns"}}).data;
  with_csr<double, float, std::int32_t, std::int64_t>(of, indptr, indices, data, [&](const auto& m, std::int64_t) {
    work(pmi_of(m, rows, columns));
  });
}

void count_pmi(Arg start, Arg stop, Arg indptr, Arg indices, Arg data, Arg row_scale, Arg column_scale, Arg lengths) {
  const Caller of("count_pmi");
  const Rows rows(of, start, stop, indptr);
  auto* out = of.array<std::int64_t>("lengths", lengths, {{"rows", rows.n}}).data;
  with_pmi(of, indptr, indices, data, row_scale, column_scale,
           [&](const auto& pmi) { without_gil([&] { pmi.count(rows.begin, rows.end, out); }); });
}

void write_pmi(Arg start, Arg stop, Arg indptr, Arg indices, Arg data, Arg row_scale, Arg column_scale, double discount,
               Arg out_indptr, Arg out_indices, Arg out_data) {
  const Caller of("write_pmi");
  const Rows rows(of, start, stop, indptr);
  const auto* places = of.array<const std::int64_t>("out_indptr", out_indptr, {{"rows + 1", rows.n + 1}}).data;
  const Axis entries{"end of out_indptr", places[rows.n]};
  float* values = of.array<float>("out_data", out_data, {entries}).data;
  with_pmi(of, indptr, indices, data, row_scale, column_scale, [&](const auto& pmi) {
    using Index = std::remove_const_t<std::remove_pointer_t<decltype(pmi.counts.indices)>>;
    auto* columns = of.array<Index>("out_indices", out_indices, {entries}).data;
    without_gil([&] { pmi.write(rows.begin, rows.end, discount, places, columns, values); });
  });
}

bool symmetric(Arg start, Arg stop, Arg indptr, Arg indices, Arg data, Arg cursor) {
  const Caller of("is_symmetric");
  const Rows rows(of, start, stop, indptr);
  auto* places = of.array<std::int64_t>("cursor", cursor, {{"rows", rows.n}}).data;
  bool equal = false;
  with_csr<float, double>(of, indptr, indices, data, [&](const auto& m, std::int64_t) {
    equal = without_gil([&] { return is_symmetric(m, rows.begin, rows.end, places); });
  });
  return equal;
}

py::array_t<std::int64_t> places_of(Arg rows, Arg next) {
  const Caller of("next_places");
  const auto each = of.array<const std::int64_t>("rows", rows, {{"n"}});
  auto* free = of.array<std::int64_t>("next", next, {{"n_rows"}}).data;
  py::array_t<std::int64_t> places(each.shape[0]);
  auto* out = places.mutable_data();
  without_gil([&] { next_places(each.data, each.shape[0], free, out); });
  return places;
}

void marked_counted(Arg start, Arg stop, Arg indptr, Arg marked, Arg lengths) {
  const Caller of("count_marked");
  const Rows rows(of, start, stop, indptr);
  const auto* marks = of.array<const bool>("marked", marked, {{"entries"}}).data;
  auto* out = of.array<std::int64_t>("lengths", lengths, {{"rows", rows.n}}).data;
  with_index(of, "indptr", indptr, [&](auto index) {
    const auto* starts = of.array<const decltype(index)>("indptr", indptr, {{"rows + 1"}}).data;
    without_gil([&] { count_marked(starts, marks, rows.begin, rows.end, out); });
  });
}

std::int64_t loops(Arg start, Arg stop, Arg indptr, Arg indices, Arg data, Arg clear) {
  const Caller of("find_loops");
  const Rows rows(of, start, stop, indptr);
  std::int64_t found = 0;
  with_csr<double>(of, indptr, indices, data, [&](const auto& m, std::int64_t n) {
    double* zeros = of.data_or_null<double>("clear", clear, {{"entries", n}});
    found = without_gil([&] { return find_loops(m, rows.begin, rows.end, zeros); });
  });
  return found;
}

void scaled(Arg start, Arg stop, Arg indptr, Arg indices, Arg data, Arg row_sums, Arg column_sums, Arg out) {
  const Caller of("scale_by_roots");
  const Rows rows(of, start, stop, indptr);
  const auto* down = of.array<const double>("row_sums", row_sums, {{"rows", rows.n}}).data;
  const auto* across = of.array<const double>("column_sums", column_sums, {{"columns"}}).data;
  with_csr<double>(of, indptr, indices, data, [&](const auto& m, std::int64_t n) {
    double* values = of.array<double>("out", out, {{"entries", n}}).data;
    without_gil([&] { scale_by_roots(m, rows.begin, rows.end, down, across, values); });
  });
}

void heaviest(Arg start, Arg stop, Arg indptr, Arg weights, Arg k, Arg kept) {
  const Caller of("keep_heaviest");
  const Rows rows(of, start, stop, indptr);
  const auto* starts = of.array<const std::int64_t>("indptr", indptr, {{"rows + 1"}}).data;
  const auto values = of.array<const double>("weights", weights, {{"entries"}});
  bool* marks = of.array<bool>("kept", kept, {{"length of weights", values.shape[0]}}).data;
  const auto most = of.integer("k", k, 1);
  without_gil([&] { keep_heaviest(starts, values.data, rows.begin, rows.end, most, marks); });
}

void parts_joined(Arg start, Arg stop, Arg indptr, Arg indices, Arg parent) {
  const Caller of("join_parts");
  const Rows rows(of, start, stop, indptr);
  auto* roots = of.array<std::int64_t>("parent", parent, {{"rows", rows.n}}).data;
  with_index(of, "indices", indices, [&](auto index) {
    using Index = decltype(index);
    const auto* starts = of.array<const Index>("indptr", indptr, {{"rows + 1"}}).data;
    const auto* columns = of.array<const Index>("indices", indices, {{"entries"}}).data;
    without_gil([&] { join_parts(starts, columns, rows.begin, rows.end, roots); });
  });
}

void parts_settled(Arg parent) {
  const auto roots = Caller("settle_parts").array<std::int64_t>("parent", parent, {{"nodes"}});
  without_gil([&] { settle_parts(roots.shape[0], roots.data); });
}

}  // namespace

void bind_csr_passes(py::module_& m) {
  define(m, "sum_rows", &rows_summed, "sums float64 (rows,) of rows [start, stop).", "start", "stop", "indptr", "indices",
         "data", "sums");
  define(m, "sum_columns", &columns_summed, "Adds entries [start, stop), in their order, to sums float64 (columns,).",
         "start", "stop", "indices", "data", "sums");
  define(m, "count_pmi", &count_pmi,
         "lengths int64 (rows,): entries of rows [start, stop) whose data * row_scale * column_scale exceeds 1.", "start",
         "stop", "indptr", "indices", "data", "row_scale", "column_scale", "lengths");
  define(m, "write_pmi", &write_pmi,
         "Those entries: the logarithm of the ratio, times n / (n + discount), as float32, from out_indptr int64 on.",
         "start", "stop", "indptr", "indices", "data", "row_scale", "column_scale", "discount", "out_indptr", "out_indices",
         "out_data");
  define(m, "is_symmetric", &symmetric,
         "Whether rows [start, stop) of a square CSR with sorted columns equal its columns [start, stop). cursor int64, "
         "where each row begins, is used up in that range.",
         "start", "stop", "indptr", "indices", "data", "cursor");
  define(m, "next_places", &places_of,
         "int64 (n,): where entries of rows int64 (n,) go, the next free place of each row in next int64 (n_rows,), which "
         "moves on.",
         "rows", "next");
  define(m, "count_marked", &marked_counted, "lengths int64 (rows,): entries of rows [start, stop) that are marked bool.",
         "start", "stop", "indptr", "marked", "lengths");
  define(m, "find_loops", &loops,
         "Number of positive entries on the diagonal in rows [start, stop), which become 0 in clear float64, or None.",
         "start", "stop", "indptr", "indices", "data", "clear");
  define(m, "scale_by_roots", &scaled, "out = data over the roots of its row's and its column's sum; 0 where one is 0.",
         "start", "stop", "indptr", "indices", "data", "row_sums", "column_sums", "out");
  define(m, "keep_heaviest", &heaviest, "Marks in kept bool the k largest positive weights of each row, ties from the left.",
         "start", "stop", "indptr", "weights", "k", "kept");
  define(m, "join_parts", &parts_joined, "Joins the parts of i and j in parent int64 (n,) for entries (i, j) of rows.",
         "start", "stop", "indptr", "indices", "parent");
  define(m, "settle_parts", &parts_settled, "Leads each node in parent int64 (n,) to its part's root.", "parent");
}

}  // namespace traitcore_bindings
