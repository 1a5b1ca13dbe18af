"""Fold-in: weights of new rows with H fixed, for the objective that H was learned with."""

from __future__ import annotations

import math
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import on_behalf_of
from .._validate import Checks
from .engine import (
    DTYPES,
    NativeMatrix,
    RowSubproblem,
    Strips,
    aligned_zeros,
    check_data,
    free_solution,
    padded,
    solve_pass,
    without_zeros,
)
from .entries import fold_entries, observed_entries
from .options import NmfOptions, Penalty
from .scale import Scaling, exponent_of, power, times_power


class WeightSolver:
    """Non-negative least squares against one H, prepared once: fast for rows that come one by one.

    Called with X, (n, m) dense or sparse, it returns W (n, k); with one row (m,), (k,). A row's answer doesn't
    depend on the other rows.

    Parameters
    ----------
    H : (k, m) array of any sign, float32 or float64; the answer has its dtype.
    alpha_W, l1_ratio : W's penalty, as in `factorize_nonnegative`.
    tol : a row is done when its projected gradient's 1-norm is at most tol times that at zero.
    max_iter : most coordinate-descent sweeps of a row.

    Raises
    ------
    ValueError, TypeError : a parameter out of range; a wrong shape, NaN or infinity (the first place is named).

    References
    ----------
    Franc, Hlavac & Navara 2005, "Sequential coordinate-wise algorithm for the non-negative least squares problem".

    See Also
    --------
    solve_weights : one call for many rows, with other losses too.

    Examples
    --------
    >>> import numpy as np, traitcore as tc
    >>> solver = tc.WeightSolver(np.array([[2.0, 0, 1], [0, 3, 0]]))
    >>> solver(np.array([4.0, 3, 2])).round(3).tolist()
    [2.0, 1.0]
    >>> solver(np.array([[4.0, 0, 2], [0, 6, 0]])).round(3).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """

    def __init__(
        self, H: Any, *, alpha_W: float = 0.0, l1_ratio: float = 0.0, tol: float = 1e-4, max_iter: int = 200
    ) -> None:
        check = Checks("WeightSolver")
        H = check.array("H", H, dtype=DTYPES, shape=(None, None))
        if len(H) == 0:
            raise check.value_error("H", "of at least one component (row)", f"shape {H.shape}")
        self._tol = check.real("tol", tol, 0)
        self._max_iter = check.integer("max_iter", max_iter, 1)
        penalty = Penalty.scaled(
            check.real("alpha_W", alpha_W, 0), 0.0, check.real("l1_ratio", l1_ratio, 0, 1), 0, H.shape[1]
        )
        self.n_components, self.n_features = H.shape
        self.dtype = H.dtype
        # H is scaled so that products of its entries stay in range; W is on the inverse scale.
        scaling = Scaling.of(np.zeros(0), H)
        self._exponent = scaling.w
        H = times_power(H, -scaling.h)
        penalty = scaling.penalty(penalty, False, H.dtype)
        self._Ht = padded(H.T)
        exact = H.astype(np.float64)
        self._problem = RowSubproblem(exact @ exact.T, penalty.l1_W, penalty.l2_W, H.dtype)
        self._solution = free_solution(self._problem)
        self._edge = np.array([0, 1], dtype=np.int64)

    def __call__(self, X: Any, *, workers: int = 1) -> NDArray[Any]:
        """W >= 0 for X: (n, k), or (k,) for one row."""
        if isinstance(X, np.ndarray) and X.ndim == 1:
            row = Checks("WeightSolver").array("X", X, dtype=self.dtype, shape=(self.n_features,))
            one = NativeMatrix(1, self.n_features, self.dtype, row[None], None, None, None)
            return self._solve(Strips(one, self._edge, 1)).reshape(self.n_components)
        workers = Checks("WeightSolver").workers(workers)
        if sparse.issparse(X):
            X = without_zeros(Checks("WeightSolver").csr("X", X, dtype=self.dtype, shape=(None, self.n_features)))
        else:
            X = Checks("WeightSolver").array("X", X, dtype=self.dtype, shape=(None, self.n_features))
        matrix = NativeMatrix.of(X, Checks("WeightSolver"))
        if matrix.n == 0:
            return np.zeros((0, self.n_components), dtype=self.dtype)
        strips = matrix.strips(self._Ht.shape[1], workers, accumulate=False)
        return self._solve(strips)

    def _solve(self, strips: Strips) -> NDArray[Any]:
        W = self._solved(strips, self._problem)
        if not math.isfinite(W.max(initial=0.0)):
            self._solve_huge(strips.X, W)
        if self._exponent:
            W = times_power(W, self._exponent)
        return W

    def _solved(self, strips: Strips, problem: RowSubproblem) -> NDArray[Any]:
        out = aligned_zeros((strips.X.n, self._Ht.shape[1]), self.dtype)
        solve_pass(strips, self._Ht, problem, self._solution, out, sweeps=self._max_iter, tol=self._tol)
        return np.ascontiguousarray(out[:, : self.n_components])

    def _solve_huge(self, X: NativeMatrix, W: NDArray[Any]) -> None:
        """Solve the rows of W that overflowed again, with each row of X scaled to near 1."""
        for i in np.flatnonzero(~np.isfinite(W).all(axis=1)):
            row = X.row(int(i))
            exponent = exponent_of(row)
            one = NativeMatrix(1, self.n_features, self.dtype, times_power(row, -exponent)[None], None, None, None)
            problem = copy(self._problem)
            problem.l1 *= power(-exponent)
            with np.errstate(over="ignore"):
                W[i] = times_power(self._solved(Strips(one, self._edge, 1), problem)[0], exponent)


@on_behalf_of("solve_weights")
def solve_weights(
    X: Any,
    H: Any,
    *,
    beta_loss: str = "frobenius",
    alpha_W: float = 0.0,
    l1_ratio: float = 0.0,
    observed: Any = None,
    tol: float = 1e-4,
    max_iter: int = 200,
    workers: int = 1,
) -> NDArray[Any]:
    """Weights W >= 0 that minimize the objective of `factorize_nonnegative` with H fixed.

    Parameters
    ----------
    X : (n, m) array or sparse matrix, or (m,) for one row; of any sign with the Frobenius loss.
    H : (k, m) array; of any sign with the Frobenius loss.
    beta_loss, alpha_W, l1_ratio, observed : as in `factorize_nonnegative`.
    tol, max_iter : as in `WeightSolver`. With the Kullback-Leibler loss or `observed`, the search ends when no weight
        moved by more than tol times the largest one over ten updates.

    Returns
    -------
    (n, k) array, or (k,) for one row, in X's dtype.

    Raises
    ------
    ValueError, TypeError : a parameter out of range; a wrong shape, NaN or infinity (the first place is named).

    See Also
    --------
    WeightSolver : faster for many single rows against one H. factorize_nonnegative : learns H.

    Examples
    --------
    >>> import numpy as np, traitcore as tc
    >>> H = np.array([[2.0, 0, 1], [0, 3, 0]])
    >>> tc.solve_weights(np.array([[4.0, 3, 2], [0, 6, 0]]), H).round(3).tolist()
    [[2.0, 1.0], [0.0, 2.0]]
    """
    check = Checks("solve_weights")
    options = NmfOptions(
        beta_loss=beta_loss, alpha_W=alpha_W, l1_ratio=l1_ratio, tol=tol, max_iter=max_iter, workers=workers,
        observed_only=observed is not None,
    ).checked(check)
    one = not sparse.issparse(X) and np.ndim(X) == 1
    if one:
        X = check.plain("X", X)[None]
        observed = None if observed is None else check.plain("observed", observed)[None]
    if observed is not None:
        X = observed_entries(X, observed, check)
    else:
        X = check_data(X, check, nonnegative=options.poisson)
    H = check.array("H", H, dtype=X.dtype, shape=(None, X.shape[1]), nonnegative=options.poisson)
    W = fold_rows(X, H, options)
    return W[0] if one else W


def fold_rows(X: Any, H: NDArray[Any], options: NmfOptions) -> NDArray[Any]:
    """`solve_weights` of checked arguments; a sparse X's stored entries are the observed ones, if only some are."""
    if options.by_entries:
        return fold_entries(sparse.csr_array(X), H, options)
    solver = WeightSolver(
        H, alpha_W=options.alpha_W, l1_ratio=options.l1_ratio, tol=options.tol, max_iter=options.max_iter
    )
    return solver(X, workers=options.workers)


def check_rows(
    name: str, check: Checks, value: Any, rows: int, *, zeros: bool = False
) -> NDArray[np.float64] | None:
    """Row weights (rows,), non-negative, not all of them zero unless `zeros`; or None."""
    if value is None:
        return None
    weights = check.array(name, value, dtype=np.float64, shape=(rows,), nonnegative=True)
    if rows and not zeros and not weights.any():
        raise check.value_error(name, "positive somewhere", "zeros")
    return weights


def fold_in(rows: Any, components: NDArray[np.float32], *, workers: int = 1) -> NDArray[np.float32]:
    """(n_rows, k) float32 W >= 0 that minimizes ||rows - W components||_F; `components` may have any sign.

    The tolerance is much smaller than a fit's, so that a row's weights don't depend on the other rows.
    """
    weights: NDArray[np.float32] = solve_weights(rows, components, tol=1e-6, max_iter=400, workers=workers)
    return np.asarray(weights, dtype=np.float32)
