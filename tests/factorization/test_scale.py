"""Very large and very small data: the result is the scaled result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc

KL = "kullback-leibler"
# Powers of ten within each dtype's range; the squares of most of them are not.
WIDE = [-300, -100, -30, -8, -3, 4, 9, 30, 100, 150]
NARROW = [-33, -25, -12, -3, 4, 9, 18, 30, 34]


def scales(dtype):
    return st.sampled_from(NARROW if dtype == np.float32 else WIDE)


typed = st.sampled_from([np.float32, np.float64]).flatmap(lambda d: st.tuples(st.just(d), scales(d)))


def data(dtype, n=40, m=25, k=3, seed=0):
    """Parts with columns of their own, so that every start ends at them."""
    rng = np.random.default_rng(seed)
    H = 0.2 * rng.random((k, m)) + (np.arange(m) % k == np.arange(k)[:, None])
    W = rng.gamma(1, 1, (n, k)) * (rng.random((n, k)) < 0.6)
    W[:k] += np.eye(k)[: min(n, k)]
    return (W @ H + 0.01 * rng.random((n, m))).astype(dtype)


def at(A, power):
    """A 10^power in A's dtype, by way of more digits."""
    return (A.astype(np.longdouble) * np.longdouble(10) ** power).astype(A.dtype)


def back(A, power):
    return A.astype(np.longdouble) * np.longdouble(10) ** np.longdouble(-power)


@given(
    typed, st.sampled_from(["frobenius", KL]), st.sampled_from(["plain", "accelerated"]),
    st.sampled_from(["nndsvda", "random"]), st.booleans(), st.booleans(),
)
def test_a_fit_of_scaled_data_is_the_scaled_fit(kind, beta_loss, schedule, init, as_sparse, partly):
    dtype, power = kind
    X = data(dtype)
    known = np.random.default_rng(3).random(X.shape) < 0.9 if partly else None
    form = sparse.csr_array if as_sparse else np.asarray
    options = {"beta_loss": beta_loss, "schedule": schedule, "init": init, "tol": 1e-5, "max_iter": 200,
               "observed": known}
    one, far = (tc.factorize_nonnegative(form(A), 3, **options) for A in (X, at(X, power)))
    product = back(far.W, power / 2) @ back(far.H, power / 2)
    assert np.linalg.norm((product - one.W @ one.H).astype(np.float64)) <= 0.02 * np.linalg.norm(X)
    share = power if beta_loss == "frobenius" else power / 2
    assert float(back(np.float64(far.reconstruction_err), share)) == pytest.approx(one.reconstruction_err, rel=5e-2)
    if power < 100:
        assert np.diff(far.history).max() <= 1e-6 * far.history[0]
    # W and H share the scale, as of ordinary data.
    assert 0.01 < float(back(far.W, power / 2).max() / one.W.max()) < 100


@given(typed, st.sampled_from(["frobenius", KL]), st.sampled_from([{}, {"alpha_W": 0.01, "l1_ratio": 0.5}]))
def test_the_same_start_on_its_scale_gives_the_same_iterates(kind, beta_loss, penalty):
    dtype, power = kind
    power -= power % 2
    X = data(dtype)
    rng = np.random.default_rng(1)
    W, H = rng.random((40, 3)).astype(dtype), rng.random((3, 25)).astype(dtype)
    options = {"init": "custom", "beta_loss": beta_loss, "schedule": "plain", "tol": 0, "max_iter": 12}
    one = tc.factorize_nonnegative(X, 3, W=W, H=H, **options, **penalty)
    if penalty:  # scaled so as to weigh as much: both terms at once only where the loss is the square
        penalty = {"alpha_W": penalty["alpha_W"] * 10.0**power, "l1_ratio": 0.0} if power < 30 else {}
        one = tc.factorize_nonnegative(X, 3, W=W, H=H, **options, alpha_W=0.01 if penalty else 0.0)
        if beta_loss == KL and penalty:
            penalty = {"alpha_W": 0.01}
    far = tc.factorize_nonnegative(at(X, power), 3, W=at(W, power // 2), H=at(H, power // 2), **options, **penalty)
    rtol = 2e-3 if dtype == np.float32 else 1e-8
    for name in ("W", "H"):
        want, got = getattr(one, name), back(getattr(far, name), power // 2)
        assert float(np.abs(got - want).max()) <= rtol * want.max()


@pytest.mark.parametrize(
    ("dtype", "power"), [(np.float64, 200), (np.float32, 20), (np.float64, -200), (np.float32, -20)]
)
@pytest.mark.parametrize("beta_loss", ["frobenius", KL])
def test_a_custom_start_may_split_the_scale_between_its_factors(dtype, power, beta_loss):
    X = data(dtype)
    rng = np.random.default_rng(1)
    W, H = rng.random((40, 3)).astype(dtype), rng.random((3, 25)).astype(dtype)
    options = {"init": "custom", "beta_loss": beta_loss, "schedule": "plain", "tol": 0, "max_iter": 12}
    one = tc.factorize_nonnegative(X, 3, W=W, H=H, **options)
    far = tc.factorize_nonnegative(X, 3, W=at(W, power), H=at(H, -power), **options)
    product = (far.W.astype(np.longdouble) @ far.H.astype(np.longdouble)).astype(np.float64)
    np.testing.assert_allclose(product, one.W @ one.H, rtol=0, atol=(1e-4 if dtype == np.float32 else 1e-9) * X.max())
    for both in (power, -power):  # a start of any size ends at the data
        either = tc.factorize_nonnegative(
            X, 3, **options | {"W": at(W, both), "H": at(H, both), "max_iter": 100, "schedule": "accelerated"}
        )
        assert np.isfinite(either.W).all()
        assert either.W.any()
        assert either.H.any()


@given(
    typed, st.sampled_from(NARROW[:7]), st.sampled_from(["frobenius", KL, "observed"]), st.booleans(),
    st.sampled_from([0.0, 0.01]),
)
def test_fold_in_works_on_any_scale_of_rows_and_of_H(kind, h, loss, as_sparse, alpha):
    dtype, x = kind
    if dtype == np.float32:
        h = max(-8, min(8, h))
        x = max(-25, min(25, x))
    X, H = data(dtype), data(dtype, 3, 25, 3, 5)
    options = {"tol": 1e-7, "max_iter": 2000, "beta_loss": KL if loss == KL else "frobenius"}
    options["observed"] = np.random.default_rng(0).random(X.shape) < 0.8 if loss == "observed" else None
    form = sparse.csr_array if as_sparse else np.asarray
    # An L2 penalty on W is scaled as H^2 with the square loss; there is none for the other that stays the same.
    alpha, far_alpha = (alpha, alpha * 10.0 ** (2 * h)) if loss != KL else (0.0, 0.0)
    one = tc.solve_weights(form(X), H, alpha_W=alpha, **options)
    far = tc.solve_weights(form(at(X, x)), at(H, h), alpha_W=far_alpha, **options)
    bound = 5e-3 if dtype == np.float32 or loss == KL else 1e-4
    assert float(np.abs(back(far, x - h) - one).max()) <= bound * one.max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ["frobenius", KL])
def test_a_row_is_solved_on_its_own_scale(dtype, loss):
    X, H = data(dtype, 12), data(dtype, 3, 25, 3, 5)
    top = 36 if dtype == np.float32 else 305
    powers = np.array([0, -10, top, -30, 0, top, 12, -25, 3, -3, top, 0])
    rows = np.stack([at(x, p) for x, p in zip(X, powers)])
    options = {"tol": 1e-6, "max_iter": 2000, "beta_loss": loss}
    one, far = tc.solve_weights(X, H, **options), tc.solve_weights(rows, H, **options)
    for i, p in enumerate(powers):
        assert float(np.abs(back(far[i], p) - one[i]).max()) <= 5e-3 * one[i].max()
    if loss == "frobenius":
        solver = tc.WeightSolver(H, tol=1e-6, max_iter=2000)
        for form in (np.asarray, sparse.csr_array):
            np.testing.assert_allclose(solver(form(rows), workers=2), far, rtol=1e-4, atol=0)


@pytest.mark.parametrize("init", ["svd", "random", "custom"])
@pytest.mark.parametrize("as_sparse", [False, True])
@given(kind=typed)
def test_the_semi_factorization_on_any_scale(init, as_sparse, kind):
    dtype, power = kind
    X = data(dtype) - np.asarray(0.3, dtype)
    form = sparse.csr_array if as_sparse else np.asarray
    W = np.random.default_rng(0).random((40, 3)).astype(dtype) if init == "custom" else None
    far_W = None if W is None else at(W, min(power, 30))
    one = tc.factorize_semi_nonnegative(form(X), 3, init=init, W=W, tol=0, max_iter=15)
    far = tc.factorize_semi_nonnegative(form(at(X, power)), 3, init=init, W=far_W, tol=0, max_iter=15)
    product = back(far.W, 0) @ back(far.H, power)
    assert np.linalg.norm((product - one.W @ one.H).astype(np.float64)) <= 0.02 * np.linalg.norm(X)
    assert float(back(np.float64(far.reconstruction_err), power)) == pytest.approx(one.reconstruction_err, rel=1e-3)


@given(typed, st.sampled_from([0.0, 0.01]))
def test_batches_on_any_scale(kind, alpha):
    dtype, power = kind
    X = data(dtype, 120)
    far_alpha = alpha * 10.0**power if power < 30 else 0.0
    one, far = tc.NMF(3, alpha_W=alpha if far_alpha else 0.0), tc.NMF(3, alpha_W=far_alpha)
    for _ in range(6):
        for i in range(0, 120, 40):
            one.partial_fit(X[i : i + 40])
            far.partial_fit(at(X[i : i + 40], power))
    a, b = one.components_, back(far.components_, power / 2)
    cosines = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.sqrt((b * b).sum(axis=1, keepdims=True))).T
    assert float(cosines.max(axis=1).min()) > 0.99
    assert 0.5 < float(np.sqrt((b * b).sum() / (a * a).sum())) < 2


@pytest.mark.parametrize(("dtype", "low", "high"), [(np.float32, -25, 30), (np.float64, -100, 100)])
def test_batches_whose_scale_grows(dtype, low, high):
    X = data(dtype, 80)
    model = tc.NMF(3).partial_fit(at(X[:40], low))
    whole = tc.NMF(3)
    for _ in range(12):
        model.partial_fit(at(X, high))
        whole.partial_fit(at(X, high))
    errors = [np.linalg.norm(back(at(X, high), high) - back(m.transform(at(X, high)), high / 2)
                             @ back(m.components_, high / 2)) for m in (model, whole)]
    assert errors[0] <= 1.1 * errors[1]
