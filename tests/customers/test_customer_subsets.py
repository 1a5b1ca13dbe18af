"""Some of the customers, and random halves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traitcore as tc
from tests.data.shops import small_shop
from traitcore.customers.customer_subsets import split_halves, take_owners


@pytest.fixture(scope="module")
def small():
    return small_shop()


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
