"""Sparse matrix times dense block, on several threads: all of it goes through here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .. import _core
from .._validate import Checks


def sparse_dense(
    A: Any, B: Any, *, out: NDArray[np.float32] | None = None, workers: int = 1
) -> NDArray[np.float32]:
    """A @ B for a sparse A (n, m) and a dense float32 block B (m, k).

    Parameters
    ----------
    A : (n, m) CSR float32; other matrices are converted first, which costs a copy.
    B : (m, k) float32, C-contiguous (others are copied).
    out : (n, k) float32, C-contiguous and writable, not overlapping B; the product is written there and returned.
    workers : threads, -1 for all cores; the result is the same to the last byte for any number.

    Returns
    -------
    (n, k) float32, each entry summed in float32, the same way whatever the number of workers.

    Raises
    ------
    TypeError, ValueError : shapes that don't fit, a dtype that is no number, an `out` of another form.
    """
    matrix = A if _as_multiplied(A) else Checks("sparse_dense").csr("A", A, dtype=np.float32, finite=False)
    block = Checks("sparse_dense").array("B", B, dtype=np.float32, shape=(matrix.shape[1], None), finite=False)
    result = _check_out(out, (matrix.shape[0], block.shape[1]), Checks("sparse_dense"))
    if np.shares_memory(result, block):
        got = "one that shares its memory"
        raise Checks("sparse_dense").value_error("out", "an array apart from B", got)
    n_workers = Checks("sparse_dense").workers(workers)
    try:
        _core.sparse_times_dense(matrix, block, result, 1.0, 0.0, n_workers)
    except IndexError:
        Checks("sparse_dense").csr("A", A, dtype=np.float32, finite=False)  # says where
        raise
    return result


def _as_multiplied(A: Any) -> bool:
    """A CSR whose arrays the kernel takes as they are, looking at its pointers and indices on the way."""
    if not (sparse.issparse(A) and A.format == "csr" and A.ndim == 2 and A.data.dtype == np.float32):
        return False
    arrays = (A.indptr, A.indices, A.data)
    index = A.indptr.dtype
    return (
        index in (np.dtype(np.int32), np.dtype(np.int64)) and A.indices.dtype == index
        and len(A.indptr) == A.shape[0] + 1 and len(A.indices) == len(A.data)
        and all(a.ndim == 1 and a.flags.c_contiguous and a.flags.aligned for a in arrays)
    )


def multiply_add(
    A: sparse.csr_array,
    B: NDArray[np.float32],
    C: NDArray[np.float32],
    *,
    alpha: float = 1.0,
    beta: float = 0.0,
    workers: int,
) -> None:
    """C = alpha A @ B + beta C in place, for a canonical float32 CSR A. Unchecked: for callers inside the package."""
    _core.sparse_times_dense(A, B, C, alpha, beta, workers)


def sparse_transposed_dense(
    A: Any, B: Any, *, out: NDArray[np.float32] | None = None, workers: int = 1
) -> NDArray[np.float32]:
    """A.T @ B for a sparse A (n, m) and a dense float32 block B (n, k): (m, k) float32.

    The transpose is formed first. A caller that multiplies by it often keeps `transposed_csr(A)` and calls
    `sparse_dense` with that. Parameters and errors are those of `sparse_dense`.
    """
    matrix = Checks("sparse_transposed_dense").csr("A", A, dtype=np.float32, finite=False)
    return sparse_dense(transposed_csr(matrix), B, out=out, workers=workers)


def transposed_csr(A: sparse.csr_array) -> sparse.csr_array:
    """A.T as a CSR with sorted indices."""
    turned = sparse.csr_array(A.T.tocsr())
    turned.has_canonical_format = True
    return turned


def _check_out(out: Any, shape: tuple[int, int], check: Checks) -> NDArray[np.float32]:
    if out is None:
        return np.empty(shape, dtype=np.float32)
    rule = f"a writable C-contiguous float32 array of shape {shape}"
    if not isinstance(out, np.ndarray):
        raise check.type_error("out", rule, out)
    good = out.dtype == np.float32 and out.flags.c_contiguous and out.flags.writeable and out.flags.aligned
    if out.shape != shape or not good:
        raise check.value_error("out", rule, f"dtype {out.dtype}, shape {out.shape}")
    return out


def aligned_empty(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An uninitialised float32 array that begins on a cache line: rows of 16 numbers then touch one line each."""
    size = math.prod(shape)
    raw = np.empty(size + 16, dtype=np.float32)
    skip = -raw.ctypes.data % 64 // 4
    return raw[skip : skip + size].reshape(shape)


def panel_gram(panels: NDArray[np.float32], block: NDArray[np.float32], *, workers: int) -> NDArray[np.float64]:
    """[P_0 P_1 ...]' @ block, (p b, q) float64, for float32 panels (p, n, b) and a block (n, q).

    b and q are multiples of 16. Unchecked.
    """
    return _core.panels_gram(panels, block, workers)


def panel_combine(
    panels: NDArray[np.float32], coefficients: NDArray[Any], out: NDArray[np.float32], *, fresh: bool, workers: int
) -> None:
    """out = [P_0 P_1 ...] @ coefficients in place, added to what is there unless `fresh`. Unchecked.

    float32 panels (p, n, b), coefficients (p b, q), out (n, q); b and q are multiples of 16.
    """
    small = np.ascontiguousarray(coefficients, dtype=np.float32)
    _core.panels_combine(panels, small, out, fresh, workers)
