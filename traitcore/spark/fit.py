"""fit: from a Spark DataFrame of events to published tables, with one call."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .._errors import InputError
from .._progress import Progress, ProgressLike, as_progress
from .._protocols import Embedder
from .._validate import Checks
from ..customers.describe import TraitDescription, describe_traits
from ..customers.traits import TraitModel
from ..events.action_names import buying
from ..events.sequences import Sequences
from ..events.session_report import TiedEventsWarning
from ..items.item2vec import Item2Vec
from ..items.ppmi_embedder import PPMIEmbedder
from ..pipeline.config import PipelineConfig
from ..pipeline.fit import make_embedder
from ..pipeline.item_sessions import LEAST, nothing_together
from ..pipeline.many_customers import told_of_all
from ..pipeline.publish import TABLES, LogSource, publish_tables
from ..pipeline.stages import Run, Stage
from ..pipeline.tables import item_table, token_table
from ..quality.comparison import compare_tables
from ..quality.guardrails import Verdict
from ..serving.releases import Release
from ..serving.store import TableStore
from ..serving.table import EmbeddingTable
from . import engine
from .corpus import SparkCorpus, sessions
from .counts import count_cooccurrences
from .customer_task import customer_schema
from .customers import POOLING, model_options, pooling_options
from .encode_task import encoded_schema
from .vocabularies import ids_of

CHECK = Checks("traitcore.spark.fit")
TRAIT_TOKENS = 20_000_000
# What a fit on Spark can't do: options of these names must have these values.
_ONLY = {"method": ("item2vec", "ppmi"), "customers": ("auto", "users", "none"), "pooling": POOLING}


@dataclass(frozen=True, eq=False)
class SparkFit:
    """What `fit` returns.

    Attributes
    ----------
    config, stages : as of `PipelineResult`. corpus : the SparkCorpus.
    tokens, items, customers : EmbeddingTables; customers is None without users.
    traits, model : their descriptions, and the TraitModel, whose profiles are those of the customers who shaped it.
    verdict, release : None without a store.
    """

    config: PipelineConfig
    stages: tuple[Stage, ...]
    corpus: SparkCorpus
    tokens: EmbeddingTable
    items: EmbeddingTable
    customers: EmbeddingTable | None = None
    traits: tuple[TraitDescription, ...] = ()
    model: TraitModel | None = None
    verdict: Verdict | None = None
    release: Release | None = None


def fit(
    df: Any,
    *,
    columns: Mapping[str, Any] | None = None,
    config: PipelineConfig | None = None,
    store: str | os.PathLike[str] | TableStore | None = None,
    force: tuple[str, str] | None = None,
    trait_tokens: int = TRAIT_TOKENS,
    partitions: int | None = None,
    path: str | None = None,
    show: Callable[[str], None] | None = print,
    progress: ProgressLike = None,
    **options: Any,
) -> SparkFit:
    """Token, item and customer tables of a log on Spark, published if a store is given: `fit_pipeline` on a cluster.

    Sessions, pairs and customers are counted, pooled and folded in where the log is. Vectors and traits are learned on
    the driver: from the counts of pairs, and from the sequences of customers with `trait_tokens` tokens or so, which in
    a smaller log are all. What is shuffled and what reaches the driver is shown first.

    Parameters
    ----------
    df : as of `sessions`; columns : its arguments of the columns, such as {"user": "customer", "action": None}.
    config, options : PipelineConfig and changes to it. method is "item2vec" or "ppmi", pooling "mean", "tfidf" or
        "recency", customers "auto", "users" or "none", n_traits a number.
    store, force, progress : as of `fit_pipeline`. The guardrails know one refit, with another seed; traits are learned
        anew, so their rows and names are not those that were published before.
    partitions, path : as of `sessions`.
    show : gets the plan, line by line; None: nobody does.

    Raises
    ------
    What `sessions` and `fit_pipeline` raise.
    """
    config = (PipelineConfig() if config is None else config).with_options(options)
    config.check()
    for name, allowed in _ONLY.items():
        CHECK.choice(name, getattr(config, name), allowed)
    CHECK.integer("n_traits", config.n_traits, 1)  # "auto" would fit them some fifty times
    CHECK.integer("trait_tokens", trait_tokens, 1)
    given = dict(columns or {})
    with_customers = config.customers != "none" and given.get("user", "user_id") is not None
    if config.customers == "users" and not with_customers:
        raise InputError("customers='users' needs a column of users.")
    if store is not None and not isinstance(store, TableStore):
        store = TableStore(store)
    tell = show or (lambda line: None)
    for line in plan(config, with_customers, trait_tokens, path):
        tell(line)
    run = Run(as_progress(progress))
    with run.stage("sessions") as kept, warnings.catch_warnings():
        warnings.simplefilter("ignore", TiedEventsWarning)  # the window follows the report, as in `fit_pipeline`
        corpus = sessions(df, **given, **_session_options(config, given), partitions=partitions, path=path)
        kept["report"] = f"{corpus.session_report}\n{corpus.report}"
    window = config.window or corpus.session_report.advised_window
    with run.stage("counts") as kept:
        weighting = "linear" if config.method == "item2vec" else "flat"
        counts = count_cooccurrences(_long_sessions(corpus, config.min_length), window=window, weighting=weighting)
        assert counts is not None
        met = np.diff(counts.indptr) > 0  # tokens that stand beside others
        if not met.any():
            raise nothing_together(max(LEAST, config.min_length), corpus.report.sequences, config.min_length)
        size = (counts.data.nbytes + counts.indices.nbytes) / 2**20
        kept["report"] = f"{counts.nnz:,} kinds of pairs, {size:,.0f} MiB on the driver"
        tell(f"counts: {kept['report']}")
    with run.stage(config.method) as kept:
        embedder = _embedder(config, window, corpus, counts, run.stage_progress(config.method))
        kept["report"] = getattr(embedder, "report_", None)
    metadata = {"config": config.recorded()}
    model, customers = None, None
    traits: tuple[TraitDescription, ...] = ()
    items, _ = item_table(corpus.vocabulary, embedder, met, metadata, config, None)
    if with_customers:
        with run.stage("traits"):
            model, part = _shaped(corpus, embedder, config, trait_tokens, run)
        with run.stage("customers"):
            customers, traits = _customers(corpus, embedder, model, part, config, metadata)
    result = SparkFit(
        config, tuple(run.stages), corpus, token_table(corpus.vocabulary, embedder, model, metadata), items, customers,
        traits, model,
    )
    if store is None:
        return result
    with run.stage("refits"):
        other = replace(config, seed=config.seed + 1)
        embedder = _embedder(other, window, corpus, counts, None)
        again, _ = item_table(corpus.vocabulary, embedder, met, {}, other, None)
        refits = [compare_tables(items, again, random_state=config.seed, workers=config.workers)]
    verdict, release = publish_tables(
        {name: table for name in TABLES if (table := getattr(result, name)) is not None}, store, config=config,
        log=LogSource(corpus.log_report, _fingerprint(corpus)), force=force, refits=refits, run=run,
    )
    return replace(result, stages=tuple(run.stages), verdict=verdict, release=release)


def plan(config: PipelineConfig, with_customers: bool, trait_tokens: int, path: str | None) -> list[str]:
    """What is shuffled, what reaches the driver and what that needs there, before anything is read."""
    size = config.vector_size
    lines = [
        "shuffled: the events, once, by user; then counts of tokens and of pairs, as whole numbers, by ranges of rows",
        f"kept by Spark: 12 bytes an event, in {f'{path}/' if path else 'its memory and on its disks'}",
        "to the driver: the vocabulary; the pairs that occur, 12 bytes each, and 36 while vectors are learned; "
        f"vectors, {8 * size} bytes a token",
    ]
    if with_customers:
        row = 4 * (2 * config.trait_count() + size + config.recent) + 16
        lines.append(
            f"to the driver: the sequences of customers with about {trait_tokens:,} tokens (12 bytes each), from which "
            f"traits are learned; {row} bytes a customer for their table"
        )
    return lines


def _session_options(config: PipelineConfig, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `sessions`, as `fit_pipeline` hands them to `split_sessions` and `tokenize`."""
    split = config.session_options(
        times=columns.get("timestamp", "timestamp") is not None, users=columns.get("user", "user_id") is not None,
        sessions=columns.get("session") is not None,
    )
    return split | {"action_map": config.action_map, "tokens": config.tokens, "min_count": config.min_count}


def _long_sessions(corpus: SparkCorpus, min_length: int) -> SparkCorpus:
    """The corpus that items are learned from: of a session of one token nothing is counted in any case."""
    if min_length <= LEAST:
        return corpus
    schema = encoded_schema(engine.user_type(corpus.frame))
    return replace(corpus, frame=engine.run(corpus.frame, "long_sessions", schema, {"least": min_length}))


def _embedder(
    config: PipelineConfig, window: int, corpus: SparkCorpus, counts: Any, progress: Progress | None
) -> Embedder:
    embedder = make_embedder(config, window)
    if isinstance(embedder, Item2Vec):
        met = np.diff(counts.indptr) > 0
        item_counts = np.where(met, corpus.vocabulary.counts, 0)
        embedder.fit_counts(counts, item_counts=item_counts, progress=progress)
        embedder.item_vectors_[~met], embedder.context_vectors_[~met] = 0.0, 0.0  # as `learn_items`
        return embedder
    assert isinstance(embedder, PPMIEmbedder)
    return embedder.fit_counts(counts, progress=progress)


def _shaped(
    corpus: SparkCorpus, embedder: Embedder, config: PipelineConfig, most_tokens: int, run: Run
) -> tuple[TraitModel, Sequences]:
    """The model of traits, and the sequences of the customers who shaped it."""
    part = corpus.collect(most_tokens=most_tokens).sequences
    model = TraitModel(
        config.trait_count(), method=config.trait_method, random_state=config.seed, workers=config.workers
    ).fit(part, corpus.vocabulary, item_vectors=embedder.item_vectors_, progress=run.stage_progress("traits"))
    return model, part


def _customers(
    corpus: SparkCorpus, embedder: Embedder, model: TraitModel, part: Sequences, config: PipelineConfig,
    metadata: dict[str, Any],
) -> tuple[EmbeddingTable, tuple[TraitDescription, ...]]:
    """All customers' table, as `pipeline.tables.customer_table` makes it, with the traits in words; bought is what is
    among their tokens."""
    options = model_options(model) | {
        "table": EmbeddingTable(corpus.vocabulary.tokens, embedder.item_vectors_), "recent": config.recent,
        "pooling": pooling_options(corpus.vocabulary, config.pooling), "bought": _items_bought(corpus),
        "item": corpus.vocabulary.token_item,
    }
    schema = customer_schema(engine.user_type(corpus.frame))
    table = engine.collected(engine.run(corpus.frame, "customers", schema, options))
    order = np.argsort(ids_of(table.column("user").combine_chunks()), kind="stable")
    table = table.take(order).combine_chunks()

    def rows(name: str) -> Any:
        return table.column(name).combine_chunks().flatten().to_numpy().reshape(len(table), -1)

    ids, profiles = ids_of(table.column("user").combine_chunks()), rows("profile")
    traits = tuple(describe_traits(model.raw_profiles_, part, corpus.vocabulary))
    assert part.owner_ids is not None
    if len(part.owner_ids) < len(ids):
        traits = told_of_all(traits, np.searchsorted(ids, part.owner_ids), profiles)
    history, bought = (table.column(name).combine_chunks() for name in ("history", "bought"))
    customers = EmbeddingTable(
        ids,
        profiles,
        arrays={
            "raw_profiles": rows("raw_profile"), "embeddings": rows("vector"), "recent": rows("recent"),
            "events": table.column("events").to_numpy(),
            "history_offsets": history.offsets.to_numpy().astype(np.int64),
            "history_items": history.flatten().to_numpy(),
            "bought_offsets": bought.offsets.to_numpy().astype(np.int64), "bought_items": bought.flatten().to_numpy(),
        },
        metadata=metadata | {"kind": "customers", "traits": [asdict(trait) for trait in traits]},
    )
    return customers, traits


def _items_bought(corpus: SparkCorpus) -> Any:
    """(n_tokens,) int32: the item of a token that means buying, -1 for others."""
    vocabulary = corpus.vocabulary
    codes = [vocabulary.actions.index(name) for name in buying(vocabulary.actions, None)]
    return np.where(np.isin(vocabulary.token_action, codes), vocabulary.token_item, np.int32(-1)).astype(np.int32)


def _fingerprint(corpus: SparkCorpus) -> str:
    """sha256 over the vocabulary with its counts and over the reports: equal logs, equal fingerprint."""
    digest = hashlib.sha256()
    for name, array in sorted(corpus.vocabulary.to_arrays().items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    digest.update(repr((corpus.session_report, corpus.report)).encode())
    return digest.hexdigest()

