"""The two schedules of the Frobenius factorization: plain coordinate descent, and the accelerated one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._progress import Progress
from .engine import Operand, Quadratic, aligned_zeros, column_pass, padded, row_pass
from .result import ConvergenceReport

# Inner sweeps are cheap beside the product they share, up to here (Gillis & Glineur 2012, section 4).
_MOST_SWEEPS_W = 4
_MOST_SWEEPS_H = 20
# Extrapolation (Ang & Gillis 2019, table 1): first weight, its growth, its ceiling's growth, its fall after a rise.
_BETA, _GROWTH, _CEILING_GROWTH, _FALL = 0.5, 1.05, 1.01, 1.5


@dataclass(frozen=True)
class Penalty:
    """l1 |factor|_1 + 0.5 l2 |factor|^2 for each side, already scaled."""

    l1_W: float = 0.0
    l1_H: float = 0.0
    l2_W: float = 0.0
    l2_H: float = 0.0

    @classmethod
    def scaled(cls, alpha_W: float, alpha_H: float, l1_ratio: float, n: float, m: int) -> Penalty:
        """scikit-learn's parametrisation: W's penalty grows with the number of columns, H's with that of rows."""
        l2_ratio = 1 - l1_ratio
        return cls(m * alpha_W * l1_ratio, n * alpha_H * l1_ratio, m * alpha_W * l2_ratio, n * alpha_H * l2_ratio)

    def of(self, gram_W: Any, sum_W: Any, gram_H: Any, sum_H: Any) -> float:
        """Value of the penalties, from Gram matrices and column sums."""
        return float(
            self.l1_W * np.sum(sum_W) + 0.5 * self.l2_W * np.trace(gram_W)
            + self.l1_H * np.sum(sum_H) + 0.5 * self.l2_H * np.trace(gram_H)
        )  # fmt: skip


# Tests that look at the objective's fall look this far back, as scikit-learn's do.
LOOK_BACK = 10
# tol, max_iter, progress
WatchArgs = tuple[float, int, Progress | None]


class Watch:
    """History, progress and the stopping test of an iteration."""

    def __init__(self, stage: str, tol: float, max_iter: int, progress: Progress | None, objective: float) -> None:
        self.stage, self.tol, self.max_iter, self.progress = stage, tol, max_iter, progress
        self.history = [objective]
        self.reason = ""
        self.criterion = np.inf
        self.restarts = 0
        self._first = 0.0

    def done(self, objective: float, violation: float) -> bool:
        """Record an iteration; stop when `violation` is at most tol times that of the first, or at max_iter."""
        if len(self.history) == 1:
            self._first = violation
        return self._done(objective, violation / self._first if self._first > 0 else 0.0)

    def done_by_decrease(self, objective: float, every: int) -> bool:
        """Record an iteration; stop when sqrt(objective) fell by at most tol of its start over `every` iterations."""
        history = [*self.history, objective]
        size = np.sqrt(np.maximum(history, 0.0))
        fell = (size[-1 - every] - size[-1]) / size[0] if len(history) > every and size[0] > 0 else np.inf
        self._first = self.history[0]
        return self._done(objective, float(fell if size[0] > 0 else 0.0))

    def done_by_fall(self, objective: float) -> bool:
        """Record an iteration; stop when it lowered the objective by at most tol times the first objective."""
        self._first = self.history[0]
        return self._done(objective, (self.history[-1] - objective) / self._first if self._first > 0 else 0.0)

    def _done(self, objective: float, criterion: float) -> bool:
        self.history.append(objective)
        self.criterion = criterion
        if self._first == 0:
            self.reason = "exact"
        elif criterion <= self.tol:
            self.reason = "tolerance"
        elif len(self.history) > self.max_iter:
            self.reason = "max_iter"
        if self.progress is not None:
            # Converged early is all done, too.
            self.progress(self.stage, self.max_iter if self.reason else len(self.history) - 1, self.max_iter)
        return bool(self.reason)

    def report(self) -> ConvergenceReport:
        return ConvergenceReport(
            self.reason != "max_iter", self.reason, len(self.history) - 1, float(self.criterion), self.tol,
            self.history[0], self.history[-1], self.restarts,
        )  # fmt: skip


class Descent:
    """min 0.5 |X - W H|^2 + penalties over W, H >= 0; rows weighted as if each stood `row_weights` times."""

    def __init__(
        self, X: Operand, W: NDArray[Any], Ht: NDArray[Any], penalty: Penalty,
        row_weights: NDArray[Any] | None, workers: int,
    ) -> None:  # fmt: skip
        self.X, self.penalty, self.row_weights, self.workers = X, penalty, row_weights, workers
        self.k = W.shape[1]
        self.W, self.Ht = padded(W), padded(Ht)
        width = self.W.shape[1]
        self.edges = X.edges(width, workers)
        self.C = X.sums(width, self.edges)
        self.square = X.square(row_weights)

    def plain(self, watch_args: WatchArgs, shuffle: np.random.Generator | None) -> Watch:
        """One sweep of W, one of H, scikit-learn's order; leaves the factors in W and Ht."""
        start, gram_H, _ = self._evaluate()
        watch = Watch("nmf", *watch_args, start)
        while True:
            gram_W, sum_W, violation = self._rows(self.Ht, gram_H, self.W, self.W, order=self._order(shuffle))
            gram_H, sum_H, cross, more = self._columns(gram_W, self.Ht, self.Ht, order=self._order(shuffle))
            objective = self._objective(gram_W, sum_W, gram_H, sum_H, cross)
            if watch.done(objective, violation + more):
                return watch

    def accelerated(self, watch_args: WatchArgs, shuffle: np.random.Generator | None) -> Watch:
        """Several inner sweeps for each product, and extrapolation of both factors (Ang & Gillis 2019, algorithm 3).

        Unlike there, a step that raises the objective is thrown away and taken again without extrapolation, so the
        objective never rises, and the pair kept is the pair it was measured at.
        """
        objective, _, rounding = self._evaluate()
        watch = Watch("nmf", *watch_args, objective)
        sweeps = self._inner_sweeps()
        pool = [self.W, *(aligned_zeros(self.W.shape, self.W.dtype) for _ in range(3))]
        last_W, ahead_H = self.W, self.Ht
        # The first step goes without: a start that overshoots would be thrown across zero, every component at once.
        beta, ceiling, last_beta, plain = _BETA, 1.0, _BETA, True
        while True:
            out, ahead = [b for b in pool if b is not self.W and b is not last_W][:2]
            gram_H = ahead_H[:, : self.k].T @ ahead_H[:, : self.k]
            gram_W, sum_W, _ = self._rows(
                ahead_H, gram_H, self.W, out, sweeps=sweeps[0], previous=last_W, beta=beta,
                ahead=None if plain else ahead, order=self._order(shuffle),
            )  # fmt: skip
            new_H = aligned_zeros(self.Ht.shape, self.Ht.dtype)
            gram_H, sum_H, cross, _ = self._columns(
                gram_W, ahead_H, new_H, sweeps=sweeps[1], order=self._order(shuffle)
            )
            value = self._objective(gram_W, sum_W, gram_H, sum_H, cross)
            if value > objective + rounding and not plain:
                watch.restarts += 1
                last_W, ahead_H = self.W, self.Ht
                beta, ceiling, plain = beta / _FALL, last_beta, True
            else:
                objective = value
                step = beta if len(watch.history) > 1 else 0.0
                ahead_H = np.maximum(new_H + step * (new_H - self.Ht), 0, dtype=new_H.dtype)
                self.W, last_W, self.Ht = out if plain else ahead, out, new_H
                last_beta, beta, ceiling = beta, min(ceiling, _GROWTH * beta), min(1.0, _CEILING_GROWTH * ceiling)
                plain = False
            # The projected gradient says little here: it is met at extrapolated points.
            if watch.done_by_decrease(objective, LOOK_BACK):
                return watch

    def factors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """(W (n, k), H (k, m)), C-contiguous, without the padding."""
        return np.ascontiguousarray(self.W[:, : self.k]), np.ascontiguousarray(self.Ht[:, : self.k].T)

    def _order(self, shuffle: np.random.Generator | None) -> NDArray[Any] | None:
        return None if shuffle is None else shuffle.permutation(self.k)

    def _inner_sweeps(self) -> tuple[int, int]:
        """Sweeps for each product: about as much arithmetic as the product itself, were each row there as it counts."""
        rows, entries = self.X.mass(self.row_weights)
        return (
            int(np.clip(1 + entries // max(1, rows * self.k), 2, _MOST_SWEEPS_W)),
            int(np.clip(1 + entries // max(1, self.X.m * self.k), 2, _MOST_SWEEPS_H)),
        )

    def _evaluate(self) -> tuple[float, NDArray[np.float64], float]:
        """Objective at the factors as they stand, H's Gram matrix, and how much of it is rounding."""
        none = np.zeros((self.k, self.k))
        gram_W, sum_W, _, _ = row_pass(
            self.X, self.Ht, Quadratic(none, 0, 0, self.X.dtype), self.W, None, self.edges, self.workers,
            sweeps=0, C=self.C, row_weights=self.row_weights,
        )  # fmt: skip
        column_pass(self.C, Quadratic(none, 0, 0, self.X.dtype), self.Ht, self.Ht, self.workers, sweeps=0)
        H = self.Ht[:, : self.k].astype(np.float64)
        cross = float(np.einsum("jt,jt->", self.C[0, :, : self.k], H, dtype=np.float64))
        gram_H = H.T @ H
        # Measured: sums of a few hundred products in the data's own precision leave about an eighth of an eps.
        rounding = float(np.finfo(self.X.dtype).eps) / 8 * self.square
        return self._objective(gram_W, sum_W, gram_H, H.sum(axis=0), cross), gram_H, rounding

    def _objective(self, gram_W: Any, sum_W: Any, gram_H: Any, sum_H: Any, cross: float) -> float:
        error = self.square - 2 * cross + float(np.sum(gram_W * gram_H))
        return 0.5 * max(0.0, error) + self.penalty.of(gram_W, sum_W, gram_H, sum_H)

    def _rows(
        self, A: NDArray[Any], gram_H: NDArray[Any], start: NDArray[Any], out: NDArray[Any], *, sweeps: int = 1,
        order: NDArray[Any] | None = None, previous: NDArray[Any] | None = None, beta: float = 0.0,
        ahead: NDArray[Any] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:  # fmt: skip
        problem = Quadratic(gram_H, self.penalty.l1_W, self.penalty.l2_W, self.X.dtype, order)
        gram, sums, _, violation = row_pass(
            self.X, A, problem, start, out, self.edges, self.workers, sweeps=sweeps, C=self.C,
            row_weights=self.row_weights, previous=previous, extrapolated=ahead, beta=beta,
        )  # fmt: skip
        return gram, sums, violation

    def _columns(
        self, gram_W: NDArray[Any], start: NDArray[Any], out: NDArray[Any], *, sweeps: int = 1,
        order: NDArray[Any] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:  # fmt: skip
        problem = Quadratic(gram_W, self.penalty.l1_H, self.penalty.l2_H, self.X.dtype, order)
        return column_pass(self.C, problem, start, out, self.workers, sweeps=sweeps)
