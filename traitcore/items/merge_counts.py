# mypy: allow-untyped-calls
"""Sums and differences of count matrices: parts of a corpus, days, or all without a customer."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from .._csr import map_rows
from .._validate import Checks
from .count_parts import INT32_MAX, csr_of

# Added at once, in a third of a second; the rows of more are added in ranges, which then are copied.
_ENTRIES = 1 << 25


def merge_counts(
    counts: Sequence[Any], *, weights: Any = None, n_items: int | None = None
) -> sparse.csr_array:
    """The sum of count matrices: of parts of a corpus, or of yesterday's, decayed, and today's.

    Parameters
    ----------
    counts : CSR matrices, square; a smaller one lacks the tokens that came later.
    weights : (len(counts),) factors >= 0, e.g. (0.98, 1.0); None adds them as they are.
    n_items : rows and columns of the result; by default those of the largest.

    Returns
    -------
    (n_items, n_items) CSR with sorted columns, without stored zeros. Integer matrices without weights add exactly:
    counts of the parts of a partition of the sequences merge to the very bytes of the whole's (int64 where int32 could
    overflow). With weights the sum is float32, or float64 if any matrix is float64.

    Raises
    ------
    TypeError, ValueError : no matrices, one that isn't square or has bad values, or is larger than n_items.

    See Also
    --------
    count_cooccurrences : counts one part. subtract_counts : takes a part away again.

    Examples
    --------
    >>> import traitcore as tc
    >>> yesterday, today = [[0, 2], [2, 0]], [[0, 1, 1], [1, 0, 0], [1, 0, 0]]  # today has a new item
    >>> counts = [sparse.csr_array(part) for part in (yesterday, today)]
    >>> tc.merge_counts(counts, weights=(0.5, 1.0)).toarray().tolist()
    [[0.0, 2.0, 1.0], [2.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    check = Checks("merge_counts")
    if not isinstance(counts, (list, tuple)) or not counts:
        raise check.type_error("counts", "a non-empty list of sparse matrices", counts)
    kinds = (np.float32, np.float64, np.int32, np.int64)
    matrices = [check.csr(f"counts[{i}]", c, dtype=kinds, square=True) for i, c in enumerate(counts)]
    largest = max(m.shape[0] for m in matrices)
    size = largest if n_items is None else check.integer("n_items", n_items, 1, INT32_MAX)
    if size < largest:
        raise check.value_error("n_items", f"at least {largest}, the rows of the largest", n_items)
    if weights is None:
        dtype = np.result_type(*(m.dtype for m in matrices))
        if dtype == np.int32 and sum(_largest(m) for m in matrices) > INT32_MAX:
            dtype = np.dtype(np.int64)
        factors: list[Any] = [None] * len(matrices)
    else:
        table = check.array("weights", weights, dtype=np.float64, shape=(len(matrices),), nonnegative=True)
        wide = any(m.dtype == np.float64 for m in matrices)
        dtype, factors = np.dtype(np.float64 if wide else np.float32), list(table)
    total = None
    for matrix, factor in zip(matrices, factors):
        scaled = matrix.data.astype(dtype) if factor is None else (matrix.data * factor).astype(dtype)
        indptr = np.append(matrix.indptr, np.full(size - matrix.shape[0], matrix.indptr[-1], matrix.indptr.dtype))
        term = sparse.csr_array((scaled, matrix.indices, indptr), shape=(size, size))
        total = term if total is None else map_rows(operator.add, total, term, entries=_ENTRIES)
    assert total is not None
    indices, data = total.indices, total.data
    if len(matrices) == 1 or len(data) > total.nnz:  # the caller's own; a sum's, which scipy leaves longer
        indices, data = indices[: total.nnz].copy(), data[: total.nnz].copy()
    merged = csr_of(data, indices, total.indptr.astype(np.int64), (size, size))
    if not data.all():  # scipy's sums leave zeros out, a single matrix keeps those it stores
        merged.eliminate_zeros()
    return merged


def subtract_counts(counts: Any, part: Any) -> sparse.csr_array:
    """Counts of a corpus without a part of its sequences: those of a customer who left, or of a bot.

    The very bytes that counting the other sequences gives, for integer counts of whole sequences with the same options
    and without pruning (`min_pair_count`, `k`): such counts are sums over sequences.

    Parameters
    ----------
    counts : (n_items, n_items) CSR of ints, the counts of all. part : (m, m) CSR of ints, m <= n_items, the part's.

    Returns
    -------
    (n_items, n_items) CSR of the dtype of `counts`, with sorted columns, without stored zeros.

    Raises
    ------
    TypeError, ValueError : matrices that aren't square or hold other numbers than ints, and a part that is not in the
        counts: the difference would be negative somewhere.

    See Also
    --------
    merge_counts : adds parts. forget_customers : removes customers from published tables.

    Examples
    --------
    >>> import traitcore as tc
    >>> anns, bobs = tc.Sequences.from_lists([[0, 1, 2]]), tc.Sequences.from_lists([[0, 1]])
    >>> both = tc.count_cooccurrences(tc.Sequences.from_lists([[0, 1, 2], [0, 1]]), window=1)
    >>> tc.subtract_counts(both, tc.count_cooccurrences(anns, window=1)).toarray().tolist()
    [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    """
    check = Checks("subtract_counts")
    kinds = (np.int32, np.int64)
    total = check.csr("counts", counts, dtype=kinds, square=True)
    taken = check.csr("part", part, dtype=kinds, square=True)
    size = total.shape[0]
    if taken.shape[0] > size:
        raise check.value_error("part", f"at most {size} rows, as counts has", f"{taken.shape[0]}")
    indptr = np.append(taken.indptr, np.full(size - taken.shape[0], taken.indptr[-1], taken.indptr.dtype))
    wide = sparse.csr_array((taken.data.astype(np.int64), taken.indices, indptr), shape=(size, size))
    left = map_rows(operator.sub, total.astype(np.int64), wide, entries=_ENTRIES)
    if left.nnz and left.data[: left.nnz].min() < 0:
        raise check.value_error("part", "a part of counts", "an entry larger than that of counts")
    data = left.data[: left.nnz].astype(total.dtype)
    return csr_of(data, left.indices[: left.nnz].copy(), left.indptr.astype(np.int64), (size, size))


def _largest(matrix: sparse.csr_array) -> int:
    # Not by np.abs, which leaves the least int32 negative.
    return max(int(matrix.data.max()), -int(matrix.data.min())) if matrix.nnz else 0
