"""Next items from counts: the recipe written out, batch equals single, explanations sum to the score, fair ranks."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traitcore as tc
from traitcore._kernels import next_item as kernels
from traitcore.items.next_item import DECAY, PRESETS, REPEAT, NextItemCounts

N = 8
SESSIONS = st.lists(st.lists(st.integers(0, N - 1), min_size=1, max_size=9), min_size=1, max_size=8)


def slow_matrix(sessions, p) -> np.ndarray:
    C = np.zeros((N, N))
    for s, session in enumerate(sessions):
        age = (len(sessions) - 1 - s) / len(sessions)
        for i, a in enumerate(session):
            for j, b in enumerate(session):
                o = abs(i - j)
                if 0 < o <= p["window"]:
                    weight = len(session) ** -p["length_power"] * o ** -p["distance_power"]
                    weight *= np.exp(-age / p["age_scale"])
                    C[a, b] += weight * (1 if j > i else p["backward"])
    C = C ** p["count_power"] * (C > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        C = np.nan_to_num(C / C.sum(axis=0) ** p["column_power"])
        return np.nan_to_num(C / C.sum(axis=1, keepdims=True) ** p["row_power"])


def slow_scores(C, session, p) -> np.ndarray:
    score = np.zeros(N)
    for k, item in enumerate(reversed(session)):
        score += p["decay"] ** k * C[item]
    score[list(set(session))] *= p["repeat"]
    return score


@given(train=SESSIONS, test=SESSIONS, preset=st.sampled_from(sorted(PRESETS)))
def test_scores_are_the_recipe(train, test, preset) -> None:
    p = PRESETS[preset] | ({"decay": DECAY, "repeat": REPEAT} if preset == "next_click" else {})  # too few to choose by
    model = NextItemCounts.preset(preset).fit(tc.Sequences.from_lists(train), n_items=N)
    C = slow_matrix(train, p)
    np.testing.assert_allclose(model.scores_.toarray(), C, rtol=1e-4, atol=1e-7)
    scores = model.score(tc.Sequences.from_lists(test))
    assert scores.has_sorted_indices
    np.testing.assert_allclose(scores.toarray(), [slow_scores(C, s, p) for s in test], rtol=1e-4, atol=1e-6)


@given(train=SESSIONS, test=SESSIONS, n=st.integers(1, N + 2), exclude=st.booleans(), seed=st.integers(0, 99))
def test_recommend_rank_and_explain_follow_the_scores(train, test, n, exclude, seed) -> None:
    model = NextItemCounts().fit(tc.Sequences.from_lists(train), n_items=N)
    batch = tc.Sequences.from_lists(test)
    scores = model.score(batch).toarray().astype(np.float64)
    items, values = model.recommend(batch, k=n, exclude_seen=exclude)
    assert items.shape == values.shape == (len(test), n)
    targets = np.random.default_rng(seed).integers(0, N, len(test))
    ranks = model.rank(batch, targets)
    for i, session in enumerate(test):
        single_items, single_values = model.recommend(session, k=n, exclude_seen=exclude)
        np.testing.assert_array_equal(single_items, items[i])
        np.testing.assert_array_equal(single_values, values[i])
        row = scores[i].copy()
        if exclude:
            row[session] = 0
        expected = np.sort(row[row > 0])[::-1][:n]
        found = items[i][items[i] >= 0]
        np.testing.assert_allclose(values[i][: len(found)], expected, rtol=1e-6)
        np.testing.assert_allclose(row[found], expected, rtol=1e-6)
        assert np.isnan(values[i][len(found) :]).all()
        wanted = scores[i][targets[i]]
        close = np.isclose(scores[i], wanted, rtol=1e-6)
        assert (scores[i] > wanted)[~close].sum() + 1 <= ranks[i] <= (scores[i] > wanted)[~close].sum() + close.sum()
        parts = model.explain(session, int(targets[i]))
        assert sum(part.score for part in parts) == pytest.approx(wanted, rel=1e-5)
        assert all(session[part.position] == part.item for part in parts)
        assert [p.score for p in parts] == sorted((p.score for p in parts), reverse=True)


def test_ties_share_the_mean_of_their_ranks() -> None:
    model = NextItemCounts().fit(tc.Sequences.from_lists([[0, 1]]), n_items=11)
    assert model.rank([0], [1]).tolist() == [1.0]
    # Of 11 items one scores; the other ten are tied on ranks 2 ... 11.
    assert model.rank([0], [7]).tolist() == [6.5]
    items, scores = model.recommend([0], k=3)
    assert items.tolist() == [1, -1, -1]
    assert np.isnan(scores[1:]).all()


def test_direction_age_and_repeats_matter() -> None:
    model = NextItemCounts().fit(tc.Sequences.from_lists([[0, 1], [0, 2]]))
    after = model.score([0]).toarray()[0]
    assert after[2] > after[1]  # the newer session
    forward = NextItemCounts(backward=0.0).fit(tc.Sequences.from_lists([[0, 1]]))
    assert forward.scores_.nnz == 1
    again = NextItemCounts().fit(tc.Sequences.from_lists([[0, 1, 0], [0, 1, 2]]))
    assert again.recommend([0, 1], k=1)[0].tolist() == [0]
    assert again.recommend([0, 1], k=1, exclude_seen=True)[0].tolist() == [2]


def test_any_number_of_workers_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    seqs = tc.Sequences(tokens=rng.integers(0, 150, 5000), offsets=np.arange(0, 5001, 5))
    one, many = NextItemCounts().fit(seqs), NextItemCounts(workers=3).fit(seqs)
    assert one.scores_.data.tobytes() == many.scores_.data.tobytes()
    assert one.score(seqs).data.tobytes() == many.score(seqs).data.tobytes()
    assert one.recommend(seqs)[0].tobytes() == many.recommend(seqs)[0].tobytes()


def test_errors_are_named() -> None:
    seqs = tc.Sequences.from_lists([[0, 1]])
    with pytest.raises(tc.NotFittedError):
        NextItemCounts().score([0])
    with pytest.raises(ValueError, match="one of 'next_click', 'plain'"):
        NextItemCounts.preset("best")
    with pytest.raises(ValueError, match="'decay' parameter of NextItemCounts"):
        NextItemCounts(decay=0).fit(seqs)
    with pytest.raises(ValueError, match="'age_scale' parameter of NextItemCounts"):
        NextItemCounts(age_scale=0).fit(seqs)
    model = NextItemCounts().fit(seqs)
    with pytest.raises(ValueError, match=r"of items in \[0, 1\], those of the fit"):
        model.recommend([5])
    with pytest.raises(ValueError, match="'targets'"):
        model.rank([0], [2])
    with pytest.raises(ValueError, match="one session"):
        model.explain(tc.Sequences.from_lists([[0], [1]]), 0)
    with pytest.raises(TypeError, match="a Sequences"):
        NextItemCounts().fit([[0, 1]])
    assert repr(NextItemCounts(decay=0.5)) == "NextItemCounts(decay=0.5)"


@pytest.mark.parametrize("name", ["length_power", "distance_power", "count_power", "column_power", "row_power"])
@pytest.mark.parametrize("power", [2.0**70, 1e308, 1e-300, 64.0])
def test_powers_beyond_all_sense_leave_finite_scores_or_an_error_that_names_one(name: str, power: float) -> None:
    sequences = tc.Sequences.from_lists([[0, 1, 2, 0, 1], [1, 2], [0, 2, 1, 2]] * 5)
    model = tc.NextItemCounts(**{name: power})
    with np.errstate(all="ignore"), contextlib.suppress(ValueError):
        model.fit(sequences)
        assert np.isfinite(model.score(sequences).data).all()
        model.recommend(sequences)
        return
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=f"'{name}' parameter of .* must be small enough"):
        model.fit(sequences)


def test_stored_zeros_among_the_scores_are_no_scores() -> None:
    sequences = tc.Sequences.from_lists([[0, 1, 2, 3, 4, 5, 6, 7]] * 50)
    model = tc.NextItemCounts(repeat=1.0).fit(sequences)
    zeros = model.scores_.copy()
    zeros.data[:] = 0
    zeros.data[0] = 1
    model.scores_ = zeros
    items, scores = model.recommend(sequences, k=3)
    assert (items == [[zeros.indices[0], -1, -1]] * 50).all()
    assert (scores[:, 0] > 0).all()
    assert model.score(sequences).nnz == 50


def test_decay_and_repeat_are_chosen_on_the_latest_sessions() -> None:
    rng = np.random.default_rng(0)
    ahead = [[int(s + k) % 40 for k in range(5)] for s in rng.integers(0, 40, 600)]
    back = [[int(a), int(b), int(a), int(b)] for a, b in rng.integers(0, 40, (600, 2))]
    walker, loyal = (NextItemCounts().fit(tc.Sequences.from_lists(s)) for s in (ahead, back))
    assert walker.repeat_ < loyal.repeat_
    mixed = tc.Sequences.from_lists(ahead + back)
    given = NextItemCounts(decay=0.9).fit(mixed)
    assert given.decay_ == 0.9
    assert given.repeat_ > walker.repeat_  # the latest sessions decide
    fixed = NextItemCounts(decay=given.decay_, repeat=given.repeat_).fit(mixed)
    np.testing.assert_array_equal(fixed.recommend(mixed)[0], given.recommend(mixed)[0])
    few = NextItemCounts().fit(tc.Sequences.from_lists(ahead[:20]))
    assert (few.decay_, few.repeat_) == (DECAY, REPEAT)


@given(train=SESSIONS, test=SESSIONS, decay=st.floats(0.1, 1.0), seed=st.integers(0, 99))
def test_ranks_for_many_repeats_at_once_are_those_one_by_one(train, test, decay, seed) -> None:
    model = NextItemCounts(decay=decay, repeat=1.0).fit(tc.Sequences.from_lists(train), n_items=N)
    batch, targets = tc.Sequences.from_lists(test), np.random.default_rng(seed).integers(0, N, len(test))
    repeats = np.array([0.25, 1.0, 4.0])
    found = np.empty((len(test), 3))
    kernels.rank_targets_by_repeat(
        0, len(test), batch.tokens, batch.offsets, targets.astype(np.int32), *model._matrix(), decay, repeats,
        np.zeros(N), np.empty(N + 1, np.int32), np.empty(N), found,
    )
    for column, repeat in zip(found.T, repeats):
        np.testing.assert_array_equal(column, model.set_params(repeat=float(repeat)).rank(batch, targets))
