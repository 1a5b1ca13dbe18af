"""Semi-non-negative factorization of signed matrices: W >= 0, H free (Ding, Li & Jordan 2010)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import parameter_message
from .._parallel import resolve_workers
from .._progress import Progress
from .._validate import check_array, check_choice, check_csr, check_int, check_real, check_seed
from .nmf_result import ConvergenceReport, Factorization

_OWNER = "factorize_semi_nonnegative"


def factorize_semi_nonnegative(
    X: Any,
    n_components: int,
    *,
    init: str = "svd",
    W: Any = None,
    tol: float = 1e-4,
    max_iter: int = 200,
    random_state: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Factorization:
    """X ~ W H with W >= 0 and H of any sign, by alternating coordinate descent in W and least squares in H.

    Parameters
    ----------
    X : (n, m) array or sparse matrix, float32 or float64, any signs.
    n_components : k >= 1.
    init : "svd" (signed parts of the left singular vectors), "random", or "custom" with `W` (n, k).
    tol : stop when an iteration lowers the objective by at most tol times the objective before the first one.

    Every step uses X through X H^T and X X^T only, so W doesn't change when X's columns are rotated.

    Raises
    ------
    ValueError, TypeError : a parameter out of range, NaN or infinity in X (the first place is named).
    """
    k = check_int("n_components", _OWNER, n_components, 1)
    check_choice("init", _OWNER, init, ("svd", "random", "custom"))
    tol = check_real("tol", _OWNER, tol, 0)
    max_iter = check_int("max_iter", _OWNER, max_iter, 1)
    seed = check_seed("random_state", _OWNER, random_state)
    resolve_workers(workers, _OWNER)
    if sparse.issparse(X):
        X = check_csr("X", _OWNER, X, dtype=(np.float64, np.float32))
    else:
        X = check_array("X", _OWNER, X, dtype=(np.float64, np.float32), shape=(None, None))
    if (init == "custom") != (W is not None):
        raise ValueError(parameter_message("W", _OWNER, "given exactly when init is 'custom'", W))
    if W is None:
        W = _initial_weights(X, k, init, seed)
    else:
        W = check_array("W", _OWNER, W, dtype=X.dtype, shape=(X.shape[0], k), nonnegative=True, copy=True)
    square = float(X.multiply(X).sum(dtype=np.float64) if sparse.issparse(X) else (X.astype(np.float64) ** 2).sum())
    H, objective = _free_factor(X, W, square)
    history = [objective]
    reason, criterion = "max_iter", np.inf
    for iteration in range(max_iter):
        gram, product = H @ H.T, X @ H.T
        for t in range(k):
            if gram[t, t] > 0:
                W[:, t] = np.maximum(W[:, t] - (W @ gram[:, t] - product[:, t]) / gram[t, t], 0)
        H, objective = _free_factor(X, W, square)
        history.append(objective)
        if progress is not None:
            progress("semi-nmf", iteration + 1, max_iter)
        criterion = (history[-2] - history[-1]) / history[0] if history[0] > 0 else 0.0
        if criterion <= tol:
            reason = "tolerance"
            break
    report = ConvergenceReport(
        reason != "max_iter", reason, len(history) - 1, criterion, tol, history[0], history[-1]
    )
    error = float(np.sqrt(max(0.0, 2 * history[-1])))
    return Factorization(W, H, len(history) - 1, error, np.array(history), report.converged, report)


def _initial_weights(X: Any, k: int, init: str, seed: int) -> NDArray[Any]:
    n = X.shape[0]
    if init == "random":
        return np.random.default_rng(seed).random((n, k)).astype(X.dtype)
    U, S, _ = np.linalg.svd(X.toarray() if sparse.issparse(X) else X, full_matrices=False)
    parts = np.concatenate([np.maximum(U * S, 0), np.maximum(-U * S, 0)], axis=1)
    order = np.argsort(-np.linalg.norm(parts, axis=0), kind="stable")[:k]
    W = np.zeros((n, k), dtype=X.dtype)
    W[:, : len(order)] = parts[:, order]
    return W


def _free_factor(X: Any, W: NDArray[Any], square: float) -> tuple[NDArray[Any], float]:
    """Least-squares H for W, and half the squared error it leaves."""
    gram = (W.T @ W).astype(np.float64)
    product = (X.T @ W).T.astype(np.float64)
    H = np.linalg.lstsq(gram, product, rcond=None)[0]
    objective = 0.5 * max(0.0, square - 2 * float((H * product).sum()) + float(((gram @ H) * H).sum()))
    return H.astype(X.dtype), objective
