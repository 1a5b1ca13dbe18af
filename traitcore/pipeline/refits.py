"""How far honest trainings on one log lie apart: what the next run's guardrails judge against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .._progress import Progress
from ..events.sequences import Sequences
from ..quality.comparison import TableComparison, compare_tables
from ..serving.table import EmbeddingTable
from .catalogue import Catalogue
from .config import PipelineConfig
from .corpus import Prepared
from .tables import item_table

REFITS = 3
SHARE = 0.9
# Trained in a few seconds. On a larger log one refit must do: over many items, refits hardly differ from each other.
# None would not do: of 5,000 items with 140 events each, honest tables by item2vec share 18 to 20% of their neighbours
# and those by walks 7%, which no limit for all kinds of table tells from a fault.
MOST_EVENTS = 1_000_000
STAGE = "refits, for guardrails"  # what progress calls them
KEY = "refits"  # in the metadata of the items


def compare_refits(
    items: EmbeddingTable, corpus: Prepared, make: Callable[[PipelineConfig, int], Any], config: PipelineConfig,
    catalogue: Catalogue | None, progress: Progress | None = None,
) -> list[TableComparison]:  # fmt: skip
    """`items` against tables trained with other seeds on nine tenths of the sessions."""
    found, wanted = [], REFITS if corpus.sequences.n_tokens <= MOST_EVENTS else 1
    for number in range(1, wanted + 1):
        if progress is not None:
            progress(STAGE, number - 1, wanted)
        other = replace(config, seed=config.seed + number)
        embedder = make(other, corpus.window)
        embedder.fit(_part(corpus.sequences, other.seed), n_items=len(corpus.vocabulary))
        table, _ = item_table(corpus.vocabulary, embedder, {}, other, catalogue)
        found.append(compare_tables(items, table, seed=config.seed, workers=config.workers))
    return found


def kept_refits(previous: EmbeddingTable | None) -> list[TableComparison]:
    """What was kept with a published table of items; [] where nothing was."""
    kept = [] if previous is None else previous.metadata.get(KEY, [])
    return [TableComparison.of_dict(plain) for plain in kept]


def as_metadata(refits: list[TableComparison]) -> list[dict[str, Any]]:
    """For the metadata: without examples of items."""
    bare = [replace(one, gained_examples=(), lost_examples=(), most_moved=()) for one in refits]
    return [one.as_dict() for one in bare]


def _part(sequences: Sequences, seed: int) -> Sequences:
    n = len(sequences)
    return sequences.take(np.sort(np.random.default_rng(seed).permutation(n)[: max(1, int(SHARE * n))]))
