"""When an iteration stops: its history, its progress and the stopping tests."""

from __future__ import annotations

import numpy as np

from .._progress import Progress
from .result import ConvergenceReport

# Tests of the objective's decrease compare with the value this many iterations before, as scikit-learn's do.
LOOK_BACK = 10


class ConvergenceMonitor:
    """Objective history, progress calls and stopping test of one iteration."""

    def __init__(self, stage: str, tol: float, max_iter: int, progress: Progress | None, objective: float) -> None:
        self.stage, self.tol, self.max_iter, self.progress = stage, tol, max_iter, progress
        self.history = [objective]
        self.reason = ""
        self.criterion = np.inf
        self.restarts = 0
        self._first = 0.0

    def done_by_violation(self, objective: float, violation: float) -> bool:
        """Record an iteration; stop when `violation` is at most tol times that of the first, or at max_iter."""
        if len(self.history) == 1:
            self._first = violation
        return self._done(objective, violation / self._first if self._first > 0 else 0.0)

    def done_by_decrease(self, objective: float) -> bool:
        """Record an iteration; stop when sqrt(objective) fell by at most tol of its start over LOOK_BACK iterations."""
        history = [*self.history, objective]
        size = np.sqrt(np.maximum(history, 0.0))
        enough = len(history) > LOOK_BACK and size[0] > 0
        fell = (size[-1 - LOOK_BACK] - size[-1]) / size[0] if enough else np.inf
        self._first = self.history[0]
        return self._done(objective, float(fell if size[0] > 0 else 0.0))

    def done_by_one_step(self, objective: float) -> bool:
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
        if self.progress is not None:  # a fit that converges early has done all of its work, too
            self.progress(self.stage, self.max_iter if self.reason else len(self.history) - 1, self.max_iter)
        return bool(self.reason)

    def report(self) -> ConvergenceReport:
        """How the iteration ended."""
        return ConvergenceReport(
            self.reason != "max_iter", self.reason, len(self.history) - 1, float(self.criterion), self.tol,
            self.history[0], self.history[-1], self.restarts,
        )
