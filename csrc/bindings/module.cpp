// Table of contents of traitcore._core.
#include "bindings.hpp"

// For one interpreter (NumPy has state of one), with its lock: docs/threads.md.
PYBIND11_MODULE(_core, m, pybind11::multiple_interpreters::not_supported()) {
  m.doc() = "Native core of traitcore: private, called only by the modules that check their input first.";
  traitcore_bindings::bind_arrow_views(m);
  traitcore_bindings::bind_sampling(m);
  traitcore_bindings::bind_products(m);
  traitcore_bindings::bind_eigen(m);
  traitcore_bindings::bind_nmf(m);
  traitcore_bindings::bind_pooling(m);
  traitcore_bindings::bind_sgns(m);
  traitcore_bindings::bind_texts(m);
  traitcore_bindings::bind_time_texts(m);
  traitcore_bindings::bind_topk(m);
}
