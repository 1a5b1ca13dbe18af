"""Factorizations that use the stored entries only: the Kullback-Leibler loss, and partly observed matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._validate import Checks
from .convergence import LOOK_BACK, ConvergenceMonitor
from .engine import DTYPES, EntryProblem, NativeMatrix, check_data, entry_pass, padded
from .options import NmfOptions, Penalty
from .scale import Scaling, exponent_of, row_exponents, times_power, times_row_powers

# Updates of a row while its entries are in cache, by schedule and loss (True: Kullback-Leibler). More multiplicative
# ones gain little; coordinate descent is nearly free once the row's Gram matrix is summed.
_SWEEPS = {"plain": {True: 1, False: 1}, "accelerated": {True: 3, False: 10}}


def observed_entries(X: Any, observed: Any, check: Checks) -> sparse.csr_array:
    """X on its observed entries alone, zeros among them stored; what lies elsewhere (NaN included) is dropped."""
    if isinstance(observed, str):
        if observed != "stored" or not sparse.issparse(X):
            rule = "None, a boolean array or sparse matrix of X's shape, or 'stored' with a sparse X"
            raise check.value_error("observed", rule, observed)
        return check_data(X, check, keep_zeros=True)
    X = check.csr("X", X, dtype=DTYPES, finite=False) if sparse.issparse(X) else check.array(
        "X", X, dtype=DTYPES, shape=(None, None), finite=False
    )
    if not sparse.issparse(observed):
        observed = check.plain("observed", observed)
        if observed.dtype != bool:
            raise check.type_error("observed", "boolean where it is dense", type(observed).__name__)
    pattern = check.csr("observed", observed, dtype=DTYPES, shape=X.shape)
    rows = np.repeat(np.arange(X.shape[0], dtype=np.int64), np.diff(pattern.indptr))
    keep = pattern.data != 0
    rows, columns = rows[keep], pattern.indices[keep].astype(np.int64)
    if sparse.issparse(X):
        values = np.zeros(len(rows), dtype=X.dtype)
        if X.nnz:
            stored = np.repeat(np.arange(X.shape[0], dtype=np.int64), np.diff(X.indptr)) * X.shape[1] + X.indices
            wanted = rows * X.shape[1] + columns
            place = np.minimum(np.searchsorted(stored, wanted), len(stored) - 1)
            values = np.where(stored[place] == wanted, X.data[place], values)
    else:
        values = X[rows, columns]
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=X.shape[0]))))
    return check_data(sparse.csr_array((values, columns, indptr), shape=X.shape), check, keep_zeros=True)


class EntryDescent:
    """Alternate W's rows against X and H's columns against X^T, each row its own problem over its stored entries.

    `penalty` is that of the options on the data's scale.
    """

    def __init__(
        self, X: sparse.csr_array, W: NDArray[Any], Ht: NDArray[Any], penalty: Penalty,
        row_weights: NDArray[Any] | None, options: NmfOptions,
    ) -> None:
        self.k, self.penalty, self.row_weights, self.options = W.shape[1], penalty, row_weights, options
        self.poisson, self.partial = options.poisson, options.observed_only
        self.W, self.Ht = padded(W), padded(Ht)
        self.sweeps = _SWEEPS[options.schedule][self.poisson]
        width = self.W.shape[1]
        check, workers = Checks("factorize_nonnegative"), options.workers
        transposed = NativeMatrix.of(sparse.csr_array(X.T), check)
        self.rows = NativeMatrix.of(X, check).strips(width, workers, accumulate=False, row_weights=row_weights)
        self.columns = transposed.strips(width, workers, accumulate=False)
        self.W_problem = EntryProblem(self.k, self.poisson, penalty.l1_W, penalty.l2_W)
        self.H_problem = EntryProblem(self.k, self.poisson, penalty.l1_H, penalty.l2_H)

    def run(self) -> ConvergenceMonitor:
        """Iterate to the stopping test; leaves the factors in W and Ht."""
        spare = np.zeros_like(self.W)
        weighted, monitor, violation = self._weighted_sums(self.W), None, 0.0
        while True:
            # W's update begins with the current predictions, so their loss costs nothing extra. If that loss ends the
            # iteration, the update is discarded. The last evaluation needs no update.
            last = monitor is not None and len(monitor.history) == monitor.max_iter
            rest = self._rest(weighted)
            loss, more = self._update_W(self.W if last else spare, sweeps=0 if last else self.sweeps)
            if monitor is None:
                monitor = self.options.monitor(loss + rest)
            elif self._done(monitor, loss + rest, violation):
                return monitor
            self.W, spare = spare, self.W
            weighted = self._weighted_sums(self.W)
            violation = more + self._update_H(weighted)

    def _done(self, monitor: ConvergenceMonitor, objective: float, violation: float) -> bool:
        if self.poisson:
            return monitor.done_by_decrease(objective)
        return monitor.done_by_violation(objective, violation)

    def loss(self) -> float:
        """The loss alone, without penalties."""
        loss, _ = self._update_W(self.W, sweeps=0)
        if self.poisson and not self.partial:
            loss += float(self._weighted_sums(self.W) @ self.Ht.sum(axis=0, dtype=np.float64))
        return max(0.0, loss)

    def factors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """(W (n, k), H (k, m)), C-contiguous, without the padding."""
        return np.ascontiguousarray(self.W[:, : self.k]), np.ascontiguousarray(self.Ht[:, : self.k].T)

    def _weighted_sums(self, W: NDArray[Any]) -> NDArray[np.float64]:
        weights = np.ones(len(W)) if self.row_weights is None else self.row_weights
        sums: NDArray[np.float64] = np.einsum("i,it->t", weights, W, dtype=np.float64)
        return sums

    def _update_W(self, out: NDArray[Any], *, sweeps: int) -> tuple[float, float]:
        """(loss before, violation); writes `out`, where there are sweeps."""
        sums = None if self.partial else self.Ht.sum(axis=0, dtype=np.float64).astype(self.W.dtype)
        return entry_pass(
            self.rows, self.Ht, self.W_problem, self.W, out if sweeps else None, sweeps=sweeps, measure=True,
            column_sums=sums,
        )

    def _update_H(self, weighted: NDArray[np.float64]) -> float:
        """The violation; `weighted` are W's column sums, rows weighted."""
        return entry_pass(
            self.columns, self.W, self.H_problem, self.Ht, self.Ht, sweeps=self.sweeps,
            column_sums=None if self.partial else weighted.astype(self.W.dtype), column_weights=self.row_weights,
        )[1]

    def _rest(self, weighted: NDArray[np.float64]) -> float:
        """The rest of the objective: predictions at entries that aren't stored, and the penalties."""
        sum_H = self.Ht.sum(axis=0, dtype=np.float64)
        squares = [0.0, 0.0]
        if self.penalty.l2_W or self.penalty.l2_H:
            weights = np.ones(len(self.W)) if self.row_weights is None else self.row_weights
            squares = [
                float(np.einsum("i,it,it->", weights, self.W, self.W, dtype=np.float64)),
                float(np.einsum("jt,jt->", self.Ht, self.Ht, dtype=np.float64)),
            ]
        zeros = float(weighted @ sum_H) if self.poisson and not self.partial else 0.0
        return zeros + self.penalty.of(np.array([[squares[0]]]), weighted, np.array([[squares[1]]]), sum_H)


def fold_entries(X: sparse.csr_array, H: NDArray[Any], options: NmfOptions) -> NDArray[Any]:
    """W (n, k) with H fixed, all rows to the tolerance or `max_iter` updates."""
    poisson = options.poisson
    penalty = options.penalty(0, X.shape[1])
    # Each row on its own scale, unless a penalty term forbids it: only one of the two scales as the loss does.
    bound = penalty.l2_W if poisson else penalty.l1_W
    common = exponent_of(X) if bound else 0
    exponents = np.full(X.shape[0], common) if bound else row_exponents(X)
    h = exponent_of(H)
    penalty = Scaling(common - h, h).penalty(penalty, poisson, X.dtype)
    matrix = NativeMatrix.of(times_row_powers(X, -exponents), Checks("solve_weights"))
    Ht = padded(np.ascontiguousarray(times_power(H, -h).T))
    k = len(H)
    start = np.full((matrix.n, k), 1.0 if poisson else 0.0, dtype=X.dtype)
    W = padded(start)
    sums = None if options.observed_only else Ht.sum(axis=0, dtype=np.float64).astype(X.dtype)
    strips = matrix.strips(W.shape[1], options.workers, accumulate=False)
    problem = EntryProblem(k, poisson, penalty.l1_W, penalty.l2_W)
    before, done = np.zeros_like(W), 0
    while done < options.max_iter:
        sweeps = min(LOOK_BACK, options.max_iter - done)
        before[:] = W
        entry_pass(strips, Ht, problem, W, W, sweeps=sweeps, column_sums=sums)
        done += sweeps
        if np.abs(W - before).max(initial=0.0) <= options.tol * np.abs(W).max(initial=0.0):
            break
    W = np.ascontiguousarray(W[:, :k])
    exponents = exponents - h
    if exponents.any():
        with np.errstate(over="ignore", under="ignore"):
            np.ldexp(W, exponents[:, None], out=W)
    return W
