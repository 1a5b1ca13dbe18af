# mypy: allow-untyped-defs, allow-untyped-calls
"""Is a sparse matrix its own transpose?"""

from __future__ import annotations

from . import kernel


@kernel()
def is_symmetric(indptr, indices, data, cursor):
    """True where a square CSR with sorted, unique columns equals its transpose, entry for entry; no transpose is made.

    `cursor` (n,) is where each row begins, and is used up: entries right of the diagonal come in the order in which
    their mirror images stand in their rows, so each row needs no more than a place reached so far.
    """
    for i in range(len(cursor)):
        first = cursor[i]
        stop = indptr[i + 1]
        if first < stop and indices[first] <= i:
            if indices[first] < i:  # nothing above the diagonal has asked for it
                return False
            first += 1
        for e in range(first, stop):
            j = indices[e]
            mirror = cursor[j]
            if mirror >= indptr[j + 1] or indices[mirror] != i or data[mirror] != data[e]:
                return False
            cursor[j] = mirror + 1
    return True
