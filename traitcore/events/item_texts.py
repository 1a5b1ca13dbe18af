"""Texts of items: of all those that an item's rows have, the most frequent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ids import encode_strings, recoded, sort_ids, text_array


def text_counts(
    item: NDArray[np.int32], text: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(item, text, rows with both) of each pair that occurs; a text of -1 is none."""
    has = text >= 0
    pairs, counts = np.unique(item[has].astype(np.int64) << 32 | text[has], return_counts=True)
    return pairs >> 32, pairs & 0xFFFFFFFF, counts


def most_frequent_texts(
    item: NDArray[np.int64], text: NDArray[np.int64], counts: NDArray[np.int64], texts: list[str], n_items: int
) -> NDArray[Any]:
    """The most frequent text of each item, the alphabetically first of a tie; "" where there is none.

    item, text, counts : (n_pairs,) how many rows have this item with texts[text].
    """
    codes, distinct = encode_strings([t.strip() or None for t in texts])
    rank, ordered = sort_ids(text_array(distinct))
    text = np.append(recoded(codes, rank), np.int32(-1))[text].astype(np.int64)
    has, n_texts = text >= 0, max(1, len(ordered))
    pairs, where = np.unique(item[has] * n_texts + text[has], return_inverse=True)  # texts equal but for spaces are one
    rows = np.bincount(where, weights=counts[has], minlength=len(pairs)).astype(np.int64)
    best = pairs[np.lexsort((pairs, -rows, pairs // n_texts))]
    lead = best[np.flatnonzero(np.diff(best // n_texts, prepend=-1))]
    usual = text_array([""] * n_items)
    usual[lead // n_texts] = ordered[lead % n_texts]
    usual.flags.writeable = False
    return usual
