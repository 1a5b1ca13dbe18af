"""Items found by what is written of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")


def matching(texts: Sequence[str], wanted: str) -> list[int]:
    """Rows of the texts that hold every word of `wanted`, also as the beginning of a word; the same text in any case
    comes first, then rows in their order."""
    words = _WORD.findall(wanted.casefold())
    if not words:
        return []
    exact, others = [], []
    for row, text in enumerate(texts):
        folded = text.casefold()
        if folded == wanted.casefold().strip():
            exact.append(row)
        elif all(word in folded for word in words):
            parts = _WORD.findall(folded)
            if all(any(part.startswith(word) for part in parts) for word in words):
                others.append(row)
    return exact + others


def best_match(texts: Sequence[str], wanted: str, counts: NDArray[np.int64]) -> tuple[int, int] | None:
    """(row, number of rows that match): of the rows that match, the one of most events; an exact text wins."""
    rows = matching(texts, wanted)
    if not rows:
        return None
    exact = [row for row in rows if texts[row].casefold() == wanted.casefold().strip()]
    among = exact or rows
    return max(among, key=lambda row: (int(counts[row]), -row)), len(rows)
