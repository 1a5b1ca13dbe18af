"""Leading eigenpairs of a symmetric operator by block Lanczos, with a Chebyshev filter where the spectrum asks for one.

Golub & Underwood 1977 (block Lanczos), with every new block orthogonalised against the whole basis; Zhou & Saad 2007 and
Fang & Saad 2012 (filtered Lanczos): once the basis costs more than the products, the operator is replaced by a Chebyshev
polynomial of it that is small on the unwanted part of the spectrum, so that fewer, better vectors are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .._progress import Progress
from .products import panel_combine, panel_gram

EPS = float(np.finfo(np.float32).eps)


class Operator(Protocol):
    """A symmetric operator on blocks (n, b) float32, and how its spectrum maps to singular values."""

    n: int
    squared: bool  # its eigenvalues are squares of the singular values

    def apply(self, block: NDArray[np.float32]) -> NDArray[np.float32]: ...

    def filtered(self, block: NDArray[np.float32], degree: int, edge: float) -> NDArray[np.float32]: ...


@dataclass
class Settings:
    """`tol`: relative error allowed in a singular value; `steps`: exactly so many products, or None for the test."""

    n_components: int
    block_size: int
    tol: float
    steps: int | None
    max_columns: int
    workers: int
    progress: Progress | None


@dataclass
class Subspace:
    """An approximate invariant subspace: `basis` (n, p) float32; estimates of the wanted singular values and errors."""

    basis: NDArray[np.float32]
    products: int
    converged: bool
    error_estimate: float


class Basis:
    """Orthonormal panels (n, b) end to end, and the projection T (m, m) of the operator on them."""

    def __init__(self, n: int, block: int, max_columns: int, workers: int, rng: np.random.Generator) -> None:
        self.n, self.b, self.workers, self.rng = n, block, workers, rng
        # Only what is written takes room.
        self.panels = np.empty((max_columns // block, n, block), dtype=np.float32)
        self.T = np.zeros((max_columns, max_columns))
        self.used = 0
        self.R = np.zeros((block, block))

    @property
    def columns(self) -> int:
        return self.used * self.b

    def last(self) -> NDArray[np.float32]:
        panel: NDArray[np.float32] = self.panels[self.used - 1]
        return panel

    def random_block(self) -> NDArray[np.float32]:
        return self.rng.standard_normal((self.n, self.b), dtype=np.float32)

    def project_out(self, block: NDArray[np.float32]) -> NDArray[np.float64]:
        """Subtract the block's part in the basis, in place; the coefficients (m, b)."""
        panels = self.panels[: self.used]
        H = panel_gram(panels, block, workers=self.workers)
        panel_combine(panels, H, block, alpha=-1.0, beta=1.0, workers=self.workers)
        return H

    def append(self, block: NDArray[np.float32], scale: float) -> NDArray[np.float64]:
        """Add the block, orthonormalised; R (b, b) with block = new panel @ R.

        Directions lost in rounding (below `scale` times the precision) become random ones, with nothing in R.
        """
        new, R, rank = self._whiten(block, scale)
        for _ in range(3):
            # "Twice is enough" (Parlett 1980, 6.9): project again what came out much smaller than what went in.
            if rank == self.b and np.linalg.norm(R, axis=1).min() > 0.02 * scale:
                break
            new[:, rank:] = self.random_block()[:, rank:] / np.sqrt(self.n)
            if self.used:
                self.project_out(new)
                self.project_out(new)
            R[rank:] = 0.0
            new, F, rank = self._whiten(new, 1.0)
            R, scale = F @ R, 0.0
        self.panels[self.used] = new
        self.used += 1
        return R

    def _whiten(self, block: NDArray[np.float32], scale: float) -> tuple[NDArray[np.float32], NDArray[np.float64], int]:
        """block = new @ R, the first `rank` columns of `new` orthonormal, the rest zero."""
        R = np.eye(self.b)
        floor = (32 * EPS * scale) ** 2
        for _ in range(4):
            G = panel_gram(block[None], block, workers=self.workers)
            d, V = np.linalg.eigh((G + G.T) / 2)
            d, V = d[::-1], V[:, ::-1]
            rank = int((d > floor).sum())
            root = np.sqrt(np.maximum(d[:rank], 0.0))
            C = np.zeros_like(V)
            C[:, :rank] = V[:, :rank] / root
            step = np.zeros_like(V)
            step[:rank] = root[:, None] * V[:, :rank].T
            fresh = np.empty_like(block)
            panel_combine(block[None], C, fresh, alpha=1.0, beta=0.0, workers=self.workers)
            block, R = fresh, step @ R
            # The Gram matrix of a block with a spread spectrum is itself inexact: whiten until it was nearly flat.
            if rank == 0 or d[0] < 4 * d[rank - 1]:
                break
            floor = 0.1
        return block, R, rank


@dataclass
class _Check:
    values: NDArray[np.float64]
    residual: float


class Lanczos:
    """One search: grows the basis, looks at the Ritz values now and then, and changes to a filter if that pays."""

    def __init__(self, operator: Operator, settings: Settings, rng: np.random.Generator) -> None:
        self.op, self.s, self.rng = operator, settings, rng
        self.products = 0
        self.degree, self.edge = 1, 0.0
        self.basis = self._new_basis()
        self.last: _Check | None = None
        self.starts = 1
        self.error = np.inf

    def _new_basis(self) -> Basis:
        return Basis(self.op.n, self.s.block_size, self.s.max_columns, self.s.workers, self.rng)

    def run(self) -> Subspace:
        s = self.s
        self.basis.append(self.basis.random_block(), np.sqrt(self.op.n))
        next_check = self._first_check()
        while True:
            self._expand()
            columns = self.basis.columns - s.block_size
            if s.steps is not None:
                if self.products >= s.steps:
                    return self._finish(columns, True)
            elif columns >= next_check:
                if self._converged(columns):
                    return self._finish(columns, True)
                if s.progress is not None:
                    s.progress("svd", min(1.0, s.tol / max(self.error, s.tol)), 1.0)
                next_check = columns + max(s.block_size, columns // 8)
            if self.basis.columns + s.block_size > s.max_columns:
                return self._finish(columns, s.steps is not None)

    def _first_check(self) -> int:
        return self.s.n_components + 2 * self.s.block_size

    def _expand(self) -> None:
        basis = self.basis
        X = basis.last()
        W = self.op.apply(X) if self.degree == 1 else self.op.filtered(X, self.degree, self.edge)
        self.products += self.degree
        scale = float(np.sqrt(np.einsum("ij,ij->j", W, W, dtype=np.float64).max()))
        H = basis.project_out(W)
        m, b = basis.columns, basis.b
        basis.R = basis.append(W, scale)
        basis.T[:m, m - b : m] = H
        basis.T[m - b : m, :m] = H.T

    def _ritz(self, m: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The `count` Ritz pairs of largest magnitude: values (count,), coefficients (m, count)."""
        values, S = np.linalg.eigh(self.basis.T[:m, :m])
        order = np.argsort(-np.abs(values), kind="stable")[:count]
        return values[order], S[:, order]

    def _singular_values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        v = np.abs(values)
        if self.degree == 1:
            return np.sqrt(v) if self.op.squared else v
        grown = np.cosh(np.arccosh(np.maximum(v, 1.0)) / self.degree)
        result: NDArray[np.float64] = self.edge * (np.sqrt((grown + 1) / 2) if self.op.squared else grown)
        return result

    def _converged(self, m: int) -> bool:
        k = self.s.n_components
        values, S = self._ritz(m, k)
        sigma = self._singular_values(values)
        tail = np.linalg.norm(self.basis.R @ S[-self.s.block_size :], axis=0)
        top = float(np.abs(values).max())
        residual = float((tail / np.maximum(np.abs(values), 32 * EPS * max(top, 1e-300))).max())
        check = _Check(sigma, residual)
        previous, self.last = self.last, check
        if residual <= 8 * EPS:
            self.error = residual
            return True
        if previous is None:
            return False
        q = min((check.residual / max(previous.residual, 1e-300)) ** 2, 0.99)
        change = float(((sigma - previous.values) / np.maximum(sigma, 32 * EPS * max(sigma[0], 1e-300))).max())
        self.error = min(residual, max(change, 0.0) * q / (1 - q))
        return self.error <= self.s.tol / 2

    def _finish(self, m: int, converged: bool) -> Subspace:
        count = min(m, -(-(self.s.n_components + 8) // 16) * 16)
        _, S = self._ritz(m, count)
        panels = self.basis.panels[: m // self.s.block_size]
        out = np.empty((self.op.n, count), dtype=np.float32)
        panel_combine(panels, S, out, alpha=1.0, beta=0.0, workers=self.s.workers)
        return Subspace(out, self.products, converged, self.error)
