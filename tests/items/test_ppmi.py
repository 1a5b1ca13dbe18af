"""PPMI against the dense formula, and what its options do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tests.reference.cooccurrence import dense_ppmi
from traitcore.items.ppmi import positive_pmi

COUNTS = st.lists(st.lists(st.integers(0, 5), min_size=6, max_size=6), min_size=1, max_size=8).map(np.array)


@given(counts=COUNTS)
def test_without_options_it_is_the_dense_formula(counts) -> None:
    result = positive_pmi(sparse.csr_array(counts), context_smoothing=1.0)
    assert result.dtype == np.float32
    assert (result.data > 0).all()
    np.testing.assert_allclose(result.toarray(), dense_ppmi(counts.astype(float)), atol=1e-6)


@given(
    counts=COUNTS, shift=st.sampled_from([1.0, 2.0, 5.0]), power=st.sampled_from([0.5, 0.75, 1.0]),
    c=st.sampled_from([0, 1, 5]),
)
def test_shift_smoothing_and_discount(counts, shift, power, c) -> None:
    counts = counts.astype(float)
    rows, contexts = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True) ** power
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(counts * contexts.sum() / (rows * contexts)) - np.log(shift)
        expected = np.where(counts > 0, np.maximum(pmi, 0) * counts / (counts + c), 0)
    result = positive_pmi(counts, shift=shift, context_smoothing=power, discount=c)
    np.testing.assert_allclose(result.toarray(), np.nan_to_num(expected), atol=2e-6)


def test_smoothing_lifts_the_frequent_context() -> None:
    counts = np.array([[0, 9, 1], [9, 0, 3], [1, 3, 0]])
    plain, smooth = positive_pmi(counts, context_smoothing=1.0), positive_pmi(counts)
    assert smooth[0, 1] > plain[0, 1]


def test_symmetry_zero_rows_and_workers() -> None:
    rng = np.random.default_rng(0)
    counts = sparse.random_array((401, 401), density=0.05, rng=rng)
    counts = sparse.csr_array(counts + counts.T)
    one = positive_pmi(counts, context_smoothing=1.0)
    assert (one != one.T).nnz == 0 or abs(one - one.T).max() < 1e-6
    for workers in (2, 3, 7):
        other = positive_pmi(counts, context_smoothing=1.0, workers=workers)
        assert other.data.tobytes() == one.data.tobytes()
        assert other.indices.tobytes() == one.indices.tobytes()
    assert positive_pmi(np.zeros((3, 4))).nnz == 0
    assert positive_pmi(np.array([[2.0]])).nnz == 0


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"non-negative\. Got '-1(\.0)? at row 1, column 0"):
        positive_pmi(np.array([[1, 2], [-1, 0]]))
    with pytest.raises(ValueError, match=r"finite\. Got .nan at row 0, column 1"):
        positive_pmi(np.array([[1, np.nan]]))
    with pytest.raises(ValueError, match="'shift'"):
        positive_pmi(np.eye(2), shift=0)
    with pytest.raises(ValueError, match=r"'context_smoothing' .* \(0, 1\]"):
        positive_pmi(np.eye(2), context_smoothing=1.5)
    with pytest.raises(ValueError, match="'discount'"):
        positive_pmi(np.eye(2), discount=-1)
