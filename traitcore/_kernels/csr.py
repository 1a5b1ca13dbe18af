# mypy: allow-untyped-defs, allow-untyped-calls
"""Passes over the entries of a CSR matrix."""

from __future__ import annotations

import math

from . import kernel


@kernel()
def scatter(rows, columns, values, place, indices, data):
    """Write each entry to the next free place of its row, and move `place` (n_rows,) on."""
    for e in range(len(rows)):
        to = place[rows[e]]
        indices[to] = columns[e]
        data[to] = values[e]
        place[rows[e]] = to + 1


@kernel()
def add_columns(start, stop, indices, data, sums):
    """sums[column] += entry, for entries [start, stop) in their order."""
    for e in range(start, stop):
        sums[indices[e]] += data[e]


@kernel()
def count_marked(start, stop, indptr, marked, lengths):
    """lengths[i] = entries of row i that are marked, of rows [start, stop)."""
    for i in range(start, stop):
        n = 0
        for e in range(indptr[i], indptr[i + 1]):
            n += marked[e]
        lengths[i] = n


@kernel()
def find_loops(start, stop, indptr, indices, data):
    """Positive entries of the diagonal in rows [start, stop)."""
    found = 0
    for i in range(start, stop):
        for e in range(indptr[i], indptr[i + 1]):
            found += indices[e] == i and data[e] > 0
    return found


@kernel()
def clear_loops(start, stop, indptr, indices, data):
    """The same entries become 0."""
    for i in range(start, stop):
        for e in range(indptr[i], indptr[i + 1]):
            if indices[e] == i and data[e] > 0:
                data[e] = 0


@kernel()
def scale_by_roots(start, stop, indptr, indices, data, rows, columns, out):
    """out = data over the root of rows[i] times the root of columns[j]; 0 where either is 0.

    Two roots, not the root of a product: sums of large counts don't overflow.
    """
    for i in range(start, stop):
        for e in range(indptr[i], indptr[i + 1]):
            scale = math.sqrt(rows[i]) * math.sqrt(columns[indices[e]])
            out[e] = data[e] / scale if scale > 0 else 0.0


@kernel()
def join_parts(start, stop, indptr, indices, parent):
    """Union of the parts of i and j for each entry (i, j) of rows [start, stop); parent (n,) leads to a part's root."""
    for i in range(start, stop):
        a = i
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        for e in range(indptr[i], indptr[i + 1]):
            b = indices[e]
            while parent[b] != b:
                parent[b] = parent[parent[b]]
                b = parent[b]
            if a < b:
                parent[b] = a
            elif b < a:
                parent[a] = b
                a = b


@kernel()
def part_sizes(parent, sizes):
    """sizes[root] = nodes of each part, of what join_parts has made: no parent is larger than its child."""
    for i in range(len(parent)):
        parent[i] = parent[parent[i]]
        sizes[parent[i]] += 1
