// Table of contents of traitcore._core.
#include "bindings.hpp"

PYBIND11_MODULE(_core_of_main, m) {
  m.doc() = "Native core of traitcore: private, called only by the modules that check their input first.";
  traitcore_bindings::bind_arrow_views(m);
  traitcore_bindings::bind_codes(m);
  traitcore_bindings::bind_csr_passes(m);
  traitcore_bindings::bind_sampling(m);
  traitcore_bindings::bind_products(m);
  traitcore_bindings::bind_eigen(m);
  traitcore_bindings::bind_nmf(m);
  traitcore_bindings::bind_next_item(m);
  traitcore_bindings::bind_pooling(m);
  traitcore_bindings::bind_running_sums(m);
  traitcore_bindings::bind_sessions(m);
  traitcore_bindings::bind_sgns(m);
  traitcore_bindings::bind_starts(m);
  traitcore_bindings::bind_texts(m);
  traitcore_bindings::bind_time_texts(m);
  traitcore_bindings::bind_tokens(m);
  traitcore_bindings::bind_topk(m);
}

// For the main interpreter, with its lock: docs/threads.md. pybind11 itself would wait for ever in a subinterpreter of
// Python 3.11, such as mod_wsgi makes.
PyMODINIT_FUNC PyInit__core() {
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) return PyInit__core_of_main();
  PyErr_SetString(PyExc_ImportError, "traitcore works in a process's main interpreter only, not in subinterpreters");
  return nullptr;
}
