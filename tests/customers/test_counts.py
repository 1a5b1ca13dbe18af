"""Counts of tokens and recency."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc
from tests.data.shops import random_sequences
from tests.reference import traits as slow
from traitcore._rows import unit_sparse_rows
from traitcore.customers.counts import count_tokens, recency_counts, tie_tokens, weigh_counts


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=5), min_size=1, max_size=10), st.sampled_from([0.0, 0.5, 1.0]),
    st.data(),
)
def test_recency_counts_equal_the_slow_ones(sessions, decay, data):
    owner = data.draw(st.lists(st.integers(0, 3), min_size=len(sessions), max_size=len(sessions)))
    sequences = tc.Sequences.from_lists(sessions, owner=owner, owner_ids=np.arange(4))
    got = recency_counts(sequences, n_tokens=6, decay=decay).toarray()
    for who in range(4):
        mine = [sessions[row] for row, name in enumerate(owner) if name == who]
        np.testing.assert_allclose(got[who], slow.counted_lately(mine, 6, decay), rtol=1e-6)


def test_weighed_rows_have_length_one_and_ties_link_tokens_of_an_item():
    counts = count_tokens(random_sequences(2), n_tokens=17)
    rows = weigh_counts(counts, np.ones(17, np.float32))
    norms = np.sqrt((rows.toarray() ** 2).sum(axis=1))
    np.testing.assert_allclose(norms[counts.sum(axis=1) > 0], 1, atol=1e-6)
    assert unit_sparse_rows(sparse.csr_array((3, 4), dtype=np.float32)).nnz == 0
    tied = tie_tokens(np.array([0, 1, 0]), 0.5).toarray()
    np.testing.assert_array_equal(tied, [[1, 0, 0.5], [0, 1, 0], [0.5, 0, 1]])
    assert tie_tokens(np.array([0, 1, 2]), 0.5) is None
    assert tie_tokens(np.array([0, 0]), 0.0) is None
