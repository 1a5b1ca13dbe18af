"""The sessions that item vectors and next items are learned from: those in which something stands beside something.

Customers keep what they did in all others too: a session of one event says what its customer wanted, but not what goes
with what.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from .._progress import Progress
from .._protocols import Embedder
from ..events.sequences import Sequences
from .many_customers import take_sequences

LEAST = 2  # tokens of a session in which anything has a neighbour


def item_sessions(sequences: Sequences, min_length: int) -> Sequences:
    """The sequences of at least `min_length` tokens, and of two; the same object where all are.

    Raises InputError where there is none.
    """
    least = max(LEAST, min_length)
    long = np.diff(sequences.offsets) >= least
    if long.all() and len(long):
        return sequences
    if not long.any():
        raise nothing_together(least, len(long), min_length)
    return take_sequences(sequences, np.flatnonzero(long))


def nothing_together(least: int, n_sessions: int, min_length: int) -> InputError:
    """The error where no session has `least` tokens."""
    lower = "Lower min_length, or raise" if min_length > LEAST else "Raise"
    return InputError(
        f"No session has {least} tokens or more, so nothing says which items go together: all {n_sessions:,} have "
        f"fewer (min_length is {min_length}). {lower} gap_seconds, with which sessions are longer; a lower min_count "
        "keeps rare tokens."
    )


def learn_items(
    embedder: Embedder, sessions: Sequences, n_tokens: int, progress: Progress | None = None
) -> NDArray[np.bool_]:
    """Fit on `sessions`; tokens that none of them has get zero vectors, whatever the model started them from.

    Returns (n_tokens,) whether any has it.
    """
    embedder.fit(sessions, n_items=n_tokens, progress=progress)
    met = sessions.token_counts(n_tokens) > 0
    embedder.item_vectors_[~met] = 0.0
    embedder.context_vectors_[~met] = 0.0
    return met
