"""Refits of the items on nine tenths of the sessions.

The next run's guardrails use the differences between them. The tenth held out chooses how `--next` ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._progress import Progress
from .._protocols import Embedder
from ..events.sequences import Sequences
from ..items.next_item_model import NextItemModel
from ..quality.comparison import TableComparison, compare_tables
from ..serving.table import EmbeddingTable
from .catalogue import Catalogue
from .config import PipelineConfig
from .corpus import TokenizedLog
from .item_sessions import learn_items
from .many_customers import take_sequences
from .next_choice import MODEL, choose_next, fit_next_model, latest_sessions, sessions_of_items
from .tables import item_table

REFITS = 3
SHARE = 0.9
# Up to here a refit takes seconds. A larger log gets one refit: over many items, refits hardly differ. One is needed:
# of 5,000 items with 140 events each, fault-free tables by item2vec share 18 to 20% of their neighbours and those by
# walks 7%, so no limit for all methods separates them from faults.
MOST_EVENTS = 1_000_000
STAGE = "refits, for guardrails"  # name in progress
KEY = "refits"  # in the metadata of the items


class Refits(NamedTuple):
    """Comparisons with the table of items, and `next_choice` records for tokens and items."""

    comparisons: list[TableComparison]
    next_tokens: dict[str, Any]
    next_items: dict[str, Any]
    next_model: NextItemModel | None = None  # of all sessions, where it ranks best


def compare_refits(
    items: EmbeddingTable, corpus: TokenizedLog, make: Callable[[PipelineConfig, int], Embedder],
    config: PipelineConfig, catalogue: Catalogue | None, progress: Progress | None = None,
) -> Refits:
    """Compare `items` with tables trained with other seeds on nine tenths of the sessions.

    The first of them, and a `NextItemModel` beside it, are evaluated on next items of the held-out tenth; of a large
    log, by its latest sessions. `catalogue` has its content vectors.
    """
    vocabulary, found, wanted = corpus.vocabulary, [], REFITS if corpus.sessions.n_tokens <= MOST_EVENTS else 1
    chosen: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    model: NextItemModel | None = None
    for number in range(1, wanted + 1):
        if progress is not None:
            progress(STAGE, number - 1, wanted)
        other = replace(config, seed=config.seed + number)
        trained, held_out = _split(len(corpus.sessions), other.seed)
        if number == 1:  # before the vectors of all tokens are there too
            latest = latest_sessions(corpus.sessions)
            model = fit_next_model(
                take_sequences(corpus.sessions, trained[latest[trained]]), vocabulary, seed=config.seed,
                workers=config.workers,
            )
            held_out = held_out[latest[held_out]]
        embedder = make(other, corpus.window)
        met = learn_items(embedder, take_sequences(corpus.sessions, trained), len(vocabulary))
        table, _ = item_table(vocabulary, embedder, met, {}, other, catalogue)
        found.append(compare_tables(items, table, random_state=config.seed, workers=config.workers))
        if number == 1:
            unseen = take_sequences(corpus.sessions, held_out)
            asked = at_one_time(unseen) if corpus.sets else unseen
            chosen = choose_next(
                (embedder.item_vectors_, embedder.context_vectors_), (table.vectors, table.context_vectors),  # type: ignore[arg-type]
                asked, vocabulary, model=model, seed=config.seed, workers=config.workers,
            )
            if model is not None and all(one["by"] != MODEL for one in chosen[1].values()):
                model = None
            elif model is not None:  # the held-out tenth is learned too, now that it has chosen
                rest = sessions_of_items(unseen, vocabulary)
                if (np.diff(rest.offsets) > 1).any():
                    model.partial_fit(rest)
    if progress is not None:
        progress(STAGE, wanted, wanted)
    return Refits(found, *chosen, model)


def at_one_time(sequences: Sequences) -> Sequences:
    """The same with one time for all events: sets, of which each event is asked for given the others, not the next."""
    return replace(sequences, timestamps_us=np.zeros(sequences.n_tokens, dtype=np.int64))


def kept_refits(previous: EmbeddingTable | None) -> list[TableComparison]:
    """The comparisons kept with a published table of items; [] without."""
    kept = [] if previous is None else previous.metadata.get(KEY, [])
    return [TableComparison.of_dict(plain) for plain in kept]


def as_metadata(refits: list[TableComparison]) -> list[dict[str, Any]]:
    """For the metadata: without examples of items."""
    bare = [replace(one, gained_examples=(), lost_examples=(), most_moved=()) for one in refits]
    return [one.as_dict() for one in bare]


def _split(n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of nine tenths of n sessions, and of the others."""
    order, n_trained = np.random.default_rng(seed).permutation(n), max(1, int(SHARE * n))
    return np.sort(order[:n_trained]), np.sort(order[n_trained:])
