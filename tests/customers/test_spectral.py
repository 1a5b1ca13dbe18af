"""The default recipe: its matrices against slow twins, its start, both kinds of logs, earlier traits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import traitcore as tc
from tests.data.shops import fitted, shop, small_shop
from tests.reference import traits as slow
from traitcore.customers import spectral, tuning
from traitcore.customers.components import match_rows
from traitcore.customers.recipes import TraitFitOptions
from traitcore.customers.spectral import laplacian_weights, sampled_rows, token_pairs, varimax_start
from traitcore.quality.trait_stability import matched_correlation


@pytest.mark.parametrize("at_once", [1.0, 20.0, 1e6])
@pytest.mark.parametrize("seed", range(4))
def test_pairs_equal_the_slow_ones(seed, at_once, monkeypatch):
    monkeypatch.setattr(spectral, "_PAIRS_AT_ONCE", at_once)
    rng = np.random.default_rng(seed)
    have = rng.random((30, 9)) < rng.uniform(0.05, 0.5, 9)
    got = token_pairs(sparse.csr_array(have * rng.integers(1, 4, have.shape).astype(np.float32)), 0)
    np.testing.assert_allclose(got.toarray(), slow.token_pairs(have, tuning.PAIR_DISCOUNT), rtol=2e-5, atol=1e-6)


def test_pairs_leave_out_bots_and_sample_the_rest(monkeypatch):
    rng = np.random.default_rng(0)
    have = (rng.random((400, 60)) < 0.03).astype(np.float32)
    bot = np.vstack([have, np.ones((1, 60), np.float32)])
    few, many = (token_pairs(sparse.csr_array(rows), 0).toarray() for rows in (have, bot))
    assert (few > 0).sum() == (many > 0).sum()
    monkeypatch.setattr(tuning, "MAX_PAIRS", 300)
    part = token_pairs(sparse.csr_array(have), 0)
    assert 0 < part.nnz < (few > 0).sum()
    assert sampled_rows(sparse.csr_array(have), 7, 0).shape == (7, 60)


def test_popular_tokens_weigh_less():
    counts = sparse.csr_array(np.array([[1.0, 1, 0], [1, 0, 0], [2, 0, 0]]))
    np.testing.assert_allclose(laplacian_weights(counts), [(3 + 2) ** -0.5, (1 + 2) ** -0.5, 2**-0.5], rtol=1e-6)


def test_the_start_finds_blocks_and_serves_more_traits_than_dimensions():
    rng = np.random.default_rng(1)
    block = np.kron(np.eye(3), np.ones((20, 8))) * (rng.random((60, 24)) < 0.7)
    matrix = sparse.csr_array(block.astype(np.float32))
    _, H = varimax_start(matrix, TraitFitOptions(3))
    assert match_rows(H, np.kron(np.eye(3), np.ones((1, 8))))[1].min() > 0.95
    W, H = varimax_start(sparse.csr_array(np.ones((2, 3), np.float32)), TraitFitOptions(4))
    assert W.shape == (2, 4)
    assert np.isfinite(H).all()
    assert H.any(axis=1).all()


def test_short_histories_are_read_from_pairs(monkeypatch):
    sequences, vocabulary, truth = shop(n_users=3000, n_traits=5, sessions=1.0, n_items=120)
    known = truth.sum(axis=1) > 0
    pairs = tc.TraitModel(5).fit(sequences, vocabulary)
    monkeypatch.setattr(tuning, "SHORT_HISTORY", 0.0)
    rows = tc.TraitModel(5).fit(sequences, vocabulary)
    by_pairs, by_rows = (matched_correlation(truth[known], m.profiles_[known]) for m in (pairs, rows))
    assert by_pairs > max(0.7, by_rows)


@pytest.mark.parametrize("method", ["spectral", "counts"])
def test_customers_of_one_token_are_read_and_shape_nothing(method: str) -> None:
    """Their rows are as long as all others: hundreds of them for three tokens would each be a trait of one token."""
    small = small_shop()
    sequences, vocabulary = small[0], small[1]
    alone = np.repeat(np.arange(3, dtype=np.int32), 200)
    n = sequences.n_owners
    more = tc.Sequences(
        np.concatenate([sequences.tokens, alone]),
        np.concatenate([sequences.offsets, sequences.offsets[-1] + np.arange(1, len(alone) + 1)]),
        np.concatenate([sequences.owners(), n + np.arange(len(alone), dtype=np.int32)]),
    )
    before, after = (tc.TraitModel(4, method=method, max_iter=60).fit(one, vocabulary) for one in (sequences, more))
    assert match_rows(before.components_, after.components_)[1].min() > 0.9
    assert (after.components_ > 0.5).sum() <= (before.components_ > 0.5).sum() + 1
    np.testing.assert_allclose(after.profiles_[n:].sum(axis=1), 1, atol=1e-5)
    single = tc.Sequences.from_lists([[0], [1], [1, 1]])
    assert tc.TraitModel(2, method=method).fit(single, vocabulary).profiles_.shape == (3, 2)


def test_a_sample_of_rows_finds_the_same_traits(monkeypatch):
    small = small_shop()
    whole = fitted("spectral", small).components_
    monkeypatch.setattr(tuning, "MAX_FIT_ROWS", 75)
    assert match_rows(whole, fitted("spectral", small).components_)[1].mean() > 0.8


def test_earlier_traits_keep_their_rows(monkeypatch):
    small = small_shop()
    first = fitted("spectral", small)
    turned = first.components_[[2, 0, 3, 1]]
    calls = []
    monkeypatch.setattr(spectral, "varimax_start", lambda *args: calls.append(args))
    model = tc.TraitModel(4, max_iter=60).fit(small[0], small[1], previous=turned)
    assert not calls  # it starts from them
    np.testing.assert_allclose((model.components_ * turned).sum(axis=1), 1, atol=0.02)
    assert model.history_ is not None
    assert model.history_.kept == (0, 1, 2, 3)
    with pytest.raises(ValueError, match="'previous'"):
        tc.TraitModel(4).fit(small[0], small[1], previous=turned[:, 1:])
