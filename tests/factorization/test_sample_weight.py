"""A row of weight s counts as s copies of it: in the start, in every step and in the stopping test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc
from traitcore.factorization.starts import initial_factors

KL = "kullback-leibler"


def parts(n, m, k, seed):
    """Parts of such different sizes that the singular values are well apart, and a little noise."""
    rng = np.random.default_rng(seed)
    W = rng.gamma(0.5, 1, (n, k)) * 2.0 ** np.arange(k)
    return W @ rng.gamma(0.5, 1, (k, m)) + 0.05 * rng.random((n, m))


shapes = st.tuples(st.integers(2, 30), st.integers(2, 25), st.integers(1, 4))
fits = st.fixed_dictionaries(
    {
        "init": st.sampled_from(["nndsvd", "nndsvda"]), "beta_loss": st.sampled_from(["frobenius", KL]),
        "schedule": st.sampled_from(["plain", "accelerated"]), "max_iter": st.sampled_from([1, 12]),
        "alpha_W": st.sampled_from([0.0, 0.001]),
    }
)


@given(shapes, fits, st.booleans(), st.booleans(), st.integers(0, 10_000))
def test_a_weight_counts_as_copies_of_the_row(shape, fit, as_sparse, partly, seed):
    n, m, k = shape
    X = parts(n, m, k, seed)
    rng = np.random.default_rng(seed)
    times = rng.integers(0, 5, n)
    times[rng.integers(n)] = 7
    assume(k < min((times > 0).sum(), m))  # of an exact fit the last bits decide the iterates
    rows = np.repeat(np.arange(n), times)
    known = rng.random((n, m)) < 0.9 if partly else None
    once, copies = (sparse.csr_array(A) if as_sparse else A for A in (X, X[rows]))
    a = tc.factorize_nonnegative(once, k, sample_weight=times, tol=1e-3, observed=known, **fit)
    b = tc.factorize_nonnegative(copies, k, tol=1e-3, observed=None if known is None else known[rows], **fit)
    assert a.n_iter == b.n_iter
    np.testing.assert_allclose(a.H, b.H, rtol=1e-5, atol=1e-6 * b.H.max())
    np.testing.assert_allclose(a.W[rows], b.W, rtol=1e-5, atol=1e-6 * b.W.max())
    np.testing.assert_allclose(a.history, b.history, rtol=1e-6, atol=1e-9 * (X**2).sum())
    assert a.reconstruction_err == pytest.approx(b.reconstruction_err, rel=1e-5, abs=1e-7 * np.linalg.norm(X))


@pytest.mark.parametrize("beta_loss", ["frobenius", KL])
@pytest.mark.parametrize("init", ["nndsvd", "nndsvda", "nndsvdar", "random"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_weight_zero_change_nothing(beta_loss, init, dtype):
    X = parts(60, 20, 3, 0).astype(dtype)
    odd = np.random.default_rng(1).random((9, 20)).astype(dtype) * 1000  # would change the fit if it counted
    places = np.sort(np.random.default_rng(2).choice(69, 9, replace=False))
    keep = np.setdiff1d(np.arange(69), places)
    both = np.empty((69, 20), dtype)
    both[keep], both[places] = X, odd
    weights = np.full(69, 3.0)
    weights[places] = 0
    options = {"init": init, "beta_loss": beta_loss, "max_iter": 30}
    for form in (np.asarray, sparse.csr_array):
        with_them = tc.factorize_nonnegative(form(both), 3, sample_weight=weights, **options)
        without = tc.factorize_nonnegative(form(X), 3, sample_weight=weights[keep], **options)
        assert with_them.H.tobytes() == without.H.tobytes()
        assert with_them.W[keep].tobytes() == without.W.tobytes()
        assert with_them.history.tobytes() == without.history.tobytes()
        # Their own weights are optimal for H.
        folded = tc.solve_weights(odd, without.H, beta_loss=beta_loss)
        np.testing.assert_allclose(with_them.W[places], folded, rtol=1e-4, atol=1e-4 * folded.max())


def test_equal_weights_of_any_size_are_as_no_weights():
    X = parts(40, 15, 3, 3)
    plain = tc.factorize_nonnegative(X, 3)
    for dtype in (np.float32, np.float64):
        for unit in (1e-30, 1.0, 3.0, 1e30):
            a = tc.factorize_nonnegative(X.astype(dtype), 3, sample_weight=np.full(40, unit), tol=1e-4)
            np.testing.assert_allclose(a.W @ a.H, plain.W @ plain.H, rtol=0, atol=2e-3 * X.max())
            assert a.reconstruction_err == pytest.approx(np.sqrt(unit) * plain.reconstruction_err, rel=1e-2)


@pytest.mark.parametrize("shape", [(30, 12), (12, 30), (200, 150), (150, 400)])
@pytest.mark.parametrize("init", ["nndsvd", "nndsvda"])
def test_the_start_counts_weights_as_copies(shape, init):
    X = parts(*shape, 4, 1)
    times = np.random.default_rng(0).integers(1, 6, shape[0])
    rows = np.repeat(np.arange(shape[0]), times)
    for form in (np.asarray, sparse.csr_array):
        W, H = initial_factors(form(X), 4, init, 0, 1, times.astype(float))
        want_W, want_H = initial_factors(form(X[rows]), 4, init, 0, 1)
        np.testing.assert_allclose(H, want_H, rtol=1e-3, atol=1e-4 * want_H.max())
        np.testing.assert_allclose(W[rows], want_W, rtol=1e-3, atol=1e-4 * want_W.max())


@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("init", ["nndsvd", "nndsvda"])
def test_partial_fit_counts_weights_as_copies(as_sparse, init):
    X = parts(90, 12, 3, 0)
    times = np.random.default_rng(0).integers(0, 5, 90)
    form = sparse.csr_array if as_sparse else np.asarray
    a, b, c = (tc.NMF(3, init=init, tol=1e-9, alpha_W=0.001) for _ in range(3))
    for batch in np.split(np.arange(90), 3):
        rows = np.repeat(batch, times[batch])
        a.partial_fit(form(X[batch]), sample_weight=times[batch])
        b.partial_fit(form(X[rows]))
        odd = np.concatenate([form(X[rows]).toarray() if as_sparse else X[rows], np.full((5, 12), 1e6)])
        c.partial_fit(form(odd), sample_weight=np.repeat([1.0, 0.0], [len(rows), 5]))
    np.testing.assert_allclose(a.components_, b.components_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(c.components_, b.components_, rtol=1e-12, atol=1e-12)
    before = a.components_
    a.partial_fit(form(X), sample_weight=np.zeros(90))
    assert a.components_.tobytes() == before.tobytes()
