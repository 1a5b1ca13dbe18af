"""fit_pipeline: runs all stages, from the log to published tables."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from .._progress import Progress
from .._protocols import Embedder
from ..customers.attention import AttentionPooling
from ..customers.describe import TraitDescription, describe_traits
from ..customers.pooling import customer_vectors
from ..customers.traits import TraitModel
from ..events.log import EventLog
from ..events.log_report import InputWarning
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from ..items.item2vec import Item2Vec
from ..items.ppmi_embedder import PPMIEmbedder
from ..items.walk_embedder import WalkEmbedder
from ..quality.guardrails import Verdict
from ..serving.releases import Release
from ..serving.store import TableStore
from ..serving.table import EmbeddingTable
from .catalogue import Catalogue, with_content, with_texts
from .config import CHECK, PipelineConfig
from .corpus import TokenizedLog, prepare_corpus, with_customers
from .next_choice import KEY as NEXT
from .publish import TABLES, publish_tables
from .refits import compare_refits
from .stages import Run, Stage
from .tables import customer_table, item_table, token_table
from .trait_versions import PublishedTraits, carry_names


@dataclass(frozen=True, eq=False)
class PipelineResult:
    """What `fit_pipeline` returns.

    Attributes
    ----------
    config : the PipelineConfig used. stages : the stages in order, with times and reports.
    sequences, vocabulary : the corpus; `sequences.owner` are rows of `customers`.
    tokens : EmbeddingTable of the tokens ("view_prod_001"): vectors, context vectors, counts, loadings of the traits.
    items : EmbeddingTable of the items: the mean of their tokens' vectors, by count.
    customers : EmbeddingTable of the customers' profiles (n_customers, n_traits), rows adding up to 1; None without
        customers.
    traits : descriptions of the traits, () without customers. model : the TraitModel.
    verdict : the guardrails', against the items published before; None without a store. release : the Release that was
        published, None without a store. published : its version by table.
    """

    config: PipelineConfig
    stages: tuple[Stage, ...]
    sequences: Sequences
    vocabulary: Vocabulary
    tokens: EmbeddingTable
    items: EmbeddingTable
    customers: EmbeddingTable | None = None
    traits: tuple[TraitDescription, ...] = ()
    model: TraitModel | None = None
    verdict: Verdict | None = None
    release: Release | None = None

    @property
    def published(self) -> Mapping[str, str]:
        """Version by table, {} without a store."""
        return {} if self.release is None else self.release.tables or {}

    @property
    def profiles(self) -> NDArray[np.float32]:
        """(n_customers, n_traits) float32, rows adding up to 1."""
        if self.customers is None:
            raise InputError("The run made no customers: the log has no users, or customers='none' was given.")
        return self.customers.vectors


def fit_pipeline(
    log: EventLog,
    *,
    config: PipelineConfig | None = None,
    catalogue: Catalogue | None = None,
    store: str | os.PathLike[str] | TableStore | None = None,
    force: tuple[str, str] | None = None,
    trait_names: Mapping[int, str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> PipelineResult:
    """Learn token, item and customer vectors and traits from a log, and publish them if a store is given.

    Parameters
    ----------
    log : EventLog. config : PipelineConfig, or None for its defaults. options : changes to it, by name.
    catalogue : Catalogue of descriptions, categories, prices or content vectors, for items without events.
    store : TableStore or its directory. "tokens", "items" and, with customers, "customers" become new versions there,
        or none of them if a stage or the guardrails fail. The stage "refits" then trains the items three times more
        (once for more than a million events), with other seeds on nine tenths of the sessions. The next run's
        guardrails use their differences. The sessions held out from the first refit choose how next items are ranked,
        by context vectors or by cosine (`metadata["next"]` of tokens and items, used by `traitcore similar --next` and
        `recommend --next`).
    trait_names : names of your own for traits, by row. Traits continue those published before: a trait that is matched
        keeps its row, and the name it was given then, unless another is given here.
    force : (who, why): publish although the guardrails fail; both are recorded.
    progress : callback `progress(stage, done, total)`.

    Raises
    ------
    InputError : no session or token is left. TableError : the guardrails fail, the disk is full, another publisher was
        first. TypeError, ValueError : an option.

    See Also
    --------
    read_events : reads a log. TableStore : reads what was published. Item2Vec, TraitModel : the models.

    Examples
    --------
    >>> import traitcore as tc
    >>> shop = tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0)
    >>> result = tc.fit_pipeline(shop.log, method="ppmi", vector_size=8, n_traits=3, trait_method="counts")
    >>> result.items.dimension, result.profiles.shape[1], len(result.traits)
    (8, 3, 3)
    """
    if not isinstance(log, EventLog):
        raise CHECK.type_error("log", "an EventLog", type(log).__name__)
    config = (PipelineConfig() if config is None else config).with_options(options)
    config.check()
    if store is not None and not isinstance(store, TableStore):
        store = TableStore(store)
    run = Run(progress)
    corpus = prepare_corpus(log, config, run)
    corpus = replace(corpus, vocabulary=with_texts(corpus.vocabulary, catalogue))
    if catalogue is not None and config.content != "none":
        with run.stage("content") as kept:
            catalogue = with_content(catalogue, seed=config.seed)
            kept["report"] = "{:,} items of the catalogue, d={}".format(*catalogue.vectors.shape)
    with run.stage(config.method) as kept:
        embedder = make_embedder(config, corpus.window)
        embedder.fit(corpus.sessions, n_items=len(corpus.vocabulary), progress=run.stage_progress(config.method))
        kept["report"] = getattr(embedder, "report_", None)
    learned = None
    if with_customers(config, log):
        published = PublishedTraits.of(store)
        learned = _learn_customers(corpus, embedder, config, catalogue, run, published, dict(trait_names or {}))
    with run.stage("tables") as kept:
        result, kept["report"] = _as_tables(corpus, embedder, learned, config, log, catalogue, run)
    if store is not None:
        with run.stage("refits") as kept:
            refits = compare_refits(result.items, corpus, make_embedder, config, catalogue, progress)
            result.tokens.metadata[NEXT], result.items.metadata[NEXT] = refits.next_tokens, refits.next_items
            chosen = ", ".join(f"{name} by {one['by']}" for name, one in refits.next_items.items())
            kept["report"] = (
                f"{len(refits.comparisons)} on nine tenths of the sessions: the differences expected by the next run's "
                f"guardrails\nnext items in the held-out sessions: {chosen}"
            )
        verdict, release = publish_tables(
            {name: table for name in TABLES if (table := getattr(result, name)) is not None},
            store, config=config, log=log, force=force, refits=refits.comparisons, run=run,
        )
        result = replace(result, verdict=verdict, release=release)
    return replace(result, stages=tuple(run.stages))


@dataclass(frozen=True, eq=False)
class _Learned:
    vectors: NDArray[np.float32]
    model: TraitModel
    traits: tuple[TraitDescription, ...]


def _learn_customers(
    corpus: TokenizedLog, embedder: Embedder, config: PipelineConfig, catalogue: Catalogue | None, run: Run,
    published: PublishedTraits | None, names: dict[int, str],
) -> _Learned:
    sequences, vocabulary, vectors = corpus.sequences, corpus.vocabulary, embedder.item_vectors_
    attention = None
    if config.pooling == "attention":
        with run.stage("attention") as kept:
            attention = AttentionPooling(seed=config.seed, workers=config.workers).fit(
                sequences, vectors, embedder.context_vectors_, progress=run.stage_progress("attention"),
                token_action=vocabulary.token_action if vocabulary.actions else None,
            )
            start, recall = attention.start_, attention.validation_recall_
            before = f"{attention.start_recalls_[start]:.3f} by {start}"
            kept["report"] = f"Recall@20 of the next token {recall:.3f}, from {before}"
    with run.stage("customers") as kept:
        # The vocabulary's counts are of these customers, unless sessions became customers.
        counted = config.pooling == "tfidf" and vocabulary.n_documents == sequences.n_owners
        pooled = customer_vectors(
            sequences, vectors, method=config.pooling, workers=config.workers, attention=attention,
            document_frequencies=vocabulary.document_frequencies if counted else None,
            n_documents=vocabulary.n_documents if counted else None,
        )
        kept["report"] = f"{len(pooled.vectors):,} customers, {pooled.n_empty:,} without known tokens"
    with run.stage("traits") as kept:
        model = TraitModel(
            config.n_traits, method=config.trait_method, random_state=config.seed, workers=config.workers
        ).fit(
            sequences, vocabulary, item_vectors=vectors, progress=run.stage_progress("traits"),
            previous=None if published is None else published.loadings_of(vocabulary.tokens),
        )
        kept["report"] = None if model.history_ is None else str(model.history_)
    with run.stage("descriptions") as kept:
        categories = None
        if catalogue is not None and catalogue.categories is not None:
            categories = [name or "" for name in catalogue.of(vocabulary.item_ids, "categories")]
        found = describe_traits(model.raw_profiles_, sequences, vocabulary, item_category=categories)
        traits = carry_names(found, names, published, model.history_)
        kept["report"] = pointed_out(traits)
    return _Learned(pooled.vectors, model, traits)


def pointed_out(traits: tuple[TraitDescription, ...]) -> str | None:
    """What a reader of the traits should know: background traits, and tokens that are charges rather than goods."""
    background = [str(trait.trait) for trait in traits if trait.background]
    charges = {token.row: token.text for trait in traits for token in trait.tokens if token.row in trait.charges}
    lines = []
    if background:
        lines.append(f"background, what most customers do: trait {', '.join(background)}")
    if charges:
        lines.append(
            f"charges rather than goods among the traits' tokens: {', '.join(list(charges.values())[:5])}. They say "
            "how an order was sent or paid; leave their rows out of the log if they should shape no trait"
        )
    return "\n".join(lines) or None


def _as_tables(
    corpus: TokenizedLog, embedder: Embedder, learned: _Learned | None, config: PipelineConfig, log: EventLog,
    catalogue: Catalogue | None, run: Run,
) -> tuple[PipelineResult, str]:
    sequences, vocabulary = corpus.sequences, corpus.vocabulary
    metadata = {"config": asdict(config)}
    model = None if learned is None else learned.model
    customers = None
    items, summary = item_table(vocabulary, embedder, metadata, config, catalogue)
    if learned is not None:
        customers = customer_table(
            sequences, vocabulary, learned.vectors, learned.model, learned.traits, config, metadata, items,
            corpus.bought,
        )
        if corpus.bought is None:
            there = f": {', '.join(map(repr, log.actions[:10]))}" if log.actions else ""
            summary += (
                f"\nno action of the log means buying{there}. Recommendations leave out nothing as bought; an "
                "action_map (--map-action NAME=buy) says which one does"
            )
    if catalogue is not None and not set(catalogue.item_ids.tolist()) & set(log.item_ids.tolist()):
        warnings.warn(
            f"None of the catalogue's ids, such as {catalogue.item_ids[0]!r}, is an item of the log, such as "
            f"{log.item_ids[0]!r}: are they the same kind of id?", InputWarning, stacklevel=3,
        )
    result = PipelineResult(
        config=config,
        stages=tuple(run.stages),
        sequences=sequences,
        vocabulary=vocabulary,
        tokens=token_table(vocabulary, embedder, model, metadata),
        items=items,
        customers=customers,
        traits=() if learned is None else learned.traits,
        model=model,
    )
    return result, summary


def make_embedder(config: PipelineConfig, window: int) -> Embedder:
    """The embedder that a configuration asks for; after `fit` it has item_vectors_ and context_vectors_."""
    size, seed, workers = config.vector_size, config.seed, config.workers
    if config.method == "ppmi":
        return PPMIEmbedder(vector_size=size, window=window, workers=workers, seed=seed)
    if config.method == "walks":
        return WalkEmbedder(
            graph_window=window, vector_size=size, negative=config.negative, epochs=config.epochs or 1, workers=workers,
            seed=seed,
        )
    return Item2Vec(
        vector_size=size, window=window, negative=config.negative, epochs=config.epochs or 15, workers=workers,
        seed=seed,
    )
