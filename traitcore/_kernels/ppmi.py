# mypy: allow-untyped-defs, allow-untyped-calls
"""Positive pointwise mutual information over the entries of a sparse count matrix."""

from __future__ import annotations

import numpy as np

from . import kernel


@kernel()
def row_sums(start, stop, indptr, data, sums):
    """Sum of each row, in float64."""
    for i in range(start, stop):
        total = 0.0
        for e in range(indptr[i], indptr[i + 1]):
            total += data[e]
        sums[i] = total


@kernel()
def count_above(start, stop, indptr, indices, data, row_scale, column_scale, lengths):
    """Entries of each row whose ratio data * row_scale * column_scale exceeds 1: those with positive PMI."""
    for i in range(start, stop):
        n = 0
        for e in range(indptr[i], indptr[i + 1]):
            n += data[e] * (row_scale[i] * column_scale[indices[e]]) > 1.0
        lengths[i] = n


@kernel()
def write_above(
    start, stop, indptr, indices, data, row_scale, column_scale, discount, out_indptr, out_indices, out_data
):
    """The entries that `count_above` counts: the logarithm of the ratio, times n/(n + discount)."""
    for i in range(start, stop):
        used = out_indptr[i]
        for e in range(indptr[i], indptr[i + 1]):
            ratio = data[e] * (row_scale[i] * column_scale[indices[e]])
            if ratio > 1.0:
                out_indices[used] = indices[e]
                out_data[used] = np.log(ratio) * (data[e] / (data[e] + discount))
                used += 1
