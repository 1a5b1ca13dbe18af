"""Split-half reliability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traitcore as tc
from tests.reference import traits as slow
from traitcore.customers.reliability import halve_histories, split_half_reliability


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
