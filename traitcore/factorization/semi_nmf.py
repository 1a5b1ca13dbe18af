"""Semi-non-negative factorization of signed matrices: W >= 0, H free (Ding, Li & Jordan 2010)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._progress import Progress
from .._validate import Checks, RandomSource
from .convergence import ConvergenceMonitor
from .engine import NativeMatrix, RowSubproblem, check_data, half_squared_error, padded, row_pass
from .result import Factorization
from .scale import exponent_of, factorization, times_power
from .starts import leading_svd

_CHECK = Checks("factorize_semi_nonnegative")
# Sweeps of W per product.
_SWEEPS = 3
# Directions of W's Gram matrix below this share of the largest are noise.
_RANK = 1e-10


def factorize_semi_nonnegative(
    X: Any,
    n_components: int,
    *,
    init: str = "svd",
    W: Any = None,
    tol: float = 1e-4,
    max_iter: int = 200,
    random_state: RandomSource = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Factorization:
    """Factorize X ~ W H with W >= 0 and H of any sign.

    Cyclic coordinate descent in W and least squares in H alternate (semi-NMF).

    The objective 0.5 |X - W H|^2 never rises, beyond rounding. Every step uses X only through X H^T and X X^T, so W
    doesn't change when X's columns are rotated.

    Parameters
    ----------
    X : (n, m) array or sparse matrix, float32 or float64 (others become float64), any signs.
    n_components : k >= 1.
    init : "svd" (the heaviest signed parts of X's left singular vectors), "random", or "custom" with `W` (n, k).
    tol : stop when an iteration lowers the objective by at most tol times the objective before the first one.
    max_iter : most iterations.
    random_state : seed of "random", as in `factorize_nonnegative`. workers : threads, -1 for all cores.
    progress : called as progress("semi-nmf", iterations done, max_iter).

    Returns
    -------
    Factorization : W (n, k) >= 0 and H (k, m), the least-squares H for that W.

    Raises
    ------
    ValueError, TypeError : a parameter out of range, NaN or infinity in X (the first place is named).

    References
    ----------
    Ding, Li & Jordan 2010, "Convex and semi-nonnegative matrix factorizations".

    See Also
    --------
    factorize_nonnegative : for X >= 0, with H >= 0.

    Examples
    --------
    >>> import numpy as np, traitcore as tc
    >>> X = np.array([[1.0, -2], [2, -4], [-1, 3]])
    >>> W, H = tc.factorize_semi_nonnegative(X, 2)
    >>> (W @ H).round(2).tolist()
    [[1.0, -2.0], [2.0, -4.0], [-1.0, 3.0]]
    >>> bool(W.min() >= 0)
    True
    """
    k = _CHECK.integer("n_components", n_components, 1)
    _CHECK.choice("init", init, ("svd", "random", "custom"))
    tol = _CHECK.real("tol", tol, 0)
    max_iter = _CHECK.integer("max_iter", max_iter, 1)
    seed = _CHECK.random_state("random_state", random_state)
    workers = _CHECK.workers(workers)
    X = check_data(X, _CHECK, nonnegative=False)
    if (init == "custom") != (W is not None):
        raise _CHECK.value_error("W", "given exactly when init is 'custom'", W)
    if W is not None:
        W = _CHECK.array("W", W, dtype=X.dtype, shape=(X.shape[0], k), nonnegative=True)
        if W.size and not W.any():
            raise _CHECK.value_error("W", "positive somewhere", "zeros, which would stay zero")
    x, w = exponent_of(X), 0 if W is None else exponent_of(W)
    X = times_power(X, -x)
    W = _initial_weights(X, k, init, seed) if W is None else times_power(W, -w)
    matrix = NativeMatrix.of(X, _CHECK)
    descent = _SemiDescent(matrix, W, workers)
    monitor = ConvergenceMonitor("semi-nmf", tol, max_iter, progress, descent.fit_H(sweeps=0))
    if matrix.n == 0 or matrix.m == 0:
        monitor.done_by_violation(0.0, 0.0)
    while not monitor.reason:
        monitor.done_by_one_step(descent.fit_H(sweeps=_SWEEPS))
    error = half_squared_error(matrix, descent.W, padded(descent.H.T), None, workers)
    factors = np.ascontiguousarray(descent.W[:, :k]), descent.H
    return factorization(times_power(factors[0], w), times_power(factors[1], x - w), error, monitor, 2 * x)


class _SemiDescent:
    """W's sweeps on the native pass; H by least squares from the sums the same pass gathers."""

    def __init__(self, X: NativeMatrix, W: NDArray[Any], workers: int) -> None:
        self.X, self.k = X, W.shape[1]
        self.W = padded(W)
        width = self.W.shape[1]
        self.H = np.zeros((self.k, X.m), dtype=X.dtype)
        self._strips = X.strips(width, workers)
        self._C = self._strips.sums(width)
        self._square = X.square()

    def fit_H(self, sweeps: int) -> float:
        """Sweep W with H fixed, then solve for the least-squares H; returns half the squared error."""
        exact = self.H.astype(np.float64)
        problem = RowSubproblem(exact @ exact.T, 0.0, 0.0, self.X.dtype)
        gram = row_pass(
            self._strips, padded(self.H.T), problem, self.W, self.W if sweeps else None, sweeps=sweeps, C=self._C
        )[0]
        product = self._C[:, :, : self.k].sum(axis=0, dtype=np.float64).T
        # The pseudo-inverse gives components that are zero or coincide the least-norm H instead of a huge one.
        H = np.linalg.pinv(gram, rcond=_RANK, hermitian=True) @ product
        self.H = H.astype(self.X.dtype)
        return 0.5 * max(0.0, self._square - 2 * float(np.sum(H * product)) + float(np.sum((gram @ H) * H)))


def _initial_weights(X: Any, k: int, init: str, seed: int) -> NDArray[Any]:
    """W (n, k). "svd": the signed parts of X's left singular vectors, the k of greatest weight.

    Only X X^T enters, signs included, so that rotating X's columns changes nothing.
    """
    n = X.shape[0]
    if init == "random":
        return np.random.default_rng(seed).random((n, k), dtype=X.dtype)
    Ut, S, _ = leading_svd(X, min(k, *X.shape), seed, 1, converged=True)
    parts = np.concatenate([np.maximum(Ut, 0), np.maximum(-Ut, 0)])
    weight = np.concatenate([S, S]) * np.linalg.norm(parts, axis=1)
    # Ties and near-ties in the order of the singular values; the two signs of one vector by their weight.
    order = np.argsort(-np.round(weight / max(weight.max(initial=0.0), 1e-300), 9), kind="stable")[:k]
    W = np.zeros((n, k), dtype=X.dtype)
    W[:, : len(order)] = parts[order].T
    return W
