"""Non-negative matrix factorization by coordinate descent."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import parameter_message
from .._parallel import resolve_workers
from .._params import ParamsMixin
from .._progress import Progress
from .._validate import check_array, check_bool, check_choice, check_csr, check_int, check_real, check_seed
from .nmf_init import INITS, initial_factors
from .nmf_result import ConvergenceReport, Factorization
from .semi_nmf import factorize_semi_nonnegative

__all__ = ["NMF", "ConvergenceReport", "Factorization", "factorize_nonnegative", "factorize_semi_nonnegative"]

_DTYPES = (np.float64, np.float32)


def factorize_nonnegative(
    X: Any,
    n_components: int,
    *,
    init: str = "nndsvda",
    W: Any = None,
    H: Any = None,
    tol: float = 1e-4,
    max_iter: int = 200,
    alpha_W: float = 0.0,
    alpha_H: float | str = "same",
    l1_ratio: float = 0.0,
    shuffle: bool = False,
    random_state: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Factorization:
    """X ~ W H with W, H >= 0, by cyclic coordinate descent (HALS; Cichocki & Phan 2009, algorithm 2).

    Parameters
    ----------
    X : (n, m) array or sparse matrix, non-negative, float32 or float64 (others become float64).
    n_components : k >= 1.
    init : "nndsvd", "nndsvda", "nndsvdar", "random", or "custom" with `W` (n, k) and `H` (k, m).
    alpha_W, alpha_H, l1_ratio : penalties, scaled as scikit-learn's: the objective is 0.5 |X - W H|^2
        + alpha_W m (l1_ratio |W|_1 + 0.5 (1 - l1_ratio) |W|^2) + the same for H with n; "same": alpha_W.
    tol : stop when the projected gradient's 1-norm falls to tol times that of the first iteration.
    shuffle : visit the components in random order.

    Raises
    ------
    ValueError, TypeError : a parameter out of range; NaN, infinity or a negative value in X (the first place is named).
    """
    owner = "factorize_nonnegative"
    k = check_int("n_components", owner, n_components, 1)
    check_choice("init", owner, init, INITS)
    tol = check_real("tol", owner, tol, 0)
    max_iter = check_int("max_iter", owner, max_iter, 1)
    shuffle = check_bool("shuffle", owner, shuffle)
    seed = check_seed("random_state", owner, random_state)
    workers = resolve_workers(workers, owner)
    X = _check_data(X, owner)
    n, m = X.shape
    alpha_W = check_real("alpha_W", owner, alpha_W, 0)
    alpha_H = alpha_W if isinstance(alpha_H, str) and alpha_H == "same" else check_real("alpha_H", owner, alpha_H, 0)
    l1_ratio = check_real("l1_ratio", owner, l1_ratio, 0, 1)
    W, H = _start(X, k, init, W, H, seed, workers, owner)
    Ht = np.ascontiguousarray(H.T)
    l1 = (m * alpha_W * l1_ratio, n * alpha_H * l1_ratio)
    l2 = (m * alpha_W * (1 - l1_ratio), n * alpha_H * (1 - l1_ratio))
    rng = np.random.default_rng(seed)
    history = [_objective(X, W, Ht, l1, l2)]
    reason, criterion, first = "max_iter", np.inf, 0.0
    for iteration in range(max_iter):
        violation = _sweep(X, W, Ht, l1[0], l2[0], rng.permutation(k) if shuffle else np.arange(k))
        violation += _sweep(X.T, Ht, W, l1[1], l2[1], rng.permutation(k) if shuffle else np.arange(k))
        history.append(_objective(X, W, Ht, l1, l2))
        if progress is not None:
            progress("nmf", iteration + 1, max_iter)
        if iteration == 0:
            first = violation
        criterion = violation / first if first > 0 else 0.0
        if criterion <= tol:
            reason = "exact" if first == 0 else "tolerance"
            break
    report = ConvergenceReport(
        reason != "max_iter", reason, len(history) - 1, criterion, tol, history[0], history[-1]
    )
    error = float(np.sqrt(2 * _objective(X, W, Ht, (0, 0), (0, 0))))
    return Factorization(
        W, np.ascontiguousarray(Ht.T), report.n_iter, error, np.array(history), report.converged, report
    )


def solve_weights(
    X: Any,
    H: Any,
    *,
    alpha_W: float = 0.0,
    l1_ratio: float = 0.0,
    tol: float = 1e-4,
    max_iter: int = 200,
    workers: int = 1,
) -> NDArray[Any]:
    """W >= 0 that minimizes the objective of `factorize_nonnegative` with H fixed: new rows folded in.

    X is (n, m), dense or sparse, or (m,) for one row; H (k, m) of any sign. Returns (n, k), or (k,).
    """
    owner = "solve_weights"
    one = not sparse.issparse(X) and np.ndim(X) == 1
    X = _check_data(np.atleast_2d(X) if one else X, owner, nonnegative=False)
    H = check_array("H", owner, H, dtype=X.dtype, shape=(None, X.shape[1]))
    resolve_workers(workers, owner)
    W = np.zeros((X.shape[0], len(H)), dtype=X.dtype)
    l1 = X.shape[1] * alpha_W * l1_ratio
    l2 = X.shape[1] * alpha_W * (1 - l1_ratio)
    Ht = np.ascontiguousarray(H.T)
    first = 0.0
    for _ in range(max_iter):
        violation = _sweep(X, W, Ht, l1, l2, np.arange(len(H)))
        first = first or violation
        if violation <= tol * first:
            break
    return W[0] if one else W


class NMF(ParamsMixin):
    """Non-negative matrix factorization with scikit-learn's names; see `factorize_nonnegative` for the parameters.

    Attributes
    ----------
    components_ : (n_components, n_features) H. n_iter_, reconstruction_err_, n_features_in_, n_components_.
    history_, report_ : objective before and after each iteration; ConvergenceReport.
    """

    def __init__(
        self,
        n_components: int = 16,
        *,
        init: str = "nndsvda",
        tol: float = 1e-4,
        max_iter: int = 200,
        alpha_W: float = 0.0,
        alpha_H: float | str = "same",
        l1_ratio: float = 0.0,
        shuffle: bool = False,
        random_state: int = 0,
        workers: int = 1,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.tol = tol
        self.max_iter = max_iter
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.shuffle = shuffle
        self.random_state = random_state
        self.workers = workers

    def fit(self, X: Any, y: None = None, *, progress: Progress | None = None) -> Self:
        """Learn H from X (n_samples, n_features); `y` is there for scikit-learn's pipelines and must be None."""
        self.fit_transform(X, progress=progress)
        return self

    def fit_transform(
        self, X: Any, y: None = None, *, W: Any = None, H: Any = None, progress: Progress | None = None
    ) -> NDArray[Any]:
        """Fit, and return W (n_samples, n_components)."""
        result = factorize_nonnegative(X, W=W, H=H, progress=progress, **self.get_params())
        self.components_ = result.H
        self.n_components_, self.n_features_in_ = result.H.shape
        self.n_iter_ = result.n_iter
        self.reconstruction_err_ = result.reconstruction_err
        self.history_ = result.history
        self.report_ = result.report
        return result.W

    def transform(self, X: Any) -> NDArray[Any]:
        """W (n_samples, n_components) of new rows, H fixed."""
        self._check_fitted("components_")
        return solve_weights(
            X, self.components_, alpha_W=self.alpha_W, l1_ratio=self.l1_ratio, tol=self.tol, max_iter=self.max_iter,
            workers=self.workers,
        )  # fmt: skip

    def inverse_transform(self, W: Any) -> NDArray[Any]:
        """(n_samples, n_features) W H."""
        self._check_fitted("components_")
        W = check_array("W", "NMF.inverse_transform", W, dtype=self.components_.dtype, shape=(None, self.n_components_))
        return W @ self.components_


def _check_data(X: Any, owner: str, nonnegative: bool = True) -> Any:
    if sparse.issparse(X):
        return check_csr("X", owner, X, dtype=_DTYPES, nonnegative=nonnegative)
    return check_array("X", owner, X, dtype=_DTYPES, shape=(None, None), nonnegative=nonnegative)


def _start(
    X: Any, k: int, init: str, W: Any, H: Any, seed: int, workers: int, owner: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    for name, value in (("W", W), ("H", H)):
        if (init == "custom") != (value is not None):
            got = "None" if value is None else "an array"
            raise ValueError(parameter_message(name, owner, "given exactly when init is 'custom'", got))
    if init != "custom":
        return initial_factors(X, k, init, seed, workers)
    return (
        check_array("W", owner, W, dtype=X.dtype, shape=(X.shape[0], k), nonnegative=True, copy=True),
        check_array("H", owner, H, dtype=X.dtype, shape=(k, X.shape[1]), nonnegative=True, copy=True),
    )


def _sweep(X: Any, W: NDArray[Any], Ht: NDArray[Any], l1: float, l2: float, order: NDArray[Any]) -> float:
    gram, product = Ht.T @ Ht, X @ Ht
    gram[np.diag_indices_from(gram)] += l2
    violation = 0.0
    for t in order:
        gradient = W @ gram[:, t] - product[:, t] + l1
        projected = np.where(W[:, t] == 0, np.minimum(gradient, 0), gradient)
        violation += float(np.abs(projected).sum(dtype=np.float64))
        if gram[t, t] != 0:
            W[:, t] = np.maximum(W[:, t] - gradient / gram[t, t], 0)
    return violation


def _objective(X: Any, W: NDArray[Any], Ht: NDArray[Any], l1: Any, l2: Any) -> float:
    square = float(X.multiply(X).sum(dtype=np.float64)) if sparse.issparse(X) else float((X**2).sum(dtype=np.float64))
    cross = float(((X @ Ht) * W).sum(dtype=np.float64))
    error = square - 2 * cross + float(((W.T @ W).astype(np.float64) * (Ht.T @ Ht)).sum())
    penalty = l1[0] * W.sum(dtype=np.float64) + l1[1] * Ht.sum(dtype=np.float64)
    penalty += 0.5 * (l2[0] * (W**2).sum(dtype=np.float64) + l2[1] * (Ht**2).sum(dtype=np.float64))
    return max(0.0, 0.5 * error) + float(penalty)
