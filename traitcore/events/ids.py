"""Ids as codes: the distinct ids in rising order, and for each row the place of its id among them.

The order is that of the ids (integers by value, strings by code point), not of first occurrence, so codes don't
depend on the order of the rows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core

Codes = NDArray[np.int32]

# A table indexed by value is used up to this many slots per row; above it ids are hashed.
_SLOTS_PER_ROW = 4


def code_integers(values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> tuple[Codes, NDArray[np.int64]]:
    """Codes (n,) int32 and distinct ids (n_ids,) int64 of integer values; -1 where not valid."""
    n = len(values)
    if n == 0:
        return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64)
    if valid is not None and not valid.all():
        codes = np.full(n, -1, dtype=np.int32)
        codes[valid], ids = code_integers(values[valid])
        return codes, ids
    values = np.ascontiguousarray(values, dtype=np.int64)
    low, high = int(values.min()), int(values.max())
    if high - low < max(_SLOTS_PER_ROW * n, 1024):
        return _core.code_by_value(values, low, high)
    coder = IntegerCoder()
    codes = coder.code(values)
    rank, ids = sort_ids(coder.ids())
    remap_codes(codes, rank)
    return codes, ids


class IntegerCoder:
    """Codes int64 values in order of first occurrence, a block at a time."""

    def __init__(self) -> None:
        self._table = _core.IntegerCodes()

    def ids(self) -> NDArray[np.int64]:
        """Distinct values, by code."""
        return self._table.distinct()

    def code(self, values: NDArray[np.int64]) -> Codes:
        """Codes of a block of values."""
        return self._table.code(values)


class TextCoder:
    """Codes spans of UTF-8 in order of first occurrence, a block at a time; an empty span is -1.

    `texts` are the distinct texts by code; `invalid` the codes of those that aren't UTF-8.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.invalid: set[int] = set()
        self._table = _core.TextCodes()

    def code(self, buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Codes:
        """Codes of a block of spans."""
        codes = self._table.code(buffer, np.ascontiguousarray(starts), np.ascontiguousarray(stops))
        self._decode()
        return codes

    def _decode(self) -> None:
        """Texts of the codes that are new."""
        data, ends = self._table.texts(len(self.texts))
        places = ends.tolist()
        try:
            text = data.decode("ascii")
            self.texts += [text[a:b] for a, b in pairwise(places)]
        except UnicodeDecodeError:
            for a, b in pairwise(places):
                try:
                    self.texts.append(data[a:b].decode("utf-8"))
                except UnicodeDecodeError:
                    self.invalid.add(len(self.texts))
                    self.texts.append(data[a:b].decode("utf-8", "backslashreplace"))


def encode_strings(texts: list[Any] | tuple[Any, ...]) -> tuple[Codes, list[str]]:
    """Codes of strs in order of first occurrence (-1 for None), and the distinct strs."""
    return _core.encode_strings(texts)


def spans_of_strings(texts: list[Any]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes of strs in UTF-8 end to end, and (n + 1,) where each ends; None is empty."""
    return _core.spans_of_strings(texts)


def text_array(texts: list[str]) -> NDArray[Any]:
    """(n,) array of str objects: numpy's own string arrays drop trailing NULs."""
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def remap_codes(codes: Codes, rank: Codes) -> None:
    """codes = rank[codes] in place, with nulls (-1) kept."""
    _core.remap_codes(0, len(codes), codes, np.ascontiguousarray(rank))


def recoded(codes: Codes, rank: Codes) -> Codes:
    """rank[codes], with nulls (-1) kept."""
    codes = codes.copy()
    remap_codes(codes, rank)
    return codes


def hashable_ids(ids: NDArray[Any]) -> NDArray[np.uint64]:
    """(n,) uint64, a hash of each id: an integer's bits, or a hash of a text's bytes."""
    if ids.dtype.kind in "iu":
        wide = ids if ids.dtype.kind == "u" else ids.astype(np.int64, copy=False).view(np.uint64)
        return np.ascontiguousarray(wide, dtype=np.uint64)
    texts = ids.tolist()
    if not all(type(one) is str for one in texts):
        texts = list(map(str, texts))
    data = "".join(texts)
    # An ASCII text has as many bytes as characters; encoding each text by itself takes three times as long.
    lengths = map(len, texts) if data.isascii() else (len(one.encode("utf-8", "surrogatepass")) for one in texts)
    ends = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(lengths, dtype=np.int64, count=len(texts)), out=ends[1:])
    return _core.hash_texts(np.frombuffer(data.encode("utf-8", "surrogatepass"), np.uint8), ends)


def chain_hashes(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(n,) uint64: hash of each value of `first` followed by that of `second`."""
    return _core.chain_hashes(first, second)


def sort_ids(ids: NDArray[Any]) -> tuple[Codes, NDArray[Any]]:
    """(rank of each id, ids in rising order): `remap_codes(codes, rank)` makes codes follow the sorted ids."""
    order = np.argsort(ids, kind="stable")
    rank = np.empty(len(ids), dtype=np.int32)
    rank[order] = np.arange(len(ids), dtype=np.int32)
    return rank, ids[order]


def drop_unused(codes: Codes, ids: NDArray[Any]) -> NDArray[Any]:
    """Ids that occur in codes, in the same order; codes are changed in place to match."""
    used = np.zeros(len(ids), dtype=np.bool_)
    used[codes[codes >= 0]] = True
    if used.all():
        return ids
    rank = np.cumsum(used, dtype=np.int32) - np.int32(1)
    remap_codes(codes, rank)
    return ids[used]
