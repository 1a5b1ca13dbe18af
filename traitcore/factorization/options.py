"""The parameters of a non-negative factorization, checked in one place, and its penalties."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from .._progress import Progress
from .._validate import Checks, RandomSource
from .convergence import ConvergenceMonitor

INITS = ("nndsvd", "nndsvda", "nndsvdar", "random", "custom")
LOSSES = ("frobenius", "kullback-leibler")
SCHEDULES = ("accelerated", "plain")


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
        )


@dataclass(frozen=True)
class NmfOptions:
    """Parameters of `factorize_nonnegative`, `NMF` and `solve_weights` (which has no `init` and no penalty of H).

    `observed_only`: the entries that the data doesn't store are unknown, not zero.
    """

    n_components: int = 1
    init: str = "nndsvda"
    beta_loss: str = "frobenius"
    schedule: str = "accelerated"
    tol: float = 1e-4
    max_iter: int = 200
    alpha_W: float = 0.0
    alpha_H: float | str = "same"
    l1_ratio: float = 0.0
    random_state: RandomSource = 0
    workers: int = 1
    progress: Progress | None = None
    observed_only: bool = False

    def checked(self, check: Checks) -> Self:
        """These options with every number resolved; a TypeError or ValueError names the first bad one."""
        check.integer("n_components", self.n_components, 1)
        check.choice("init", self.init, INITS)
        check.choice("beta_loss", self.beta_loss, LOSSES)
        check.choice("schedule", self.schedule, SCHEDULES)
        alpha_W = check.real("alpha_W", self.alpha_W, 0)
        same = isinstance(self.alpha_H, str) and self.alpha_H == "same"
        return replace(
            self,
            n_components=int(self.n_components),
            tol=check.real("tol", self.tol, 0),
            max_iter=check.integer("max_iter", self.max_iter, 1),
            alpha_W=alpha_W,
            alpha_H=alpha_W if same else check.real("alpha_H", self.alpha_H, 0),
            l1_ratio=check.real("l1_ratio", self.l1_ratio, 0, 1),
            random_state=check.random_state("random_state", self.random_state),
            workers=check.workers(self.workers),
        )

    @property
    def poisson(self) -> bool:
        """Whether the loss is Kullback-Leibler's."""
        return self.beta_loss == "kullback-leibler"

    @property
    def by_entries(self) -> bool:
        """Whether only stored entries enter the updates."""
        return self.poisson or self.observed_only

    @property
    def seed(self) -> int:
        """`random_state`, checked."""
        assert isinstance(self.random_state, int)
        return self.random_state

    def penalty(self, n: float, m: int) -> Penalty:
        """The penalties of a fit of n rows (counted by weight) and m columns."""
        assert not isinstance(self.alpha_H, str)
        return Penalty.scaled(self.alpha_W, self.alpha_H, self.l1_ratio, n, m)

    def monitor(self, objective: float) -> ConvergenceMonitor:
        """The stopping test of a fit that begins at this objective."""
        return ConvergenceMonitor("nmf", self.tol, self.max_iter, self.progress, objective)
