"""The views of the joint recipe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc
from tests.data.shops import fitted, small_shop
from tests.reference import traits as slow
from traitcore.customers import tuning
from traitcore.customers.components import match_rows
from traitcore.customers.counts import count_tokens, weigh_counts
from traitcore.customers.recipes import TraitFitOptions
from traitcore.customers.tuning import DENSITY
from traitcore.customers.views import JointViews, density_weight, tie_rows


@pytest.fixture(scope="module")
def small():
    return small_shop()


def test_sparser_counts_get_more_ppmi():
    rng = np.random.default_rng(0)
    dense, thin = ((rng.random((200, 60)) < share).astype(np.float32) for share in (0.5, 0.05))
    for wide in (dense, thin):
        wide[:, 0] = 1.0  # no customer is empty
    weights = [density_weight(sparse.csr_array(wide)) for wide in (dense, thin)]
    assert weights[1] > 5 * weights[0] > 0
    assert weights[0] == pytest.approx(DENSITY * 60**2 / (200 * dense.sum()))
    padded = sparse.csr_array(np.pad(dense, ((0, 50), (0, 9))))  # customers and tokens without events change nothing
    assert density_weight(padded) == pytest.approx(weights[0])
    assert density_weight(sparse.csr_array((3, 4), dtype=np.float32)) == 0.0


def test_a_sample_stands_for_many_customers_and_windows(small, monkeypatch):
    sequences, vocabulary, _ = small
    parts = JointViews.of(sequences, vocabulary.token_item, TraitFitOptions(4))
    n, n_windows, n_tokens = parts.tied.shape[0], parts.windows.shape[0], parts.ppmi.shape[0]
    whole = parts.stacked(3.5, 0.5, seed=0)
    assert whole.shape[0] == n + n_windows + n_tokens
    monkeypatch.setattr(tuning, "MAX_FIT_ROWS", (n + n_windows) // 2)
    half = parts.stacked(3.5, 0.5, seed=0)
    few = half.shape[0] - n_tokens
    assert abs(few - (n + n_windows) // 2) <= 2
    assert (half[few:] != whole[n + n_windows :]).nnz == 0  # PPMI rows are all there, as they were
    squares = [float((m.data[: m.indptr[rows]] ** 2).sum()) for m, rows in ((whole, n + n_windows), (half, few))]
    assert squares[1] == pytest.approx(squares[0], rel=0.1)
    np.testing.assert_array_equal(parts.stacked(3.5, 0.5, seed=0).data, half.data)
    sampled = fitted("joint", small).components_
    monkeypatch.undo()
    assert match_rows(fitted("joint", small).components_, sampled)[1].mean() > 0.8


@given(
    st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=8), st.sampled_from([0.0, 0.5, 1.0]),
)
def test_rows_of_customers_equal_the_slow_ones(histories, tie):
    sequences = tc.Sequences.from_lists(histories)
    item = np.array([0, 0, 1, 2, 2, 2, 3])
    idf = np.linspace(1.0, 2.0, 7).astype(np.float32)
    got = tie_rows(weigh_counts(count_tokens(sequences, n_tokens=7), idf), item, tie).toarray()
    np.testing.assert_allclose(got, slow.joint_rows(histories, idf, item, tie), atol=1e-6)


def test_ppmi_window_and_window_are_separate(small):
    usual, near, short = (
        fitted("joint", small, **p).components_ for p in ({}, {"ppmi_window": 1}, {"window": 2})
    )
    assert not np.allclose(usual, near)
    assert not np.allclose(usual, short)
    assert not np.allclose(near, short)
