"""partial_fit: nearly the error of a full fit, and all-zero batches change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import traitcore as tc
from tests.data.factors import planted, start_of


@pytest.mark.parametrize("as_sparse", [False, True])
def test_batches_reach_nearly_the_error_of_a_full_fit(as_sparse):
    X = planted(2000, 30, 5, noise=0.3)
    whole = tc.NMF(5, tol=1e-6).fit(X).reconstruction_err_
    model = tc.NMF(5)
    for _ in range(4):
        for i in range(0, 2000, 250):
            batch = X[i : i + 250]
            model.partial_fit(sparse.csr_array(batch) if as_sparse else batch)
    error = np.linalg.norm(X - model.transform(X) @ model.components_)
    assert error <= 1.03 * whole
    assert model.n_iter_ == 32
    assert model.components_.min() >= 0


def test_batches_take_weights_and_starts_and_check_them():
    X = planted(200, 12, 3)
    H0 = start_of(X, 3)[1]
    weights = np.tile([1.0, 2.0], 100)
    rows = np.repeat(np.arange(200), weights.astype(int))
    a = tc.NMF(3, init="custom", alpha_W=0.01, tol=1e-9).partial_fit(X, H=H0, sample_weight=weights)
    b = tc.NMF(3, init="custom", alpha_W=0.01, tol=1e-9).partial_fit(X[rows], H=H0)
    np.testing.assert_allclose(a.components_, b.components_, rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match="12 columns"):
        a.partial_fit(X[:, :5])
    with pytest.raises(ValueError, match="'beta_loss'"):
        tc.NMF(3, beta_loss="kullback-leibler").partial_fit(X)
    with pytest.raises(ValueError, match="'forget_factor'"):
        tc.NMF(3, forget_factor=0).partial_fit(X)
    fitted = tc.NMF(3, max_iter=500, tol=1e-7).fit(X)
    before = fitted.reconstruction_err_
    for _ in range(3):
        fitted.partial_fit(X)
    assert np.linalg.norm(X - fitted.transform(X) @ fitted.components_) <= 1.001 * before


@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("init", ["nndsvd", "nndsvda", "random"])
@pytest.mark.parametrize("first", ["no rows", "zero rows", "rows of weight zero"])
def test_an_all_zero_batch_sets_no_start(first, init, as_sparse):
    X = planted(100, 12, 3)
    form = sparse.csr_array if as_sparse else np.asarray
    model, peer = tc.NMF(3, init=init), tc.NMF(3, init=init)
    for _ in range(2):
        batch = {"no rows": X[:0], "zero rows": 0 * X[:7], "rows of weight zero": X[:5]}[first]
        weight = np.zeros(5) if first == "rows of weight zero" else None
        model.partial_fit(form(batch), sample_weight=weight)
        assert not model.components_.any()
        assert not model.transform(X).any()
    for i in range(0, 100, 25):
        model.partial_fit(form(X[i : i + 25]))
        peer.partial_fit(form(X[i : i + 25]))
    np.testing.assert_allclose(model.components_, peer.components_, rtol=1e-12)
    assert model.components_.any(axis=1).all()
    assert model.n_iter_ == 6
    with pytest.raises(ValueError, match="12 columns"):
        tc.NMF(3).partial_fit(X[:0]).partial_fit(X[:, :5])


def test_all_zero_batches_keep_the_start():
    X, H = planted(100, 12, 3), start_of(planted(100, 12, 3), 3)[1]
    for penalty in ({}, {"alpha_W": 0.1}, {"alpha_W": 0.1, "l1_ratio": 1.0}):
        model = tc.NMF(3, init="custom", **penalty).partial_fit(0 * X, H=H)
        np.testing.assert_allclose(model.components_, H)
        fitted = tc.NMF(3, alpha_W=1e-3).fit(X)
        before = fitted.components_
        np.testing.assert_allclose(fitted.partial_fit(0 * X).components_, before)
    with pytest.raises(ValueError, match=r"'H' parameter of NMF\.partial_fit must be positive somewhere"):
        tc.NMF(3, init="custom").partial_fit(X, H=0 * H)
    # A first batch of one kind of row leaves components that later batches can use.
    model = tc.NMF(3, init="nndsvd").partial_fit(np.tile(X[:1], (4, 1)))
    for _ in range(10):
        model.partial_fit(X)
    whole = tc.NMF(3).fit(X)
    assert np.linalg.norm(X - model.transform(X) @ model.components_) <= 1.1 * whole.reconstruction_err_
