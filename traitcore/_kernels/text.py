"""Ids written as text, hashed to codes.

A text is a span [start, stop) of a byte buffer; nothing here makes a Python object.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import kernel

Bytes = NDArray[np.uint8]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]


@kernel()
def hash_spans(
    buffer: Bytes, starts: Int64, stops: Int64, begin: int, slots: Int32, hashes: NDArray[np.uint64], arena: Bytes,
    ends: Int64, n_distinct: int, codes: Int32,
) -> tuple[int, int]:
    """Code spans begin ... by order of first sight (an empty span is -1); stop early when a table is full.

    slots (power of two,) int32: code + 1 or 0; hashes: FNV-1a of each code; arena and ends (n + 1,): the bytes of each.
    Returns (first span not coded yet, number of distinct texts).
    """
    mask = np.uint64(len(slots) - 1)
    limit = min(len(slots) // 2, len(hashes), len(ends) - 1)
    for i in range(begin, len(starts)):
        length = stops[i] - starts[i]
        if length <= 0:
            codes[i] = -1
            continue
        h = np.uint64(0xCBF29CE484222325)
        for at in range(starts[i], stops[i]):
            h = (h ^ np.uint64(buffer[at])) * np.uint64(0x100000001B3)
        h ^= h >> np.uint64(32)
        place = h & mask
        code = -1
        while slots[place] != 0:
            known = slots[place] - 1
            if hashes[known] == h and ends[known + 1] - ends[known] == length:
                same = True
                for k in range(length):
                    if arena[ends[known] + k] != buffer[starts[i] + k]:
                        same = False
                        break
                if same:
                    code = known
                    break
            place = (place + np.uint64(1)) & mask
        if code < 0:
            used = ends[n_distinct]
            if n_distinct >= limit or used + length > len(arena):
                return i, n_distinct
            for k in range(length):
                arena[used + k] = buffer[starts[i] + k]
            code = n_distinct
            hashes[code] = h
            n_distinct += 1
            ends[n_distinct] = used + length
            slots[place] = n_distinct
        codes[i] = code
    return len(starts), n_distinct


@kernel()
def fill_slots(hashes: NDArray[np.uint64], n_distinct: int, slots: Int32) -> None:
    """Enter codes 0 ... n_distinct - 1 into an empty table."""
    mask = np.uint64(len(slots) - 1)
    for code in range(n_distinct):
        place = hashes[code] & mask
        while slots[place] != 0:
            place = (place + np.uint64(1)) & mask
        slots[place] = code + 1
