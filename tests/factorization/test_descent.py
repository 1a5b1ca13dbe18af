"""The schedules of coordinate descent: scikit-learn's iterates, the objective's fall, kernels, workers and weights."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.decomposition import non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

import traitcore as tc
from tests.data.factors import planted, scaled, start_of
from tests.reference import nmf as slow
from traitcore import _core
from traitcore.factorization.starts import initial_factors

shapes = st.tuples(st.integers(1, 90), st.integers(1, 40), st.integers(1, 20))
penalties = st.sampled_from([{}, {"alpha_W": 0.02, "l1_ratio": 0.5}, {"alpha_H": 0.05, "l1_ratio": 1.0}])


@given(shapes, st.sampled_from([0.05, 0.3, 1.0]), penalties, st.booleans(), st.integers(0, 2**32 - 1))
def test_plain_schedule_gives_scikit_learns_factors(shape, density, penalty, as_sparse, seed):
    n, m, k = shape
    rng = np.random.default_rng(seed)
    X = rng.random((n, m)) * (rng.random((n, m)) < density)
    X = sparse.csr_array(X) if as_sparse else X
    W0, H0 = start_of(X, k, seed)
    ours = tc.factorize_nonnegative(
        X, k, init="custom", W=W0, H=H0, schedule="plain", max_iter=50, tol=0, **penalty
    )
    if ours.report.reason == "exact":
        return  # stationary start: scikit-learn stops there too
    W, H, _ = _quiet_peer(X, W0, H0, **penalty)
    size = np.linalg.norm(X.toarray() if as_sparse else X)
    assert np.linalg.norm(ours.W @ ours.H - W @ H) <= 1e-4 * size
    # Where the fit is exact (X of lower rank than k), the last bit decides which components are left over.
    if np.linalg.norm((X.toarray() if as_sparse else X) - W @ H) > 1e-3 * size:
        assert np.abs(ours.W - W).max() <= 1e-4 * np.abs(W).max()
        assert np.abs(ours.H - H).max() <= 1e-4 * np.abs(H).max()


def _quiet_peer(X, W0, H0, **penalty):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fifty sweeps, converged or not
        return non_negative_factorization(
            X, W0.copy(), H0.copy(), n_components=len(H0), init="custom", max_iter=50, tol=1e-300, **penalty
        )


# With a penalty on one side only there is no minimum: that side shrinks and the other grows for ever.
two_sided = st.sampled_from([{}, {"alpha_W": 0.02, "l1_ratio": 0.5}, {"alpha_W": 0.01}])


@given(shapes, two_sided, st.sampled_from([np.float32, np.float64]), st.booleans(), st.integers(0, 2**32 - 1))
def test_accelerated_objective_never_rises_and_is_never_above_scikit_learns(shape, penalty, dtype, as_sparse, seed):
    n, m, k = shape
    X = planted(n, m, k, seed % 1000, noise=0.2).astype(dtype)
    X = sparse.csr_array(X) if as_sparse else X
    W0, H0 = initial_factors(X, k, "nndsvda", 0, 1)
    ours = tc.factorize_nonnegative(X, k, init="custom", W=W0, H=H0, max_iter=50, tol=0, **penalty)
    rounding = 4 * float(np.finfo(dtype).eps) * (float((X * X).sum()) + ours.history[0])
    assert np.diff(ours.history).max() <= rounding
    assert ours.W.min() >= 0
    assert ours.H.min() >= 0
    assert ours.W.dtype == ours.H.dtype == dtype
    reg = scaled(X, penalty.get("alpha_W", 0), penalty.get("alpha_H", penalty.get("alpha_W", 0)),
                 penalty.get("l1_ratio", 0))
    dense = X.toarray() if as_sparse else X
    value = slow.objective(dense, ours.W, ours.H, **reg)
    assert value == pytest.approx(ours.history[-1], rel=1e-5, abs=rounding)
    W, H, _ = _quiet_peer(X, W0, H0, **penalty)
    # Two local searches from one start can end in different minima; the slack of |X|^2 / 1000 allows for that.
    assert value <= slow.objective(dense, W, H, **reg) + 1e-3 * float((X * X).sum()) + rounding


@pytest.mark.parametrize("level", _core.simd_levels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (67, 13, 3), (130, 37, 17), (65, 9, 33), (31, 70, 70)])
def test_kernels_equal_the_slow_version_at_every_instruction_set(level, dtype, shape):
    n, m, k = shape
    X = planted(n, m, min(k, 5)).astype(dtype)
    X[X < 0.3] = 0
    W0, H0 = start_of(X, k)
    weights = np.random.default_rng(3).random(n)
    l1, l2 = (m * 0.003, n * 0.003), (m * 0.007, n * 0.007)
    W, H = slow.factorize(X.astype(np.float64), W0, H0, 4, l1, l2)
    l1w = (l1[0], weights.sum() * 0.003)
    l2w = (l2[0], weights.sum() * 0.007)
    Ww, Hw = slow.factorize(X.astype(np.float64), W0, H0, 4, l1w, l2w, weights)
    bound = 2e-3 if dtype == np.float32 else 1e-9
    _core.set_simd_level(level)
    try:
        for data in (X, sparse.csr_array(X)):
            options = {"init": "custom", "W": W0, "H": H0, "schedule": "plain", "max_iter": 4, "tol": 0,
                       "alpha_W": 0.01, "l1_ratio": 0.3}
            ours = tc.factorize_nonnegative(data, k, **options)
            np.testing.assert_allclose(ours.W, W, rtol=bound, atol=bound * W.max())
            np.testing.assert_allclose(ours.H, H, rtol=bound, atol=bound * H.max())
            ours = tc.factorize_nonnegative(data, k, sample_weight=weights, **options)
            np.testing.assert_allclose(ours.W, Ww, rtol=bound, atol=bound * Ww.max())
            np.testing.assert_allclose(ours.H, Hw, rtol=bound, atol=bound * Hw.max())
    finally:
        _core.set_simd_level(None)


@pytest.mark.parametrize("schedule", ["plain", "accelerated"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("as_sparse", [False, True])
def test_workers_agree_to_the_last_byte(schedule, dtype, as_sparse):
    X = planted(10_003, 31, 4).astype(dtype)
    X[X < 0.5] = 0
    X = sparse.csr_array(X) if as_sparse else X
    results = [tc.factorize_nonnegative(X, 4, schedule=schedule, max_iter=20, workers=w) for w in (1, 2, 3, 7, 70)]
    for other in results[1:]:
        assert other.W.tobytes() == results[0].W.tobytes()
        assert other.H.tobytes() == results[0].H.tobytes()
        assert other.reconstruction_err == results[0].reconstruction_err


@pytest.mark.parametrize("schedule", ["plain", "accelerated"])
def test_row_order_does_not_matter_and_scale_carries_over(schedule):
    X = planted()
    W0, H0 = start_of(X, 5)
    order = np.random.default_rng(5).permutation(len(X))
    fit = {"init": "custom", "schedule": schedule, "max_iter": 30, "tol": 0}
    base = tc.factorize_nonnegative(X, 5, W=W0, H=H0, **fit)
    shuffled = tc.factorize_nonnegative(X[order], 5, W=W0[order], H=H0, **fit)
    np.testing.assert_allclose(shuffled.W, base.W[order], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(shuffled.H, base.H, rtol=1e-6, atol=1e-8)
    larger = tc.factorize_nonnegative(16 * X, 5, W=4 * W0, H=4 * H0, **fit)
    np.testing.assert_allclose(larger.W, 4 * base.W, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(larger.H, 4 * base.H, rtol=1e-6, atol=1e-8)


def test_a_weight_of_two_is_the_row_twice_and_a_weight_of_zero_is_no_row():
    X = planted(60, 20, 3)
    W0, H0 = start_of(X, 3)
    weights = np.array([0, 1, 2] * 20)
    rows = np.repeat(np.arange(60), weights)
    fit = {"init": "custom", "schedule": "plain", "max_iter": 30, "tol": 0, "alpha_W": 0.01, "l1_ratio": 0.5}
    once = tc.factorize_nonnegative(X, 3, W=W0, H=H0, sample_weight=weights, **fit)
    twice = tc.factorize_nonnegative(X[rows], 3, W=W0[rows], H=H0, **fit)
    np.testing.assert_allclose(once.H, twice.H, rtol=1e-8)
    np.testing.assert_allclose(once.W[rows], twice.W, rtol=1e-8, atol=1e-12)
    assert once.history[-1] == pytest.approx(twice.history[-1])
    assert once.reconstruction_err == pytest.approx(twice.reconstruction_err)
