# mypy: allow-untyped-calls
"""Large CSR matrices, a range of rows at a time: Ctrl-C is heard between the ranges, and scipy's calls are short."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from . import _core
from ._parallel import balanced_blocks

PART = 1 << 22  # entries in a range of rows: sorted in some tenths of a second


def rows_of(matrix: Any, start: int, stop: int) -> sparse.csr_array:
    """Rows [start, stop) of a CSR; data and indices are views."""
    low, high = matrix.indptr[start], matrix.indptr[stop]
    parts = (matrix.data[low:high], matrix.indices[low:high], matrix.indptr[start : stop + 1] - low)
    rows: sparse.csr_array = sparse.csr_array(parts, shape=(stop - start, matrix.shape[1]))
    if matrix.has_canonical_format:  # known by now; else scipy would look again
        rows.has_canonical_format = True
    return rows


def map_rows(work: Callable[..., sparse.csr_array], *matrices: Any, entries: int) -> sparse.csr_array:
    """`work(*matrices)`, a CSR of as many rows as theirs, by ranges of rows of about so many entries.

    work must treat each row by itself.
    """
    first = matrices[0]
    blocks = balanced_blocks(first.indptr, max(1, max(m.nnz for m in matrices) // entries)) or [(0, first.shape[0])]
    if len(blocks) == 1:
        return work(*matrices)
    return stacked([work(*(rows_of(m, *block) for m in matrices)) for block in blocks])


def stacked(parts: list[sparse.csr_array]) -> sparse.csr_array:
    """The rows of all, one below the other; `parts` is emptied on the way, each let go once it is copied."""
    lengths = np.concatenate([np.diff(part.indptr) for part in parts])
    indptr = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    width = parts[0].shape[1]
    index = np.int64 if max(indptr[-1], width) > np.iinfo(np.int32).max else np.int32
    data = np.empty(indptr[-1], dtype=np.result_type(*(part.dtype for part in parts)))
    indices = np.empty(indptr[-1], dtype=index)
    end = len(data)
    while parts:
        part = parts.pop()
        place = slice(end - part.nnz, end)
        data[place], indices[place] = part.data[: part.nnz], part.indices[: part.nnz]  # a sum's buffers may be longer
        end -= part.nnz
    return sparse.csr_array((data, indices, indptr.astype(index)), shape=(len(lengths), width))


def csr_in_stored_order(matrix: Any, dtype: Any) -> sparse.csr_array:
    """A COO or CSC as a CSR of `dtype`: the entries of a row in the order in which they are stored, none merged."""
    n, width = matrix.shape
    pieces = _pieces_of_coo if matrix.format == "coo" else _pieces_of_csc
    lengths = np.zeros(n, dtype=np.int64)
    for rows, _, _ in pieces(matrix):
        lengths += np.bincount(rows, minlength=n)
    indptr = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    index = np.int64 if max(indptr[-1], width) > np.iinfo(np.int32).max else np.int32
    indices, data = np.empty(indptr[-1], dtype=index), np.empty(indptr[-1], dtype=dtype)
    place = indptr[:-1].copy()
    for rows, columns, values in pieces(matrix):
        to = _core.next_places(rows.astype(np.int64), place)
        indices[to], data[to] = columns, values
    return sparse.csr_array((data, indices, indptr.astype(index)), shape=matrix.shape)


Pieces = Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]


def _pieces_of_coo(matrix: Any) -> Pieces:
    for start in range(0, len(matrix.data), PART):
        part = slice(start, start + PART)
        yield matrix.row[part], matrix.col[part], matrix.data[part]


def _pieces_of_csc(matrix: Any) -> Pieces:
    for start, stop in balanced_blocks(matrix.indptr, max(1, matrix.nnz // PART)):
        part = slice(matrix.indptr[start], matrix.indptr[stop])
        columns = np.repeat(np.arange(start, stop), np.diff(matrix.indptr[start : stop + 1]))
        yield matrix.indices[part], columns, matrix.data[part]


def canonical(matrix: sparse.csr_array, wide: np.dtype[Any]) -> sparse.csr_array:
    """The CSR with sorted indices; duplicates, if any, summed in the type `wide`. Never changed in place."""
    if matrix.has_canonical_format:
        return matrix
    blocks = balanced_blocks(matrix.indptr, max(1, matrix.nnz // PART)) or [(0, matrix.shape[0])]
    parts = [_canonical_rows(rows_of(matrix, *block).copy(), wide) for block in blocks]
    return parts[0] if len(parts) == 1 else stacked(parts)


def _canonical_rows(part: sparse.csr_array, wide: np.dtype[Any]) -> sparse.csr_array:
    part.sort_indices()
    part = sparse.csr_array((part.data, part.indices, part.indptr), shape=part.shape)  # to be looked at afresh
    if not part.has_canonical_format:
        part = part.astype(wide)
        part.sum_duplicates()
    return part
