"""Traits keep their rows: alignment by token, order as before, what is new and what is gone."""

from __future__ import annotations

import numpy as np

from traitcore.customers.trait_identity import align_loadings, history_of, order_as_before


def test_loadings_are_aligned_by_token():
    tokens = np.array(["a", "b", "c"], dtype=object)
    got = align_loadings(np.array([[1.0, 2, 3]]), tokens, np.array(["c", "d", "a"], dtype=object))
    np.testing.assert_array_equal(got, [[3, 0, 1]])


def test_matched_traits_take_their_rows_and_others_fill_the_gaps():
    before = np.eye(6, dtype=np.float32)[:4]
    now = np.eye(6, dtype=np.float32)[[3, 5, 0, 1]]  # trait 2 is gone, one is new
    order = order_as_before(before, now)
    np.testing.assert_array_equal(now[order], np.eye(6)[[0, 1, 5, 3]])
    history = history_of(before, now[order])
    assert (history.kept, history.new, history.gone) == ((0, 1, 3), (2,), (2,))
    assert str(history) == "3 traits continue those published before, 1 are new (2), 1 are gone (2)"


def test_fewer_and_more_traits_than_before():
    before = np.eye(6, dtype=np.float32)
    two = before[[1, 4]]
    fewer = history_of(before, two[order_as_before(before, two)])
    assert (fewer.kept, fewer.new, fewer.gone) == ((1,), (0,), (0, 2, 3, 4, 5))
    few = before[:2]
    more = before[[2, 1, 0]]
    np.testing.assert_array_equal(more[order_as_before(few, more)], before[[0, 1, 2]])
    history = history_of(few, before[:3])
    assert (history.kept, history.new, history.gone) == ((0, 1), (2,), ())
    assert np.isnan(history.cosine[2])
