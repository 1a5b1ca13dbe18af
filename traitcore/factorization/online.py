"""Factorization of more rows than memory holds: batch after batch, only sums are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._validate import check_real
from .descent import Penalty
from .engine import Operand, Quadratic, aligned_zeros, column_pass, padded, row_pass
from .fold_in import WeightSolver
from .scale import Scaling, exponent_of, power, scaled_weights, times_power
from .starts import initial_factors

_SWEEPS_H = 10
# Batches larger than the first ones by up to the square of 2 to this power don't move the scale of the sums.
_FAR = 10


class OnlineFactor:
    """H and the sums it answers to: W^T W (k, k), X^T W (m, k) and the number of rows, older batches fading."""

    def __init__(self, H: NDArray[Any], alpha_W: Any, alpha_H: Any, l1_ratio: Any, forget_factor: Any) -> None:
        owner = "NMF.partial_fit"
        self.k, self.n_features = H.shape
        self.dtype = H.dtype
        self._alpha_W = check_real("alpha_W", owner, alpha_W, 0)
        self._alpha_H = check_real("alpha_H", owner, alpha_H, 0)
        self._l1_ratio = check_real("l1_ratio", owner, l1_ratio, 0, 1)
        self._forget = check_real("forget_factor", owner, forget_factor, 0, 1, open_low=True)
        self._H = H
        self._gram = np.zeros((self.k, self.k))
        self._cross = np.zeros((1, *padded(H.T).shape))
        self._rows = 0.0
        # The sums are of W / 2^e and X / 4^e, H is 2^e times what they answer to: the squares stay in range.
        self._exponent: int | None = None

    def H(self) -> NDArray[Any]:
        """(k, m) a copy."""
        return self._H.copy()

    @property
    def has_start(self) -> bool:
        """Whether H has anything to go on from: all zero, it would stay so."""
        return bool(self._H.any())

    def start(
        self, X: Any, init: str, seed: int, workers: int, row_weights: NDArray[np.float64] | None
    ) -> None:  # fmt: skip
        """Take the start of H from a batch that isn't all zero."""
        scaling = Scaling.of(X)
        X = times_power(X, -scaling.x).astype(self.dtype)
        weights = scaled_weights(row_weights, self.dtype)[1]
        H = initial_factors(X, self.k, init, seed, workers, weights)[1]
        empty = ~H.any(axis=1)
        if empty.any():  # a batch of lower rank than k says nothing about these, later ones may
            H[empty] = initial_factors(X, self.k, "random", seed, workers, weights)[1][empty]
        self._H = times_power(H, scaling.h)

    def learn(
        self, X: Any, row_weights: NDArray[np.float64] | None, tol: float, max_iter: int, workers: int
    ) -> None:  # fmt: skip
        """Take in one batch, (rows, m); nothing is half taken in where it's interrupted."""
        if X.shape[0] == 0:
            return
        X = X.astype(self.dtype, copy=False) if not sparse.issparse(X) else X.astype(self.dtype)
        e, shift = self._scale_for(X)
        H = times_power(self._H, shift)
        solver = WeightSolver(
            H, alpha_W=self._alpha_W, l1_ratio=self._l1_ratio, tol=min(tol, 1e-3), max_iter=max_iter
        )
        W = solver(X, workers=workers)
        X, W, Ht = times_power(X, -2 * e), padded(times_power(W, -e)), padded(times_power(H, -e).T)
        operand = Operand.of(X, "NMF.partial_fit")
        edges = operand.edges(W.shape[1], workers)
        sums = operand.sums(W.shape[1], edges)
        nothing = Quadratic(np.zeros((self.k, self.k)), 0, 0, self.dtype)
        weight_exponent, weights = scaled_weights(row_weights, self.dtype)
        gram = row_pass(operand, Ht, nothing, W, None, edges, workers, sweeps=0, C=sums, row_weights=weights)[0]
        unit = power(weight_exponent)
        kept = self._forget * power(-4 * shift)
        gram = kept * self._gram + unit * gram
        cross = kept * self._cross + unit * sums.sum(axis=0, dtype=np.float64)
        rows = self._forget * self._rows + (len(W) if row_weights is None else float(row_weights.sum()))
        if not cross.any():  # nothing yet that H could answer to
            self._rows = rows
            return
        penalty = Scaling(e, e).penalty(Penalty.scaled(0, self._alpha_H, self._l1_ratio, rows, 0), False, self.dtype)
        problem = Quadratic(gram, penalty.l1_H, penalty.l2_H, self.dtype)
        # A copy: the pass leaves its sum in its first strip, in the sums' own type.
        work = aligned_zeros(cross.shape, cross.dtype)
        work[:] = cross
        column_pass(work, problem, Ht, Ht, workers, sweeps=_SWEEPS_H)
        H = times_power(np.ascontiguousarray(Ht[:, : self.k].T), e)
        self._H, self._gram, self._cross, self._rows, self._exponent = H, gram, cross, rows, e

    def _scale_for(self, X: Any) -> tuple[int, int]:
        """(e, how far it moves): the first batch's scale, or a later one's that is far larger.

        H moves with it, as if it had been larger and its W smaller by as much: sums in the new units shrink to the
        fourth power.
        """
        e = exponent_of(X) // 2
        if self._exponent is None:
            return e, 0
        if e < self._exponent + _FAR:
            return self._exponent, 0
        return e, e - self._exponent
