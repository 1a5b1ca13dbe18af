"""The result of a factorization: the factors and a convergence report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ConvergenceReport:
    """How an iteration ended.

    Attributes
    ----------
    converged : whether the stopping test was met before `max_iter`.
    reason : "tolerance", "max_iter", or "exact" (the starting point is stationary).
    n_iter : iterations.
    criterion : value of the stopping test at the end; the test is `criterion <= tol`.
    tol : the tolerance set.
    objective_start, objective_end : objective before the first and after the last iteration.
    restarts : iterations whose extrapolation was discarded because the objective had risen (accelerated schedule).
    """

    converged: bool
    reason: str
    n_iter: int
    criterion: float
    tol: float
    objective_start: float
    objective_end: float
    restarts: int = 0

    def __str__(self) -> str:
        state = "converged" if self.converged else "stopped before convergence"
        return (
            f"{state} ({self.reason}) after {self.n_iter} iterations, criterion {self.criterion:.2e} against tol "
            f"{self.tol:.2e}; objective {self.objective_start:.6g} -> {self.objective_end:.6g}, "
            f"{self.restarts} restarts"
        )


@dataclass(frozen=True, eq=False)
class Factorization:
    """X ~ W H. Unpacks into its factors: `W, H = factorize_nonnegative(X, 8)`.

    Attributes
    ----------
    W : (n_rows, n_components), non-negative, X's dtype.
    H : (n_components, n_columns), X's dtype; non-negative except after `factorize_semi_nonnegative`.
    n_iter : iterations done.
    reconstruction_err : Frobenius norm of X - W H over the observed entries, rows weighted as in the fit; for the
        Kullback-Leibler loss sqrt(2 D(X | W H)), as scikit-learn's. Summed in float64, from the entries themselves.
    history : (n_iter + 1,) float64, the objective (loss and penalties) before and after each iteration; never rises
        beyond rounding.
    converged : whether the stopping test was met.
    report : ConvergenceReport.
    """

    W: NDArray[Any]
    H: NDArray[Any]
    n_iter: int
    reconstruction_err: float
    history: NDArray[np.float64]
    converged: bool
    report: ConvergenceReport

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.W, self.H))
