"""Factorization of customers x tokens: time, memory, and the error reached."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

import traitcore as tc
from traitcore.factorization.result import Factorization


class Factorize:
    """Counts with planted parts, dense and sparse; 20 iterations of each schedule."""

    params = (["dense", "sparse"], ["plain", "accelerated"])
    param_names = ("form", "schedule")

    def setup(self, form: str, schedule: str) -> None:
        rng = np.random.default_rng(0)
        rate = rng.gamma(0.3, 1, (20_000, 16)) @ rng.gamma(0.2, 1, (16, 300))
        counts = rng.poisson(0.2 * rate).astype(np.float32)
        self.X = sparse.csr_array(counts) if form == "sparse" else counts
        self.H = tc.factorize_nonnegative(self.X, 16, max_iter=2).H
        self.norm = float(np.linalg.norm(counts))

    def _fit(self, schedule: str, **options: Any) -> Factorization:
        return tc.factorize_nonnegative(self.X, 16, max_iter=20, tol=0, schedule=schedule, **options)

    def time_fit(self, form: str, schedule: str) -> None:
        self._fit(schedule)

    def time_fit_two_threads(self, form: str, schedule: str) -> None:
        self._fit(schedule, workers=2)

    def time_fit_kullback_leibler(self, form: str, schedule: str) -> None:
        self._fit(schedule, beta_loss="kullback-leibler")

    def time_fold_in(self, form: str, schedule: str) -> None:
        tc.solve_weights(self.X, self.H)

    def peakmem_fit(self, form: str, schedule: str) -> None:
        self._fit(schedule)

    def track_relative_error(self, form: str, schedule: str) -> float:
        return self._fit(schedule).reconstruction_err / self.norm

    track_relative_error.unit = "|X - WH| / |X|"  # type: ignore[attr-defined]  # asv reads it


class FoldInOneRow:
    """A prepared solver, one row at a time."""

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        self.solver = tc.WeightSolver(rng.gamma(0.5, 1, (16, 64)).astype(np.float32))
        self.row = rng.random(64, dtype=np.float32)
        self.solver(self.row)

    def time_row(self) -> None:
        self.solver(self.row)


class SemiNonnegative:
    """Signed vectors, d=64."""

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        parts = rng.gamma(0.5, 1, (20_000, 8)) @ rng.standard_normal((8, 64))
        self.X = (parts + 0.3 * rng.standard_normal((20_000, 64))).astype(np.float32)

    def time_fit(self) -> None:
        tc.factorize_semi_nonnegative(self.X, 8, tol=0, max_iter=20)

    def track_relative_error(self) -> float:
        error = tc.factorize_semi_nonnegative(self.X, 8, tol=0, max_iter=20).reconstruction_err
        return error / float(np.linalg.norm(self.X))
