"""The two schedules of the Frobenius factorization: plain and accelerated coordinate descent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .convergence import ConvergenceMonitor
from .engine import Extrapolation, NativeMatrix, RowSubproblem, aligned_zeros, column_pass, padded, row_pass
from .options import NmfOptions, Penalty

# Most inner sweeps per product; they are cheap beside it (Gillis & Glineur 2012, section 4).
_MOST_SWEEPS_W = 4
_MOST_SWEEPS_H = 20
# Extrapolation (Ang & Gillis 2019, table 1): first weight, its growth, its ceiling's growth, its divisor after a rise.
_BETA, _GROWTH, _CEILING_GROWTH, _FALL = 0.5, 1.05, 1.01, 1.5


class Descent:
    """min 0.5 |X - W H|^2 + penalties over W, H >= 0; each row counts as `row_weights` copies of it."""

    def __init__(
        self, X: NativeMatrix, W: NDArray[Any], Ht: NDArray[Any], penalty: Penalty,
        row_weights: NDArray[Any] | None, workers: int,
    ) -> None:
        self.X, self.penalty = X, penalty
        self.k = W.shape[1]
        self.W, self.Ht = padded(W), padded(Ht)
        width = self.W.shape[1]
        self.strips = X.strips(width, workers, row_weights=row_weights)
        self.C = self.strips.sums(width)
        self.square = X.square(row_weights)

    def plain(self, options: NmfOptions) -> ConvergenceMonitor:
        """One sweep of W, one of H, scikit-learn's order; leaves the factors in W and Ht."""
        start, gram_H, _ = self._evaluate()
        monitor = options.monitor(start)
        while True:
            gram_W, sum_W, violation = self._rows(self.Ht, gram_H, self.W, self.W)
            gram_H, sum_H, cross, more = self._columns(gram_W, self.Ht, self.Ht)
            objective = self._objective(gram_W, sum_W, gram_H, sum_H, cross)
            if monitor.done_by_violation(objective, violation + more):
                return monitor

    def accelerated(self, options: NmfOptions) -> ConvergenceMonitor:
        """Several inner sweeps for each product, and extrapolation of both factors (Ang & Gillis 2019, algorithm 3).

        Unlike there, a step that raises the objective is discarded and repeated without extrapolation, so the objective
        never rises, and it is that of the pair kept.
        """
        objective, _, rounding = self._evaluate()
        monitor = options.monitor(objective)
        sweeps = self._inner_sweeps()
        pool = [self.W, *(aligned_zeros(self.W.shape, self.W.dtype) for _ in range(3))]
        last_W, ahead_H = self.W, self.Ht
        # No extrapolation in the first step: from a start that is too large it could set every component to zero.
        beta, ceiling, last_beta, plain = _BETA, 1.0, _BETA, True
        while True:
            out, ahead = [b for b in pool if b is not self.W and b is not last_W][:2]
            gram_H = ahead_H[:, : self.k].T @ ahead_H[:, : self.k]
            gram_W, sum_W, _ = self._rows(
                ahead_H, gram_H, self.W, out, sweeps=sweeps[0],
                ahead=None if plain else Extrapolation(last_W, beta, ahead),
            )
            new_H = aligned_zeros(self.Ht.shape, self.Ht.dtype)
            gram_H, sum_H, cross, _ = self._columns(gram_W, ahead_H, new_H, sweeps=sweeps[1])
            value = self._objective(gram_W, sum_W, gram_H, sum_H, cross)
            if value > objective + rounding and not plain:
                monitor.restarts += 1
                last_W, ahead_H = self.W, self.Ht
                beta, ceiling, plain = beta / _FALL, last_beta, True
            else:
                objective = value
                step = beta if len(monitor.history) > 1 else 0.0
                ahead_H = np.maximum(new_H + step * (new_H - self.Ht), 0, dtype=new_H.dtype)
                self.W, last_W, self.Ht = out if plain else ahead, out, new_H
                last_beta, beta, ceiling = beta, min(ceiling, _GROWTH * beta), min(1.0, _CEILING_GROWTH * ceiling)
                plain = False
            # The projected gradient would be that of extrapolated points, so it isn't the stopping test.
            if monitor.done_by_decrease(objective):
                return monitor

    def factors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """(W (n, k), H (k, m)), C-contiguous, without the padding."""
        return np.ascontiguousarray(self.W[:, : self.k]), np.ascontiguousarray(self.Ht[:, : self.k].T)

    def _inner_sweeps(self) -> tuple[int, int]:
        """Sweeps per product, for about as much arithmetic as the product; rows counted by weight."""
        rows, entries = self.X.mass(self.strips.row_weights)
        return (
            int(np.clip(1 + entries // max(1, rows * self.k), 2, _MOST_SWEEPS_W)),
            int(np.clip(1 + entries // max(1, self.X.m * self.k), 2, _MOST_SWEEPS_H)),
        )

    def _evaluate(self) -> tuple[float, NDArray[np.float64], float]:
        """The objective of the current factors, H's Gram matrix, and the objective's rounding error."""
        none = np.zeros((self.k, self.k))
        nothing = RowSubproblem(none, 0, 0, self.X.dtype)
        gram_W, sum_W, _, _ = row_pass(self.strips, self.Ht, nothing, self.W, None, sweeps=0, C=self.C)
        column_pass(self.C, nothing, self.Ht, self.Ht, self.strips.workers, sweeps=0)
        H = self.Ht[:, : self.k].astype(np.float64)
        cross = float(np.einsum("jt,jt->", self.C[0, :, : self.k], H, dtype=np.float64))
        gram_H = H.T @ H
        # Measured: sums of a few hundred products in the data's precision have an error of about eps / 8.
        rounding = float(np.finfo(self.X.dtype).eps) / 8 * self.square
        return self._objective(gram_W, sum_W, gram_H, H.sum(axis=0), cross), gram_H, rounding

    def _objective(self, gram_W: Any, sum_W: Any, gram_H: Any, sum_H: Any, cross: float) -> float:
        error = self.square - 2 * cross + float(np.sum(gram_W * gram_H))
        return 0.5 * max(0.0, error) + self.penalty.of(gram_W, sum_W, gram_H, sum_H)

    def _rows(
        self, A: NDArray[Any], gram_H: NDArray[Any], start: NDArray[Any], out: NDArray[Any], *, sweeps: int = 1,
        ahead: Extrapolation | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        problem = RowSubproblem(gram_H, self.penalty.l1_W, self.penalty.l2_W, self.X.dtype)
        gram, sums, _, violation = row_pass(
            self.strips, A, problem, start, out, sweeps=sweeps, C=self.C, ahead=ahead
        )
        return gram, sums, violation

    def _columns(
        self, gram_W: NDArray[Any], start: NDArray[Any], out: NDArray[Any], *, sweeps: int = 1
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
        problem = RowSubproblem(gram_W, self.penalty.l1_H, self.penalty.l2_H, self.X.dtype)
        return column_pass(self.C, problem, start, out, self.strips.workers, sweeps=sweeps)
