"""The truncated singular value decomposition as an estimator, with scikit-learn's names."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import on_behalf_of
from .._progress import Progress
from .._transformer import MatrixTransformer
from .._validate import Checks, RandomSource
from .products import sparse_dense
from .svd import randomized_svd

# Numbers of this many binary digits before or after the point are scaled: the decomposition works in float32.
_FAR = 60


class TruncatedSVD(MatrixTransformer):
    """The leading singular vectors of a matrix (latent semantic analysis), on `randomized_svd`; X is not centred.

    Parameters
    ----------
    n_components : k in [1, min(n_samples, n_features)].
    tol : largest relative error allowed in any singular value, in (0, 1]; the vectors are computed in float32.
    random_state : seed of the search's start: an int, a RandomState, a Generator, or None for numpy's global state.
    workers : threads, -1 for all cores; the result does not depend on the number.

    Attributes
    ----------
    components_ : (k, n_features) orthonormal rows, X's dtype (float32, or float64 for all others); the largest entry of
        each (in magnitude) is positive.
    singular_values_ : (k,) falling, X's dtype.
    explained_variance_, explained_variance_ratio_ : (k,) float64, variance of each column of `transform(X)`, and its
        share of the summed variance of X's columns (0 where that is 0).
    n_iter_ : blocks that the search multiplied X by; 0 where X was small enough for LAPACK.
    n_features_in_, feature_names_in_ : width of X, and its column names where all are str.

    Warns
    -----
    ConvergenceWarning : the search ended before it reached `tol`.

    References
    ----------
    Halko, Martinsson & Tropp 2011, "Finding structure with randomness".

    See Also
    --------
    randomized_svd : the same as a function. NMF : non-negative components.

    Examples
    --------
    >>> import numpy as np, traitcore as tc
    >>> X = np.array([[3.0, 0, 0], [0, 2, 0], [0, 0, 1]])
    >>> model = tc.TruncatedSVD(2).fit(X)
    >>> model.singular_values_.round(3).tolist()
    [3.0, 2.0]
    >>> model.transform(X).round(3).tolist()
    [[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]]
    """

    def __init__(
        self, n_components: int = 2, *, tol: float = 1e-4, random_state: RandomSource = 0, workers: int = 1
    ) -> None:
        self.n_components = n_components
        self.tol = tol
        self.random_state = random_state
        self.workers = workers

    def fit(self, X: Any, y: Any = None, *, progress: Progress | None = None) -> Self:
        """Learn the components of X (n_samples, n_features). `y` is ignored; pipelines pass it."""
        self._fit(X, progress)
        return self

    def fit_transform(self, X: Any, y: Any = None, *, progress: Progress | None = None) -> Any:
        """Fit, and return X @ components_.T, (n_samples, n_components)."""
        return self._in_container(self._fit(X, progress), X)

    def transform(self, X: Any) -> Any:
        """X @ components_.T, (n_samples, n_components) in X's dtype."""
        self._check_fitted("components_")
        return self._in_container(self._project(self._check_X(X, reset=False)), X)

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """(n_samples, n_features) of reduced rows X (n_samples, n_components): X @ components_."""
        self._check_fitted("components_")
        return self._back_to_features(X)

    def _fit(self, X: Any, progress: Progress | None) -> NDArray[Any]:
        X = self._check_X(X, reset=True)
        k = Checks("TruncatedSVD").integer("n_components", self.n_components, 1, min(X.shape))
        scaled, exponent = _near_one(X)
        with on_behalf_of("TruncatedSVD"):
            found = randomized_svd(
                scaled, k, tol=self.tol, random_state=self.random_state, workers=self.workers, progress=progress
            )
        rows = np.arange(k)
        signs = np.sign(found.Vt[rows, np.abs(found.Vt).argmax(axis=1)])
        self.components_ = np.ascontiguousarray((found.Vt * signs[:, None]).astype(X.dtype))
        self.singular_values_ = np.ldexp(found.singular_values.astype(X.dtype), exponent)
        self.n_iter_ = found.n_iter
        weights = self._project(X)
        self.explained_variance_ = weights.var(axis=0, dtype=np.float64)
        total = _total_variance(X)
        self.explained_variance_ratio_ = self.explained_variance_ / (total if total > 0 else 1.0)
        return weights

    def _project(self, X: Any) -> NDArray[Any]:
        turn = self.components_.T.astype(X.dtype, copy=False)
        if sparse.issparse(X) and X.dtype == np.float32:
            with on_behalf_of("TruncatedSVD"):
                return sparse_dense(X, turn, workers=self.workers)
        product: NDArray[Any] = X @ turn
        return product


def _near_one(X: Any) -> tuple[Any, int]:
    """(X / 2^exponent, exponent), exponent 0 where squares of X's numbers are well within float32."""
    data = X.data if sparse.issparse(X) else X
    largest = max(float(data.max()), -float(data.min())) if data.size else 0.0
    exponent = int(np.frexp(largest)[1])
    if largest == 0.0 or abs(exponent) <= _FAR:
        return X, 0
    data = np.ldexp(data, -exponent)
    return (sparse.csr_array((data, X.indices, X.indptr), shape=X.shape) if sparse.issparse(X) else data), exponent


def _total_variance(X: Any) -> float:
    """The summed variance of X's columns, in float64, each around its mean."""
    if not sparse.issparse(X):
        return float(X.var(axis=0, dtype=np.float64).sum())
    n, m = X.shape
    data = X.data.astype(np.float64)
    means = np.bincount(X.indices, data, minlength=m) / n
    zeros = n - np.bincount(X.indices, minlength=m)
    away = np.bincount(X.indices, (data - means[X.indices]) ** 2, minlength=m)
    return float((away + zeros * means**2).sum() / n)
