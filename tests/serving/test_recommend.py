"""Recommendations: against brute force, filters, ties, and one by one as in a batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc
from traitcore.serving.recommend import product_affinity


def ranked(scores, k, closed=()):
    open_ = [row for row in range(len(scores)) if row not in set(closed)]
    return sorted(open_, key=lambda row: (-scores[row], row))[:k]


def quantised(rng, *shape):
    """Few different values, so that ties abound and every product is exact."""
    return rng.integers(0, 4, shape).astype(np.float32)


@given(seed=st.integers(0, 2**32), k=st.integers(1, 12))
def test_products_equal_brute_force_and_respect_every_filter(seed, k):
    rng = np.random.default_rng(seed)
    profiles, affinity = quantised(rng, 6, 3), quantised(rng, 3, 9) - 1
    seen = sparse.csr_array((rng.random((6, 9)) < 0.3).astype(np.float32))
    allow, deny = rng.permutation(9)[:7], rng.permutation(9)[:2]
    category = rng.integers(0, 3, 9)
    found = tc.recommend_products(
        profiles, affinity, k=k, seen=seen, allow=allow, deny=deny, item_category=category, categories=[0, 1]
    )
    for row in range(6):
        closed = set(range(9)) - set(allow.tolist()) | set(deny.tolist()) | set(np.flatnonzero(category == 2).tolist())
        closed |= set(seen.indices[seen.indptr[row] : seen.indptr[row + 1]].tolist())
        want = ranked(profiles[row] @ affinity, k, closed)
        got = [int(r) for r in found.rows[row] if r >= 0]
        assert got == want
        assert not closed & set(got)
        np.testing.assert_allclose(found.scores[row][: len(got)], (profiles[row] @ affinity)[got])
        np.testing.assert_allclose(found.by_trait[row].sum(axis=1)[: len(got)], found.scores[row][: len(got)])
        alone = tc.recommend_products(
            profiles[row], affinity, k=k, seen=seen.indices[seen.indptr[row] : seen.indptr[row + 1]], allow=allow,
            deny=deny, item_category=category, categories=[0, 1],
        )  # fmt: skip
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
        got = [int(r) for r in found.rows[row] if r >= 0]
        assert row not in got
        assert len(got) == min(k, 7)
        np.testing.assert_allclose(found.scores[row][: len(got)], unit[got] @ unit[row], atol=1e-6)
        best = np.sort(np.delete(unit @ unit[row], row))[::-1][: len(got)]
        np.testing.assert_allclose(found.scores[row][: len(got)], best, atol=1e-6)
        told = np.where(found.rows[row] >= 0, found.scores[row], 0)
        np.testing.assert_allclose(found.by_trait[row].sum(axis=1), told, atol=1e-6)
        np.testing.assert_array_equal(tc.find_similar_customers(profiles, row, k=k).rows, found.rows[row])
    own = tc.find_similar_customers(profiles, 0, k=1, include_self=True)
    assert own.scores[0] == pytest.approx(1)


def test_ties_go_to_the_smaller_row_whatever_the_batch():
    same = np.ones((7, 2), np.float32)
    assert tc.find_similar_customers(same, 2, k=3).rows.tolist() == [0, 1, 3]
    assert tc.recommend_products(np.ones(2), np.ones((2, 6)), k=3, deny=[1]).rows.tolist() == [0, 2, 3]
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
        assert by_vectors.rows[row].tolist() == ranked(vector_scores, 6)
        want = ranked(count_scores, 6, session.tolist())
        assert [r for r in by_counts.rows[row].tolist() if r >= 0] == want
        np.testing.assert_array_equal(tc.next_items(session, left, right, k=6).rows, by_vectors.rows[row])
        filtered = tc.next_items(session, left, right, k=6, allow=[0, 2, 4], deny=[2]).rows
        assert set(filtered.tolist()) <= {0, 4, -1}


def test_big_batches_are_cut_without_a_seam():
    rng = np.random.default_rng(0)
    profiles, affinity = quantised(rng, 900, 3), quantised(rng, 3, 5000)
    whole = tc.recommend_products(profiles, affinity, k=4)
    for row in (0, 399, 400, 401, 899):
        np.testing.assert_array_equal(tc.recommend_products(profiles[row], affinity, k=4).rows, whole.rows[row])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tc.find_similar_customers(np.ones((3, 2)), 3), "'customers'"),
        (lambda: tc.find_similar_customers(np.ones((3, 2)), 0, k=0), "'k'"),
        (lambda: tc.recommend_products(np.ones(3), np.ones((2, 4))), "'profiles'"),
        (lambda: tc.recommend_products(np.ones(2), np.ones((2, 4)), deny=[4]), "'deny'"),
        (lambda: tc.recommend_products(np.ones(2), np.ones((2, 4)), allow=[-1]), "'allow'"),
        (lambda: tc.recommend_products(np.ones(2), np.ones((2, 4)), categories=[1]), "'item_category'"),
        (lambda: tc.recommend_products(np.full(2, np.nan), np.ones((2, 4))), "finite"),
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
    with pytest.raises(ValueError, match=message):
        call()
