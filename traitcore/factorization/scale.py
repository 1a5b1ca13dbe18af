"""Scaling of very large or small numbers to near 1, by powers of two, before a fit, and back after it.

A fit squares X's entries: 1e200 would overflow float64, 1e-25 would vanish in float32. Powers of two don't round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .convergence import ConvergenceMonitor
from .options import Penalty
from .result import Factorization

# A matrix whose largest entry is in this range isn't scaled: the algorithms' constants (scikit-learn's thresholds of a
# start's entries and of predictions) are meant for shares and counts.
_LOW, _HIGH = 2.0**-6, 2.0**10
# A custom W is scaled to within so many powers of two of the size that X and H imply: beyond, squares overflow
# float32. The limit is lower for multiplicative updates, whose predictions have a lower bound.
_FAR, _FAR_POISSON = 40, 10


def exponent_of(A: Any) -> int:
    """The even e for which A / 2^e is near 1, or 0 where A's largest magnitude is of ordinary size (or zero)."""
    data = A.data if sparse.issparse(A) else A
    largest = max(float(data.max()), -float(data.min())) if data.size else 0.0
    if largest == 0 or _LOW <= largest <= _HIGH:
        return 0
    exponent = math.frexp(largest)[1]
    return exponent - exponent % 2


def row_exponents(X: sparse.csr_array) -> NDArray[np.int64]:
    """(n,) `exponent_of` each row."""
    filled = np.flatnonzero(np.diff(X.indptr))
    largest = np.zeros(X.shape[0])
    if len(filled):
        largest[filled] = np.maximum.reduceat(np.abs(X.data), X.indptr[filled])
    exponents = np.frexp(largest)[1].astype(np.int64)
    ordinary = (largest == 0) | ((largest >= _LOW) & (largest <= _HIGH))
    return np.where(ordinary, 0, exponents - exponents % 2)


def times_row_powers(X: sparse.csr_array, exponents: NDArray[np.int64]) -> sparse.csr_array:
    """Row i of X times 2^exponents[i]; X itself where all are 0."""
    if not exponents.any():
        return X
    data = np.ldexp(X.data, np.repeat(exponents, np.diff(X.indptr)))
    return sparse.csr_array((data, X.indices, X.indptr), shape=X.shape)


def times_power(A: Any, exponent: int) -> Any:
    """A 2^exponent, A itself if the exponent is 0; values out of the dtype's range become infinity or zero."""
    if exponent == 0:
        return A
    with np.errstate(over="ignore", under="ignore"):
        if sparse.issparse(A):
            return sparse.csr_array((np.ldexp(A.data, exponent), A.indices, A.indptr), shape=A.shape)
        return np.ldexp(A, exponent)


def power(exponent: int) -> float:
    """2^exponent as a float; infinity or zero out of its range."""
    return float(np.ldexp(1.0, exponent)) if exponent <= 1023 else math.inf


def scaled_weights(weights: NDArray[np.float64] | None, dtype: Any) -> tuple[int, NDArray[Any] | None]:
    """(e, weights / 2^e) of rows' positive weights, within the dtype's range."""
    if weights is None or not len(weights):
        return 0, None
    exponent = exponent_of(weights)
    scaled = np.maximum(times_power(weights, -exponent), float(np.finfo(dtype).tiny))
    return exponent, scaled.astype(dtype)


@dataclass(frozen=True)
class Scaling:
    """X = 2^(w + h) X', W = 2^w W', H = 2^h H': the fit is that of X', W' and H'."""

    w: int = 0
    h: int = 0

    @classmethod
    def of(cls, X: Any, H: NDArray[Any] | None = None) -> Scaling:
        """The scaling for data X. With a start H, h is its own exponent and w the rest of X's."""
        x = exponent_of(X)
        h = x // 2 if H is None else x // 2 + exponent_of(times_power(H, -(x // 2)))
        return cls(x - h, h)

    @property
    def x(self) -> int:
        return self.w + self.h

    def loss_exponent(self, poisson: bool) -> int:
        """e where the loss is 2^e times that of X', W' and H'."""
        return self.x * (1 if poisson else 2)

    def start(self, W: NDArray[Any], H: NDArray[Any], poisson: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """The caller's start (W, H) on the fit's scale."""
        now = math.frexp(float(W.max(initial=0.0)))[1]
        most = _FAR_POISSON if poisson else _FAR
        return times_power(W, min(most, max(-most, now - self.w)) - now), times_power(H, -self.h)

    def penalty(self, penalty: Penalty, poisson: bool, dtype: Any) -> Penalty:
        """The penalties of the scaled fit, bounded within the dtype's range: larger ones give zeros too."""
        if self == Scaling():
            return penalty
        loss = self.loss_exponent(poisson)
        most = float(np.finfo(dtype).max) ** 0.4
        scaled = (
            (penalty.l1_W, self.w), (penalty.l1_H, self.h), (penalty.l2_W, 2 * self.w), (penalty.l2_H, 2 * self.h)
        )
        return Penalty(*(min(most, value * power(e - loss)) if value else 0.0 for value, e in scaled))


def factorization(
    W: NDArray[Any], H: NDArray[Any], loss: float, monitor: ConvergenceMonitor, loss_exponent: int
) -> Factorization:
    """The result of a fit, W and H on the caller's scale already; the objective is multiplied by 2^loss_exponent."""
    history = times_power(np.array(monitor.history), loss_exponent)
    report = replace(monitor.report(), objective_start=float(history[0]), objective_end=float(history[-1]))
    # The root comes first, as the loss itself may be out of range. Exponents are even.
    error = float(times_power(np.sqrt(2 * loss), loss_exponent // 2))
    return Factorization(W, H, report.n_iter, error, history, report.converged, report)
