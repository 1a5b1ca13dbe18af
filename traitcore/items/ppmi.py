# mypy: allow-untyped-calls
"""Positive pointwise mutual information of a count matrix, on its non-zero entries only."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from .. import _core
from .._csr import PART
from .._parallel import balanced_blocks, run_blocks
from .._validate import Checks
from .count_parts import csr_of

_CHECK = Checks("positive_pmi")
# Entries per block: blocks are cut by size, not by the number of workers.
_BLOCK = 1 << 19


def positive_pmi(
    counts: Any,
    *,
    shift: float = 1.0,
    context_smoothing: float = 0.75,
    discount: float = 0.0,
    workers: int = 1,
) -> sparse.csr_array:
    """max(0, PMI - log shift) of each pair, a token's row against its context's column.

    PMI(a, b) = log(n_ab N' / (n_a m_b)) with n_a the row sum, m_b the column sum to the power `context_smoothing`,
    and N' the sum of all m_b. At context_smoothing=1 it is the textbook formula; below 1, rare contexts count as more
    frequent than they are, which takes weight from pairs that met by chance. Pairs never counted stay zero: no dense
    matrix is made.

    Parameters
    ----------
    counts : (n_rows, n_columns) sparse or dense, >= 0, e.g. from `count_cooccurrences`.
    shift : number of negative samples that SGNS would draw (shifted PPMI, Levy & Goldberg 2014), > 0; 1 for plain PPMI.
    context_smoothing : power in (0, 1] of the contexts' counts.
    discount : c >= 0; each value is multiplied by n_ab / (n_ab + c), which damps pairs seen a few times (Pantel & Lin
        2002 with c = 1).
    workers : threads, -1 for all cores; the result is the same to the last byte for any number.

    Returns
    -------
    (n_rows, n_columns) CSR float32 with sorted indices, every entry > 0. Symmetric counts give a symmetric result
    only at context_smoothing=1.

    Raises
    ------
    TypeError, ValueError : counts negative, infinite or NaN (the first is named by row and column), a parameter out of
        range.

    See Also
    --------
    count_cooccurrences : makes the counts. svd_vectors : makes vectors of the result. PPMIEmbedder : all three.

    References
    ----------
    Levy, Goldberg & Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings",
    sections 2.1 and 3.2. Levy & Goldberg 2014, "Neural word embedding as implicit matrix factorization".

    Examples
    --------
    >>> import traitcore as tc
    >>> ppmi = tc.positive_pmi([[2, 1], [0, 3]], context_smoothing=1.0)
    >>> np.exp(ppmi.data).round(3).tolist()  # of (0, 0) and (1, 1): twice, and 1.5 times as often as by chance
    [2.0, 1.5]
    """
    matrix = _CHECK.csr(
        "counts", counts, dtype=(np.float32, np.float64, np.int32, np.int64), nonnegative=True
    )
    if matrix.dtype.kind == "i":
        _refuse_negative(matrix)
    shift = _CHECK.real("shift", shift, 0.0, open_low=True)
    power = _CHECK.real("context_smoothing", context_smoothing, 0.0, 1.0, open_low=True)
    discount = _CHECK.real("discount", discount, 0.0)
    n_workers = _CHECK.workers(workers)
    blocks = balanced_blocks(matrix.indptr, max(1, matrix.nnz // _BLOCK))
    rows = np.empty(matrix.shape[0])
    run_blocks(_core.sum_rows, blocks, n_workers, matrix.indptr, matrix.indices, matrix.data, rows)
    contexts = np.zeros(matrix.shape[1])
    for start in range(0, matrix.nnz, PART):
        _core.sum_columns(start, min(start + PART, matrix.nnz), matrix.indices, matrix.data, contexts)
    contexts **= power
    with np.errstate(divide="ignore", invalid="ignore"):
        row_scale = np.where(rows > 0, contexts.sum() / (rows * shift), 0.0)
        column_scale = np.where(contexts > 0, 1.0 / contexts, 0.0)
    source = (matrix.indptr, matrix.indices, matrix.data, row_scale, column_scale)
    lengths = np.zeros(matrix.shape[0], dtype=np.int64)
    run_blocks(_core.count_pmi, blocks, n_workers, *source, lengths)
    indptr = np.zeros(matrix.shape[0] + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    indices = np.empty(indptr[-1], dtype=matrix.indices.dtype)
    data = np.empty(indptr[-1], dtype=np.float32)
    run_blocks(_core.write_pmi, blocks, n_workers, *source, discount, indptr, indices, data)
    return csr_of(data, indices, indptr, matrix.shape)


def _refuse_negative(matrix: sparse.csr_array) -> None:
    if matrix.nnz and matrix.data.min() < 0:
        _CHECK.csr("counts", matrix.astype(np.float64), nonnegative=True)
