// One function for each file of this folder; the only folder that includes pybind11.
// A binding checks dtype, contiguity and shape, releases the GIL once, and calls the header-only core.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace traitcore_bindings {
void bind_sampling(pybind11::module_& m);
void bind_products(pybind11::module_& m);
void bind_eigen(pybind11::module_& m);
void bind_nmf(pybind11::module_& m);
void bind_pooling(pybind11::module_& m);
void bind_sgns(pybind11::module_& m);
void bind_texts(pybind11::module_& m);
void bind_topk(pybind11::module_& m);
}
