"""Non-negative factorization: recovered parts, reports, awkward input, and the estimator."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import NMF as PeerNMF

import traitcore as tc
from tests.data.factors import planted, scaled, start_of
from tests.reference import nmf as slow


def test_planted_parts_are_recovered():
    rng = np.random.default_rng(0)
    H = np.kron(np.eye(6), np.ones((1, 5)))
    X = (rng.gamma(0.4, 1, (400, 6)) @ H).astype(np.float32)
    found = tc.factorize_nonnegative(X, 6, tol=1e-8, max_iter=500).H
    cosine = (found / np.linalg.norm(found, axis=1, keepdims=True)) @ (H / np.sqrt(5)).T
    assert cosine.max(axis=0).min() > 0.999


def test_reconstruction_error_is_exact_dense_and_sparse():
    X = planted(200, 30, 4)
    X[X < 0.6] = 0
    # Rounding is relative to |X|^2, which is much larger than the squared error.
    for dtype, bound in ((np.float32, 3e-8), (np.float64, 1e-14)):
        for data in (X.astype(dtype), sparse.csr_array(X.astype(dtype))):
            r = tc.factorize_nonnegative(data, 4, max_iter=30)
            direct = np.linalg.norm(X.astype(dtype).astype(np.float64) - r.W.astype(float) @ r.H.astype(float))
            assert r.reconstruction_err**2 == pytest.approx(direct**2, abs=bound * np.linalg.norm(X) ** 2)


def test_report_and_history():
    X = planted()
    calls = []
    r = tc.factorize_nonnegative(X, 5, tol=1e-3, max_iter=500, progress=lambda *a: calls.append(a))
    assert r.converged
    assert r.report.reason == "tolerance"
    assert r.report.criterion <= 1e-3
    assert len(r.history) == r.n_iter + 1 == len(calls) + 1
    assert calls[-2:] == [("nmf", r.n_iter - 1, 500), ("nmf", 500, 500)]  # converged early: all is done
    short = tc.factorize_nonnegative(X, 5, tol=0, max_iter=3)
    assert not short.converged
    assert "stopped before convergence (max_iter) after 3" in str(short.report)


# ---- awkward input ----


@pytest.mark.parametrize("schedule", ["plain", "accelerated"])
@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_zero_matrix(schedule, as_sparse, dtype):
    X = np.zeros((13, 7), dtype=dtype)
    r = tc.factorize_nonnegative(sparse.csr_array(X) if as_sparse else X, 3, schedule=schedule)
    assert r.reconstruction_err == 0
    assert np.isfinite(r.W).all()
    assert np.isfinite(r.H).all()


@pytest.mark.parametrize("schedule", ["plain", "accelerated"])
def test_zero_rows_and_columns_get_zero_weights(schedule):
    X = planted(40, 12, 3)
    X[[0, 17]] = 0
    X[:, [5, 11]] = 0
    r = tc.factorize_nonnegative(X, 3, schedule=schedule, max_iter=300, tol=1e-7)
    assert np.abs((r.W @ r.H)[[0, 17]]).max() < 1e-6
    assert np.abs((r.W @ r.H)[:, [5, 11]]).max() < 1e-6


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1), (5, 4), (30, 8)])
@pytest.mark.parametrize("k", [1, 2, 12])
@pytest.mark.parametrize("init", ["nndsvd", "nndsvda", "random"])
def test_one_row_one_column_and_more_components_than_rank(shape, k, init):
    X = planted(*shape, k=2)
    r = tc.factorize_nonnegative(X, k, init=init, max_iter=300, tol=1e-9)
    assert r.W.shape == (shape[0], k)
    assert r.H.shape == (k, shape[1])
    if min(shape) == 1:
        assert r.reconstruction_err < 1e-3 * np.linalg.norm(X)
    assert np.diff(r.history).max(initial=0) <= 1e-12 * (X**2).sum()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_a_matrix_without_rows_or_columns(shape):
    for X in (np.zeros(shape), sparse.csr_array(shape)):
        r = tc.factorize_nonnegative(X, 2)
        assert r.W.shape == (shape[0], 2)
        assert r.H.shape == (2, shape[1])
        assert r.converged


@pytest.mark.parametrize(("value", "word"), [(np.nan, "finite"), (np.inf, "finite"), (-1.0, "non-negative")])
def test_a_bad_value_is_named_by_its_place(value, word):
    X = planted(9, 6, 2)
    X[4, 3] = X[7, 1] = value
    with pytest.raises(ValueError, match=rf"'X' parameter of factorize_nonnegative must be {word}.*\(4, 3\)"):
        tc.factorize_nonnegative(X, 2)
    with pytest.raises(ValueError, match="row 4, column 3"):
        tc.factorize_nonnegative(sparse.csr_array(X), 2)


def test_every_form_of_the_same_matrix_gives_the_same_answer():
    X = np.rint(planted(40, 12, 3) * 3).astype(np.int64)
    fit = {"schedule": "plain", "max_iter": 20}
    want = tc.factorize_nonnegative(X.astype(np.float64), 3, **fit)
    rows, columns = np.nonzero(X)
    halves = np.concatenate([X[rows, columns] * 0.25, X[rows, columns] * 0.75])
    doubled = sparse.coo_array((halves, (np.tile(rows, 2), np.tile(columns, 2))), shape=X.shape)
    forms = [
        X, np.asfortranarray(X.astype(float)), X.astype(">f8"), np.repeat(X.astype(float), 2, axis=1)[:, ::2],
        sparse.csr_array(X), sparse.csc_array(X.astype(float)), sparse.csr_matrix(X.astype(float)), doubled,
    ]
    for form in forms:
        got = tc.factorize_nonnegative(form, 3, **fit)
        np.testing.assert_allclose(got.W @ got.H, want.W @ want.H, rtol=1e-6, atol=1e-8)
    half = tc.factorize_nonnegative(X.astype(np.float16), 3, **fit)
    np.testing.assert_allclose(half.W, want.W, rtol=1e-6, atol=1e-8)


def test_the_callers_arrays_are_left_alone():
    X = planted(30, 8, 3)
    W0, H0 = start_of(X, 3)
    kept = X.copy(), W0.copy(), H0.copy()
    for a in (X, W0, H0):
        a.flags.writeable = False
    tc.factorize_nonnegative(X, 3, init="custom", W=W0, H=H0, max_iter=5)
    tc.factorize_nonnegative(sparse.csr_array(X), 3, init="custom", W=W0, H=H0, max_iter=5)
    for a, b in zip((X, W0, H0), kept):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("beta_loss", ["frobenius", "kullback-leibler"])
@pytest.mark.parametrize("schedule", ["plain", "accelerated"])
def test_a_start_that_would_stay_zero_is_an_error(beta_loss, schedule):
    X, (W, H) = planted(20, 9, 3), start_of(planted(20, 9, 3), 3)
    options = {"init": "custom", "beta_loss": beta_loss, "schedule": schedule}
    words = "'W' parameter of factorize_nonnegative must be positive somewhere"
    with pytest.raises(ValueError, match=words):
        tc.factorize_nonnegative(X, 3, W=0 * W, H=0 * H, **options)
    hidden, weights = np.where(np.arange(20)[:, None] < 5, W, 0), np.where(np.arange(20) < 5, 0.0, 1.0)
    with pytest.raises(ValueError, match=words):
        tc.factorize_nonnegative(X, 3, W=hidden, H=0 * H, sample_weight=weights, **options)
    for some_W, some_H in ((0 * W, H), (W, 0 * H), (W * [1, 0, 0], H * [[0], [1], [1]])):
        if beta_loss == "frobenius":  # the other side follows from this one
            r = tc.factorize_nonnegative(X, 3, W=some_W, H=some_H, max_iter=300, **options)
            full = tc.factorize_nonnegative(X, 3, W=W, H=H, max_iter=300, **options)
            assert r.reconstruction_err <= 1.1 * full.reconstruction_err
        else:
            with pytest.raises(ValueError, match=words):
                tc.factorize_nonnegative(X, 3, W=some_W, H=some_H, **options)
    assert tc.factorize_nonnegative(0 * X, 3, W=0 * W, H=0 * H, **options).reconstruction_err == 0
    # A component that is zero on both sides stays zero, the others don't.
    one = tc.factorize_nonnegative(X, 3, W=W * [1, 0, 1], H=H * [[1], [0], [1]], **options)
    assert not one.W[:, 1].any()
    assert not one.H[1].any()
    assert one.W[:, 0].any()


def test_the_result_unpacks_into_its_factors():
    X = planted(20, 9, 3)
    r = tc.factorize_nonnegative(X, 3)
    W, H = r
    assert W is r.W
    assert H is r.H
    W, H = tc.factorize_semi_nonnegative(X - 0.5, 3)
    assert W.shape == (20, 3)
    assert H.shape == (3, 9)


# ---- the estimator ----


def test_the_estimator_agrees_with_the_function_and_with_scikit_learns_names():
    X = planted()
    model = tc.NMF(5, max_iter=60, alpha_W=0.001)
    W = model.fit_transform(X)
    r = tc.factorize_nonnegative(X, 5, max_iter=60, alpha_W=0.001)
    np.testing.assert_array_equal(W, model.transform(X))
    np.testing.assert_allclose(W, r.W, atol=0.005)
    np.testing.assert_array_equal(model.components_, r.H)
    assert (model.n_iter_, model.reconstruction_err_) == (r.n_iter, r.reconstruction_err)
    assert model.n_features_in_ == 40
    assert clone(model).get_params() == model.get_params()
    shared = {"n_components", "init", "tol", "max_iter", "random_state", "alpha_W", "alpha_H", "l1_ratio",
              "beta_loss"}
    assert shared <= set(model.get_params()) & set(PeerNMF().get_params())
    np.testing.assert_allclose(model.inverse_transform(W), W @ model.components_)
    with pytest.raises(tc.NotFittedError):
        tc.NMF().transform(X)


@pytest.mark.parametrize("as_sparse", [False, True])
def test_transform_of_the_training_rows_reaches_their_objective(as_sparse):
    X = planted(300, 30, 4)
    X[X < 0.4] = 0
    data = sparse.csr_array(X) if as_sparse else X
    model = tc.NMF(4, tol=1e-8, max_iter=2000, alpha_W=0.002, l1_ratio=0.5)
    W = tc.factorize_nonnegative(data, 4, tol=1e-8, max_iter=2000, alpha_W=0.002, l1_ratio=0.5).W
    reg = scaled(X, 0.002, 0.002, 0.5)
    again = model.fit_transform(data)
    fitted, folded = (slow.objective(X, w, model.components_, **reg) for w in (W, again))
    assert folded <= fitted * (1 + 1e-7)
