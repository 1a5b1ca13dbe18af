"""Kullback-Leibler fits and partly observed matrices."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.decomposition import non_negative_factorization
from sklearn.decomposition._nmf import _beta_divergence
from sklearn.exceptions import ConvergenceWarning

import traitcore as tc
from tests.reference import nmf as slow
from traitcore import _core

KL = "kullback-leibler"


def counts(n=80, m=30, k=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(0.4, 1, (n, k)) @ rng.gamma(0.4, 1, (k, m))).astype(np.float64)


def start_of(X, k, seed=1):
    rng = np.random.default_rng(seed)
    return rng.random((X.shape[0], k)) + 0.1, rng.random((k, X.shape[1])) + 0.1


@given(st.integers(1, 60), st.integers(1, 40), st.integers(1, 18), st.booleans(), st.integers(0, 10_000))
def test_plain_updates_are_scikit_learns(n, m, k, as_sparse, seed):
    X = counts(n, m, 3, seed)
    X = sparse.csr_array(X) if as_sparse else X
    W0, H0 = start_of(X, k, seed)
    ours = tc.factorize_nonnegative(
        X, k, init="custom", W=W0, H=H0, beta_loss=KL, schedule="plain", max_iter=20, tol=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        W, H, _ = non_negative_factorization(
            X, W0.copy(), H0.copy(), n_components=k, init="custom", solver="mu", beta_loss=KL, max_iter=ours.n_iter,
            tol=0,
        )
    theirs = _beta_divergence(X, W, H, KL)
    assert ours.reconstruction_err**2 / 2 <= theirs * (1 + 1e-9) + 1e-6
    np.testing.assert_allclose(ours.W @ ours.H, W @ H, rtol=1e-4, atol=1e-6)
    faster = tc.factorize_nonnegative(X, k, init="custom", W=W0, H=H0, beta_loss=KL, max_iter=20, tol=0)
    for r in (ours, faster):
        assert np.diff(r.history).max() <= 1e-6 * (1 + r.history[0])


@pytest.mark.parametrize("seed", range(6))
def test_accelerated_divergence_is_below_scikit_learns(seed):
    X = counts(300, 60, 4, seed)
    W0, H0 = start_of(X, 6, seed)
    ours = tc.factorize_nonnegative(X, 6, init="custom", W=W0, H=H0, beta_loss=KL, max_iter=25, tol=0)
    with pytest.warns(ConvergenceWarning):
        W, H, _ = non_negative_factorization(
            X, W0.copy(), H0.copy(), n_components=6, init="custom", solver="mu", beta_loss=KL, max_iter=25, tol=1e-300
        )
    assert ours.reconstruction_err**2 / 2 < _beta_divergence(X, W, H, KL)


@pytest.mark.parametrize("penalty", [{"alpha_W": 0.05}, {"alpha_W": 0.02, "l1_ratio": 1.0}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_penalised_and_weighted_objective_falls_and_is_the_slow_one(penalty, dtype):
    X = counts().astype(dtype)
    weights = np.random.default_rng(2).random(len(X))
    r = tc.factorize_nonnegative(X, 5, beta_loss=KL, sample_weight=weights, max_iter=60, tol=0, **penalty)
    n, m, a, ratio = weights.sum(), X.shape[1], penalty["alpha_W"], penalty.get("l1_ratio", 0.0)
    l1, l2 = (m * a * ratio, n * a * ratio), (m * a * (1 - ratio), n * a * (1 - ratio))
    value = slow.objective(X, r.W, r.H, l1=l1, l2=l2, loss=KL, weights=weights)
    assert r.history[-1] == pytest.approx(value, rel=1e-5)
    assert np.diff(r.history).max() <= 1e-6 * r.history[0]
    assert r.W.min() >= 0


@pytest.mark.parametrize("level", _core.simd_levels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 5, 19])
def test_one_iteration_equals_the_slow_version(level, dtype, k):
    X = counts(37, 23)
    seen = np.random.default_rng(4).random(X.shape) < 0.6
    W0, H0 = start_of(X, k)
    weights = np.random.default_rng(5).random(len(X))
    bound = 1e-4 if dtype == np.float32 else 1e-10
    options = {"init": "custom", "W": W0, "H": H0, "schedule": "plain", "max_iter": 1, "sample_weight": weights}
    _core.set_simd_level(level)
    try:
        for observed in (None, seen):
            ours = tc.factorize_nonnegative(X.astype(dtype), k, beta_loss=KL, observed=observed, **options)
            W = slow.poisson_update(X, W0, H0, observed)
            turned = None if observed is None else observed.T
            H = slow.poisson_update(X.T, H0.T, W.T, turned, weights).T
            np.testing.assert_allclose(ours.W, W, rtol=bound)
            np.testing.assert_allclose(ours.H, H, rtol=bound, atol=1e-12)
        ours = tc.factorize_nonnegative(X.astype(dtype), k, observed=seen, **options)
        W = slow.sweep_observed(X, W0, H0, seen)
        np.testing.assert_allclose(ours.W, W, rtol=bound, atol=bound)
        root = np.sqrt(weights)
        H = H0.copy()
        for j in range(X.shape[1]):
            rows = seen[:, j]
            H[:, j] = slow.sweep((root * X[:, j])[None, rows], H0[None, :, j], (root[:, None] * W)[rows].T)[0]
        np.testing.assert_allclose(ours.H, H, rtol=bound, atol=bound)
        value = slow.objective(X, ours.W, ours.H, weights=weights, observed=seen)
        assert ours.history[-1] == pytest.approx(value, rel=1e-5)
        assert ours.reconstruction_err == pytest.approx(np.sqrt(2 * value), rel=1e-5)
    finally:
        _core.set_simd_level(None)


@pytest.mark.parametrize("loss", ["frobenius", KL])
@pytest.mark.parametrize("schedule", ["plain", "accelerated"])
def test_unobserved_entries_are_ignored_and_are_filled_in(loss, schedule):
    rng = np.random.default_rng(0)
    truth = rng.gamma(1, 1, (150, 3)) @ rng.gamma(1, 1, (3, 25))
    seen = rng.random(truth.shape) < 0.5
    a, b = truth.copy(), truth.copy()
    a[~seen], b[~seen] = np.nan, 1e9
    fit = {"observed": seen, "beta_loss": loss, "schedule": schedule, "max_iter": 800, "tol": 1e-9, "init": "random"}
    filled = tc.factorize_nonnegative(a, 3, **fit)
    other = tc.factorize_nonnegative(b, 3, **fit)
    np.testing.assert_array_equal(filled.W, other.W)
    hidden = (filled.W @ filled.H - truth)[~seen]
    assert np.linalg.norm(hidden) < 0.1 * np.linalg.norm(truth[~seen])
    assert np.diff(filled.history).max() <= 1e-9 * filled.history[0]


def test_every_form_of_observed_gives_the_same_result():
    X = counts(40, 15)
    seen = np.random.default_rng(1).random(X.shape) < 0.5
    fit = {"schedule": "plain", "max_iter": 10}
    want = tc.factorize_nonnegative(X, 3, observed=seen, **fit)
    rows, columns = np.nonzero(seen)
    stored = sparse.csr_array((X[rows, columns], (rows, columns)), shape=X.shape)
    forms = [
        (X, sparse.csc_array(seen)), (sparse.csr_array(X), seen), (sparse.csr_array(X), sparse.coo_array(seen)),
        (stored, "stored"),
    ]
    for data, observed in forms:
        got = tc.factorize_nonnegative(data, 3, observed=observed, **fit)
        np.testing.assert_allclose(got.W, want.W, rtol=1e-8, atol=1e-10)
    full = tc.factorize_nonnegative(X, 3, observed=np.ones_like(seen), **fit)
    np.testing.assert_allclose(full.W, tc.factorize_nonnegative(X, 3, **fit).W, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", ["frobenius", KL])
def test_without_observed_entries_the_start_is_kept(loss):
    X = np.full((6, 4), np.nan)
    W0, H0 = start_of(X, 2)
    r = tc.factorize_nonnegative(
        X, 2, observed=np.zeros(X.shape, dtype=bool), init="custom", W=W0, H=H0, beta_loss=loss, max_iter=5
    )
    assert r.reconstruction_err == 0
    assert r.converged
    assert np.isfinite(r.W).all()


def test_a_bad_observed_value_is_named_by_its_place():
    X = counts(9, 6)
    X[4, 3] = np.nan
    seen = np.ones(X.shape, dtype=bool)
    with pytest.raises(ValueError, match="row 4, column 3"):
        tc.factorize_nonnegative(X, 2, observed=seen)
    seen[4, 3] = False
    assert np.isfinite(tc.factorize_nonnegative(X, 2, observed=seen).W).all()
    with pytest.raises(ValueError, match="observed"):
        tc.factorize_nonnegative(X, 2, observed=seen[:3])
    with pytest.raises(ValueError, match="'stored'"):
        tc.factorize_nonnegative(X, 2, observed="stored")


@pytest.mark.parametrize("observed", [None, "stored"])
@pytest.mark.parametrize("loss", ["frobenius", KL])
def test_workers_agree_to_the_last_byte(observed, loss):
    X = sparse.csr_array(counts(1009, 31).astype(np.float32))
    runs = [
        tc.factorize_nonnegative(X, 4, beta_loss=loss, observed=observed, max_iter=5, workers=w) for w in (1, 2, 3, 7)
    ]
    for other in runs[1:]:
        np.testing.assert_array_equal(other.W, runs[0].W)
        np.testing.assert_array_equal(other.H, runs[0].H)


@pytest.mark.parametrize("loss", ["frobenius", KL])
@pytest.mark.parametrize("partial", [False, True])
def test_fold_in_reaches_the_training_objective(loss, partial):
    X = counts(120, 20)
    seen = np.random.default_rng(1).random(X.shape) < 0.7 if partial else None
    model = tc.NMF(3, beta_loss=loss, tol=1e-9, max_iter=2000, init="random")
    W = model.fit_transform(X, observed=seen)
    again = model.transform(X, observed=seen)
    fitted, folded = (slow.objective(X, w, model.components_, loss=loss, observed=seen) for w in (W, again))
    assert folded <= fitted * (1 + 1e-5)
    one = tc.solve_weights(X[3], model.components_, beta_loss=loss, tol=1e-9, max_iter=2000,
                           observed=None if seen is None else seen[3])
    np.testing.assert_allclose(one, again[3], rtol=1e-3, atol=1e-4)


def test_all_zero_counts():
    r = tc.factorize_nonnegative(sparse.csr_array((5, 4)), 2, beta_loss=KL)
    assert r.reconstruction_err == 0
    assert np.isfinite(r.W).all()
