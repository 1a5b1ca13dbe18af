"""The small symmetric eigenproblem at the heart of a search in a large one: all of it goes through here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import _core


def symmetric_eigen(
    A: NDArray[np.float64], *, first_row: int = 0, workers: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues (n,), rising, and rows `first_row` and on (n - first_row, n) of the eigenvectors, a column each.

    A (n, n) float64, symmetric to rounding; NaN or infinity raises RuntimeError. The result is the same to the last
    byte for any number of workers. LAPACK's would do, were it not for the threads of the BLAS beneath it: they spin
    for a while after each call, on the cores that our own threads need next.
    """
    symmetric = (A + A.T) / 2
    return _core.symmetric_eigen(np.ascontiguousarray(symmetric, dtype=np.float64), first_row, workers)
