"""Fold-in with H fixed: exact, and the same one by one and in batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import nnls

import traitcore as tc
from traitcore import _core


@given(
    st.integers(0, 150), st.integers(1, 40), st.integers(1, 20), st.sampled_from([np.float32, np.float64]),
    st.booleans(), st.integers(0, 10_000),
)
def test_batch_rows_and_sparse_agree_and_solve_the_problem(n, m, k, dtype, signed, seed):
    rng = np.random.default_rng(seed)
    H = (rng.standard_normal((k, m)) if signed else rng.gamma(0.5, 1, (k, m))).astype(dtype)
    X = rng.random((n, m)).astype(dtype)
    X[rng.random((n, m)) < 0.5] = 0
    solver = tc.WeightSolver(H, tol=1e-6, max_iter=5000)
    W = solver(X)
    assert W.shape == (n, k)
    assert W.dtype == dtype
    assert W.min(initial=0) >= 0
    for i in range(min(n, 5)):
        np.testing.assert_allclose(solver(X[i]), W[i], rtol=1e-4, atol=1e-5)
        best = nnls(H.T.astype(np.float64), X[i].astype(np.float64))[0]
        least, ours = (0.5 * np.sum((X[i] - w @ H) ** 2) for w in (best, W[i].astype(np.float64)))
        assert ours <= least + 1e-5 * (np.sum(X[i] ** 2) + 1e-30)
    other = solver(sparse.csr_array(X), workers=3)
    for i in range(n):
        least, ours = (0.5 * np.sum((X[i] - w @ H) ** 2) for w in (W[i], other[i]))
        assert ours <= least + 1e-5 * (np.sum(X[i] ** 2) + 1e-30)


@pytest.mark.parametrize("level", _core.simd_levels())
def test_a_row_never_depends_on_its_neighbours_or_on_workers(level):
    rng = np.random.default_rng(0)
    H = rng.random((9, 21))
    X = rng.random((1009, 21))
    _core.set_simd_level(level)
    try:
        solver = tc.WeightSolver(H)
        W = solver(X)
        for workers in (2, 3, 7):
            assert solver(X, workers=workers).tobytes() == W.tobytes()
        np.testing.assert_allclose(solver(X[::-1]), W[::-1], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(np.array([solver(x) for x in X[:100]]), W[:100], rtol=1e-9, atol=1e-12)
    finally:
        _core.set_simd_level(None)


def test_penalties_are_those_of_the_fit():
    rng = np.random.default_rng(0)
    H, X = rng.random((3, 10)), rng.random((50, 10))
    plain, ridge, lasso = (
        tc.solve_weights(X, H, alpha_W=a, l1_ratio=r, tol=1e-10, max_iter=10_000)
        for a, r in ((0, 0), (0.5, 0), (0.5, 1))
    )
    G = H @ H.T
    for W, l1, l2 in ((plain, 0, 0), (ridge, 0, 5.0), (lasso, 5.0, 0)):
        gradient = W @ (G + l2 * np.eye(3)) - X @ H.T + l1
        assert np.abs(gradient[W > 0]).max(initial=0) < 1e-6
        assert gradient[W == 0].min(initial=0) > -1e-6
    assert lasso.sum() < plain.sum()


def test_zero_and_repeated_components_are_harmless():
    rng = np.random.default_rng(0)
    H = rng.random((4, 6))
    H[1] = 0
    H[3] = H[0]
    X = rng.random((30, 6))
    W = tc.solve_weights(X, H)
    assert np.isfinite(W).all()
    assert (tc.solve_weights(X, np.zeros((2, 6))) == 0).all()


@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (np.ones((2, 5)), ValueError, "any, 4"), (np.ones(5), ValueError, r"\(4,\)"),
        (np.array([1.0, np.nan, 0, 0]), ValueError, "finite"), (sparse.csr_array(np.ones((2, 5))), ValueError, "4"),
        (np.array(["a"] * 4), TypeError, "dtype"),
    ],
)
def test_bad_rows_are_errors(X, error, words):
    with pytest.raises(error, match=words):
        tc.WeightSolver(np.ones((2, 4)))(X)


@pytest.mark.parametrize(
    ("name", "value"), [("tol", -1.0), ("max_iter", 0), ("alpha_W", -1.0), ("l1_ratio", 2.0), ("beta_loss", "none")]
)
def test_parameters_are_checked(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        tc.solve_weights(np.ones((2, 4)), np.ones((2, 4)), **{name: value})
