"""Draws of pairs by even steps, one by one."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def drawn_pairs(counts: sparse.csr_array, shift: float, step: float) -> list[tuple[int, int]]:
    """(row, column) under each of the places shift, shift + step, ... on the line of all counts."""
    matrix = counts.tocoo()
    ends = np.cumsum(matrix.data.astype(np.float64))
    places = np.arange(shift, ends[-1], step)
    found = np.searchsorted(ends, places, side="right")
    return [(int(matrix.row[k]), int(matrix.col[k])) for k in found]


def stars(pairs: list[tuple[int, int]], largest: int) -> list[tuple[int, list[int]]]:
    """(target, items) of a block: each row's draws dealt in turn to as few stars as hold them."""
    dealt = []
    for row in sorted({row for row, _ in pairs}):
        columns = [column for of, column in pairs if of == row]
        n = -(-len(columns) // largest)
        dealt += [(row, columns[first::n]) for first in range(n)]
    return dealt
