"""Leading eigenpairs of a symmetric operator by block Lanczos, with a Chebyshev filter where the spectrum asks for it.

Golub & Underwood 1977 (block Lanczos), with every new block orthogonalised against the whole basis; Zhou & Saad 2007
and Fang & Saad 2012 (filtered Lanczos): once the basis costs more than the products, the operator is replaced by a
Chebyshev polynomial of it that is small on the unwanted part of the spectrum, so that fewer, better vectors are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .._progress import Progress
from .eigen import symmetric_eigen
from .products import aligned_empty, panel_combine, panel_gram

EPS = float(np.finfo(np.float32).eps)
TINY = float(np.finfo(np.float64).tiny)
# The basis is traded for a filter once orthogonalising a column costs about twice its product: flops at a dense
# kernel's rate against those at a sparse one's.
FILTER_FROM = 3.0
FILTER_DEGREE = 4
# Largest relative residual of a wanted Ritz vector from which each block is looked at.
NEAR = 0.2
# Where the filter's unwanted part ends, below the smallest wanted value as estimated so far.
FILTER_EDGE = 0.95
# The largest wanted value may grow so much more than the edge before float32 loses the smallest.
FILTER_SPREAD = 1e4


class Operator(Protocol):
    """A symmetric operator on blocks (n, b) float32, and how its spectrum maps to singular values."""

    n: int
    density: float  # entries of A touched per row of the basis in one product
    squared: bool  # its eigenvalues are squares of the singular values

    def apply(
        self, block: NDArray[np.float32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """The product, in `out` where given."""

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

    def __init__(self, n: int, block: int, workers: int, rng: np.random.Generator, capacity: int) -> None:
        """Room for `capacity` panels at first, whose pages cost nothing until written."""
        self.n, self.b, self.workers, self.rng = n, block, workers, rng
        self.panels = aligned_empty((capacity, n, block))
        self.T = np.zeros((capacity * block, capacity * block))
        self.used = 0
        # Kept from one block to the next: new memory costs as much to touch first as a block's products.
        self.scratch = aligned_empty((n, block))

    def _make_room(self) -> None:
        """Room for one more panel."""
        if self.used < len(self.panels):
            return
        capacity = self.used + max(8, self.used // 4)
        panels = aligned_empty((capacity, self.n, self.b))
        panels[: self.used] = self.panels
        self.panels = panels
        T = np.zeros((capacity * self.b, capacity * self.b))
        T[: len(self.T), : len(self.T)] = self.T
        self.T = T

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
        panel_combine(panels, -H, block, fresh=False, workers=self.workers)
        return H

    def append(self, block: NDArray[np.float32], scale: float) -> NDArray[np.float64]:
        """Add the block, orthonormalised; R (b, b) with block = new panel @ R.

        Directions lost in rounding (below `scale` times the precision) become random ones, with nothing in R.
        """
        self._make_room()
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
        if not np.shares_memory(new, self.panels[self.used]):
            self.panels[self.used] = new
        self.used += 1
        return R

    def _whiten(self, block: NDArray[np.float32], scale: float) -> tuple[NDArray[np.float32], NDArray[np.float64], int]:
        """block = new @ R, the first `rank` columns of `new` orthonormal, the rest zero.

        `new` lies in the scratch or in the next panel; the block may, too.
        """
        R = np.eye(self.b)
        floor = (32 * EPS * scale) ** 2
        for _ in range(4):
            G = panel_gram(block[None], block, workers=self.workers)
            d, V = symmetric_eigen(G)
            d, V = d[::-1], V[:, ::-1]
            rank = int((d > floor).sum())
            root = np.sqrt(np.maximum(d[:rank], 0.0))
            C = np.zeros_like(V)
            C[:, :rank] = V[:, :rank] / root
            step = np.zeros_like(V)
            step[:rank] = root[:, None] * V[:, :rank].T
            fresh = self.panels[self.used] if np.shares_memory(block, self.scratch) else self.scratch
            panel_combine(block[None], C, fresh, fresh=True, workers=self.workers)
            block, R = fresh, step @ R
            # The Gram matrix of a block with a spread spectrum is itself inexact: whiten until it was nearly flat.
            if rank == 0 or d[0] < 4 * d[rank - 1]:
                break
            floor = 0.1
        return block, R, rank


@dataclass
class _Check:
    columns: int
    values: NDArray[np.float64]
    measure: NDArray[np.float64]
    residual: float


class Lanczos:
    """One search: grows the basis, looks at the Ritz values now and then, and changes to a filter if that pays."""

    def __init__(self, operator: Operator, settings: Settings, rng: np.random.Generator) -> None:
        self.op, self.s, self.rng = operator, settings, rng
        self.products = 0
        self.degree, self.edge = 1, 0.0
        self.error = np.inf
        self.product = aligned_empty((operator.n, settings.block_size))
        self._start(rng.standard_normal((operator.n, settings.block_size), dtype=np.float32))

    def _start(self, block: NDArray[np.float32]) -> None:
        s = self.s
        columns = min(s.max_columns, 5 * s.n_components + 8 * s.block_size)
        self.basis = Basis(self.op.n, s.block_size, s.workers, self.rng, 1 + columns // s.block_size)
        self.basis.append(block, float(np.sqrt(self.op.n)))
        # What the basis lacks: panel p's product is in the basis but for (a vector) @ R.
        self.tails: list[tuple[int, NDArray[np.float64]]] = []
        self.starts = 1
        self.last: _Check | None = None
        self.checks: list[_Check] = []

    def run(self) -> Subspace:
        s = self.s
        first_check = s.n_components + 2 * s.block_size
        next_check = first_check
        while True:
            columns = self.basis.columns
            R = self._expand()
            if s.steps is not None:
                if self.products >= s.steps:
                    return self._finish(columns, True)
            elif columns >= next_check:
                if self._converged(columns, R):
                    if not self._multiplicity_cut():
                        return self._finish(columns, True)
                    self._inject(R)
                elif self._filter_pays(columns):
                    self._restart(columns)
                    columns = 0
                if s.progress is not None:
                    s.progress("svd", min(1.0, s.tol / max(self.error, s.tol)), 1.0)
                # Near the end the error falls by orders of magnitude a step: a look costs less than a step too many.
                near = columns > 0 and self.last is not None and self.last.residual < NEAR
                next_check = max(first_check, columns + max(s.block_size, 0 if near else columns // 8))
            if self.basis.columns + s.block_size > s.max_columns:
                return self._finish(columns, s.steps is not None)

    def _expand(self) -> NDArray[np.float64]:
        """Multiply the newest panel; the remainder, orthonormalised, becomes the next one. Its factor R (b, b)."""
        basis = self.basis
        X = basis.last()
        W = self.op.apply(X, self.product) if self.degree == 1 else self.op.filtered(X, self.degree, self.edge)
        self.products += self.degree
        scale = float(np.sqrt(np.einsum("ij,ij->j", W, W).max()))
        H = basis.project_out(W)
        m, b = basis.columns, basis.b
        basis.T[:m, m - b : m] = H
        basis.T[m - b : m, :m] = H.T
        return basis.append(W, scale)

    def _ritz(self, m: int, count: int, first_row: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The `count` Ritz pairs of largest magnitude: values (count,), coefficients (m - first_row, count)."""
        values, S = symmetric_eigen(self.basis.T[:m, :m], first_row=first_row, workers=self.s.workers)
        order = np.argsort(-np.abs(values), kind="stable")[:count]
        return values[order], S[:, order]

    def _singular_values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        v = np.abs(values)
        if self.degree == 1:
            return np.sqrt(v) if self.op.squared else v
        grown = np.cosh(np.arccosh(np.maximum(v, 1.0)) / self.degree)
        result: NDArray[np.float64] = self.edge * (np.sqrt((grown + 1) / 2) if self.op.squared else grown)
        return result

    def _converged(self, m: int, R: NDArray[np.float64]) -> bool:
        """Is the estimated error of every wanted singular value within half of `tol`?

        Ritz values only grow, and their errors fall as the squares of the residuals: so what is left is what was
        gained since an earlier check, times q / (1 - q), where q is how much the squared residual fell since.
        """
        b = self.s.block_size
        tails = [*self.tails, (m // b - 1, R)]
        first = tails[0][0] * b
        values, S = self._ritz(m, self.s.n_components, first)
        sigma = self._singular_values(values)
        magnitude = np.abs(values)
        squares = sum(((F @ S[p * b - first : (p + 1) * b - first]) ** 2).sum(axis=0) for p, F in tails)
        residual = float((np.sqrt(squares) / np.maximum(magnitude, 32 * EPS * magnitude[0] + TINY)).max())
        # A vector's lack of the right one shows in full in the filter's values, and in those of A afterwards; in
        # singular values read back through the filter it shows less.
        measure = sigma if self.degree == 1 else magnitude
        # Over one block alone a value that rests before its last rise would look converged.
        earlier = [c for c in self.checks if c.columns <= m - max(b, m // 8)]
        previous = earlier[-1] if earlier else None
        self.last = _Check(m, sigma, measure, residual)
        self.checks.append(self.last)
        if residual <= 8 * EPS:
            self.error = residual
            return True
        # Within its edge the filter tells nothing apart.
        if previous is None or len(previous.values) < len(sigma) or (self.degree > 1 and magnitude[-1] < 1.1):
            return False
        # The precision of float32, relative to each value (of a square, half of it is the root's).
        spread = magnitude[0] / np.maximum(magnitude, EPS * magnitude[0] + TINY)
        noise = 4 * EPS * spread
        gain = (measure - previous.measure) / np.maximum(measure, 32 * EPS * measure[0] + TINY)
        q = min(residual / (previous.residual + EPS), 0.995) ** 2
        self.error = min(residual, float(np.maximum(gain, noise).max()) * q / (1 - q))
        stalled = bool((gain <= noise).all()) and residual**2 <= self.s.tol
        return self.error <= self.s.tol / 2 or stalled

    def _multiplicity_cut(self) -> bool:
        """A start of b columns finds at most b copies of an eigenvalue: are there as many as could be found?"""
        assert self.last is not None
        sigma = self.last.values
        width = self.s.block_size * self.starts
        if len(sigma) <= width:
            return False
        near = sigma[width - 1 :] >= sigma[: len(sigma) - width + 1] * (1 - min(4 * self.s.tol, 2e-3))
        return bool((near & (sigma[width - 1 :] > 32 * EPS * sigma[0])).any())

    def _inject(self, R: NDArray[np.float64]) -> None:
        """Go on from a random block in place of the newest panel."""
        basis = self.basis
        basis.used -= 1
        self.tails.append((basis.used - 1, R))
        basis.append(basis.random_block(), 0.0)
        self.starts += 1

    def _filter_pays(self, m: int) -> bool:
        return self.degree == 1 and m >= FILTER_FROM * self.op.density and not self.tails and self._degree() > 1

    def _degree(self) -> int:
        assert self.last is not None
        sigma = self.last.values
        if sigma[-1] <= 0:
            return 1
        growth = np.arccosh(sigma[0] / (FILTER_EDGE * sigma[-1])) * (2 if self.op.squared else 1)
        # What rounding does to the smallest wanted value grows with the spread: it has to stay below `tol`.
        spread = max(1.0, min(FILTER_SPREAD, self.s.tol / (4 * EPS)))
        return int(min(np.arccosh(spread) / growth, FILTER_DEGREE))

    def _restart(self, m: int) -> None:
        """Begin again with the filtered operator, from a mixture of the vectors found so far."""
        assert self.last is not None
        sigma = self.last.values
        self.degree, self.edge = self._degree(), FILTER_EDGE * float(sigma[-1])
        count = -(-(self.s.n_components + 8) // 16) * 16
        Y = self._vectors(self._ritz(m, count)[1])
        mix = self.rng.standard_normal((count, self.s.block_size))
        start = aligned_empty((self.op.n, self.s.block_size))
        panel_combine(Y[None], mix, start, fresh=True, workers=self.s.workers)
        # A share of everything, so that no wanted vector is left out by what has been found so far.
        start += self.basis.random_block() * np.float32(0.3 * np.sqrt(count / self.op.n))
        self._start(start)

    def _vectors(self, S: NDArray[np.float64]) -> NDArray[np.float32]:
        """The basis, as far as S (m, count) has rows, times S."""
        out = aligned_empty((self.op.n, S.shape[1]))
        panels = self.basis.panels[: len(S) // self.s.block_size]
        panel_combine(panels, S, out, fresh=True, workers=self.s.workers)
        return out

    def _finish(self, m: int, converged: bool) -> Subspace:
        values, S = self._ritz(m, m)
        sigma = self._singular_values(values[: self.s.n_components])
        # Squared, values so small drown in float32; the whole basis still holds their vectors.
        drowned = self.op.squared and sigma[-1] < 3e-3 * sigma[0]
        count = m if drowned else min(m, -(-(self.s.n_components + 8) // 16) * 16)
        return Subspace(self._vectors(S[:, :count]), self.products, converged, self.error)
