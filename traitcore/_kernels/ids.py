"""Coding of integer ids: values in, dense int32 codes and the distinct values out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernel

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]


@kernel()
def mark_present(values: NDArray[Any], low: int, present: NDArray[np.uint8]) -> None:
    """present[v - low] = 1 for each value."""
    for i in range(len(values)):
        present[values[i] - low] = 1


@kernel()
def codes_from_ranks(values: NDArray[Any], low: int, rank: Int32, codes: Int32) -> None:
    """codes[i] = rank[values[i] - low]."""
    for i in range(len(values)):
        codes[i] = rank[values[i] - low]


@kernel()
def remap_codes(codes: Int32, rank: Int32) -> None:
    """codes[i] = rank[codes[i]] in place; negative codes (nulls) stay."""
    for i in range(len(codes)):
        if codes[i] >= 0:
            codes[i] = rank[codes[i]]


@kernel()
def hash_integers(
    values: NDArray[np.int64], start: int, slots: Int32, distinct: Int64, n_distinct: int, codes: Int32
) -> tuple[int, int]:
    """Code values[start:] by order of first sight in an open-addressing table; stop early when it is half full.

    slots (power of two,) int32: code + 1, 0 where empty; distinct: value of each code, at least len(slots) / 2
    long. Returns (first value not coded yet, number of distinct values).
    """
    mask = np.uint64(len(slots) - 1)
    limit = len(slots) // 2
    for i in range(start, len(values)):
        value = values[i]
        h = np.uint64(value) * np.uint64(0x9E3779B97F4A7C15)
        place = (h ^ (h >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        place = (place ^ (place >> np.uint64(32))) & mask
        code = slots[place]
        while code != 0 and distinct[code - 1] != value:
            place = (place + np.uint64(1)) & mask
            code = slots[place]
        if code == 0:
            if n_distinct >= limit:
                return i, n_distinct
            distinct[n_distinct] = value
            n_distinct += 1
            code = n_distinct
            slots[place] = code
        codes[i] = code - 1
    return len(values), n_distinct
