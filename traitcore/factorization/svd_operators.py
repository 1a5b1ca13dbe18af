"""The operators that the SVD's search multiplies by, and the singular triplets of A in the subspace that it found."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .eigen import symmetric_eigen
from .lanczos import EPS, Subspace
from .products import aligned_empty, multiply_add, panel_combine, panel_gram, transposed_csr
from .svd_result import SVDResult

Matrix: TypeAlias = sparse.csr_array | NDArray[np.float32]


class Symmetric:
    """A itself."""

    squared = False

    def __init__(self, matrix: Matrix, workers: int) -> None:
        self.matrix, self.workers = matrix, workers
        self.n, self.work = matrix.shape[0], stored(matrix)

    def apply(
        self, block: NDArray[np.float32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        return _times(self.matrix, block, self.workers, out)

    def extract(self, found: Subspace, k: int) -> SVDResult:
        """Rayleigh-Ritz for A on the subspace found."""
        basis = found.basis
        images = self.apply(basis)
        half = _inverse_root(panel_gram(basis[None], basis, workers=self.workers), self.workers)
        T = half.T @ panel_gram(basis[None], images, workers=self.workers) @ half
        values, S = symmetric_eigen(T, workers=self.workers)
        order = np.argsort(-np.abs(values), kind="stable")[:k]
        values, S = values[order], half @ S[:, order]
        U = _combined(basis, S, self.workers)
        residuals = np.linalg.norm(_combined(images, S, self.workers) - U * values.astype(np.float32), axis=0)
        V = U * np.where(values < 0, np.float32(-1), np.float32(1))
        return SVDResult(
            U, np.abs(values).astype(np.float32), V.T, residuals.astype(np.float64), found.error_estimate,
            found.products, found.converged, True,
        )


class Squared:
    """A'A, or AA' where that is smaller; never formed."""

    squared = True

    def __init__(self, matrix: Matrix, workers: int) -> None:
        turned = matrix.T if isinstance(matrix, np.ndarray) else transposed_csr(matrix)
        self.wide = matrix.shape[1] > matrix.shape[0]
        # `tall` (rows, n) has the fewer columns; the search runs among those.
        self.tall: Matrix
        self.flat: Matrix
        self.tall, self.flat = (turned, matrix) if self.wide else (matrix, turned)
        self.workers = workers
        self.n, self.work = min(matrix.shape), 2 * stored(matrix)
        self.locked = 0
        self.between = aligned_empty((0, 0))  # the first product, kept: new memory is slow to touch

    def lock(self, result: SVDResult, count: int) -> None:
        """Leave the first `count` triplets out of A, between its products too: what they round to is then gone."""
        left, right = (result.Vt.T, result.U) if self.wide else (result.U, result.Vt.T)
        self.locked, padded = count, -(-count // 16) * 16
        self.locked_left, self.locked_right = aligned_empty((len(left), padded)), aligned_empty((len(right), padded))
        for kept, vectors in ((self.locked_left, left), (self.locked_right, right)):
            kept[:, :count], kept[:, count:] = vectors[:, :count], 0.0

    def apply(
        self, block: NDArray[np.float32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        if self.between.shape[1] != block.shape[1]:
            self.between = aligned_empty((self.tall.shape[0], block.shape[1]))
        Y = _times(self.tall, block, self.workers, self.between)
        if not self.locked:
            return _times(self.flat, Y, self.workers, out)
        self._leave_out(self.locked_left, Y)
        W = _times(self.flat, Y, self.workers, out)
        self._leave_out(self.locked_right, W)
        return W

    def _leave_out(self, vectors: NDArray[np.float32], block: NDArray[np.float32]) -> None:
        H = panel_gram(vectors[None], block, workers=self.workers)
        panel_combine(vectors[None], -H, block, fresh=False, workers=self.workers)

    def extract(self, found: Subspace, k: int) -> SVDResult:
        """The SVD of A restricted to the subspace found: not of A'A, so small singular values keep their digits."""
        X = found.basis
        for _ in range(2):
            X = _combined(X, _inverse_root(panel_gram(X[None], X, workers=self.workers), self.workers), self.workers)
        Y = _times(self.tall, X, self.workers)
        Q, R = _orthonormal_factor(Y, self.workers)
        Z, s, Wt = np.linalg.svd(R)
        U = _combined(Q, Z[:, :k], self.workers)
        V = _combined(X, Wt[:k].T, self.workers)
        s = s[:k]
        residuals = np.linalg.norm(_times(self.flat, U, self.workers) - V * s.astype(np.float32), axis=0)
        if self.wide:
            U, V = V, U
        return SVDResult(
            U, s.astype(np.float32), V.T, residuals.astype(np.float64), found.error_estimate, found.products,
            found.converged, False,
        )


def stored(matrix: Matrix) -> int:
    return int(matrix.size if isinstance(matrix, np.ndarray) else matrix.nnz)


def _times(
    matrix: Matrix, block: NDArray[np.float32], workers: int, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    product = aligned_empty((matrix.shape[0], block.shape[1])) if out is None else out
    if isinstance(matrix, np.ndarray):
        return np.matmul(matrix, block, out=product)
    multiply_add(matrix, block, product, workers=workers)
    return product


def _orthonormal_factor(Y: NDArray[np.float32], workers: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Y = Q @ R with orthonormal columns of Q: two rounds by the Gram matrix (CholeskyQR2, Fukaya et al. 2014) in our
    own passes, a hundred times faster on tall blocks than Householder's; that one where Y is too near to losing rank
    for float32."""
    Q = Y
    for _ in range(2):
        values, vectors = symmetric_eigen(panel_gram(Q[None], Q, workers=workers), workers=workers)
        if values[0] <= 1e-5 * values[-1]:
            break
        Q = _combined(Q, vectors / np.sqrt(values), workers)
    else:
        return Q, panel_gram(Q[None], Y, workers=workers)
    exact, R = np.linalg.qr(Y.astype(np.float64))
    return exact.astype(np.float32), R


def _combined(Y: NDArray[np.float32], S: NDArray[np.float64], workers: int) -> NDArray[np.float32]:
    """Y @ S, for as many columns as S has (the kernel takes multiples of 16)."""
    count = S.shape[1]
    padded = np.zeros((S.shape[0], -(-count // 16) * 16))
    padded[:, :count] = S
    out = aligned_empty((Y.shape[0], padded.shape[1]))
    panel_combine(Y[None], padded, out, fresh=True, workers=workers)
    return out if count == out.shape[1] else np.ascontiguousarray(out[:, :count])


def _inverse_root(G: NDArray[np.float64], workers: int) -> NDArray[np.float64]:
    """H with H' G H = I."""
    d, V = symmetric_eigen(G, workers=workers)
    half: NDArray[np.float64] = V / np.sqrt(np.maximum(d, d[-1] * EPS))
    return half
