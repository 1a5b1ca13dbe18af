"""The same values in every memory layout and dtype a caller may bring: what each public callable must get right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def array_variants(array: NDArray[Any]) -> Iterator[tuple[str, Any]]:
    """(name, the same values otherwise stored): layout, writeability, alignment, byte order, wider dtypes."""
    yield "strided", np.repeat(array, 2, axis=0)[::2]
    yield "negative stride", np.ascontiguousarray(array[::-1])[::-1]
    if array.ndim > 1:
        yield "Fortran order", np.asfortranarray(array)
        yield "transposed view", np.ascontiguousarray(array.T).T
        yield "column slice", np.concatenate([array, array], axis=1)[:, : array.shape[1]]
    frozen = array.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    yield "byte-swapped", array.astype(array.dtype.newbyteorder())
    raw = np.zeros(array.nbytes + 1, dtype=np.uint8)
    unaligned = raw[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    yield "unaligned", unaligned
    if array.dtype.kind == "f":
        yield "float64", array.astype(np.float64)
    if array.dtype.kind == "i":
        yield "int64", array.astype(np.int64)
        if array.size == 0 or array.min() >= 0:
            yield "uint32", array.astype(np.uint32)
    yield "nested lists", array.tolist()


def sparse_variants(matrix: sparse.csr_array) -> Iterator[tuple[str, Any]]:
    """(name, the same matrix otherwise stored): formats, duplicates, unsorted and 64-bit indices, byte order."""
    csr = sparse.csr_array(matrix)
    coo = csr.tocoo()
    yield "csc", csr.tocsc()
    yield "coo", coo
    yield "csr_matrix", sparse.csr_matrix(csr)
    half = (coo.data / 2).astype(coo.data.dtype)
    if np.array_equal(half * 2, coo.data):
        rows, cols = np.concatenate([coo.row] * 2), np.concatenate([coo.col] * 2)
        yield "duplicates", sparse.coo_array((np.concatenate([half, half]), (rows, cols)), shape=csr.shape)
    unsorted = csr.copy()
    for row in range(csr.shape[0]):
        part = slice(csr.indptr[row], csr.indptr[row + 1])
        unsorted.indices[part] = csr.indices[part][::-1]
        unsorted.data[part] = csr.data[part][::-1]
    unsorted.has_sorted_indices = False
    yield "unsorted indices", unsorted
    wide = sparse.csr_array(csr)
    wide.indices, wide.indptr = csr.indices.astype(np.int64), csr.indptr.astype(np.int64)
    yield "64-bit indices", wide
    frozen = csr.copy()
    for part in (frozen.data, frozen.indices, frozen.indptr):
        part.flags.writeable = False
    yield "read-only", frozen
    yield "dense", csr.toarray()
    swapped = csr.copy()
    swapped.data = csr.data.astype(csr.data.dtype.newbyteorder())
    yield "byte-swapped", swapped
