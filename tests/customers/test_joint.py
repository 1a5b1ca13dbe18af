"""The joint recipe: its views, starts and loadings, and the choice of its blend by halves of histories."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc
from tests.data.shops import fitted, shop, small_shop
from tests.reference import traits as slow
from traitcore.customers import blend_selection, components, tuning
from traitcore.customers.blend_selection import BLENDS, choose_blend, clearly_best
from traitcore.customers.components import match_rows, merge_components, nndsvd_start
from traitcore.customers.counts import count_tokens, recency_counts, weigh_counts
from traitcore.customers.customer_subsets import take_owners
from traitcore.customers.joint import pick_more_reliable
from traitcore.customers.recipes import TraitFitOptions
from traitcore.customers.reliability import halve_histories, split_half_reliability
from traitcore.customers.tuning import DENSITY, HIGH_PPMI_WEIGHT
from traitcore.customers.views import JointViews, density_weight, tie_rows
from traitcore.quality.trait_stability import matched_correlation


@pytest.fixture(scope="module")
def small():
    return small_shop()


def test_only_clear_evidence_moves_a_choice():
    base = np.array([0.30, 0.31, 0.29])
    gains = {"clear": [0.05, 0.06, 0.05], "chance": [0.20, -0.10, 0.05], "too little": 0.001, "none": 0.0}
    columns = {name: base + np.array(gain) for name, gain in gains.items()}
    assert clearly_best(np.stack([base, *columns.values()], axis=1)) == 1
    for name in ("chance", "too little", "none"):
        assert clearly_best(np.stack([base, columns[name]], axis=1)) == 0, name
    assert clearly_best(np.stack([base, columns["clear"], columns["clear"] + 0.1], axis=1)) == 2
    assert clearly_best(np.zeros((3, 2))) == 0


def test_reliability_equals_the_slow_one():
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 12, 4)).astype(np.float32)
    first[3], second[5] = 0.0, 0.0  # one half of each says nothing
    got = split_half_reliability(first, second)
    assert got == pytest.approx(slow.split_half_reliability(first, second), rel=1e-4)
    assert split_half_reliability(first, first) == pytest.approx(1.0, abs=1e-6)
    alike = np.tile(first[:1], (12, 1))  # everyone has the same shares
    assert split_half_reliability(alike, second) == slow.split_half_reliability(alike, second) == 0.0
    assert split_half_reliability(first[:0], second[:0]) == 0.0


@given(
    st.lists(st.lists(st.integers(0, 6), max_size=6), min_size=1, max_size=12),
    st.data(),
)
def test_halves_of_histories_keep_sessions_or_items_whole(sessions, data):
    owner = sorted(data.draw(st.lists(st.integers(0, 3), min_size=len(sessions), max_size=len(sessions))))
    sequences = tc.Sequences.from_lists(sessions, owner=owner, owner_ids=np.arange(4))
    item = np.array([0, 0, 1, 2, 2, 2, 3], dtype=np.int32)
    halves = halve_histories(sequences, item, np.random.default_rng(0))
    assert all(half.n_owners == 4 and len(half) == len(sessions) for half in halves)
    for who in range(4):
        mine = [row for row, name in enumerate(owner) if name == who and sessions[row]]
        for row in mine:
            parts = [half[row].tolist() for half in halves]
            assert sorted(parts[0] + parts[1]) == sorted(sessions[row])
            if len(mine) > 1:
                assert not (parts[0] and parts[1])
            assert not {item[t] for t in parts[0]} & {item[t] for t in parts[1]}
        units = mine if len(mine) > 1 else {item[t] for row in mine for t in sessions[row]}
        held = [
            [row for row in mine if half[row].size] if len(mine) > 1 else {item[t] for row in mine for t in half[row]}
            for half in halves
        ]
        assert abs(len(held[0]) - len(held[1])) == len(units) % 2


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=5), min_size=1, max_size=10), st.sampled_from([0.0, 0.5, 1.0]),
    st.data(),
)  # fmt: skip
def test_counts_of_late_equal_the_slow_ones(sessions, decay, data):
    owner = data.draw(st.lists(st.integers(0, 3), min_size=len(sessions), max_size=len(sessions)))
    sequences = tc.Sequences.from_lists(sessions, owner=owner, owner_ids=np.arange(4))
    got = recency_counts(sequences, n_tokens=6, decay=decay).toarray()
    for who in range(4):
        mine = [sessions[row] for row, name in enumerate(owner) if name == who]
        np.testing.assert_allclose(got[who], slow.counted_lately(mine, 6, decay), rtol=1e-6)


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


def test_the_default_blend_stays_where_nothing_speaks_against_it(small):
    sequences, vocabulary, _ = small
    token_item = vocabulary.token_item
    suggested = density_weight(count_tokens(sequences, n_tokens=len(vocabulary)))
    few = choose_blend(take_owners(sequences, np.arange(3)), token_item, TraitFitOptions(4))
    assert (few.windows_weight, few.loading_power) == (BLENDS[0].windows_weight, BLENDS[0].loading_power)
    found = choose_blend(sequences, token_item, TraitFitOptions(4))
    assert found.ppmi_weight in (suggested, HIGH_PPMI_WEIGHT)
    fixed = TraitFitOptions(4, windows_weight=2.0, ppmi_weight=0.7, loading_power=0.9)
    kept = choose_blend(sequences, token_item, fixed)
    assert (kept.windows_weight, kept.ppmi_weight, kept.loading_power) == (2.0, 0.7, 0.9)
    assert choose_blend(sequences, token_item, TraitFitOptions(4, loading_power=0.9)).loading_power == 0.9


def test_the_choice_looks_at_the_most_common_tokens(small, monkeypatch):
    sequences, vocabulary, _ = small
    counts = sequences.token_counts(len(vocabulary))
    monkeypatch.setattr(tuning, "MAX_CHOICE_TOKENS", 25)
    common = blend_selection._with_common_tokens(sequences, len(vocabulary))
    left = np.flatnonzero(common.token_counts(len(vocabulary)))
    assert len(left) == 25
    assert counts[left].min() >= np.sort(counts)[-25]
    assert common.n_tokens == counts[left].sum()
    found = choose_blend(sequences, vocabulary.token_item, TraitFitOptions(4))
    whole = density_weight(count_tokens(sequences, n_tokens=len(vocabulary)))
    assert found.ppmi_weight in (whole, HIGH_PPMI_WEIGHT)  # the density stays that of all tokens


def test_of_many_customers_and_windows_a_sample_stands_for_all(small, monkeypatch):
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


def test_histories_too_short_to_say_what_goes_together_get_the_heavy_weight():
    sequences, vocabulary, truth = shop(n_users=1500, n_traits=5, sessions=1.0, n_items=200)
    model = tc.TraitModel(5).fit(sequences, vocabulary)
    light = density_weight(count_tokens(sequences, n_tokens=len(vocabulary)))
    plain_fit = tc.TraitModel(5, ppmi_weight=light).fit(sequences, vocabulary)
    told = truth.sum(axis=1) > 0
    found, without = (matched_correlation(truth[told], m.profiles_[told]) for m in (model, plain_fit))
    assert model.chosen_["ppmi_weight"] == HIGH_PPMI_WEIGHT
    assert found > without + 0.1


def test_the_loadings_kept_are_those_on_which_halves_of_histories_agree(small):
    sequences, vocabulary, _ = small
    model = fitted("joint", small)
    good, idf = model.components_, model.to_arrays()["recipe_idf"]
    bad = np.random.default_rng(0).permuted(good, axis=1)  # the same loadings on any tokens
    pairs = {0: [good, bad], 1: [bad, good]}
    for best, pair in pairs.items():
        assert pick_more_reliable(pair, sequences, vocabulary.token_item, idf, TraitFitOptions(4)) == best
    assert pick_more_reliable([good, good], sequences, vocabulary.token_item, idf, TraitFitOptions(4)) == 0


@given(
    st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=8), st.sampled_from([0.0, 0.5, 1.0]),
)
def test_rows_of_customers_equal_the_slow_ones(histories, tie):
    sequences = tc.Sequences.from_lists(histories)
    item = np.array([0, 0, 1, 2, 2, 2, 3])
    idf = np.linspace(1.0, 2.0, 7).astype(np.float32)
    got = tie_rows(weigh_counts(count_tokens(sequences, n_tokens=7), idf), item, tie).toarray()
    np.testing.assert_allclose(got, slow.joint_rows(histories, idf, item, tie), atol=1e-6)


@pytest.mark.parametrize("shape", [(30, 20), (9, 40)])
def test_the_start_is_nndsvda_of_the_exact_svd(shape):
    rng = np.random.default_rng(5)
    X = rng.random((shape[0], 6)) @ rng.random((6, shape[1])) + 0.05 * rng.random(shape)
    X[np.quantile(X, 0.4) > X] = 0
    got = nndsvd_start(sparse.csr_array(X.astype(np.float32)), TraitFitOptions(4))
    for found, exact in zip(got, slow.nndsvd_start(X, 4)):
        assert np.linalg.norm(found - exact) < 1e-4 * np.linalg.norm(exact)


def test_the_search_for_a_start_ends_on_noise(monkeypatch):
    rng = np.random.default_rng(0)
    noise = sparse.csr_array(sparse.random_array((3000, 1500), density=0.01, rng=rng, dtype=np.float32))
    products = []
    found = components.randomized_svd

    def spied(*args, **kwargs):
        return found(*args, **kwargs, progress=lambda *_: products.append(1))

    monkeypatch.setattr(components, "randomized_svd", spied)
    W, H = nndsvd_start(noise, TraitFitOptions(4))
    most = (tuning.START_COLUMNS + 4 * tuning.START_COLUMNS_PER_COMPONENT) // 16
    assert 0 < len(products) <= most
    assert np.isfinite(W).all()
    assert np.isfinite(H).all()
    assert W.any(axis=0).all()


def test_rates_equal_the_slow_ones(small):
    sequences, vocabulary, _ = small
    model = fitted("joint", small)
    owners, n = sequences.owners(), len(vocabulary)
    told = [[s for s, o in zip(sequences, owners) if o == who] for who in range(sequences.n_owners)]
    lately = np.array([slow.counted_lately(sessions, n, 0.5) for sessions in told])
    exact = slow.token_rates(model.raw_profiles_.astype(np.float64), lately, vocabulary.token_item, 0.5)
    np.testing.assert_allclose(model.token_rates_, exact, atol=2e-3 * exact.max())


def test_the_reach_of_pairs_and_the_length_of_windows_are_two_things(small):
    usual, near, short = (
        fitted("joint", small, **p).components_ for p in ({}, {"ppmi_window": 1}, {"window": 2})
    )
    assert not np.allclose(usual, near)
    assert not np.allclose(usual, short)
    assert not np.allclose(near, short)


def test_merging_takes_the_pair_of_most_similar_tokens():
    rng = np.random.default_rng(4)
    W, H = rng.random((9, 4)).astype(np.float32), rng.random((4, 12)).astype(np.float32)
    W[W < 0.4], H[H < 0.4] = 0, 0
    got, want = merge_components(W, H, 2), slow.merge_components(W, H, 2)
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)
    same = merge_components(W, H, 4)
    np.testing.assert_allclose(same, H / np.linalg.norm(H, axis=1, keepdims=True), atol=1e-6)


def test_merging_undoes_a_split_of_customers():
    rng = np.random.default_rng(6)
    W, H = rng.random((40, 3)) * (rng.random((40, 3)) < 0.5), rng.random((3, 20)) * (rng.random((3, 20)) < 0.5)
    half = (np.arange(40) < 20)[:, None]
    wide = np.hstack([W[:, :1] * half, W[:, 1:], W[:, :1] * ~half]), np.vstack([H, H[:1]])
    found = merge_components(*(a.astype(np.float32) for a in wide), 3)
    assert match_rows(H, found)[1].min() > 0.999


def test_merging_refuses_what_does_not_fit():
    H = np.eye(3, dtype=np.float32)
    with pytest.raises(ValueError, match="'n_components' parameter of merge_components"):
        merge_components(H, H, 4)
    with pytest.raises(ValueError, match="'W' parameter of merge_components"):
        merge_components(np.ones((5, 2), np.float32), H, 2)
    dead = np.zeros((2, 3), dtype=np.float32)
    assert np.isfinite(merge_components(np.zeros((4, 2), np.float32), dead, 1)).all()
