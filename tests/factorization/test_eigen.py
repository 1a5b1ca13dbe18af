"""The small symmetric eigenproblem where rank is lost exactly, and far from 1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcore import _core
from traitcore.factorization.eigen import symmetric_eigen


@pytest.mark.parametrize("level", _core.simd_levels())
@given(
    st.integers(2, 40), st.integers(1, 4), st.integers(0, 10_000), st.sampled_from([-290, -155, -60, 0, 60, 155, 290])
)
def test_gram_matrices_of_repeated_rows_at_any_scale(level, n, rank, seed, power):
    rng = np.random.default_rng(seed)
    X = rng.random((rank, 12))[rng.integers(0, rank, n)]
    A = X @ X.T
    want = np.linalg.eigvalsh(A)
    _core.set_simd_level(level)
    try:
        values, V = symmetric_eigen(A * 10.0**power)
    finally:
        _core.set_simd_level(None)
    size = 1e-13 * n * A.max()
    np.testing.assert_allclose(values * 10.0**-power, want, atol=size)
    np.testing.assert_allclose(A @ V, V * (values * 10.0**-power), atol=size)
    np.testing.assert_allclose(V.T @ V, np.eye(n), atol=1e-12)


def test_what_is_left_of_lost_rank_may_be_denormal():
    # The remainders of the reduction of this one are squares below 1e-308: their reciprocals overflowed.
    A = np.eye(6)
    A[3, 0] = A[0, 3] = A[4, 1] = A[1, 4] = A[5, 0] = A[0, 5] = 1e-158
    values, V = symmetric_eigen(A)
    np.testing.assert_allclose(values, 1, atol=1e-14)
    np.testing.assert_allclose(V.T @ V, np.eye(6), atol=1e-14)
