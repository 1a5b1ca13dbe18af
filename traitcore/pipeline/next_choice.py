"""How a published table ranks next items: by context vectors, cosine or a `NextItemModel`, whichever finds more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from ..items.next_item_model import NextItemModel
from ..quality.retrieval import VectorScorer, evaluate_retrieval, oldest_first, session_ends
from ..serving.table import EmbeddingTable

KEY = "next"  # in the metadata of tokens and items
CONTEXT, COSINE, MODEL = "context", "cosine", "model"
DEFAULT = CONTEXT  # for tables without a record
K = 20
MAX_QUERIES = 2000
# Bounds the time on large shops: 40 million scores are ranked in about half a second. More would rarely change the
# choice: the standard error of a recall of .1 is .007 over 2,000 queries, and .015 over the 400 queries that 100,000
# items leave.
MOST_SCORES = 40_000_000
# The latest sessions of so many events choose, and are what a `NextItemModel` learns: two minutes on one core, and
# memory that doesn't grow with the log. Of a log's events the older ones tell least of what comes next. No other number
# was tried; no real log at hand is larger.
LATEST_EVENTS = 4_000_000
Sides = tuple[NDArray[np.float32], NDArray[np.float32]]  # vectors and context vectors, (n, d) each


def recorded_choice(table: EmbeddingTable, query: str) -> str:
    """"context", "cosine" or "model", chosen on held-out sessions at the table's fit; "context" without a record.

    query : "similar" (next to one row) or "recommend" (next to a customer's latest events).
    """
    recorded = table.metadata.get(KEY)
    found = recorded.get(query) if isinstance(recorded, dict) else None
    by = found.get("by") if isinstance(found, dict) else None
    return by if by in (CONTEXT, COSINE, MODEL) else DEFAULT


def choose_next(
    tokens: Sides, items: Sides, held_out: Sequences, vocabulary: Vocabulary, *, model: NextItemModel | None = None,
    seed: int, workers: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(record for tokens, record for items): Recall@20 of both rankings on held-out sessions.

    "similar": the next different row after one row, which is left out itself. "recommend": the next item of a session,
    its own items included. The first rows of `items` are the vocabulary's. model : one of these items, or None.
    """
    n_items = len(vocabulary.item_ids)
    by_item = replace(held_out, tokens=vocabulary.token_item[held_out.tokens].astype(np.int32))
    options: dict[str, Any] = {"random_state": seed, "workers": workers}
    known = items[0][:n_items], items[1][:n_items]
    for_tokens = {"similar": _judge(tokens, _steps(held_out), "exclude", options)}
    # Without actions the items are the tokens in another order: one evaluation will do.
    alike = len(tokens[0]) == n_items
    alike = alike and all(np.array_equal(a, b[vocabulary.token_item]) for a, b in zip(tokens, known))
    for_items = {"similar": for_tokens["similar"], "recommend": _judge(known, by_item, "keep", options, model)}
    if not alike or model is not None:
        for_items["similar"] = _judge(known, _steps(by_item), "exclude", options, model)
    return for_tokens, for_items


def latest_sessions(sequences: Sequences) -> NDArray[np.bool_]:
    """(n_sessions,) bool: those that end last, of LATEST_EVENTS in all; the last rows where times aren't known."""
    n = len(sequences)
    if sequences.n_tokens <= LATEST_EVENTS:
        return np.ones(n, dtype=bool)
    times = sequences.timestamps_us
    order = np.arange(n) if times is None else np.argsort(session_ends(sequences, times), kind="stable")
    lengths = sequences.offsets[1:] - sequences.offsets[:-1]
    kept = np.zeros(n, dtype=bool)
    kept[order[np.cumsum(lengths[order[::-1]])[::-1] <= LATEST_EVENTS]] = True
    return kept


def sessions_of_items(sequences: Sequences, vocabulary: Vocabulary) -> Sequences:
    """The same sessions with items for tokens, the oldest first where their times are known."""
    by_item = replace(sequences, tokens=vocabulary.token_item[sequences.tokens].astype(np.int32))
    return by_item if by_item.timestamps_us is None else oldest_first(by_item)


def fit_next_model(sequences: Sequences, vocabulary: Vocabulary, *, seed: int, workers: int) -> NextItemModel | None:
    """A model of sessions of items; None where none has two events."""
    sessions = sessions_of_items(sequences, vocabulary)
    if not (np.diff(sessions.offsets) > 1).any():
        return None
    return NextItemModel(seed=seed, workers=workers).fit(sessions, n_items=len(vocabulary.item_ids))


def _judge(
    sides: Sides, sessions: Sequences, repeats: str, options: dict[str, Any], model: NextItemModel | None = None
) -> dict[str, Any]:
    if not (np.diff(sessions.offsets) > 1).any():
        return {"by": DEFAULT, "queries": 0}
    n = len(sides[0])
    scorers: dict[str, Any] = {CONTEXT: VectorScorer(*sides), COSINE: VectorScorer(sides[0])}
    if model is not None:
        scorers[MODEL] = model.score
    reports = {
        name: evaluate_retrieval(
            sessions, scorer, n_items=n, k=K, repeats=repeats, max_queries=max(100, min(MAX_QUERIES, MOST_SCORES // n)),
            **options,
        )
        for name, scorer in scorers.items()
    }
    figures = {name: (report.recall, report.mrr) for name, report in reports.items()}
    return {
        "by": max(figures, key=lambda name: figures[name]),  # of equals the first
        f"recall_at_{K}": {name: round(recall, 4) for name, (recall, _) in figures.items()},
        f"mrr_at_{K}": {name: round(mrr, 4) for name, (_, mrr) in figures.items()},
        "queries": reports[COSINE].n_queries,
    }


def _steps(sessions: Sequences) -> Sequences:
    """Each step from a token to another one as a sequence of two."""
    tokens = sessions.tokens
    inside = np.ones(len(tokens), dtype=bool)
    inside[sessions.offsets[:-1][np.diff(sessions.offsets) > 0]] = False
    second = np.flatnonzero(inside)
    second = second[tokens[second] != tokens[second - 1]]
    pairs = np.stack([tokens[second - 1], tokens[second]], axis=1).ravel()
    return Sequences(tokens=pairs, offsets=np.arange(0, len(pairs) + 1, 2))
