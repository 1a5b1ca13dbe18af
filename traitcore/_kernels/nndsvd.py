# mypy: allow-untyped-defs, allow-untyped-calls
"""The two passes of an nndsvd start over the rows of the singular vectors."""

from __future__ import annotations

import numpy as np

from . import kernel


@kernel()
def part_squares(start, stop, U, k):
    """(2, k) float64: for rows [start, stop), the sum of squares of each column's positive and of its negative part."""
    squares = np.zeros((2, k))
    for i in range(start, stop):
        for j in range(k):
            x = np.float64(U[i, j])
            squares[0, j] += x * x if x > 0 else 0.0
            squares[1, j] += x * x if x < 0 else 0.0
    return squares


@kernel()
def write_parts(start, stop, U, scale, small, fill, out):
    """out = max(U * scale, 0) for rows [start, stop), column by column's scale; what is below `small` becomes `fill`.

    The first column, whose sign is one throughout but for rounding, is taken by magnitude.
    """
    for i in range(start, stop):
        for j in range(len(scale)):
            x = U[i, j] * scale[j]
            out[i, j] = x if x >= small else fill
        lead = abs(U[i, 0] * scale[0])
        out[i, 0] = lead if lead >= small else fill
