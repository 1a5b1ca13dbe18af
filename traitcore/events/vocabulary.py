"""Vocabulary: which token stands in which row, how often it occurs, and at how many customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Tokens in order of falling count; ties in order of the token's item, then action, as first seen in the log.

    Attributes
    ----------
    item_ids : (n_items,) array of external item ids (int64, or str objects).
    actions : names of actions, e.g. ("view", "cart", "remove", "buy"); empty where tokens are items alone.
    token_item : (n_tokens,) int32 row of `item_ids` for each token.
    token_action : (n_tokens,) int32 index into `actions`, or -1 where tokens are items alone.
    counts : (n_tokens,) int64 occurrences.
    document_frequencies : (n_tokens,) int64 customers (owners) with at least one occurrence.
    n_documents : number of customers in the corpus.
    """

    item_ids: NDArray[Any]
    actions: tuple[str, ...]
    token_item: NDArray[np.int32]
    token_action: NDArray[np.int32]
    counts: NDArray[np.int64]
    document_frequencies: NDArray[np.int64]
    n_documents: int

    def __len__(self) -> int:
        return len(self.token_item)
