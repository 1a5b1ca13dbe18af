"""Semi-non-negative factorization: W >= 0, H free."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc


def signed(n=120, m=15, k=4, seed=0, noise=0.2):
    rng = np.random.default_rng(seed)
    return rng.gamma(0.5, 1, (n, k)) @ rng.standard_normal((k, m)) + noise * rng.standard_normal((n, m))


@given(st.integers(1, 80), st.integers(1, 25), st.integers(1, 9), st.sampled_from([np.float32, np.float64]),
       st.booleans(), st.integers(0, 5000))
def test_the_objective_falls_and_is_that_of_the_factors(n, m, k, dtype, as_sparse, seed):
    X = signed(n, m, 3, seed).astype(dtype)
    r = tc.factorize_semi_nonnegative(sparse.csr_array(X) if as_sparse else X, k, max_iter=40, tol=0)
    assert r.W.min() >= 0
    assert r.W.shape == (n, k)
    assert r.H.shape == (k, m)
    square = float((X.astype(np.float64) ** 2).sum())
    rounding = 100 * float(np.finfo(dtype).eps) * square
    assert np.diff(r.history).max() <= rounding
    direct = np.linalg.norm(X - r.W.astype(np.float64) @ r.H)
    assert r.reconstruction_err == pytest.approx(direct, rel=1e-3, abs=np.sqrt(rounding))
    # H is the least-squares answer to W: nothing of the residual is left along W.
    left = r.W.T.astype(np.float64) @ (X - r.W.astype(np.float64) @ r.H)
    assert np.abs(left).max() <= (1e-2 if dtype == np.float32 else 1e-5) * (1 + square)


@pytest.mark.parametrize("init", ["svd", "random"])
@pytest.mark.parametrize("seed", range(5))
def test_rotating_the_columns_leaves_W_as_it_was(init, seed):
    X = signed(seed=seed)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((15, 15)))[0]
    a = tc.factorize_semi_nonnegative(X, 5, init=init, max_iter=100)
    b = tc.factorize_semi_nonnegative(X @ Q, 5, init=init, max_iter=100)
    assert np.abs(a.W - b.W).max() <= 1e-4 * np.abs(a.W).max()
    assert np.abs(a.H @ Q - b.H).max() <= 1e-4 * np.abs(a.H).max()


def test_planted_groups_are_found_and_the_error_beats_one_rank_less():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 4, 300)
    X = 3 * rng.standard_normal((4, 12))[group] + 0.3 * rng.standard_normal((300, 12))
    r = tc.factorize_semi_nonnegative(X, 4, tol=1e-7, max_iter=1000)
    singular = np.linalg.svd(X, compute_uv=False)
    assert r.reconstruction_err <= np.sqrt((singular[3:] ** 2).sum())
    centres = np.array([r.W[group == g].mean(axis=0) for g in range(4)])
    spread = np.array([np.linalg.norm(r.W[group == g] - centres[g], axis=1).mean() for g in range(4)])
    apart = min(np.linalg.norm(a - b) for i, a in enumerate(centres) for b in centres[:i])
    assert apart > 3 * spread.max()


def test_workers_agree_and_the_start_can_be_given():
    X = signed(3001)
    runs = [tc.factorize_semi_nonnegative(X, 4, max_iter=20, workers=w) for w in (1, 2, 3, 7)]
    for other in runs[1:]:
        assert other.W.tobytes() == runs[0].W.tobytes()
        assert other.H.tobytes() == runs[0].H.tobytes()
    W0 = np.random.default_rng(0).random((3001, 4))
    kept = W0.copy()
    tc.factorize_semi_nonnegative(X, 4, init="custom", W=W0, max_iter=3)
    np.testing.assert_array_equal(W0, kept)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 1), (1, 7), (7, 1)])
def test_small_and_empty(shape):
    X = np.arange(-3.0, -3 + shape[0] * shape[1]).reshape(shape)
    r = tc.factorize_semi_nonnegative(X, 3)
    assert np.isfinite(r.W).all()
    assert np.isfinite(r.H).all()
    zero = tc.factorize_semi_nonnegative(np.zeros(shape), 3)
    assert zero.reconstruction_err == 0


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("n_components", 0, ValueError), ("init", "nndsvd", ValueError), ("tol", -1, ValueError),
     ("max_iter", 0, ValueError), ("workers", 0, ValueError), ("W", np.ones((120, 3)), ValueError),
     ("random_state", 1.0, TypeError)],
)
def test_each_parameter_is_checked_by_name(name, value, error):
    with pytest.raises(error, match=f"The '{name}' parameter of factorize_semi_nonnegative must be"):
        tc.factorize_semi_nonnegative(signed(), **{"n_components": 3, name: value})


def test_a_bad_value_is_named_by_its_place():
    X = signed()
    X[2, 1] = np.inf
    with pytest.raises(ValueError, match=r"\(2, 1\)"):
        tc.factorize_semi_nonnegative(X, 3)


def test_a_start_that_would_stay_zero_is_an_error():
    with pytest.raises(ValueError, match="'W' parameter of factorize_semi_nonnegative must be positive somewhere"):
        tc.factorize_semi_nonnegative(signed(), 4, init="custom", W=np.zeros((120, 4)))
