"""What `randomized_svd` and `svd_vectors` return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SVDResult:
    """A ~ U @ diag(singular_values) @ Vt.

    Attributes
    ----------
    U : (n, k) float32, orthonormal columns; each column's largest entry (in magnitude) is positive.
    singular_values : (k,) float32, falling; float64 where the largest has no place in float32's range.
    Vt : (k, m) float32, orthonormal rows.
    residuals : (k,) float64, the larger of |A v - s u| and |A' u - s v|: an upper bound of each value's error.
    error_estimate : estimated largest relative error of a singular value, by which the search was stopped; errors of
        a few roundings of the largest value (some 1e-6 of it) are not counted.
    n_iter : blocks multiplied by A (and by A' where A is not symmetric).
    converged : the estimate reached `tol` (with `n_iter` given: always True).
    symmetric : A was taken as symmetric; Vt's rows then are U's columns, negated where the eigenvalue is negative.
    """

    U: NDArray[np.float32]
    singular_values: NDArray[Any]
    Vt: NDArray[np.float32]
    residuals: NDArray[np.float64]
    error_estimate: float
    n_iter: int
    converged: bool
    symmetric: bool

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """`U, s, Vt = randomized_svd(...)` works, as with scikit-learn's."""
        return iter((self.U, self.singular_values, self.Vt))


@dataclass(frozen=True, eq=False)
class SVDVectors:
    """`item_vectors` U s^power (n, k) and `context_vectors` V s^(1 - power) (m, k), float32; M ~ items @ contexts.T."""

    item_vectors: NDArray[np.float32]
    context_vectors: NDArray[np.float32]
    singular_values: NDArray[Any]
    svd: SVDResult

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """`items, contexts = svd_vectors(...)` works."""
        return iter((self.item_vectors, self.context_vectors))
