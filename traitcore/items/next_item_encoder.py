"""A session as a query: the weighted sum of its items' vectors, and the bonus of what it has already."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..events.sequences import Sequences
from .next_item import Contribution
from .next_item_queries import steps_back


@dataclass(frozen=True, eq=False)
class SessionEncoder:
    """What `NextItemModel` has learned of sessions.

    vectors : (n_items, d) float32. step_weights, repeat_bonus : (window,) float32, by steps back. scale : length of a
    query.
    """

    vectors: NDArray[np.float32]
    step_weights: NDArray[np.float32]
    repeat_bonus: NDArray[np.float32]
    scale: float

    def queries(self, sequences: Sequences) -> NDArray[np.float32]:
        """(n_sessions, d) float32, of length `scale`; zero where nothing is known of a session's items."""
        if len(sequences) == 1:
            return self.query(sequences.tokens)[None]
        back = steps_back(sequences)
        window = len(self.step_weights)
        weights = np.where(back < window, self.step_weights[np.minimum(back, window - 1)], np.float32(0))
        sums = sparse.csr_array(
            (weights, sequences.tokens, sequences.offsets), shape=(len(sequences), len(self.vectors))
        ) @ self.vectors
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.asarray(np.divide(self.scale * sums, norms, out=np.zeros_like(sums), where=norms > 1e-6))

    def query(self, session: NDArray[np.int32]) -> NDArray[np.float32]:
        """(d,) float32, that of one session: scipy's set-up would take longer than the work."""
        latest = session[-len(self.step_weights) :][::-1]
        total = self.step_weights[: len(latest)] @ self.vectors[latest]
        norm = math.sqrt(total @ total)
        return np.asarray(total * np.float32(self.scale / norm if norm > 1e-6 else 0.0))

    def repeats(self, sequences: Sequences) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """(session, item, bonus) of each session's different items within the window, by rising session and item."""
        if len(sequences) == 1:
            items, places = np.unique(sequences.tokens[-len(self.repeat_bonus) :][::-1], return_index=True)
            return np.zeros(len(items), dtype=np.int64), items, self.repeat_bonus[places]
        back = steps_back(sequences)
        row = np.repeat(np.arange(len(sequences)), np.diff(sequences.offsets))
        near = back < len(self.repeat_bonus)
        row, back, item = row[near], back[near], sequences.tokens[near]
        order = np.lexsort((back, item, row))
        row, back, item = row[order], back[order], item[order]
        latest = np.ones(len(row), dtype=bool)
        latest[1:] = (np.diff(row) != 0) | (np.diff(item) != 0)
        return row[latest], item[latest], self.repeat_bonus[back[latest]]

    def contributions(self, session: NDArray[np.int32], item: int) -> list[Contribution]:
        """What each of the latest events of a session adds to query . vector of `item`, the largest first."""
        tokens = session[-len(self.step_weights) :]
        weights = self.step_weights[len(tokens) - 1 :: -1] if len(tokens) else np.zeros(0, np.float32)
        parts = weights[:, None] * self.vectors[tokens]
        norm = float(np.linalg.norm(parts.sum(axis=0)))
        shares = parts @ self.vectors[item] * (self.scale / norm if norm > 1e-6 else 0.0)
        first = len(session) - len(tokens)
        order = np.argsort(-shares, kind="stable")
        return [Contribution(int(p) + first, int(tokens[p]), float(shares[p])) for p in order]
