// Sparse x dense and panel products: see products.hpp.
#include "bindings.hpp"

#include <traitcore/products.hpp>

namespace traitcore_bindings {
namespace {

void sparse_times_dense(Arg A, Arg B, Arg C, float alpha, float beta, Arg workers) {
  const Caller of("sparse_times_dense");
  const py::object indptr = py::getattr(A, "indptr", py::none());
  of.with_dtype<std::int32_t, std::int64_t>("A.indptr", indptr, [&](auto zero) {
    using Index = decltype(zero);
    const auto b = of.array<const float>("B", B, {{"m"}, {"k"}});
    const auto a = of.matrix<float, Index, Index>("A", A, {"rows of B", b.shape[0]});
    float* c = of.array<float>("C", C, {{"rows of A", a.rows}, {"columns of B", b.shape[1]}}).data;
    const auto threads = of.integer<int>("workers", workers, 1);
    const traitcore::CsrView<Index> view{a.indptr, a.indices, a.data, a.rows, a.entries};
    py::gil_scoped_release release;
    traitcore::sparse_times_dense(view, b.shape[0], b.data, b.shape[1], alpha, beta, c, threads);
  });
}

// An array of rows as long as a panel is high, or as the panels are wide together.
Array<const float> block_of(const Caller& of, const char* name, Arg value, const Axis& rows) {
  const auto block = of.array<const float>(name, value, {rows, {"q"}});
  of.require(block.shape[1] % 16 == 0, name, "of a width that is a multiple of 16", block.shape[1]);
  return block;
}

traitcore::PanelsView panels_of(const Caller& of, Arg panels) {
  const auto p = of.array<const float>("panels", panels, {{"p"}, {"n"}, {"b"}});
  of.require(p.shape[2] % 16 == 0, "panels", "of a width that is a multiple of 16", p.shape[2]);
  return {p.data, p.shape[0], p.shape[1], p.shape[2]};
}

py::array_t<double> panels_gram(Arg panels, Arg W, Arg workers) {
  const Caller of("panels_gram");
  const auto P = panels_of(of, panels);
  const auto w = block_of(of, "W", W, {"rows of a panel", P.rows});
  const auto threads = of.integer<int>("workers", workers, 1);
  py::array_t<double> H({P.count * P.b, w.shape[1]});
  double* h = H.mutable_data();
  without_gil([&] { traitcore::panels_gram(P, w.data, w.shape[1], h, threads); });
  return H;
}

void panels_combine(Arg panels, Arg S, Arg Y, bool fresh, Arg workers) {
  const Caller of("panels_combine");
  const auto P = panels_of(of, panels);
  const auto s = block_of(of, "S", S, {"columns of the panels", P.count * P.b});
  float* y = of.array<float>("Y", Y, {{"rows of a panel", P.rows}, {"columns of S", s.shape[1]}}).data;
  const auto threads = of.integer<int>("workers", workers, 1);
  py::gil_scoped_release release;
  traitcore::panels_combine(P, s.data, s.shape[1], fresh, y, threads);
}

}  // namespace

void bind_products(py::module_& m) {
  define(m, "sparse_times_dense", &sparse_times_dense,
         "C (n, k) = alpha A B + beta C in place; A (n, m) a CSR, B (m, k); all float32, A's indptr and indices int32 "
         "or int64. IndexError where they lead outside of A or B.",
         "A", "B", "C", "alpha", "beta", "workers");
  define(m, "panels_gram", &panels_gram,
         "(p b, q) float64: [P_0 P_1 ...]' W for float32 panels (p, n, b) and W (n, q); b and q multiples of 16.",
         "panels", "W", "workers");
  define(m, "panels_combine", &panels_combine,
         "Y (n, q) = [P_0 P_1 ...] S in place, added to Y unless `fresh`; panels (p, n, b), S (p b, q), all float32.",
         "panels", "S", "Y", "fresh", "workers");
}

}  // namespace traitcore_bindings
