"""The tables that a run publishes: tokens, items and customers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import TableError
from .._protocols import Embedder
from .._rows import unit_float32_rows
from ..customers.describe import TraitDescription
from ..customers.traits import TraitModel
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from ..factorization.products import sparse_dense
from ..items.fusion import BEHAVIOUR, MISSING, SOURCES
from ..items.next_item_model import NextItemModel
from ..serving.live_traits import METHODS as LIVE_METHODS
from ..serving.live_traits import TraitBasis
from ..serving.next_model import keep_next_model
from ..serving.table import EmbeddingTable
from .catalogue import Catalogue, complete_vectors
from .config import PipelineConfig
from .left_out import LeftOut
from .many_customers import count_events, item_histories, latest_tokens


def token_table(
    vocabulary: Vocabulary, embedder: Embedder, model: TraitModel | None, metadata: dict[str, Any]
) -> EmbeddingTable:
    """Rows are tokens; the vocabulary is stored too, so that the table can be read without the log.

    arrays["loadings"] (n_tokens, n_traits): `TraitModel.token_rates_` transposed, for recommendations.
    arrays["live_..."]: for `live_customers`.
    """
    arrays: dict[str, NDArray[Any]] = {"counts": vocabulary.counts}
    arrays |= {f"vocabulary_{name}": array for name, array in vocabulary.to_arrays().items()}
    if model is not None:
        arrays["loadings"] = np.ascontiguousarray(model.token_rates_.T)
        if model.method in LIVE_METHODS:
            arrays |= TraitBasis.of(model).to_arrays()
    return EmbeddingTable(
        vocabulary.tokens, embedder.item_vectors_, context_vectors=embedder.context_vectors_, arrays=arrays,
        metadata=metadata | {"kind": "tokens"},
    )


def vocabulary_of(tokens: EmbeddingTable) -> Vocabulary:
    """The vocabulary stored in a published table of tokens."""
    prefix = "vocabulary_"
    arrays = {name.removeprefix(prefix): a for name, a in tokens.arrays.items() if name.startswith(prefix)}
    if not arrays:
        raise TableError(f"{tokens!r} holds no vocabulary: it was not published by fit_pipeline.")
    return Vocabulary.from_arrays(arrays)


def item_table(
    vocabulary: Vocabulary, embedder: Embedder, met: NDArray[np.bool_], metadata: dict[str, Any],
    config: PipelineConfig, catalogue: Catalogue | None,
) -> tuple[EmbeddingTable, str]:
    """The table of items, and a sentence on where its vectors come from.

    Rows are the vocabulary's items in its order, each the mean of its tokens' vectors by count; then the catalogue's
    other items. `arrays["source"]` is each row's place in `metadata["sources"]`. Items without events or content have
    no row.

    met : (n_tokens,) whether a token stood beside others in a session. Items of none that did are as items without
    events: their vectors are of their content, else zero with the source "missing".
    """
    n_items, n_tokens = len(vocabulary.item_ids), len(vocabulary)
    counts = np.bincount(vocabulary.token_item, weights=vocabulary.counts, minlength=n_items).astype(np.int64)
    own_counts = np.where(met, vocabulary.counts, 0)
    learned = np.bincount(vocabulary.token_item, weights=own_counts, minlength=n_items).astype(np.int64)
    shares = (own_counts / np.maximum(learned, 1)[vocabulary.token_item]).astype(np.float32)
    means = sparse.csr_array((shares, (vocabulary.token_item, np.arange(n_tokens))), shape=(n_items, n_tokens))
    vectors = sparse_dense(means, embedder.item_vectors_, workers=config.workers)
    context = sparse_dense(means, embedder.context_vectors_, workers=config.workers)
    ids, summary = vocabulary.item_ids, f"{n_items:,} items with events"
    source = np.where(learned > 0, SOURCES.index(BEHAVIOUR), SOURCES.index(MISSING)).astype(np.uint8)
    if not learned.all():
        summary += f", {int((learned == 0).sum()):,} of them never beside others in a session: they have no vector"
    texts = None if vocabulary.item_texts is None else vocabulary.item_texts.tolist()
    if catalogue is not None and config.content != "none":
        ids, own, completed = complete_vectors(
            ids, vectors, learned, catalogue, content=config.content, behaviour_weight=config.behaviour_weight,
            seed=config.seed,
        )
        source = np.asarray([SOURCES.index(name) for name in completed.source.tolist()], dtype=np.uint8)
        # A zero vector of sessions is no missing one: the guardrails should see it.
        source[:n_items][(learned > 0) & (source[:n_items] == SOURCES.index(MISSING))] = SOURCES.index(BEHAVIOUR)
        found = (completed.source != "missing") | (own >= 0)
        summary = ", ".join(f"{n:,} {name}" for name, n in completed.source_counts().items() if n)
        ids, own, source, vectors = ids[found], own[found], source[found], completed.vectors[found]
        context = np.concatenate([context, np.zeros((len(ids) - n_items, context.shape[1]), dtype=np.float32)])
        counts = np.concatenate([counts, np.zeros(len(ids) - n_items, dtype=np.int64)])
    if texts is not None or (catalogue is not None and catalogue.texts is not None):
        texts = _texts(ids, vocabulary, catalogue)
    table = EmbeddingTable(
        ids, vectors, context_vectors=context, arrays={"counts": counts, "source": source},
        metadata=metadata | {"kind": "items", "texts": texts, "sources": list(SOURCES)},
    )
    return table, summary


def with_next_model(
    items: EmbeddingTable, vocabulary: Vocabulary, model: NextItemModel, config: PipelineConfig,
    catalogue: Catalogue | None,
) -> EmbeddingTable:
    """The table of items with a model of the vocabulary's items beside it; the catalogue's other items get vectors from
    their content, so that they take part at once."""
    vectors = model.vectors_
    if len(items) > len(vectors) or (items.ids[: len(vectors)] != vocabulary.item_ids[: len(items)]).any():
        places = {key: row for row, key in enumerate(items.ids.tolist())}
        counts = np.bincount(vocabulary.token_item, weights=vocabulary.counts, minlength=len(vectors)).astype(np.int64)
        ids, _, completed = complete_vectors(
            vocabulary.item_ids, vectors, counts, catalogue, content="backfill",  # type: ignore[arg-type]
            behaviour_weight=config.behaviour_weight, seed=config.seed,
        )
        kept = [(places[key], row) for row, key in enumerate(ids.tolist()) if key in places]
        rows = np.zeros((len(items), vectors.shape[1]), dtype=np.float32)
        biases = np.full(len(items), model.biases_.min(), dtype=np.float32)
        to, of = (np.array(side, dtype=np.int64) for side in zip(*kept))
        rows[to] = unit_float32_rows(completed.vectors[of])
        known = of < len(vectors)
        known[known] = vectors[of[known]].any(axis=1)  # of no session: as the catalogue's others
        rows[to[known]], biases[to[known]] = vectors[of[known]], model.biases_[of[known]]
        model = NextItemModel.from_arrays(rows, biases, model.step_weights_, model.repeat_bonus_, scale=model.scale)
    return keep_next_model(items, model)


def _texts(ids: NDArray[Any], vocabulary: Vocabulary, catalogue: Catalogue | None) -> list[str]:
    """Descriptions by row of the table: the catalogue's, else the log's."""
    known = [] if vocabulary.item_texts is None else vocabulary.item_texts.tolist()
    of = dict(zip(vocabulary.item_ids.tolist(), known))
    if catalogue is not None and catalogue.texts is not None:
        of |= {key: text for key, text in zip(catalogue.item_ids.tolist(), catalogue.texts) if text}
    return [str(of.get(key, "")) for key in ids.tolist()]


def customer_table(
    sequences: Sequences, vocabulary: Vocabulary, vectors: NDArray[np.float32], model: TraitModel,
    traits: tuple[TraitDescription, ...], config: PipelineConfig, metadata: dict[str, Any],
    items: EmbeddingTable, bought_pairs: tuple[NDArray[np.int64], NDArray[Any]] | None,
    left_out: LeftOut | None = None,
) -> EmbeddingTable:
    """Rows are customers: their profile, raw weights, vector, latest tokens (-1 past the first), items of their
    events and items bought, as rows of `items`. The log's other customers are in arrays of their own.
    """
    n = sequences.n_owners
    bought = sparse.csr_array((n, len(items)), dtype=np.float32)
    if bought_pairs is not None:
        owners, ids = bought_pairs
        rows = items.rows(ids, missing="mark")
        pairs = (owners[rows >= 0], rows[rows >= 0])
        bought = sparse.csr_array((np.ones(len(pairs[0]), np.float32), pairs), shape=bought.shape)
        bought.sum_duplicates()
    history_offsets, history_items = item_histories(sequences, vocabulary.token_item)
    return EmbeddingTable(
        sequences.owner_ids,
        model.profiles_,
        arrays={
            "raw_profiles": model.raw_profiles_,
            "embeddings": vectors,
            "events": count_events(sequences),
            "recent": latest_tokens(sequences, config.recent),
            "history_offsets": history_offsets,
            "history_items": history_items,
            "bought_offsets": bought.indptr.astype(np.int64),
            "bought_items": bought.indices.astype(np.int32),
            **({} if left_out is None else left_out.to_arrays()),
        },
        metadata=metadata | {"kind": "customers", "traits": [asdict(trait) for trait in traits]},
    )
