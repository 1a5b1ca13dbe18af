// One function for each file of this folder; the only folder that includes pybind11.
// A binding takes its arguments through arrays.hpp, releases the GIL once, and calls the header-only core.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "arrays.hpp"

namespace traitcore_bindings {
void bind_arrow_views(py::module_& m);
void bind_codes(py::module_& m);
void bind_csr_passes(py::module_& m);
void bind_sampling(py::module_& m);
void bind_products(py::module_& m);
void bind_eigen(py::module_& m);
void bind_nmf(py::module_& m);
void bind_next_item(py::module_& m);
void bind_pooling(py::module_& m);
void bind_running_sums(py::module_& m);
void bind_sessions(py::module_& m);
void bind_sgns(py::module_& m);
void bind_starts(py::module_& m);
void bind_texts(py::module_& m);
void bind_time_texts(py::module_& m);
void bind_tokens(py::module_& m);
void bind_topk(py::module_& m);
}
