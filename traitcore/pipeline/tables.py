"""What a run publishes: tables of tokens, of items and of customers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import TableError
from ..customers.describe import TraitDescription
from ..customers.traits import TraitModel
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from ..items.products import sparse_dense
from ..serving.table import EmbeddingTable
from .config import PipelineConfig


def token_table(
    vocabulary: Vocabulary, embedder: Any, model: TraitModel | None, metadata: dict[str, Any]
) -> EmbeddingTable:
    """Rows are tokens; the vocabulary itself goes along, so that the table can be read without the log."""
    arrays: dict[str, NDArray[Any]] = {"counts": vocabulary.counts}
    arrays |= {f"vocabulary_{name}": array for name, array in vocabulary.to_arrays().items()}
    if model is not None:
        arrays["loadings"] = np.ascontiguousarray(model.components_.T)
    return EmbeddingTable(
        vocabulary.tokens, embedder.item_vectors_, context_vectors=embedder.context_vectors_, arrays=arrays,
        metadata=metadata | {"kind": "tokens"},
    )  # fmt: skip


def vocabulary_of(tokens: EmbeddingTable) -> Vocabulary:
    """The vocabulary that a published table of tokens was made with."""
    prefix = "vocabulary_"
    arrays = {name.removeprefix(prefix): a for name, a in tokens.arrays.items() if name.startswith(prefix)}
    if not arrays:
        raise TableError(f"{tokens!r} holds no vocabulary: it was not published by fit_pipeline.")
    return Vocabulary.from_arrays(arrays)


def item_table(
    vocabulary: Vocabulary, embedder: Any, metadata: dict[str, Any], workers: int
) -> EmbeddingTable:
    """Rows are items, each the mean of its tokens' vectors by count."""
    n_items, n_tokens = len(vocabulary.item_ids), len(vocabulary)
    totals = np.bincount(vocabulary.token_item, weights=vocabulary.counts, minlength=n_items)
    shares = (vocabulary.counts / totals[vocabulary.token_item]).astype(np.float32)
    means = sparse.csr_array((shares, (vocabulary.token_item, np.arange(n_tokens))), shape=(n_items, n_tokens))
    return EmbeddingTable(
        vocabulary.item_ids,
        sparse_dense(means, embedder.item_vectors_, workers=workers),
        context_vectors=sparse_dense(means, embedder.context_vectors_, workers=workers),
        arrays={"counts": totals.astype(np.int64)},
        metadata=metadata | {
            "kind": "items",
            "texts": None if vocabulary.item_texts is None else vocabulary.item_texts.tolist(),
        },
    )  # fmt: skip


def customer_table(
    sequences: Sequences, vocabulary: Vocabulary, vectors: NDArray[np.float32], model: TraitModel,
    traits: tuple[TraitDescription, ...], config: PipelineConfig, metadata: dict[str, Any],
) -> EmbeddingTable:  # fmt: skip
    """Rows are customers: their profile, raw weights, vector, latest tokens (-1: no more) and items bought."""
    owner_of_event = np.repeat(sequences.owners(), np.diff(sequences.offsets))
    n = sequences.n_owners
    bought = sparse.csr_array((n, len(vocabulary.item_ids)), dtype=np.float32)
    if "buy" in vocabulary.actions:
        is_buy = vocabulary.token_action[sequences.tokens] == vocabulary.actions.index("buy")
        pairs = (owner_of_event[is_buy], vocabulary.token_item[sequences.tokens[is_buy]])
        bought = sparse.csr_array((np.ones(int(is_buy.sum()), np.float32), pairs), shape=bought.shape)
        bought.sum_duplicates()
    return EmbeddingTable(
        sequences.owner_ids,
        model.profiles_,
        arrays={
            "raw_profiles": model.raw_profiles_,
            "embeddings": vectors,
            "events": np.bincount(owner_of_event, minlength=n),
            "recent": latest_tokens(sequences, config.recent),
            "bought_offsets": bought.indptr.astype(np.int64),
            "bought_items": bought.indices.astype(np.int32),
        },
        metadata=metadata | {"kind": "customers", "traits": [asdict(trait) for trait in traits]},
    )


def latest_tokens(sequences: Sequences, n_latest: int) -> NDArray[np.int32]:
    """(n_owners, n_latest) int32: each owner's last tokens, the latest first, -1 where there are no more."""
    owner_of_event = np.repeat(sequences.owners(), np.diff(sequences.offsets))
    # Sequences of an owner stand in order of time; a stable sort brings them together.
    order = np.argsort(owner_of_event, kind="stable")
    ends = np.cumsum(np.bincount(owner_of_event, minlength=sequences.n_owners))
    back = ends[owner_of_event[order]] - 1 - np.arange(len(order))
    latest = np.full((sequences.n_owners, n_latest), -1, dtype=np.int32)
    near = back < n_latest
    latest[owner_of_event[order][near], back[near]] = sequences.tokens[order][near]
    return latest
