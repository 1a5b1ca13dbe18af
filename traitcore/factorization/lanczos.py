"""Leading eigenpairs of a symmetric operator by block Lanczos with thick restarts.

Golub & Underwood 1977 (block Lanczos), with every new block orthogonalised against the whole basis; Wu & Simon 2000
(thick restarts): a full basis is traded for its best Ritz vectors, which costs hardly a step more than a longer one.
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
# Largest relative residual of a wanted Ritz vector from which each block is looked at.
NEAR = 0.2
# A check's operations, of which there are m^3, against those of a step.
EIGEN_COST = 6.0
# A residual that fell by less than this since an earlier check tells nothing of what is left.
RESTING = 0.9
# The basis is kept so near to orthogonal (Simon 1984: semi-orthogonality, with a margin).
SKEW = 1e-5
# A remainder so much smaller than the product has lost that share of its orthogonality to rounding.
SHRUNK = 0.02
# A result further from orthonormal isn't trusted.
SKEWED = 1e-3


class Operator(Protocol):
    """A symmetric operator on blocks (n, b) float32, and how its spectrum maps to singular values."""

    n: int
    squared: bool  # its eigenvalues are squares of the singular values
    work: int  # entries that a product reads for each column

    def apply(
        self, block: NDArray[np.float32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """The product, in `out` where given."""


@dataclass
class LanczosOptions:
    """`tol`: relative error allowed in a singular value; `fixed_steps`: so many products, or None for the test;
    `floor`: eigenvalues below it are rounding; `restarts`: go on where the basis is full, for `most_steps`."""

    n_components: int
    block_size: int
    tol: float
    fixed_steps: int | None
    max_columns: int
    workers: int
    progress: Progress | None
    restarts: bool = True
    most_steps: int = 0
    floor: float = 0.0


@dataclass
class Subspace:
    """An approximate invariant subspace: `basis` (n, p) float32; estimates of the wanted singular values and errors."""

    basis: NDArray[np.float32]
    products: int
    converged: bool
    error_estimate: float
    residual: float  # largest of a wanted vector, relative to its value


class Basis:
    """Orthonormal panels (n, b) end to end, and the projection T (m, m) of the operator on them."""

    def __init__(self, n: int, block: int, workers: int, rng: np.random.Generator, capacity: int) -> None:
        """Room for `capacity` panels at first, whose pages cost nothing until written."""
        self.n, self.b, self.workers, self.rng = n, block, workers, rng
        self.panels = aligned_empty((capacity, n, block))
        self.T = np.zeros((capacity * block, capacity * block))
        self.used = 0
        # Random columns so far: (the step they came with, how many).
        self.fresh: list[tuple[int, int]] = []
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

    def append(self, block: NDArray[np.float32], scale: float, step: int) -> NDArray[np.float64]:
        """Add the block, orthonormalised; R (b, b) with block = new panel @ R.

        Directions lost in rounding (below `scale` times the precision) become random ones, with nothing in R.
        """
        self._make_room()
        new, R, rank = self._whiten(block, scale)
        if rank < self.b:
            self.fresh.append((step, self.b - rank))
        for _ in range(3):
            # "Twice is enough" (Parlett 1980, 6.9): project again what came out much smaller than what went in, in any
            # direction: the rows of R are mixtures.
            if rank == self.b and max(symmetric_eigen(R @ R.T)[0][0], 0.0) >= (SHRUNK * scale) ** 2:
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

    def append_random(self, step: int) -> None:
        """Add a random block."""
        self.scratch[:] = 0
        self.append(self.scratch, 1.0, step)

    def compress(self, values: NDArray[np.float64], vectors: NDArray[np.float32], fresh: bool, step: int) -> None:
        """Ritz vectors (n, p b) in place of all panels but the newest, which stays or, if `fresh`, is a random one."""
        kept = len(values) // self.b
        tail = self.panels[self.used - 1]
        for j in range(kept):
            self.panels[j] = vectors[:, j * self.b : (j + 1) * self.b]
        self.T[:] = 0.0
        self.T[: len(values), : len(values)] = np.diag(values)
        self.used = kept
        if fresh:
            self.append_random(step)
        else:
            self.panels[kept] = tail
            self.used += 1

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
    columns: int  # multiplied since the search began
    values: NDArray[np.float64]
    residuals: NDArray[np.float64]


class Lanczos:
    """The search. A start of b random columns finds at most b copies of an eigenvalue, so it goes on from fresh random
    columns until fewer copies of every wanted value were found than columns had the time to find them."""

    def __init__(self, op: Operator, settings: LanczosOptions, rng: np.random.Generator) -> None:
        self.op, self.s, self.rng = op, settings, rng
        b = settings.block_size
        self.product = aligned_empty((op.n, b))
        # Room for a usual search, unless that is more than 256 MiB.
        usual = 3 * settings.n_components // b + 12
        capacity = min(usual, settings.max_columns // b + 2, max(8, (256 << 20) // (4 * op.n * b)))
        self.basis = Basis(op.n, b, settings.workers, rng, capacity)
        self.basis.append_random(0)
        self.steps = 0
        # How far, at most, the newest panels are from orthogonal to the basis.
        self.skew, self.again = 0.0, False
        self.error = np.inf
        self.checks: list[_Check] = []
        self.seen = np.zeros(0)
        # Steps after which columns have found their copies; known once the first ones have.
        self.patience = 0
        # The largest error and residual that were accepted when a fresh block took the place of the remainder.
        self.dropped = (0.0, 0.0)

    def run(self) -> Subspace:
        s = self.s
        b = s.block_size
        first_check = s.n_components + 2 * b
        next_check = first_check
        while True:
            R = self._expand()
            m = self.basis.columns - b
            if s.fixed_steps is not None:
                if s.progress is not None:
                    s.progress("svd", self.steps / s.fixed_steps, 1.0)
                if self.steps >= s.fixed_steps:
                    return self._finish(m, True)
            elif m >= first_check and self.steps * b >= next_check:
                settled = self._settled(m, R)
                if settled and not self._may_lack_copies():
                    return self._finish(m, True)
                if settled and self._wants_fresh_block():
                    self._restart(m, fresh=True)
                    next_check = (self.steps + self.patience) * b
                    continue
                if s.progress is not None:
                    s.progress("svd", min(1.0, s.tol / max(self.error, s.tol)), 1.0)
                next_check = b * (self.steps + self._steps_to_next_check(m))
            if self.basis.columns + b > s.max_columns:
                if s.fixed_steps is None and (not s.restarts or self.steps >= s.most_steps):
                    return self._finish(m, False)
                self._restart(m, fresh=False)

    def _steps_to_next_check(self, m: int) -> int:
        """Near the end the error falls by orders of magnitude a step: a check costs less than a step too many, unless
        the operator is so small that the Ritz values cost more than many a step (by measured times per operation)."""
        if self.checks[-1].residuals.max() >= NEAR:
            return max(1, self.steps // 8)
        b = self.s.block_size
        step = b * (self.op.work + self.op.n * (2.0 * m + 3.0 * b))
        return int(min(1 + EIGEN_COST * m**3 / step, max(1, self.steps // 3)))

    def _expand(self) -> NDArray[np.float64]:
        """Multiply the newest panel; the remainder, orthonormalised, becomes the next one. Its factor R (b, b)."""
        basis = self.basis
        W = self.op.apply(basis.last(), self.product)
        self.steps += 1
        scale = float(np.sqrt(np.einsum("ij,ij->j", W, W).max()))
        H = basis.project_out(W)
        # One projection leaves the basis' own lack of orthogonality, which then grows by |W| / |remainder| a step.
        left = float(np.sqrt(np.einsum("ij,ij->j", W, W).min()))
        self.skew = (self.skew + 2 * EPS) * scale / (left + TINY)
        if self.skew > SKEW or self.again:
            # Of the newest two blocks both have to be clean, for the next one descends from both.
            H += basis.project_out(W)
            self.again = self.skew > SKEW and not self.again
            self.skew = 0.0
        m, b = basis.columns, basis.b
        basis.T[:m, m - b : m] = H
        basis.T[m - b : m, :m] = H.T
        return basis.append(W, scale, self.steps)

    def _ritz(self, m: int, count: int, first_row: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The `count` Ritz pairs of largest magnitude: values (count,), coefficients (m - first_row, count)."""
        values, S = symmetric_eigen(self.basis.T[:m, :m], first_row=first_row, workers=self.s.workers)
        order = np.argsort(-np.abs(values), kind="stable")[:count]
        return values[order], S[:, order]

    def _settled(self, m: int, R: NDArray[np.float64]) -> bool:
        """Is the estimated error of every wanted singular value within half of `tol`?

        Ritz values only grow, and their errors fall as the squares of the residuals: so what is left is what was
        gained since an earlier check, times q / (1 - q), where q is how much the squared residual fell since. Where
        it hardly fell, the value may rest before its next rise, and only the residual itself bounds its error.
        """
        k, b = self.s.n_components, self.s.block_size
        values, S = self._ritz(m, k + b, m - b)
        seen = np.abs(values)
        self.seen = np.sqrt(seen) if self.op.squared else seen
        magnitude, sigma = seen[:k], self.seen[:k]
        floor = max(32 * EPS * magnitude[0], self.s.floor) + TINY
        size = np.maximum(magnitude, floor)
        residuals = np.linalg.norm(R @ S[:, :k], axis=0) / size
        residuals[(magnitude < floor) & (residuals < 1)] = 0.0  # rounding, and known to be
        columns = self.steps * b
        # Over one block alone a value that rests before its last rise would look converged.
        earlier = [c for c in self.checks if c.columns <= columns - max(b, columns // 8)]
        self.checks.append(_Check(columns, sigma, residuals))
        self.error = float(residuals.max())
        if self.error <= 8 * EPS:
            return True
        if not earlier:
            return False
        # The precision of float32, relative to each value (of a square, half of it is the root's).
        noise = 4 * EPS * magnitude[0] / size
        least = np.sqrt(floor) if self.op.squared else floor
        gain = (sigma - earlier[-1].values) / np.maximum(sigma, least)
        fall = residuals / (earlier[-1].residuals + EPS)
        q = min(float(residuals.max() / (earlier[-1].residuals.max() + EPS)), 0.995) ** 2
        left = np.where(fall > RESTING, residuals, float(np.maximum(gain, noise).max()) * q / (1 - q))
        above = np.maximum(residuals - noise, 0.0)
        crowded = above**2 / (self._widths(seen) / size + TINY) * (0.5 if self.op.squared else 1.0)
        self.error = float(np.minimum(residuals, np.maximum(left, crowded)).max())
        stalled = bool((gain <= noise).all()) and float(np.minimum(above, crowded).max()) <= self.s.tol / 2
        stalled = stalled and float(residuals.max()) ** 2 <= self.s.tol
        return self.error <= self.s.tol / 2 or stalled

    def _widths(self, seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each wanted value, the narrowest range that holds it among a block's number of Ritz values (k + b,)."""
        k, b = self.s.n_components, self.s.block_size
        widths = np.pad(seen[:k] - seen[b - 1 : k + b - 1], (b - 1, 0), constant_values=np.inf)
        narrowest: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(widths, b).min(axis=1)
        return narrowest

    def _copies(self) -> int:
        """Most values alike, of which one is wanted and more than rounding: among as many more as a block finds."""
        wanted = self.seen[: self.s.n_components]
        real = wanted[wanted > 32 * EPS * wanted[0]]
        alike = 1 - max(min(4 * self.s.tol, 2e-3), 2 * self.error)
        ends = np.searchsorted(-self.seen, -real * alike, side="right")
        return int((ends - np.arange(len(real))).max(initial=0))

    def _may_lack_copies(self) -> bool:
        """Were as many copies of a value found as random columns had the time to find?"""
        self.patience = self.patience or self.steps
        return self._copies() >= sum(count for _, count in self._ripe())

    def _ripe(self) -> list[tuple[int, int]]:
        """The random columns that had the time to find their copies."""
        return [(step, n) for step, n in self.basis.fresh if step == 0 or step + self.patience <= self.steps]

    def _wants_fresh_block(self) -> bool:
        return self._copies() >= sum(count for _, count in self.basis.fresh)

    def _restart(self, m: int, fresh: bool) -> None:
        """Keep the best Ritz vectors (Wu & Simon 2000), and go on from the newest panel or from a random one."""
        b = self.s.block_size
        least = -(-(self.s.n_components + 8) // b)
        kept = least if fresh else max(least, m // b // 2)
        kept = min(kept, m // b)
        values, S = self._ritz(m, kept * b)
        if fresh:
            residual = float(self.checks[-1].residuals.max())
            self.dropped = (max(self.dropped[0], self.error), max(self.dropped[1], residual))
            # The others lose the remainder that they would have gone on from.
            self.basis.fresh = self._ripe()
        self.basis.compress(values, self._vectors(S), fresh, self.steps)

    def _vectors(self, S: NDArray[np.float64]) -> NDArray[np.float32]:
        """The basis, as far as S (m, count) has rows, times S."""
        out = aligned_empty((self.op.n, S.shape[1]))
        panels = self.basis.panels[: len(S) // self.s.block_size]
        panel_combine(panels, S, out, fresh=True, workers=self.s.workers)
        return out

    def _finish(self, m: int, converged: bool) -> Subspace:
        count = min(m, -(-(self.s.n_components + 8) // 16) * 16)
        Y = self._vectors(self._ritz(m, count)[1])
        skew = np.abs(panel_gram(Y[None], Y, workers=self.s.workers) - np.eye(count)).max()
        residual = max(self.dropped[1], float(self.checks[-1].residuals.max()) if self.checks else np.inf)
        # A basis that isn't orthogonal has values of its own making.
        error = 2 * max(self.error, self.dropped[0])
        return Subspace(Y, self.steps, converged and bool(skew < SKEWED), error, residual)
