"""TraitModel: every method, determinism, equivariance, persistence, planted truth, and the edges."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc
from traitcore.customers import joint, recipes, selection
from traitcore.customers.consensus import consensus_components, match_rows
from traitcore.customers.counts import count_lately, count_tokens, weigh_counts
from traitcore.customers.folding import normalise_rows
from traitcore.customers.joint import DENSITY, density_weight, more_reliable, tie_rows
from traitcore.customers.merging import merge_components
from traitcore.customers.owners import split_halves, take_owners
from traitcore.customers.recipes import Settings, signed_start
from traitcore.customers.reliability import halve_histories, split_half_reliability
from traitcore.customers.selection import BLENDS, HEAVY, POWERS, choose_blend, clearly_best
from traitcore.customers.traits import METHODS, NEED_VECTORS
from traitcore.customers.vector_recipes import ShiftWarning
from traitcore.quality.trait_stability import matched_correlation, matched_cosine

from .reference import traits as slow

FIXED = {"windows_weight": 3.0, "ppmi_weight": 0.3, "loading_power": 0.85}


def shop(n_users=500, n_traits=5, seed=0, sessions=25.0, n_items=150):
    made = tc.simulate_events(
        n_users=n_users, n_items=n_items, n_traits=n_traits, seed=seed, noise=0.35, sessions_per_user=sessions,
        bot_share=0.0,
    )  # fmt: skip
    corpus = tc.tokenize(tc.split_sessions(made.log), min_count=3)
    row = {name: i for i, name in enumerate(made.truth.customer_ids.tolist())}
    owners = np.array([row[str(name)] for name in corpus.sequences.owner_ids])
    return corpus.sequences, corpus.vocabulary, made.truth.customer_shares[owners]


@pytest.fixture(scope="module")
def small():
    return shop(n_users=150, n_traits=4, sessions=12.0, n_items=80)


def vectors_for(vocabulary, width=12):
    """Vectors with some structure: tokens of items of one family are near each other."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((8, width))
    noise = 0.5 * rng.standard_normal((len(vocabulary), width))
    return (centres[vocabulary.token_item % 8] + noise).astype(np.float32)


def fitted(method, small, **params):
    sequences, vocabulary, _ = small
    if method == "joint":
        params = FIXED | params
    model = tc.TraitModel(4, method=method, max_iter=60, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShiftWarning)
        return model.fit(
            sequences, vocabulary, item_vectors=vectors_for(vocabulary) if method in NEED_VECTORS else None
        )


def test_planted_traits_are_recovered_by_the_default():
    sequences, vocabulary, truth = shop()
    model = tc.TraitModel(5).fit(sequences, vocabulary)
    told = truth.sum(axis=1) > 0
    assert matched_correlation(truth[told], model.profiles_[told]) > 0.9
    assert model.chosen_["loading_power"] in POWERS
    again = [tc.TraitModel(5, **model.chosen_, random_state=s).fit(sequences, vocabulary) for s in (1, 2)]
    cosine = match_rows(again[0].raw_profiles_.T, again[1].raw_profiles_.T)[1]
    assert cosine.mean() > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_deterministic_and_transforms_as_it_fitted(method, small):
    first, second = fitted(method, small), fitted(method, small, workers=3)
    np.testing.assert_allclose(first.raw_profiles_, second.raw_profiles_, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(first.transform_raw(small[0]), first.raw_profiles_, rtol=1e-3, atol=1e-5)
    assert first.components_.shape == (4, len(small[1]))
    assert (first.raw_profiles_ >= 0).all()
    sums = first.profiles_.sum(axis=1)
    np.testing.assert_allclose(sums[sums > 0], 1, atol=1e-5)
    assert first.token_rates_.min() >= 0


@pytest.mark.parametrize("method", METHODS)
def test_permuting_customers_permutes_the_weights(method, small):
    sequences, vocabulary, _ = small
    order = np.random.default_rng(0).permutation(sequences.n_owners)
    moved = fitted(method, (take_owners(sequences, order), vocabulary, None))
    first = fitted(method, small)
    cosine = match_rows(first.raw_profiles_[order].T, moved.raw_profiles_.T)[1]
    assert cosine.mean() > 0.999


@pytest.mark.parametrize("method", METHODS)
def test_duplicated_customers_get_the_same_profile(method, small):
    sequences = small[0]
    model = fitted(method, small)
    twice = take_owners(sequences, np.arange(20))
    doubled = tc.Sequences.from_lists([*twice, *twice], owner=np.concatenate([twice.owners(), twice.owners() + 20]))
    profiles = model.transform(doubled)
    np.testing.assert_array_equal(profiles[:20], profiles[20:])
    np.testing.assert_allclose(profiles[:20], model.profiles_[:20], atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_travels_as_arrays_and_json(method, small):
    model = fitted(method, small)
    params = json.loads(json.dumps(model.get_params()))
    arrays = model.to_arrays()
    assert all(a.dtype.kind != "O" for a in arrays.values())
    back = tc.TraitModel.from_arrays(arrays, params)
    np.testing.assert_array_equal(back.transform_raw(small[0]), model.transform_raw(small[0]))
    np.testing.assert_array_equal(back.token_rates_, model.token_rates_)
    assert back.chosen_ == model.chosen_
    with pytest.raises(ValueError, match="format"):
        tc.TraitModel.from_arrays(arrays | {"format": np.array([99])}, params)


def test_semi_does_not_change_under_a_rotation_and_shift_does(small):
    sequences, vocabulary, _ = small
    vectors = vectors_for(vocabulary)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0]
    turned = np.ascontiguousarray(vectors @ turn, dtype=np.float32)
    change = {}
    for method in ("semi", "shift"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ShiftWarning)
            a, b = (
                tc.TraitModel(4, method=method, max_iter=300, tol=1e-6).fit(sequences, vocabulary, item_vectors=v)
                for v in (vectors, turned)
            )
        change[method] = 1 - match_rows(a.raw_profiles_.T, b.raw_profiles_.T)[1].mean()
    assert change["semi"] < 1e-3
    assert change["shift"] > 20 * max(change["semi"], 1e-5)


def test_shift_warns_and_names_its_cost(small):
    sequences, vocabulary, _ = small
    with pytest.warns(ShiftWarning, match="hardly better than chance"):
        tc.TraitModel(4, method="shift").fit(sequences, vocabulary, item_vectors=vectors_for(vocabulary))


def test_tokens_are_matched_by_what_they_are(small):
    sequences, vocabulary, _ = small
    model = fitted("counts", small)
    n = len(vocabulary)
    swap = np.random.default_rng(5).permutation(n)  # row i of the new vocabulary is the old row swap[i]
    back = np.argsort(swap).astype(np.int32)
    other = tc.Vocabulary(
        vocabulary.item_ids, vocabulary.actions, vocabulary.token_item[swap], vocabulary.token_action[swap],
        vocabulary.counts[swap], vocabulary.document_frequencies[swap], vocabulary.n_documents,
    )  # fmt: skip
    renamed = tc.Sequences(back[sequences.tokens], sequences.offsets, sequences.owner, None, sequences.owner_ids)
    np.testing.assert_allclose(model.transform(renamed, vocabulary=other), model.transform(sequences), atol=1e-4)


def test_a_model_fitted_on_tokens_that_are_gone_says_so(small):
    _, vocabulary, _ = small
    model = fitted("counts", small)
    short = tc.Vocabulary(
        vocabulary.item_ids, vocabulary.actions, vocabulary.token_item[1:], vocabulary.token_action[1:],
        vocabulary.counts[1:], vocabulary.document_frequencies[1:], vocabulary.n_documents,
    )  # fmt: skip
    few = tc.Sequences.from_lists([[0, 1]])
    told = f"1 tokens that the vocabulary no longer has, the first '{vocabulary.tokens[0]}'"
    with pytest.raises(ValueError, match=told):
        model.transform(few, vocabulary=short)
    with pytest.raises(ValueError, match=r"token \d+ at 0"):
        model.transform(tc.Sequences.from_lists([[len(vocabulary)]]))


def plain(n_tokens, counts=None):
    return tc.Vocabulary(
        np.arange(n_tokens), (), np.arange(n_tokens, dtype=np.int32), np.full(n_tokens, -1, np.int32),
        np.ones(n_tokens, np.int64), np.ones(n_tokens, np.int64), 10,
    )  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_awkward_corpora(method):
    vectors = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    rng = np.random.default_rng(1)
    corpora = {
        "customers with 0, 1 and many events": tc.Sequences.from_lists(
            [[0], rng.integers(0, 5, 100_000), [1, 2], [3, 4, 1]], owner=[1, 2, 3, 4], owner_ids=np.arange(6)
        ),
        "more traits than customers": tc.Sequences.from_lists([[0, 1, 2], [3, 4, 5]]),
        "all-identical customers": tc.Sequences.from_lists([[0, 1, 2]] * 12),
        "a token everyone has": tc.Sequences.from_lists([[0, 1 + i % 5] for i in range(20)]),
    }
    for name, sequences in corpora.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ShiftWarning)
            model = tc.TraitModel(7, method=method).fit(sequences, plain(6), item_vectors=vectors)
        assert np.isfinite(model.raw_profiles_).all(), name
        assert np.isfinite(model.components_).all(), name
        empty = np.bincount(sequences.owners(), weights=np.diff(sequences.offsets), minlength=sequences.n_owners) == 0
        assert not model.profiles_[empty].any(), name
        assert model.n_empty_ == int(empty.sum()), name
    np.testing.assert_allclose(model.profiles_[0], model.profiles_[5], atol=1e-5)


@given(seed=st.integers(0, 2**32), n=st.integers(2, 40))
def test_halves_share_long_and_short_histories(seed, n):
    rng = np.random.default_rng(seed)
    sequences = tc.Sequences.from_lists([np.zeros(k, int) for k in rng.geometric(0.05, n)])
    a, b = split_halves(sequences, np.arange(n), rng)
    assert sorted([*a, *b]) == list(range(n))
    assert abs(len(a) - len(b)) <= 1
    lengths = np.diff(sequences.offsets)
    assert abs(lengths[a].sum() - lengths[b].sum()) <= lengths.max()


def test_taking_owners_keeps_their_sequences(small):
    sequences = small[0]
    owners = np.array([7, 3, 11])
    part = take_owners(sequences, owners)
    for place, owner in enumerate(owners):
        mine = [sequences[i].tolist() for i in np.flatnonzero(sequences.owners() == owner)]
        assert [part[i].tolist() for i in np.flatnonzero(part.owners() == place)] == mine


def test_consensus_finds_the_components_behind_noisy_runs():
    rng = np.random.default_rng(0)
    truth = np.abs(rng.standard_normal((5, 40))).astype(np.float32)
    runs = [(truth + 0.3 * np.abs(rng.standard_normal(truth.shape)))[rng.permutation(5)] for _ in range(12)]
    found, agreement = consensus_components(runs)
    assert match_rows(truth, found)[1].mean() > np.mean([match_rows(truth, run)[1].mean() for run in runs])
    assert agreement.shape == (5,)
    assert agreement.max() <= 1 + 1e-9


@pytest.mark.parametrize("method", ["joint", "counts"])
def test_restarts_give_a_consensus(method, small):
    once, many = fitted(method, small), fitted(method, small, n_restarts=4)
    assert match_rows(once.components_, many.components_)[1].mean() > 0.8
    np.testing.assert_allclose(np.linalg.norm(many.components_, axis=1), 1, atol=1e-5)


def test_rows_normalised_as_promised():
    rows = normalise_rows(np.array([[1, 3], [0, 0], [2, 0]], dtype=np.float32))
    np.testing.assert_allclose(rows, [[0.25, 0.75], [0, 0], [1, 0]])


@pytest.mark.parametrize(
    ("params", "error", "name"),
    [
        ({"n_traits": 0}, ValueError, "n_traits"),
        ({"n_traits": 2.5}, TypeError, "n_traits"),
        ({"method": "lda"}, ValueError, "method"),
        ({"tie": 2.0}, ValueError, "tie"),
        ({"ppmi_weight": "best"}, ValueError, "ppmi_weight"),
        ({"ppmi_weight": -1.0}, ValueError, "ppmi_weight"),
        ({"windows_weight": -1.0}, ValueError, "windows_weight"),
        ({"loading_power": 0.0}, ValueError, "loading_power"),
        ({"loading_power": 1.5}, ValueError, "loading_power"),
        ({"n_restarts": 0}, ValueError, "n_restarts"),
        ({"workers": 0}, ValueError, "workers"),
        ({"method": "semi"}, ValueError, "item_vectors"),
    ],
)
def test_refusals(params, error, name, small):
    with pytest.raises(error, match=f"'{name}' parameter of TraitModel"):
        tc.TraitModel(**(FIXED | params)).fit(small[0], small[1])


def test_nothing_to_learn_from_and_not_fitted():
    with pytest.raises(ValueError, match="at least one known token"):
        tc.TraitModel().fit(tc.Sequences.from_lists([[]]), plain(3))
    with pytest.raises(tc.NotFittedError):
        tc.TraitModel().transform(tc.Sequences.from_lists([[0]]))


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
    got = count_lately(sequences, n_tokens=6, decay=decay).toarray()
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
    few = choose_blend(take_owners(sequences, np.arange(3)), token_item, Settings(4))
    assert (few.windows_weight, few.loading_power) == (BLENDS[0].windows_weight, BLENDS[0].loading_power)
    found = choose_blend(sequences, token_item, Settings(4))
    assert found.ppmi_weight in (suggested, HEAVY)
    fixed = Settings(4, windows_weight=2.0, ppmi_weight=0.7, loading_power=0.9)
    kept = choose_blend(sequences, token_item, fixed)
    assert (kept.windows_weight, kept.ppmi_weight, kept.loading_power) == (2.0, 0.7, 0.9)
    assert choose_blend(sequences, token_item, Settings(4, loading_power=0.9)).loading_power == 0.9


def test_the_choice_looks_at_the_most_common_tokens(small, monkeypatch):
    sequences, vocabulary, _ = small
    counts = sequences.token_counts(len(vocabulary))
    monkeypatch.setattr(selection, "MOST_TOKENS", 25)
    common = selection._with_common_tokens(sequences, len(vocabulary))
    left = np.flatnonzero(common.token_counts(len(vocabulary)))
    assert len(left) == 25
    assert counts[left].min() >= np.sort(counts)[-25]
    assert common.n_tokens == counts[left].sum()
    found = choose_blend(sequences, vocabulary.token_item, Settings(4))
    whole = density_weight(count_tokens(sequences, n_tokens=len(vocabulary)))
    assert found.ppmi_weight in (whole, HEAVY)  # the density stays that of all tokens


def test_of_many_customers_and_windows_a_sample_stands_for_all(small, monkeypatch):
    sequences, vocabulary, _ = small
    parts = joint.JointParts.of(sequences, vocabulary.token_item, Settings(4))
    n, n_windows, n_tokens = parts.tied.shape[0], parts.windows.shape[0], parts.ppmi.shape[0]
    whole = parts.stacked(3.5, 0.5, seed=0)
    assert whole.shape[0] == n + n_windows + n_tokens
    monkeypatch.setattr(joint, "MOST_ROWS", (n + n_windows) // 2)
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
    assert model.chosen_["ppmi_weight"] == HEAVY
    assert found > without + 0.1


def test_the_loadings_kept_are_those_on_which_halves_of_histories_agree(small):
    sequences, vocabulary, _ = small
    model = fitted("joint", small)
    good, idf = model.components_, model.to_arrays()["recipe_idf"]
    bad = np.random.default_rng(0).permuted(good, axis=1)  # the same loadings on any tokens
    pairs = {0: [good, bad], 1: [bad, good]}
    for best, pair in pairs.items():
        assert more_reliable(pair, sequences, vocabulary.token_item, idf, Settings(4)) == best
    assert more_reliable([good, good], sequences, vocabulary.token_item, idf, Settings(4)) == 0


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
    got = signed_start(sparse.csr_array(X.astype(np.float32)), Settings(4))
    for found, exact in zip(got, slow.signed_start(X, 4)):
        assert np.linalg.norm(found - exact) < 1e-4 * np.linalg.norm(exact)


def test_the_search_for_a_start_ends_on_noise(monkeypatch):
    rng = np.random.default_rng(0)
    noise = sparse.csr_array(sparse.random_array((3000, 1500), density=0.01, rng=rng, dtype=np.float32))
    products = []
    found = recipes.randomized_svd

    def spied(*args, **kwargs):
        return found(*args, **kwargs, progress=lambda *_: products.append(1))

    monkeypatch.setattr(recipes, "randomized_svd", spied)
    W, H = signed_start(noise, Settings(4))
    most = (recipes.START_COLUMNS + 4 * recipes.COLUMNS_A_COMPONENT) // 16
    assert 0 < len(products) <= most
    assert np.isfinite(W).all()
    assert np.isfinite(H).all()
    assert W.any(axis=0).all()


@pytest.mark.parametrize("method", ["joint", "counts"])
def test_traits_do_not_change_with_the_seed(method, small):
    first, second = (fitted(method, small, random_state=seed).raw_profiles_ for seed in (0, 17))
    assert matched_cosine(first, second) > 0.999


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
