# mypy: allow-untyped-defs, allow-untyped-calls
"""Is a sparse matrix its own transpose?"""

from __future__ import annotations

import numpy as np

from . import kernel


@kernel()
def is_symmetric(start, stop, indptr, indices, data, cursor):
    """True where rows [start, stop) of a square CSR with sorted, unique columns equal its columns [start, stop).

    No transpose is made. `cursor` (n,) is where each row begins, and is used up in [start, stop): entries right of the
    diagonal come in the order in which their mirror images stand in their rows, so each row needs no more than a place
    reached so far.
    """
    for i in range(stop):
        e = np.int64(indptr[i])
        end = np.int64(indptr[i + 1])
        if i >= start:
            e = cursor[i]
            if e < end and indices[e] <= i:
                if indices[e] < i:  # nothing above the diagonal has asked for it
                    return False
                e += 1
        else:  # the first entry of a column in the range
            high = end
            while e < high:
                middle = (e + high) // 2
                if indices[middle] < start:
                    e = middle + 1
                else:
                    high = middle
        while e < end and indices[e] < stop:
            j = indices[e]
            mirror = cursor[j]
            if mirror >= indptr[j + 1] or indices[mirror] != i or data[mirror] != data[e]:
                return False
            cursor[j] = mirror + 1
            e += 1
    return True
