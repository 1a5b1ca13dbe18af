"""TruncatedSVD against LAPACK and scikit-learn's class of that name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import TruncatedSVD as Peer

import traitcore as tc


def matrix(n: int, m: int, *, seed: int = 0, fall: float = 0.7) -> Any:
    """Singular values 100, 70, 49, ... and a column of large mean."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.normal(size=(size, min(n, m))))[0] for size in (n, m))
    return (U * (100 * fall ** np.arange(min(n, m)))) @ V.T


@pytest.mark.parametrize(("n", "m"), [(30, 8), (8, 30), (700, 300), (300, 700)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_scikit_learns(n: int, m: int, dtype: Any) -> None:
    X = matrix(n, m).astype(dtype)
    for data in (X, sparse.csr_array(X)):
        ours = tc.TruncatedSVD(4, tol=1e-5).fit(data)
        theirs = Peer(4, algorithm="arpack", random_state=0).fit(data)
        np.testing.assert_allclose(ours.singular_values_, theirs.singular_values_, rtol=1e-5)
        np.testing.assert_allclose(ours.components_, theirs.components_, atol=2e-4)  # signs too
        np.testing.assert_allclose(ours.explained_variance_, theirs.explained_variance_, rtol=1e-3)
        np.testing.assert_allclose(ours.explained_variance_ratio_, theirs.explained_variance_ratio_, rtol=1e-3)
        np.testing.assert_allclose(ours.transform(data), theirs.transform(data), atol=2e-2)
        assert ours.components_.dtype == ours.singular_values_.dtype == ours.transform(data).dtype == dtype


def test_the_defaults_reach_the_tolerance_of_the_values() -> None:
    X = matrix(900, 400, fall=0.9)
    exact = np.linalg.svd(X, compute_uv=False)
    model = tc.TruncatedSVD(20).fit(sparse.csr_array(X))
    np.testing.assert_allclose(model.singular_values_, exact[:20], rtol=1e-4)
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(20), atol=1e-5)


def test_the_way_back_is_the_best_approximation() -> None:
    X = matrix(60, 20)
    model = tc.TruncatedSVD(3)
    W = model.fit_transform(X)
    np.testing.assert_array_equal(W, model.transform(X))
    s = np.linalg.svd(X, compute_uv=False)
    error = np.linalg.norm(X - model.inverse_transform(W))
    assert error == pytest.approx(np.sqrt((s[3:] ** 2).sum()), rel=1e-4)
    assert (np.take_along_axis(model.components_, np.abs(model.components_).argmax(1)[:, None], 1) > 0).all()


@pytest.mark.parametrize("exponent", [-300, -100, 100, 300])
def test_powers_of_two_scale_the_answer_and_change_nothing_else(exponent: int) -> None:
    X = matrix(40, 12)
    plain, far = tc.TruncatedSVD(3).fit(X), tc.TruncatedSVD(3).fit(np.ldexp(X, exponent))
    np.testing.assert_allclose(far.singular_values_, np.ldexp(plain.singular_values_, exponent), rtol=1e-6)
    np.testing.assert_allclose(far.components_, plain.components_, atol=1e-6)
    np.testing.assert_allclose(far.explained_variance_ratio_, plain.explained_variance_ratio_, rtol=1e-5)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
def test_shares_of_variance_hold_beside_a_large_mean(convert: Any) -> None:
    X = matrix(50, 10) + 1e6
    model = tc.TruncatedSVD(2).fit(convert(X))
    weights = X @ model.components_.T
    np.testing.assert_allclose(model.explained_variance_, weights.var(axis=0), rtol=1e-6)
    np.testing.assert_allclose(
        model.explained_variance_ratio_, weights.var(axis=0) / X.var(axis=0).sum(), rtol=1e-6
    )
    flat = tc.TruncatedSVD(1).fit(convert(np.ones((5, 3))))
    assert flat.explained_variance_ratio_.tolist() == [pytest.approx(0.0, abs=1e-9)]


def test_the_answer_does_not_depend_on_workers() -> None:
    X = sparse.random_array((600, 400), density=0.05, rng=np.random.default_rng(1), dtype=np.float32)
    one, two = (tc.TruncatedSVD(5, workers=w).fit(X) for w in (1, 2))
    assert one.components_.tobytes() == two.components_.tobytes()
    assert one.transform(X).tobytes() == two.transform(X).tobytes()


@pytest.mark.parametrize("k", [0, 6, 2**40, "2"])
def test_a_number_of_components_that_cannot_be(k: Any) -> None:
    message = r"'n_components' parameter of TruncatedSVD must be an int in \[1, 5\]"
    with pytest.raises((ValueError, TypeError), match=message):
        tc.TruncatedSVD(k).fit(np.ones((9, 5)))


def test_zeros_have_components_too() -> None:
    model = tc.TruncatedSVD(2).fit(np.zeros((6, 4)))
    assert model.singular_values_.tolist() == [0, 0]
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(2), atol=1e-6)
