"""The next items of one session a call: what can be prepared is kept, and 8-bit codes rule out nearly all items.

The codes (csrc/include/traitcore/topk_codes.hpp) change no score: they name the few items that may be among the best.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .next_item_encoder import SessionEncoder


class LiveSearch:
    """A model's vectors, prepared for sessions that come one by one."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """vectors : (n_items, d) float32, read-only: the codes are those of what they are now."""
        self.vectors = vectors
        self._codes = _core.RowCodes(vectors)
        self._ones = np.ones(len(vectors), dtype=np.float32)

    def __reduce__(self) -> tuple[type[Self], tuple[NDArray[np.float32]]]:
        """A copy, or one from a pickle, has codes of its own."""
        return type(self), (self.vectors,)

    def still_of(self, vectors: NDArray[np.float32]) -> bool:
        """Whether these are the vectors that were prepared, and can't have changed."""
        return vectors is self.vectors and not vectors.flags.writeable

    def best(
        self, encoder: SessionEncoder, session: NDArray[np.int32], k: int, bias: NDArray[np.float32], skip: bool
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The k best items after a session, (k,) each, as `NextItemModel.recommend` gives them."""
        latest = session if skip else session[-len(encoder.repeat_bonus) :]
        back: dict[int, int] = {}
        for steps, item in enumerate(latest[::-1].tolist()):
            back.setdefault(item, steps)
        own = sorted(back)
        items = np.array(own, dtype=np.int64)
        own_bias = None if skip else bias[items] + encoder.repeat_bonus[[back[item] for item in own]]
        rows, scores = np.empty(k, dtype=np.int64), np.empty(k, dtype=np.float32)
        self._codes.search(
            query=encoder.query(session), vectors=self.vectors, scale=self._ones, bias=bias, other=items,
            other_bias=own_bias, rows=rows, scores=scores,
        )
        return rows.astype(np.int32), scores


def read_only(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same vectors, or a copy where another array could still write into their memory."""
    if vectors.flags.writeable:
        if not vectors.flags.owndata:
            vectors = vectors.copy()
        vectors.flags.writeable = False
    return vectors
