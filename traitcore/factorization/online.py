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

_SWEEPS_H = 10


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
        self._Ht = padded(H.T)
        self._gram = np.zeros((self.k, self.k))
        self._cross = np.zeros((1, *self._Ht.shape))
        self._rows = 0.0

    def H(self) -> NDArray[Any]:
        """(k, m) a copy."""
        return np.ascontiguousarray(self._Ht[:, : self.k].T)

    def learn(self, X: Any, row_weights: NDArray[Any] | None, tol: float, max_iter: int, workers: int) -> None:
        """Take in one batch, (rows, m)."""
        if X.shape[0] == 0:
            return
        X = X.astype(self.dtype, copy=False) if not sparse.issparse(X) else X.astype(self.dtype)
        solver = WeightSolver(
            self.H(), alpha_W=self._alpha_W, l1_ratio=self._l1_ratio, tol=min(tol, 1e-3), max_iter=max_iter
        )
        W = padded(solver(X, workers=workers))
        operand = Operand.of(X, "NMF.partial_fit")
        edges = operand.edges(W.shape[1], workers)
        sums = operand.sums(W.shape[1], edges)
        nothing = Quadratic(np.zeros((self.k, self.k)), 0, 0, self.dtype)
        gram = row_pass(
            operand, self._Ht, nothing, W, None, edges, workers, sweeps=0, C=sums, row_weights=row_weights
        )[0]  # fmt: skip
        self._gram = self._forget * self._gram + gram
        self._cross = self._forget * self._cross + sums.sum(axis=0, dtype=np.float64)
        self._rows = self._forget * self._rows + (len(W) if row_weights is None else float(row_weights.sum()))
        penalty = Penalty.scaled(0, self._alpha_H, self._l1_ratio, self._rows, 0)
        problem = Quadratic(self._gram, penalty.l1_H, penalty.l2_H, self.dtype)
        # A copy: the pass leaves its sum in its first strip, in the sums' own type.
        work = aligned_zeros(self._cross.shape, self._cross.dtype)
        work[:] = self._cross
        column_pass(work, problem, self._Ht, self._Ht, workers, sweeps=_SWEEPS_H)
