"""Factorizations that look at stored entries only: the Kullback-Leibler loss, and partly observed matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import parameter_message
from .._validate import as_array, check_array, check_csr
from .descent import LOOK_BACK, Penalty, Watch, WatchArgs
from .engine import DTYPES, Operand, check_data, entry_pass, padded
from .scale import Scaling, exponent_of, row_exponents, times_power, times_row_powers

# Updates of a row while its entries are in cache: multiplicative ones gain little beyond a few; coordinate descent on
# a row's own Gram matrix costs next to nothing once that is summed.
_SWEEPS = {"plain": {True: 1, False: 1}, "accelerated": {True: 3, False: 10}}


def observed_entries(X: Any, observed: Any, owner: str) -> sparse.csr_array:
    """X on its observed entries alone, zeros among them stored; what lies elsewhere (NaN included) is dropped."""
    if isinstance(observed, str):
        if observed != "stored" or not sparse.issparse(X):
            rule = "None, a boolean array or sparse matrix of X's shape, or 'stored' with a sparse X"
            raise ValueError(parameter_message("observed", owner, rule, observed))
        return check_data(X, owner, keep_zeros=True)
    X = check_csr("X", owner, X, dtype=DTYPES, finite=False) if sparse.issparse(X) else check_array(
        "X", owner, X, dtype=DTYPES, shape=(None, None), finite=False
    )  # fmt: skip
    if not sparse.issparse(observed):
        observed = as_array("observed", owner, observed)
        if observed.dtype != bool:
            raise TypeError(parameter_message("observed", owner, "boolean where it is dense", type(observed).__name__))
    pattern = check_csr("observed", owner, observed, dtype=DTYPES, shape=X.shape)
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
    return check_data(sparse.csr_array((values, columns, indptr), shape=X.shape), owner, keep_zeros=True)


class EntryDescent:
    """Alternate W's rows against X and H's columns against X^T, each row its own problem over its stored entries.

    Kullback-Leibler with `poisson`, else least squares; entries not stored are unknown where `partial`, else zeros.
    """

    def __init__(
        self, X: sparse.csr_array, W: NDArray[Any], Ht: NDArray[Any], penalty: Penalty, *, poisson: bool,
        partial: bool, row_weights: NDArray[Any] | None, schedule: str, workers: int, owner: str,
    ) -> None:  # fmt: skip
        self.X = Operand.of(X, owner)
        self.Xt = Operand.of(sparse.csr_array(X.T), owner)
        self.k, self.penalty, self.poisson, self.partial = W.shape[1], penalty, poisson, partial
        self.row_weights, self.workers = row_weights, workers
        self.W, self.Ht = padded(W), padded(Ht)
        self.sweeps = _SWEEPS[schedule][poisson]
        width = self.W.shape[1]
        self.edges = self.X.edges(width, workers, accumulate=False)
        self.edges_t = self.Xt.edges(width, workers, accumulate=False)

    def run(self, watch_args: WatchArgs) -> Watch:
        """Iterate to the stopping test; leaves the factors in W and Ht."""
        spare = np.zeros_like(self.W)
        weighted, watch, violation = self._weighted_sums(self.W), None, 0.0
        while True:
            # The update of W begins with the predictions of the pair as it stands, so its loss comes free; where that
            # ends the iteration, the update is thrown away. The last measure needs no update.
            last = watch is not None and len(watch.history) == watch.max_iter
            rest = self._rest(weighted)
            loss, more = self._update_W(self.W if last else spare, sweeps=0 if last else self.sweeps)
            if watch is None:
                watch = Watch("nmf", *watch_args, loss + rest)
            elif watch.done_by_decrease(loss + rest, LOOK_BACK) if self.poisson else watch.done(loss + rest, violation):
                return watch
            self.W, spare = spare, self.W
            weighted = self._weighted_sums(self.W)
            violation = more + self._update_H(weighted)

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
        return self._pass(
            self.X, self.edges, self.Ht, self.W, out, None if self.partial else self.Ht.sum(axis=0, dtype=np.float64),
            sweeps=sweeps, measure=True, row_weights=self.row_weights, l1=self.penalty.l1_W, l2=self.penalty.l2_W,
        )  # fmt: skip

    def _update_H(self, weighted: NDArray[np.float64]) -> float:
        return self._pass(
            self.Xt, self.edges_t, self.W, self.Ht, self.Ht, None if self.partial else weighted, sweeps=self.sweeps,
            measure=False, column_weights=self.row_weights, l1=self.penalty.l1_H, l2=self.penalty.l2_H,
        )[1]  # fmt: skip

    def _pass(
        self, X: Operand, edges: NDArray[np.int64], A: NDArray[Any], start: NDArray[Any],
        out: NDArray[Any], sums: NDArray[np.float64] | None, *, sweeps: int, **options: Any,
    ) -> tuple[float, float]:  # fmt: skip
        return entry_pass(
            X, A, self.k, start, out if sweeps else None, edges, self.workers, poisson=self.poisson, sweeps=sweeps,
            column_sums=None if sums is None else sums.astype(X.dtype), **options,
        )  # fmt: skip

    def _rest(self, weighted: NDArray[np.float64]) -> float:
        """What the stored entries leave out of the objective: predictions at zeros, and the penalties."""
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


def fold_entries(
    X: sparse.csr_array, H: NDArray[Any], penalty: Penalty, *, poisson: bool, partial: bool, tol: float,
    max_iter: int, workers: int, owner: str,
) -> NDArray[Any]:  # fmt: skip
    """W (n, k) with H fixed, all rows to the tolerance or `max_iter` updates."""
    # Each row on its own scale, unless the penalty binds them: of its two terms only one grows as the loss does.
    bound = penalty.l2_W if poisson else penalty.l1_W
    common = exponent_of(X) if bound else 0
    exponents = np.full(X.shape[0], common) if bound else row_exponents(X)
    h = exponent_of(H)
    penalty = Scaling(common - h, h).penalty(penalty, poisson, X.dtype)
    operand = Operand.of(times_row_powers(X, -exponents), owner)
    Ht = padded(np.ascontiguousarray(times_power(H, -h).T))
    k = len(H)
    start = np.full((operand.n, k), 1.0 if poisson else 0.0, dtype=X.dtype)
    W = padded(start)
    sums = None if partial else Ht.sum(axis=0, dtype=np.float64).astype(X.dtype)
    edges = operand.edges(W.shape[1], workers, accumulate=False)
    before, done = np.zeros_like(W), 0
    while done < max_iter:
        sweeps = min(LOOK_BACK, max_iter - done)
        before[:] = W
        entry_pass(
            operand, Ht, k, W, W, edges, workers, poisson=poisson, measure=False, sweeps=sweeps, column_sums=sums,
            l1=penalty.l1_W, l2=penalty.l2_W,
        )  # fmt: skip
        done += sweeps
        if np.abs(W - before).max(initial=0.0) <= tol * np.abs(W).max(initial=0.0):
            break
    W = np.ascontiguousarray(W[:, :k])
    exponents = exponents - h
    if exponents.any():
        with np.errstate(over="ignore", under="ignore"):
            np.ldexp(W, exponents[:, None], out=W)
    return W
