"""Customer vectors: the weighted mean of the vectors of a customer's tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._parallel import StopFlag, priced_blocks, run_blocks, run_tasks
from .._protocols import EventWeights
from .._validate import COUNT_MAX, Checks
from ..events.occurrences import count_occurrences
from ..events.sequences import Sequences

CHECK = Checks("customer_vectors")
METHODS = ("mean", "tfidf", "recency", "attention")
_DAY_US = 86_400_000_000.0
_LINE = 64  # bytes of a cache line
PRICE = 1 << 28  # multiplications in a block of customers: a tenth of a second, or a few where memory is waited for


@dataclass(frozen=True, eq=False)
class CustomerVectors:
    """What `customer_vectors` returns.

    Attributes
    ----------
    vectors : (n_customers, d) float32; a zero row for a customer without known tokens.
    weights : (n_customers,) float64, the sum of the weights of the customer's events.
    n_events : (n_customers,) int64, events with a positive weight.
    n_empty : customers without any: their rows are zero.
    """

    vectors: NDArray[np.float32]
    weights: NDArray[np.float64]
    n_events: NDArray[np.int64]

    @property
    def n_empty(self) -> int:
        return int((self.n_events == 0).sum())


@dataclass(frozen=True, eq=False)
class OwnerRuns:
    """Where each owner's events lie in the corpus: runs [starts[r], stops[r]) for r in [first[o], first[o + 1]).

    `events` (n_owners + 1,) int64 counts the events of all owners before each: blocks of equal work.
    """

    first: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    events: NDArray[np.int64]

    @classmethod
    def of(cls, sequences: Sequences) -> OwnerRuns:
        """Runs of the sequences' owners, in the order of the corpus."""
        owners, n = sequences.owners(), sequences.n_owners
        if sequences.owner is None and n == len(sequences):
            edges = sequences.offsets
            return cls(np.arange(n + 1), edges[:-1], edges[1:], edges)
        first = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(np.bincount(owners, minlength=n), out=first[1:])
        if len(owners) and (owners[1:] < owners[:-1]).any():
            order = np.argsort(owners, kind="stable")
            starts, stops = sequences.offsets[order], sequences.offsets[order + 1]
            events = np.concatenate(([0], np.cumsum(stops - starts)))[first]
            return cls(first, starts, stops, events)
        # An owner's sequences lie side by side: one run each.
        edges = np.ascontiguousarray(sequences.offsets[first])
        return cls(np.arange(n + 1), edges[:-1], edges[1:], edges)


    def places(self, n_owners: int) -> NDArray[np.int64] | None:
        """(n_events,) where in the corpus each event lies, in the order of owners; None where the order is the same."""
        if len(self.starts) == n_owners and np.array_equal(self.starts, self.events[:-1]):
            return None
        held = self.stops - self.starts
        return np.repeat(self.starts - (np.cumsum(held) - held), held) + np.arange(held.sum())


def inverse_document_frequencies(document_frequencies: ArrayLike, n_documents: int) -> NDArray[np.float32]:
    """(n_tokens,) float32 ln((1 + N) / (1 + df)) + 1: smoothed idf, at least 1 wherever df <= N, never negative.

    `document_frequencies` counts customers, not occurrences, and `n_documents` is the number of customers. The form
    is scikit-learn's `TfidfVectorizer(smooth_idf=True)`.
    """
    df = CHECK.array(
        "document_frequencies", document_frequencies, dtype=np.float64, shape=(None,), nonnegative=True
    )
    n = CHECK.integer("n_documents", n_documents, 0, COUNT_MAX)
    if len(df) and df.max() > n:
        rule = f"at most n_documents ({n}): customers with the token, not occurrences"
        raise CHECK.value_error("document_frequencies", rule, df.max())
    return (np.log((1.0 + n) / (1.0 + df)) + 1.0).astype(np.float32)


def customer_vectors(
    sequences: Sequences,
    item_vectors: ArrayLike,
    *,
    method: str = "mean",
    document_frequencies: ArrayLike | None = None,
    n_documents: int | None = None,
    decay: float = 0.95,
    half_life_days: float | None = None,
    token_action: ArrayLike | None = None,
    action_weights: ArrayLike | None = None,
    attention: EventWeights | None = None,
    workers: int = 1,
) -> CustomerVectors:
    """Weighted mean of the vectors of each customer's tokens: sum(w_e v_e) / sum(w_e) over the customer's events.

    Parameters
    ----------
    sequences : the customers' tokens; customers are `sequences.owners()`, their events in the order of the corpus.
    item_vectors : (n_tokens, d) float32, a row for every token of `sequences`.
    method : the weight of an event e of token t:
        "mean": 1.
        "tfidf": ln((1 + N) / (1 + df_t)) + 1, with df over customers.
        "recency": decay ** (events of the customer after e), or with `half_life_days`
        2 ** -((time of the customer's newest event - time of e) / half life).
        "attention": learned; `attention` is a fitted `AttentionPooling`.
    document_frequencies : (n_tokens,) customers with the token, and `n_documents`, the number of customers (as in
        `Vocabulary`); both None: counted in `sequences`.
    decay : in (0, 1], for "recency" by position.
    half_life_days : > 0, for "recency" by elapsed time; needs `sequences.timestamps_us`.
    token_action : (n_tokens,) int, and `action_weights` : (n_actions,) weights >= 0 by which an event's weight is
        multiplied; a token with action -1 keeps its weight.
    workers : threads; the result is the same bytes for any number.

    Returns
    -------
    CustomerVectors : vectors (n_customers, d) float32, weights, n_events, n_empty.

    Raises
    ------
    ValueError, TypeError : a token without a row in `item_vectors`, a bad value, missing timestamps.

    See Also
    --------
    AttentionPooling : learns the weights. TraitModel : readable traits instead of vectors.

    Notes
    -----
    tf-idf: Sparck Jones 1972; smoothed as in scikit-learn's `TfidfTransformer`.

    Examples
    --------
    >>> import numpy as np
    >>> import traitcore as tc
    >>> sequences = tc.Sequences.from_lists([[0, 1], [1], []])
    >>> pooled = tc.customer_vectors(sequences, np.array([[1, 0], [0, 1]], dtype=np.float32))
    >>> pooled.vectors
    array([[0.5, 0.5],
           [0. , 1. ],
           [0. , 0. ]], dtype=float32)
    >>> pooled.n_empty
    1
    """
    CHECK.choice("method", method, METHODS)
    threads = CHECK.workers(workers)
    vectors = CHECK.array("item_vectors", item_vectors, dtype=np.float32, shape=(None, None))
    check_tokens_covered(sequences, len(vectors), CHECK)
    grouped = OwnerRuns.of(sequences)
    token_weights = _action_factor(token_action, action_weights, len(vectors))
    event_weights = None
    if method == "tfidf":
        idf = _idf(sequences, len(vectors), document_frequencies, n_documents)
        token_weights = idf if token_weights is None else token_weights * idf
    elif method == "recency":
        event_weights = _recency(sequences, grouped, token_weights, len(vectors), decay, half_life_days, threads)
    elif method == "attention":
        if attention is None:
            raise CHECK.value_error("attention", "a fitted AttentionPooling", None)
        event_weights = attention.event_weights(sequences, vectors, workers=workers)
    return pool(sequences, grouped, vectors, token_weights, event_weights, threads)


def pool(
    sequences: Sequences,
    grouped: OwnerRuns,
    vectors: NDArray[np.float32],
    token_weights: NDArray[np.float32] | None,
    event_weights: NDArray[np.float32] | None,
    threads: int,
) -> CustomerVectors:
    """The weighted mean itself, over blocks of customers of equal numbers of events; weights that are None are 1."""
    n = sequences.n_owners
    pooled = _aligned((n, vectors.shape[1]))
    if sequences.n_tokens > len(vectors) and vectors.ctypes.data % _LINE:
        vectors, given = _aligned(vectors.shape), vectors
        vectors[:] = given
    mass, known = np.empty(n), np.empty(n, dtype=np.int64)
    blocks = priced_blocks(grouped.events, threads, PRICE / max(1, vectors.shape[1]))
    stopped = StopFlag()
    arrays: tuple[Any, ...] = (
        grouped.first, grouped.starts, grouped.stops, sequences.tokens, vectors, token_weights, event_weights,
        pooled, mass, known, stopped.flag,
    )
    run_tasks([partial(_core.pool_owners, *block, *arrays) for block in blocks], threads, stop=stopped)
    return CustomerVectors(pooled, mass, known)


def _aligned(shape: tuple[int, int]) -> NDArray[np.float32]:
    """An uninitialised array that starts at a cache line: rows of numpy's own arrays, which start within one, touch one
    line more."""
    size = 4 * shape[0] * shape[1]
    buffer = np.empty(size + _LINE, dtype=np.uint8)
    skip = -buffer.ctypes.data % _LINE
    return buffer[skip : skip + size].view(np.float32).reshape(shape)


def check_tokens_covered(sequences: Sequences, n_tokens: int, check: Checks) -> None:
    """TypeError unless it is a Sequences; ValueError if a token has no row: the first such token is named."""
    check.instance("sequences", sequences, Sequences)
    if sequences.largest_token() >= n_tokens:
        place = int(np.argmax(sequences.tokens >= n_tokens))
        rule = f"Sequences over the {n_tokens} tokens that have rows"
        raise check.value_error("sequences", rule, f"token {sequences.tokens[place]} at {place}")


def owner_document_frequencies(sequences: Sequences, n_tokens: int) -> NDArray[np.int64]:
    """(n_tokens,) int64: owners with at least one occurrence of each token."""
    owner = None if sequences.owner is None else sequences.owners()
    return count_occurrences(sequences.tokens, sequences.offsets, owner, n_tokens, 1)[1]


def _idf(sequences: Sequences, n_tokens: int, df: ArrayLike | None, n_documents: int | None) -> NDArray[np.float32]:
    if (df is None) != (n_documents is None):
        rule = "given together with n_documents, or both left out"
        raise CHECK.value_error("document_frequencies", rule, df)
    if df is None:
        return inverse_document_frequencies(owner_document_frequencies(sequences, n_tokens), sequences.n_owners)
    df = CHECK.array("document_frequencies", df, dtype=np.float64, shape=(n_tokens,))
    return inverse_document_frequencies(df, n_documents)  # type: ignore[arg-type]


def _action_factor(
    token_action: ArrayLike | None, action_weights: ArrayLike | None, n_tokens: int
) -> NDArray[np.float32] | None:
    if action_weights is None:
        return None
    if token_action is None:
        rule = "an array that gives each token's action, since action_weights is given"
        raise CHECK.value_error("token_action", rule, None)
    weights = CHECK.array("action_weights", action_weights, dtype=np.float32, shape=(None,), nonnegative=True)
    action = CHECK.array("token_action", token_action, dtype=np.int32, shape=(n_tokens,))
    if n_tokens and (action.min() < -1 or action.max() >= len(weights)):
        got = f"values from {action.min()} to {action.max()}"
        raise CHECK.value_error("token_action", f"ints in [-1, {len(weights) - 1}]", got)
    factor = np.ones(n_tokens, dtype=np.float32)
    factor[action >= 0] = weights[action[action >= 0]]
    return factor


def _recency(
    sequences: Sequences,
    grouped: OwnerRuns,
    token_weights: NDArray[np.float32] | None,
    n_tokens: int,
    decay: float,
    half_life_days: float | None,
    threads: int,
) -> NDArray[np.float32]:
    weights = np.empty(sequences.n_tokens, dtype=np.float32)
    blocks = priced_blocks(grouped.events, threads, PRICE / 16)
    common = (grouped.first, grouped.starts, grouped.stops)
    if half_life_days is None:
        decay = CHECK.real("decay", decay, 0.0, 1.0, open_low=True)
        run_blocks(_core.position_weights, blocks, threads, *common, decay, weights)
        return weights
    half_life_us = CHECK.real("half_life_days", half_life_days, 0.0, open_low=True) * _DAY_US
    if sequences.timestamps_us is None:
        rule = "None where the sequences have no timestamps_us (use decay by position)"
        raise CHECK.value_error("half_life_days", rule, half_life_days)
    if token_weights is None:
        token_weights = np.ones(n_tokens, dtype=np.float32)
    run_blocks(
        _core.age_weights, blocks, threads, *common, sequences.tokens, token_weights, sequences.timestamps_us,
        half_life_us, weights,
    )
    return weights
