"""Factorization of more rows than memory holds: batch by batch, keeping only sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._validate import Checks
from .engine import NativeMatrix, RowSubproblem, aligned_zeros, column_pass, padded, row_pass
from .fold_in import WeightSolver
from .options import NmfOptions
from .scale import Scaling, exponent_of, power, scaled_weights, times_power
from .starts import initial_factors

_SWEEPS_H = 10
# Batches larger than the first ones by up to the square of 2 to this power don't move the scale of the sums.
_FAR = 10


class OnlineFactor:
    """H and the sums it is fitted to: W^T W (k, k), X^T W (m, k) and the number of rows, older batches fading."""

    def __init__(self, H: NDArray[Any], forget_factor: Any) -> None:
        check = Checks("NMF.partial_fit")
        self.k, self.n_features = H.shape
        self.dtype = H.dtype
        self._forget = check.real("forget_factor", forget_factor, 0, 1, open_low=True)
        self._H = H
        self._gram = np.zeros((self.k, self.k))
        self._cross = np.zeros((1, *padded(H.T).shape))
        self._rows = 0.0
        # The sums are of W / 2^e and X / 4^e, H is 2^e times its scaled self: squares stay in range.
        self._exponent: int | None = None

    def H(self) -> NDArray[Any]:
        """(k, m) a copy."""
        return self._H.copy()

    @property
    def has_start(self) -> bool:
        """Whether H is not all zero: zeros would stay zero."""
        return bool(self._H.any())

    def start(self, X: Any, row_weights: NDArray[np.float64] | None, options: NmfOptions) -> None:
        """Take the start of H from a batch that isn't all zero."""
        scaling = Scaling.of(X)
        X = times_power(X, -scaling.x).astype(self.dtype)
        weights = scaled_weights(row_weights, self.dtype)[1]
        k, seed, workers = self.k, options.seed, options.workers
        H = initial_factors(X, k, options.init, seed, workers, weights)[1]
        empty = ~H.any(axis=1)
        if empty.any():  # the batch's rank is below k; later ones may need these
            H[empty] = initial_factors(X, k, "random", seed, workers, weights)[1][empty]
        self._H = times_power(H, scaling.h)

    def learn(self, X: Any, row_weights: NDArray[np.float64] | None, options: NmfOptions) -> None:
        """Add one batch, (rows, m); an interrupted call adds nothing."""
        if X.shape[0] == 0:
            return
        X = X.astype(self.dtype, copy=False) if not sparse.issparse(X) else X.astype(self.dtype)
        e, shift = self._scale_for(X)
        H = times_power(self._H, shift)
        solver = WeightSolver(
            H, alpha_W=options.alpha_W, l1_ratio=options.l1_ratio, tol=min(options.tol, 1e-3), max_iter=options.max_iter
        )
        workers = options.workers
        W = solver(X, workers=workers)
        X, W, Ht = times_power(X, -2 * e), padded(times_power(W, -e)), padded(times_power(H, -e).T)
        matrix = NativeMatrix.of(X, Checks("NMF.partial_fit"))
        nothing = RowSubproblem(np.zeros((self.k, self.k)), 0, 0, self.dtype)
        weight_exponent, weights = scaled_weights(row_weights, self.dtype)
        strips = matrix.strips(W.shape[1], workers, row_weights=weights)
        sums = strips.sums(W.shape[1])
        gram = row_pass(strips, Ht, nothing, W, None, sweeps=0, C=sums)[0]
        unit = power(weight_exponent)
        kept = self._forget * power(-4 * shift)
        gram = kept * self._gram + unit * gram
        cross = kept * self._cross + unit * sums.sum(axis=0, dtype=np.float64)
        rows = self._forget * self._rows + (len(W) if row_weights is None else float(row_weights.sum()))
        if not cross.any():  # nothing yet to fit H to
            self._rows = rows
            return
        penalty = Scaling(e, e).penalty(options.penalty(rows, 0), False, self.dtype)
        problem = RowSubproblem(gram, penalty.l1_H, penalty.l2_H, self.dtype)
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
