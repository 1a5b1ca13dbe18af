"""Canonical CSR by ranges of rows: what scipy makes of the whole matrix, byte for byte, and the caller's untouched."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import traitcore as tc
from traitcore import _csr, _validate
from traitcore._validate import Checks
from traitcore.items import graph, ppmi


@pytest.fixture(params=[1, 7, 64, 1 << 22], autouse=True)
def _part(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_csr, _validate, graph, ppmi):
        monkeypatch.setattr(module, "PART", request.param)
    monkeypatch.setattr(importlib.import_module("traitcore.items.merge_counts"), "_ENTRIES", request.param)


def messy(dtype: Any, *, repeated: bool, shape: tuple[int, int] = (23, 17)) -> Any:
    """Entries in no order, empty rows among them, and stored zeros."""
    rng = np.random.default_rng(5)
    places = rng.permutation(shape[0] * shape[1])[:150]
    if repeated:
        places = rng.choice(places, 400)
    values = rng.integers(0, 5, len(places)) * (0.37 if np.dtype(dtype).kind == "f" else 1)
    return sparse.coo_array((values.astype(dtype), np.divmod(places, shape[1])), shape=shape)


def unsorted_csr(matrix: Any) -> sparse.csr_array:
    order = np.argsort(matrix.row, kind="stable")
    indptr = np.concatenate(([0], np.cumsum(np.bincount(matrix.row, minlength=matrix.shape[0]))))
    return sparse.csr_array((matrix.data[order], matrix.col[order], indptr), shape=matrix.shape)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.int64, np.bool_])
@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_a_canonical_matrix_by_ranges_of_rows(dtype: Any, repeated: bool, form: str) -> None:
    coo = messy(dtype, repeated=repeated)
    wide = coo.data.astype(np.float64)
    expected = np.zeros(coo.shape)
    np.add.at(expected, (coo.row, coo.col), wide)
    given = unsorted_csr(coo) if form == "csr" else coo
    if form == "csc":
        turned = unsorted_csr(coo.T)
        given = sparse.csc_array((turned.data, turned.indices, turned.indptr), shape=coo.shape)
    own = [given.data, given.row] if form == "coo" else [given.data, given.indices]
    before = [array.copy() for array in own]
    found = Checks("it").csr("X", given, dtype=np.float64)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-15)
    fresh = sparse.csr_array((found.data, found.indices, found.indptr), shape=found.shape)
    assert fresh.has_canonical_format
    assert found.indices.dtype == found.indptr.dtype == np.int32
    for was, array in zip(before, own):
        np.testing.assert_array_equal(array, was)


def test_bytes_are_those_of_scipy_on_the_whole() -> None:
    for dtype in (np.float32, np.float64):
        given = unsorted_csr(messy(dtype, repeated=True))
        whole = given.copy()
        whole.sort_indices()
        whole = whole.astype(np.float64)
        whole.sum_duplicates()
        found = Checks("it").csr("X", given, dtype=np.float64)
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


def test_sums_by_ranges_of_rows() -> None:
    a, b = (sparse.random_array((40, 40), density=0.2, rng=s, format="csr") for s in (1, 2))
    found = tc.merge_counts([a, b])
    whole = a + b
    for name in ("data", "indices", "indptr"):
        assert getattr(found, name).tobytes() == getattr(whole, name)[: len(getattr(found, name))].tobytes()
    both = tc.graph_from_matrix(a, directed=False, keep_self_loops=True).adjacency
    assert (both != a.maximum(a.T)).nnz == 0


@pytest.mark.parametrize("axis", ["row", "column"])
def test_a_coo_changed_after_it_was_made_is_refused(axis: str) -> None:
    for wrong in (-1, 17, 2**30):
        coo = sparse.coo_array((np.ones(3), (np.array([0, 1, 2]), np.array([0, 1, 2]))), shape=(3, 3))
        (coo.row if axis == "row" else coo.col)[1] = wrong
        with pytest.raises(ValueError, match=rf"'X' parameter of NMF.*{axis} indices in \[0, 3\).*{wrong} at entry 1"):
            tc.NMF(1).fit(coo)


def test_parts_of_a_graph_are_counted_as_scipy_counts_them() -> None:
    from scipy.sparse.csgraph import connected_components

    for seed in range(30):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 60))
        graph = tc.graph_from_matrix(sparse.random_array((n, n), density=rng.random() * 0.06, rng=rng, format="csr"))
        count, label = connected_components(graph.adjacency, directed=False)
        assert (graph.report.n_components, graph.report.largest_component) == (count, np.bincount(label).max())


def test_positive_pmi_sums_its_columns_in_the_order_of_the_entries() -> None:
    counts = sparse.random_array((50, 30), density=0.3, rng=3, format="csr", dtype=np.float32)
    found, sums = tc.positive_pmi(counts, context_smoothing=0.7), np.bincount(counts.indices, weights=counts.data)
    context, rows = sums**0.7, np.array([counts.data[a:b].sum(dtype=np.float64) for a, b in
                                         zip(counts.indptr, counts.indptr[1:])])
    dense = counts.toarray() / rows[:, None] / context * context.sum()
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(found.toarray(), np.maximum(0, np.log(dense)), rtol=1e-5, atol=1e-6)
