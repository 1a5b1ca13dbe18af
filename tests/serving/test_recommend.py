"""Recommendations: against brute force, filters, ties, and one by one as in a batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc
from traitcore.quality.retrieval import VectorScorer
from traitcore.serving import recommend
from traitcore.serving.recommend import product_affinity


def ranked(scores, k, closed=(), signed=False):
    """Slow and obvious: open rows with a score above 0 (signed: other than 0), best first, ties by row."""
    spoken = [row for row, score in enumerate(scores) if (score != 0 if signed else score > 0)]
    open_ = [row for row in spoken if row not in set(closed)]
    return sorted(open_, key=lambda row: (-scores[row], row))[:k]


def listed(found):
    """The rows of a list, once their marks are checked: -1 and NaN go together, at the end."""
    n = int((found.rows >= 0).sum())
    assert (found.rows[:n] >= 0).all()
    assert (found.rows[n:] == -1).all()
    assert not np.isnan(found.scores[:n]).any()
    assert np.isnan(found.scores[n:]).all()
    if found.by_trait is not None:
        np.testing.assert_array_equal(found.by_trait[n:], 0)
    return found.rows[:n].tolist()


def quantised(rng, *shape):
    """Few different values, so that ties abound and every product is exact."""
    return rng.integers(0, 4, shape).astype(np.float32)


@given(seed=st.integers(0, 2**32), k=st.integers(1, 12))
def test_products_equal_brute_force_and_respect_every_filter(seed, k):
    rng = np.random.default_rng(seed)
    profiles, affinity = quantised(rng, 6, 3), quantised(rng, 3, 9) - 1
    seen = sparse.csr_array((rng.random((6, 9)) < 0.3).astype(np.float32))
    allowed, exclude = rng.permutation(9)[:7], rng.permutation(9)[:2]
    category = rng.integers(0, 3, 9)
    found = tc.recommend_products(
        profiles, affinity, k=k, seen=seen, allowed=allowed, exclude=exclude, item_category=category, categories=[0, 1]
    )
    for row in range(6):
        closed = set(range(9)) - set(allowed.tolist()) | set(exclude.tolist())
        closed |= set(np.flatnonzero(category == 2).tolist())
        closed |= set(seen.indices[seen.indptr[row] : seen.indptr[row + 1]].tolist())
        want = ranked(profiles[row] @ affinity, k, closed)
        got = listed(found[row])
        assert got == want
        assert not closed & set(got)
        np.testing.assert_allclose(found.scores[row][: len(got)], (profiles[row] @ affinity)[got])
        np.testing.assert_allclose(found.by_trait[row].sum(axis=1)[: len(got)], found.scores[row][: len(got)])
        alone = tc.recommend_products(
            profiles[row], affinity, k=k, seen=seen.indices[seen.indptr[row] : seen.indptr[row + 1]], allowed=allowed,
            exclude=exclude, item_category=category, categories=[0, 1],
        )
        np.testing.assert_array_equal(alone.rows, found.rows[row])
        np.testing.assert_array_equal(alone.by_trait, found[row].by_trait)


@given(seed=st.integers(0, 2**32), k=st.integers(1, 9))
def test_similar_customers_are_the_nearest_by_cosine(seed, k):
    rng = np.random.default_rng(seed)
    profiles = rng.random((8, 4)).astype(np.float32)
    profiles[3] = 0
    unit = profiles / np.maximum(np.linalg.norm(profiles, axis=1, keepdims=True), 1e-12)
    found = tc.find_similar_customers(profiles, np.arange(8), k=k)
    for row in range(8):
        got = listed(found[row])
        assert row not in got
        assert 3 not in got
        assert len(got) == (0 if row == 3 else min(k, 6))
        np.testing.assert_allclose(found.scores[row][: len(got)], unit[got] @ unit[row], atol=1e-6)
        best = np.sort(np.delete(unit @ unit[row], row))[::-1][: len(got)]
        np.testing.assert_allclose(found.scores[row][: len(got)], best, atol=1e-6)
        totals = np.nan_to_num(found.scores[row])
        np.testing.assert_allclose(found.by_trait[row].sum(axis=1), totals, atol=1e-6)
        np.testing.assert_array_equal(tc.find_similar_customers(profiles, row, k=k).rows, found.rows[row])
    own = tc.find_similar_customers(profiles, 0, k=1, include_self=True)
    assert own.scores[0] == pytest.approx(1)


def test_ties_go_to_the_smaller_row_whatever_the_batch():
    same = np.ones((7, 2), np.float32)
    assert tc.find_similar_customers(same, 2, k=3).rows.tolist() == [0, 1, 3]
    assert tc.recommend_products(np.ones(2), np.ones((2, 6)), k=3, exclude=[1]).rows.tolist() == [0, 2, 3]
    assert tc.next_items([0], np.ones((5, 2)), np.ones((5, 2)), k=2).rows.tolist() == [0, 1]


def test_affinity_counts_removal_against_a_product():
    components = np.array([[1.0, 2.0, 4.0, 0.5]], np.float32)
    item, action, actions = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), ("view", "remove")
    affinity = product_affinity(components, item, action, actions=actions)
    np.testing.assert_allclose(affinity, [[-1.0, 3.5]])
    np.testing.assert_allclose(
        product_affinity(components, item, action, actions=actions, action_weights={"view": 0.5, "remove": 0}),
        [[0.5, 2.0]],
    )
    np.testing.assert_allclose(product_affinity(components, item, n_items=4), [[3.0, 4.5, 0, 0]])


@given(seed=st.integers(0, 2**32))
def test_next_items_weigh_the_latest_most(seed):
    rng = np.random.default_rng(seed)
    left, right = quantised(rng, 6, 3), quantised(rng, 6, 3)
    counts = sparse.csr_array(quantised(rng, 6, 6))
    sessions = [rng.integers(0, 6, rng.integers(1, 5)) for _ in range(4)]
    batch = tc.Sequences.from_lists(sessions)
    by_vectors = tc.next_items(batch, left, right, k=6)
    by_counts = tc.next_items(batch, counts=counts, k=6, exclude_seen=True)
    for row, session in enumerate(sessions):
        decays = 0.5 ** np.arange(len(session))[::-1]
        vector_scores = sum(d * (right @ left[i]) for d, i in zip(decays, session))
        count_scores = sum(d * counts.toarray()[i] for d, i in zip(decays, session))
        assert listed(by_vectors[row]) == ranked(vector_scores, 6, signed=True)
        assert listed(by_counts[row]) == ranked(count_scores, 6, session.tolist())
        np.testing.assert_array_equal(tc.next_items(session, left, right, k=6).rows, by_vectors.rows[row])
        filtered = tc.next_items(session, left, right, k=6, allowed=[0, 2, 4], exclude=[2]).rows
        assert set(filtered.tolist()) <= {0, 4, -1}


def test_rows_without_evidence_are_not_listed():
    by_counts = tc.next_items([0], counts=sparse.csr_array(np.diag([2.0, 0, 0], 1)), k=3)
    assert (by_counts.rows.tolist(), listed(by_counts)) == ([1, -1, -1], [1])
    like = tc.NextItemCounts().fit(tc.Sequences.from_lists([[0, 1]]), n_items=11)
    items, scores = like.recommend([0], k=3)
    assert items.tolist() == [1, -1, -1]
    assert np.isnan(scores[1:]).all()
    vectors = np.array([[1, 0], [-2, 1], [0, 0], [1, 1]], np.float32)
    context = np.array([[-3, 1], [1, 0], [0, 0], [-1, 5]], np.float32)
    assert listed(tc.next_items([0], vectors, context, k=4)) == [1, 3, 0]  # signs of vectors say nothing, 0 does
    for nothing in ([], [2]):  # an empty session, an item without a vector
        assert listed(tc.next_items(nothing, vectors, context, k=4)) == []
        assert listed(tc.next_items(nothing, vectors, k=4)) == []
        assert listed(tc.next_items(nothing, counts=sparse.csr_array((4, 4)), k=4)) == []
    affinity = tc.product_affinity(np.array([[1.0, 3.0]]), [0, 1], [0, 1], actions=("view", "remove"), n_items=4)
    assert listed(tc.recommend_products([1.0], affinity, k=4)) == [0]  # 1 was taken out of carts, 2 and 3 are unknown
    assert listed(tc.recommend_products([0.0], affinity, k=4)) == []
    people = np.array([[1, 0, 0], [0, 2, 0], [1, 1, 0], [0, 0, 0]], np.float32)
    assert [listed(tc.find_similar_customers(people, row, k=3)) for row in range(4)] == [[2], [2], [0, 1], []]


@given(seed=st.integers(0, 2**32), decay=st.sampled_from([0.0, 0.5, 1.0]))
def test_next_items_by_cosine_are_those_of_the_evaluation(seed, decay):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(7, 3)).astype(np.float32)
    vectors[2] = 0
    batch = tc.Sequences.from_lists([rng.integers(0, 7, rng.integers(1, 5)) for _ in range(4)])
    found = tc.next_items(batch, vectors, k=7, decay=decay)
    for row, scores in enumerate(VectorScorer(vectors, decay=decay)(batch)):
        got = listed(found[row])
        assert 2 not in got
        assert len(got) == (6 if np.any(scores) else 0)
        np.testing.assert_allclose(scores[got], np.sort(np.delete(scores, 2))[::-1][: len(got)], atol=1e-5)
        assert np.abs(found.scores[row][: len(got)]).max(initial=0) < 1.00001
        alone = tc.next_items(batch[row], vectors, k=7, decay=decay)
        np.testing.assert_allclose(alone.scores, found.scores[row], atol=1e-5)


@given(seed=st.integers(0, 2**32), k=st.integers(1, 9))
def test_the_fallback_fills_what_is_left_with_the_most_popular_allowed(seed, k):
    rng = np.random.default_rng(seed)
    profiles, affinity = quantised(rng, 5, 2), quantised(rng, 2, 8) - 1
    profiles[1] = 0  # a cold customer
    seen = rng.random((5, 8)) < 0.2
    popularity, exclude = quantised(rng, 8), rng.permutation(8)[:2]
    bare = tc.recommend_products(profiles, affinity, k=k, seen=seen, exclude=exclude)
    assert bare.fallback is None
    found = tc.recommend_products(
        profiles, affinity, k=k, seen=seen, exclude=exclude, fallback="popular", popularity=popularity
    )
    for row in range(5):
        got = listed(bare[row])
        more = ranked(popularity, k - len(got), {*exclude.tolist(), *np.flatnonzero(seen[row]).tolist(), *got})
        assert found.rows[row].tolist() == got + more + [-1] * (k - len(got) - len(more))
        assert found.fallback[row].tolist() == [False] * len(got) + [True] * len(more) + [False] * (
            k - len(got) - len(more)
        )
        np.testing.assert_array_equal(found.scores[row], bare.scores[row])
        np.testing.assert_array_equal(found.by_trait[row], bare.by_trait[row])
        np.testing.assert_array_equal(found[row].fallback, found.fallback[row])
    next_ = tc.next_items([], counts=sparse.csr_array((8, 8)), k=k, fallback="popular", popularity=popularity)
    want = ranked(popularity, k)
    assert next_.rows.tolist() == want + [-1] * (k - len(want))
    assert next_.fallback.sum() == len(want)


def test_a_zero_of_seen_is_a_zero_however_it_is_stored():
    profiles, affinity = np.ones((2, 1), np.float32), np.array([[4, 3, 2, 1]], np.float32)
    dense = np.array([[1, 0, 0, 0], [0, 0, 2, 0]], np.float32)
    want = [[1, 2, 3, -1], [0, 1, 3, -1]]
    stored = sparse.csr_array((np.array([1.0, 0, 0, 2, 0]), [0, 1, 3, 2, 3], [0, 3, 5]), shape=(2, 4))
    cancelled = sparse.coo_array((np.array([1.0, 1, -1, 2]), ([0, 0, 0, 1], [0, 1, 1, 2])), shape=(2, 4))
    before = stored.copy()
    for seen in (dense, dense != 0, dense.astype(np.int64), stored, stored.tocsc(), cancelled, sparse.csr_array(dense)):
        assert tc.recommend_products(profiles, affinity, k=4, seen=seen).rows.tolist() == want
    assert stored.nnz == before.nnz  # the caller's matrix stays as it was
    for row in (0, 1):
        for seen in (stored[[row]], dense[row] != 0, np.flatnonzero(dense[row])):
            assert tc.recommend_products(profiles[row], affinity, k=4, seen=seen).rows.tolist() == want[row]
    mask = np.array([True, False, True, False])
    for form in (mask, mask.tolist(), [0, 2]):
        assert tc.recommend_products(profiles[0], affinity, k=4, allowed=form).rows.tolist() == [0, 2, -1, -1]
        assert tc.recommend_products(profiles[0], affinity, k=4, exclude=form).rows.tolist() == [1, 3, -1, -1]
    # What a session has is seen also where its weight is 0.
    counts = sparse.csr_array(np.array([[0, 3, 2], [1, 0, 1], [5, 4, 0]], np.float32))
    assert tc.next_items([0, 2], counts=counts, k=3, decay=0.0, exclude_seen=True).rows.tolist() == [1, -1, -1]


def test_big_batches_equal_small_ones():
    rng = np.random.default_rng(0)
    profiles, affinity = quantised(rng, 900, 3), quantised(rng, 3, 5000)
    whole = tc.recommend_products(profiles, affinity, k=4)
    for row in (0, 399, 400, 401, 899):
        np.testing.assert_array_equal(tc.recommend_products(profiles[row], affinity, k=4).rows, whole.rows[row])


@pytest.mark.parametrize("k", [4, 12])
def test_models_rank_a_batch_in_blocks_as_they_rank_one(monkeypatch, k):
    rng = np.random.default_rng(0)
    sessions = tc.Sequences.from_lists([rng.integers(0, 12, rng.integers(0, 6)) for _ in range(40)])
    fitted = tc.NextItemModel(vector_size=4, epochs=1).fit(sessions, n_items=12)
    blend = tc.NextItemBlend(model=tc.NextItemModel(vector_size=4, epochs=1)).fit(sessions, n_items=12)
    how = {"k": k, "exclude_seen": True, "exclude": [3], "fallback": "popular", "popularity": np.arange(12)}
    for model in (fitted, blend, tc.NextItemCounts().fit(sessions, n_items=12)):
        monkeypatch.setattr(recommend, "BLOCK", 2_000_000)
        alone = [tc.next_items(session, model=model, **how) for session in sessions]
        monkeypatch.setattr(recommend, "BLOCK", 7 * 12)  # seven sessions at once
        batch = tc.next_items(sessions, model=model, **how)
        for row, one in enumerate(alone):
            assert batch.rows[row].tolist() == one.rows.tolist()
            assert batch.fallback[row].tolist() == one.fallback.tolist()
            np.testing.assert_allclose(batch.scores[row], one.scores, rtol=1e-5)
        scores = model.score(sessions)
        want = scores if isinstance(scores, np.ndarray) else scores.toarray()
        for row, session in enumerate(sessions):
            spoken_for = ~batch.fallback[row] & (batch.rows[row] >= 0)
            listed_ = batch.rows[row][spoken_for].tolist()
            closed = {3, *session.tolist()}
            assert listed_ == ranked(want[row], k, closed, signed=scores is want)
        assert len(tc.next_items(sessions.take([]), model=model, k=k).rows) == 0
    with pytest.raises(tc.NotFittedError):
        tc.next_items([0], model=tc.NextItemModel())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tc.find_similar_customers(np.ones((3, 2)), 3), "'customers'"),
        (lambda: tc.find_similar_customers(np.ones((3, 2)), 0, k=0), "'k'"),
        (lambda: tc.recommend_products(np.ones(3), np.ones((2, 4))), "'profiles'"),
        (lambda: tc.recommend_products(np.ones(2), np.ones((2, 4)), exclude=[4]), "'exclude'"),
        (lambda: tc.recommend_products(np.ones(2), np.ones((2, 4)), allowed=[-1]), "'allowed'"),
        (lambda: tc.recommend_products(np.ones(2), np.ones((2, 4)), categories=[1]), "'item_category'"),
        (lambda: tc.recommend_products(np.full(2, np.nan), np.ones((2, 4))), "finite"),
        (lambda: tc.recommend_products(np.ones(2), np.ones((2, 4)), allowed=[True]), "'allowed'"),
        (lambda: tc.recommend_products(np.ones(2), np.ones((2, 4)), fallback="random"), "'fallback'"),
        (lambda: tc.recommend_products(np.ones(2), np.ones((2, 4)), fallback="popular"), "'popularity'"),
        (lambda: tc.recommend_products(np.ones(2), np.ones((2, 4)), popularity=np.ones(4)), "'popularity'"),
        (
            lambda: tc.recommend_products(np.ones(2), np.ones((2, 4)), fallback="popular", popularity=[1, 2, 3, -1]),
            "'popularity'",
        ),
        (lambda: tc.next_items([0]), "'item_vectors'"),
        (lambda: tc.next_items([9], np.ones((3, 2)), np.ones((3, 2))), "'sessions'"),
        (lambda: tc.next_items([0], np.ones((3, 2)), np.ones((4, 2))), "'context_vectors'"),
        (lambda: product_affinity(np.ones((1, 2)), [0, 5], n_items=3), "'token_item'"),
        (
            lambda: product_affinity(np.ones((1, 1)), [0], [0], actions=("view",), action_weights={"buy": 1}),
            "'action_weights'",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
