"""Coding of integer ids: values in, dense int32 codes and the distinct values out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernel

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]


@kernel()
def mix(h: np.uint64) -> np.uint64:
    """A bijection of 64 bits in which each bit of `h` moves half of the others (splitmix64's, Steele et al. 2014)."""
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@kernel()
def chain(h: np.uint64, value: np.uint64) -> np.uint64:
    """Hash of what `h` is a hash of, followed by `value`."""
    return mix(h + (value + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))


@kernel()
def chain_all(first: NDArray[np.uint64], second: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """out[i] = hash of first[i] followed by second[i]."""
    for i in range(len(out)):
        out[i] = chain(mix(first[i]), second[i])


@kernel()
def hash_texts(buffer: NDArray[np.uint8], ends: Int64, out: NDArray[np.uint64]) -> None:
    """out[i] = FNV-1a of the bytes ends[i] ... ends[i + 1] - 1."""
    for i in range(len(out)):
        h = np.uint64(0xCBF29CE484222325)
        for at in range(ends[i], ends[i + 1]):
            h = (h ^ np.uint64(buffer[at])) * np.uint64(0x100000001B3)
        out[i] = h


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
