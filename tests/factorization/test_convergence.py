"""Where plain coordinate descent stops: at scikit-learn's iteration, and at a row's weight as at its copies."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.decomposition import non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

import traitcore as tc
from traitcore import _core

LEVELS = _core.simd_levels()


def parts(n, m, k, seed):
    """Planted parts with a little noise, and a random start."""
    rng = np.random.default_rng(seed)
    X = rng.gamma(0.5, 1, (n, k)) @ rng.gamma(0.5, 1, (k, m)) + 0.05 * rng.random((n, m))
    X[rng.random((n, m)) < 0.2] = 0
    return X, rng.random((n, k)), rng.random((k, m))


def peer_iterations(X, W, H, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return non_negative_factorization(
            X, W.astype(X.dtype), H.astype(X.dtype), n_components=len(H), init="custom", solver="cd", **options
        )[2]


def iterations(X, W, H, **options):
    return tc.factorize_nonnegative(X, len(H), init="custom", W=W, H=H, schedule="plain", **options).n_iter


def check_stopping(X, W, H, level, **options):
    """Our iterations are the peer's, or the peer itself stops there at a tolerance that differs by rounding."""
    _core.set_simd_level(level)
    try:
        ours = iterations(X, W, H, **options)
    finally:
        _core.set_simd_level(None)
    tol = options.pop("tol")
    slack = 1e-9 if X.dtype == np.float64 else 2e-3
    early, late = (peer_iterations(X, W, H, tol=tol * (1 + s), **options) for s in (slack, -slack))
    assert early <= ours <= late


@given(
    st.integers(1, 100), st.integers(1, 150), st.integers(1, 20), st.sampled_from([0.5, 0.05, 1e-2, 1e-3]),
    st.sampled_from(LEVELS), st.sampled_from([{}, {"alpha_W": 0.003, "l1_ratio": 0.5}]), st.booleans(),
    st.integers(0, 2**32 - 1),
)
@example(65, 67, 3, 1e-2, LEVELS[-1], {}, False, 0)
def test_plain_schedule_stops_where_scikit_learn_does(n, m, k, tol, level, penalty, as_sparse, seed):
    X, W, H = parts(n, m, k, seed)
    X = sparse.csr_array(X) if as_sparse else X
    check_stopping(X, W, H, level, tol=tol, max_iter=150, **penalty)


# Rows and columns on both sides of every block: 4, 8, 16, 32 and 64 at the various levels, 512 to a task.
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("m", [3, 17, 31, 33, 65, 127, 513])
def test_stopping_at_awkward_widths(level, dtype, as_sparse, m):
    X, W, H = parts(97, m, 3, m)
    X = X.astype(dtype)
    check_stopping(sparse.csr_array(X) if as_sparse else X, W, H, level, tol=3e-3, max_iter=300)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("as_sparse", [False, True])
def test_the_violation_of_a_weighted_row_counts_as_its_copies(level, as_sparse):
    X, W, H = parts(70, 37, 4, 5)
    times = np.random.default_rng(1).integers(1, 30, 70)
    rows = np.repeat(np.arange(70), times)
    once, twice = (sparse.csr_array(A) if as_sparse else A for A in (X, X[rows]))
    observed = sparse.csr_array(np.ones(X.shape)), sparse.csr_array(np.ones((len(rows), 37)))
    _core.set_simd_level(level)
    try:
        for tol in (0.1, 0.02, 3e-3):
            options = {"tol": tol, "max_iter": 300}
            assert iterations(once, W, H, sample_weight=times, **options) == iterations(twice, W[rows], H, **options)
            by_entries = (
                iterations(once, W, H, sample_weight=times, observed=observed[0], **options),
                iterations(twice, W[rows], H, observed=observed[1], **options),
            )
            assert by_entries[0] == by_entries[1]
    finally:
        _core.set_simd_level(None)
