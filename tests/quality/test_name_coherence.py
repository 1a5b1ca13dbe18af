"""How coherent the names of traits are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tests.reference import traits as slow
from traitcore.quality.name_coherence import name_diversity, npmi_coherence


@given(seed=st.integers(0, 2**32))
def test_npmi_equals_the_slow_one(seed):
    rng = np.random.default_rng(seed)
    dense = rng.poisson(0.5, (25, 12)).astype(np.float32)
    tops = [rng.permutation(12)[: rng.integers(1, 6)] for _ in range(4)]
    want = [slow.npmi(rows.tolist(), dense) for rows in tops]
    np.testing.assert_allclose(npmi_coherence(tops, sparse.csr_array(dense)), want, atol=1e-9)
    assert name_diversity([np.array([0, 1]), np.array([1, 2])]) == 0.75
