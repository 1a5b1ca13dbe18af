"""Starts of a factorization: their definition, and singular vectors where values repeat or lie close."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import traitcore as tc
from tests.data.factors import planted
from tests.reference import nmf as slow
from traitcore.factorization.starts import initial_factors, leading_svd


@pytest.mark.parametrize("init", ["nndsvd", "nndsvda", "nndsvdar", "random"])
@pytest.mark.parametrize("as_sparse", [False, True])
def test_every_start_is_valid_and_nndsvd_matches_scikit_learns(init, as_sparse):
    X = planted(150, 200, 4, noise=0.02)
    X[X < 0.4] = 0
    W, H = initial_factors(sparse.csr_array(X) if as_sparse else X, 4, init, 0, 1)
    assert W.min() >= 0
    assert H.min() >= 0
    if init in ("nndsvd", "nndsvda"):
        from sklearn.decomposition._nmf import _initialize_nmf

        peer_W, peer_H = _initialize_nmf(X, 4, init=init, random_state=0)
        np.testing.assert_allclose(W @ H, peer_W @ peer_H, atol=0.02 * (peer_W @ peer_H).max())
    again = initial_factors(sparse.csr_array(X) if as_sparse else X, 4, init, 0, 3)
    np.testing.assert_allclose(again[0], W, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("init", ["nndsvd", "nndsvda", "nndsvdar", "random"])
@pytest.mark.parametrize("shape", [(0, 7), (7, 0), (0, 0)])
def test_a_start_without_rows_or_columns_is_zero(init, shape):
    W, H = initial_factors(np.zeros(shape, np.float32), 3, init, 0, 1)
    assert W.shape == (shape[0], 3)
    assert H.shape == (3, shape[1])
    assert not W.any()
    assert not H.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m"), [(90, 40), (40, 90), (700, 300)])
def test_nndsvd_is_its_definition_for_any_workers(n, m, dtype) -> None:
    rng = np.random.default_rng(n)
    X = (rng.gamma(0.5, 1, (n, 6)) @ rng.gamma(0.5, 1, (6, m)) + 0.1 * rng.random((n, m))).astype(dtype)
    Ut, S, Vt = leading_svd(X, 6, 0, 1)
    W, H = initial_factors(X, 6, "nndsvd", 0, 1)
    slow_W, slow_H = slow.nndsvd_parts(Ut.T, S, Vt.T)
    np.testing.assert_allclose(W, slow_W, rtol=1e-4, atol=3e-6)
    np.testing.assert_allclose(H, slow_H, rtol=1e-4, atol=3e-6)
    filled, _ = initial_factors(X, 6, "nndsvda", 0, 1)
    np.testing.assert_allclose(filled, np.where(W == 0, X.mean(), W), rtol=1e-5)
    for workers in (2, 3, 7):
        again = initial_factors(X, 6, "nndsvd", 0, workers)
        assert again[0].tobytes() == W.tobytes()
        assert again[1].tobytes() == H.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("blocks", "rows", "columns", "k", "converged"),
    [(42, 8, 5, 40, False), (300, 2, 2, 16, False), (1100, 1, 1, 9, False), (1100, 1, 1, 9, True), (42, 2, 1, 9, True)],
)
@pytest.mark.parametrize("as_sparse", [False, True])
def test_starts_are_singular_vectors_where_values_repeat(blocks, rows, columns, k, converged, dtype, as_sparse):
    X = sparse.kron(sparse.eye_array(blocks), np.ones((rows, columns)), format="csr").astype(dtype)
    data = X if as_sparse else X.toarray()
    size = np.sqrt(rows * columns)
    close = 1e-4 if dtype == np.float32 else 1e-10
    Ut, S, Vt = leading_svd(data, k, 0, 1, converged=converged)
    np.testing.assert_allclose(S, size, rtol=close)
    for vectors in (Ut, Vt):
        np.testing.assert_allclose(vectors @ vectors.T, np.eye(k), atol=close)
    np.testing.assert_allclose(X @ Vt.T, Ut.T * S, atol=close * size)
    W, H = initial_factors(data, k, "nndsvda", 0, 1)
    assert W.any(axis=0).all()
    assert H.any(axis=1).all()
    r = tc.factorize_nonnegative(data, k, max_iter=30)
    assert r.reconstruction_err**2 <= 1.02 * float((X * X).sum()) * (1 - 0.5 * k / blocks)


def test_converged_singular_vectors_are_exact():
    values = np.concatenate([np.linspace(1.2, 1.05, 6), np.linspace(1.0, 0.5, 1034)])
    X = sparse.csr_array(sparse.diags_array(values))[np.random.default_rng(0).permutation(1040)]
    Ut, S, Vt = leading_svd(X, 6, 0, 1, converged=True)
    np.testing.assert_allclose(S, values[:6], rtol=1e-10)
    np.testing.assert_allclose(np.abs(Vt[:, :6]), np.eye(6), atol=1e-6)
    np.testing.assert_allclose(X @ Vt.T, Ut.T * S, atol=1e-9)
