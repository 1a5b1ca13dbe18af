"""The best matching one to one. scipy has it too, but in a package whose import alone takes a third of a second."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def best_assignment(values: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows, columns), rows rising, one to one, of the largest sum of values (n, m); min(n, m) pairs.

    Shortest augmenting paths (Crouse 2016, "On implementing 2D rectangular assignment algorithms"), a row after the
    other: for some hundreds of rows at most, as a Python loop over arrays.
    """
    gain = np.asarray(values, dtype=np.float64)
    if gain.shape[0] > gain.shape[1]:
        columns, rows = best_assignment(gain.T)
        order = np.argsort(rows)
        return rows[order], columns[order]
    n, m = gain.shape
    cost = gain.max(initial=0.0) - gain
    of_row, of_column = np.zeros(n), np.zeros(m)  # the dual variables
    row_of = np.full(m, -1)
    for start in range(n):
        reached, before = np.full(m, np.inf), np.full(m, -1)
        done = np.zeros(m, dtype=np.bool_)
        lowest, row = 0.0, start
        while True:
            through = lowest + cost[row] - of_row[row] - of_column
            shorter = ~done & (through < reached)
            reached[shorter], before[shorter] = through[shorter], row
            column = int(np.argmin(np.where(done, np.inf, reached)))
            lowest = reached[column]
            done[column] = True
            if row_of[column] < 0:
                break
            row = int(row_of[column])
        # A row that was passed through is matched with a column that is done; the first one with none yet.
        of_row[start] += lowest
        passed = done & (row_of >= 0)
        of_row[row_of[passed]] += lowest - reached[passed]
        of_column[done] -= lowest - reached[done]
        while True:
            row = int(before[column])
            row_of[column], column = row, int(np.argmax(row_of == row)) if row != start else -1
            if row == start:
                break
    columns = np.flatnonzero(row_of >= 0)
    order = np.argsort(row_of[columns])
    return np.arange(n), columns[order]
