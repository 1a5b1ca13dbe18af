"""The whole way: event log -> sessions -> tokens -> item vectors -> customers -> traits -> published tables.

It owns no maths: each stage is a call into its room. What a stage left out is in its report, and all reports are in
the result and in what is published.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ._errors import InputError, TableError, parameter_message
from ._progress import Progress
from ._validate import check_choice, check_int, check_real
from .customers.describe import TraitDescription, describe_traits
from .customers.pooling import customer_vectors
from .customers.traits import TraitModel
from .events.log import EventLog
from .events.sequences import Sequences
from .events.sessions import GAP_SECONDS, split_sessions
from .events.tokens import DEFAULT_ACTION_MAP, Corpus, tokenize
from .events.vocabulary import Vocabulary
from .items.embedders import Item2Vec
from .items.products import sparse_dense
from .quality.guardrails import Verdict, judge
from .serving.store import TableStore
from .serving.table import EmbeddingTable

OWNER = "fit_pipeline"
TABLES = ("tokens", "items", "customers")  # in the order of publication: a reader begins at the last
METHODS = ("item2vec", "ppmi", "walks")
CUSTOMERS = ("auto", "users", "sessions", "none")


@dataclass(frozen=True)
class PipelineConfig:
    """Every choice of a run, with its default; `fit_pipeline(log, n_traits=8)` changes one.

    Attributes
    ----------
    gap_seconds, min_length, max_events_per_session, max_events_per_minute, max_events_per_day, merge_repeats,
        drop_duplicates : of `split_sessions`. Limits that the log can't be held to (it has no times, no users) rest.
    action_map, tokens, min_count : of `tokenize`.
    method : how token vectors are learned: "item2vec", "ppmi" or "walks" (over the graph of co-occurrences).
    vector_size, window, negative, epochs : of the embedder; "ppmi" has no use for the last two.
    customers : "users", "sessions" (each session is its own customer), "none" (item vectors only), or "auto": users
        where the log has them, else none.
    pooling : method of `customer_vectors`.
    n_traits, trait_method : of `TraitModel`.
    recent : how many latest tokens are kept with each customer, for recommendations.
    workers, seed : threads (-1: all cores), and the seed of every stage.
    """

    gap_seconds: float = GAP_SECONDS
    min_length: int = 2
    max_events_per_session: int | None = 1000
    max_events_per_minute: int | None = None
    max_events_per_day: int | None = 3000
    merge_repeats: bool = False
    drop_duplicates: bool = False
    action_map: Mapping[str, str | None] | None = field(default_factory=lambda: dict(DEFAULT_ACTION_MAP))
    tokens: str = "auto"
    min_count: int = 5
    method: str = "item2vec"
    vector_size: int = 64
    window: int = 5
    negative: int = 5
    epochs: int = 15
    customers: str = "auto"
    pooling: str = "tfidf"
    n_traits: int = 16
    trait_method: str = "joint"
    recent: int = 20
    workers: int = 1
    seed: int = 0

    def with_options(self, options: Mapping[str, Any]) -> PipelineConfig:
        """This configuration with some choices changed; an unknown name is a TypeError that lists the known ones."""
        known = [f.name for f in fields(self)]
        for name in options:
            if name not in known:
                raise TypeError(f"{OWNER} has no option {name!r}. It has {', '.join(known)}.")
        return replace(self, **options)

    def check(self) -> None:
        """Refuse what no stage would: each stage checks its own parameters when its turn comes."""
        check_choice("method", OWNER, self.method, METHODS)
        check_choice("customers", OWNER, self.customers, CUSTOMERS)
        check_int("recent", OWNER, self.recent, 0)
        check_int("min_length", OWNER, self.min_length, 1)
        check_int("min_count", OWNER, self.min_count, 1)
        check_int("n_traits", OWNER, self.n_traits, 1)
        check_int("vector_size", OWNER, self.vector_size, 1)
        check_real("gap_seconds", OWNER, self.gap_seconds, 0.0, open_low=True)


@dataclass(frozen=True)
class Stage:
    """One stage of a run: its name, how long it took, and its report (str() of it is for people)."""

    name: str
    seconds: float
    report: Any = None


@dataclass(frozen=True, eq=False)
class PipelineResult:
    """What `fit_pipeline` returns.

    Attributes
    ----------
    config : PipelineConfig used. stages : what happened, in order, with times and reports.
    sequences, vocabulary : the corpus that all was learned from; `sequences.owner` are rows of `customers`.
    tokens : EmbeddingTable of the tokens ("view_prod_001"): vectors, context vectors, counts, loadings of the traits.
    items : EmbeddingTable of the items: the mean of their tokens, by count.
    customers : EmbeddingTable of the customers' profiles (n_customers, n_traits), rows adding up to 1; None without.
    traits : descriptions, None without customers. model : the TraitModel behind them.
    verdict : of the guardrails against the version before, by table. published : version by table; empty without store.
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
    verdict: Mapping[str, Verdict] = field(default_factory=dict)
    published: Mapping[str, str] = field(default_factory=dict)

    @property
    def profiles(self) -> NDArray[np.float32]:
        """(n_customers, n_traits) float32, rows adding up to 1."""
        if self.customers is None:
            raise InputError("The run made no customers: the log has no users, or customers='none' was asked for.")
        return self.customers.vectors


class _Run:
    """The stages so far, and where to tell about them."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.stages: list[Stage] = []
        self.reports: dict[str, Any] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage; what is put under "report" becomes its report."""
        kept: dict[str, Any] = {}
        began = time.perf_counter()
        if self.progress is not None:
            self.progress(name, 0, 1)
        yield kept
        self.stages.append(Stage(name, time.perf_counter() - began, kept.get("report")))

    def tell(self, name: str) -> Progress | None:
        """A progress callback that speaks of a stage by the pipeline's name for it."""
        progress = self.progress
        return None if progress is None else lambda _, done, total: progress(name, done, total)


def fit_pipeline(
    log: EventLog,
    *,
    config: PipelineConfig | None = None,
    store: str | os.PathLike[str] | TableStore | None = None,
    force: tuple[str, str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> PipelineResult:
    """Learn token, item and customer vectors and traits from a log, and publish them where a store is given.

    Parameters
    ----------
    log : EventLog. config : PipelineConfig, or None for its defaults. options : changes to it, by name.
    store : TableStore or its directory; "tokens", "items" and, with customers, "customers" become new versions there,
        or, where any stage fails or the guardrails object, none does.
    force : (who, why): publish in spite of the guardrails; both are recorded.
    progress : callback `progress(stage, done, total)`.

    Raises
    ------
    InputError : no session or token is left. TableError : the guardrails object, the disk is full, another publisher
        was first. TypeError, ValueError : an option.
    """
    if not isinstance(log, EventLog):
        raise TypeError(parameter_message("log", OWNER, "an EventLog", type(log).__name__))
    config = (PipelineConfig() if config is None else config).with_options(options)
    config.check()
    if store is not None and not isinstance(store, TableStore):
        store = TableStore(store)
    run = _Run(progress)
    corpus = prepare_corpus(log, config, run)
    sequences, vocabulary = corpus.sequences, corpus.vocabulary
    with run.stage(config.method) as kept:
        embedder = make_embedder(config)
        embedder.fit(sequences, n_items=len(vocabulary), progress=run.tell(config.method))
        kept["report"] = getattr(embedder, "report_", None)
    with_customers = _with_customers(config, log)
    model: TraitModel | None = None
    traits: tuple[TraitDescription, ...] = ()
    customers = None
    if with_customers:
        with run.stage("customers") as kept:
            pooled = customer_vectors(
                sequences, embedder.item_vectors_, method=config.pooling, workers=config.workers
            )
            kept["report"] = f"{len(pooled.vectors):,} customers, {pooled.n_empty:,} without known tokens"
        with run.stage("traits") as kept:
            model = TraitModel(
                config.n_traits, method=config.trait_method, random_state=config.seed, workers=config.workers
            ).fit(sequences, vocabulary, item_vectors=embedder.item_vectors_, progress=run.tell("traits"))
        with run.stage("descriptions"):
            traits = tuple(describe_traits(model.profiles_, sequences, vocabulary))
    with run.stage("tables"):
        metadata = {
            "config": asdict(config),
            "log": log.report.as_dict(),
            "stages": [
                {"name": s.name, "seconds": round(s.seconds, 3), "report": None if s.report is None else str(s.report)}
                for s in run.stages
            ],
        }
        tokens = _token_table(vocabulary, embedder, model, metadata)
        items = _item_table(vocabulary, embedder, metadata, config.workers)
        if model is not None:
            customers = _customer_table(sequences, vocabulary, pooled.vectors, model, traits, config, metadata)
    result = PipelineResult(
        config, tuple(run.stages), sequences, vocabulary, tokens, items, customers, traits, model
    )
    if store is None:
        return result
    return _publish(result, store, log, force, run)


def prepare_corpus(log: EventLog, config: PipelineConfig, run: _Run | None = None) -> Corpus:
    """Sessions and tokens of a log; owners are the customers that have any, and "sessions" makes each session one."""
    run = _Run(None) if run is None else run
    if config.customers == "sessions" and log.session is not None:
        log = replace(log, user=log.session, user_ids=log.session_ids)
    has_times, has_users = log.timestamp_us is not None, log.user is not None
    with run.stage("sessions") as kept:
        sessions = split_sessions(
            log,
            # A log that has its own sessions, or no times to cut at, is not cut again.
            gap_seconds=config.gap_seconds if log.session is None and has_times else None,
            min_length=config.min_length,
            max_events_per_session=config.max_events_per_session,
            max_events_per_minute=config.max_events_per_minute if has_times else None,
            max_events_per_day=config.max_events_per_day if has_times and has_users else None,
            merge_repeats=config.merge_repeats,
            drop_duplicates=config.drop_duplicates,
            workers=config.workers,
            progress=run.tell("sessions"),
        )
        kept["report"] = sessions.report
    with run.stage("tokens") as kept:
        corpus = tokenize(
            sessions, action_map=config.action_map, tokens=config.tokens, min_count=config.min_count,
            workers=config.workers,
        )  # fmt: skip
        kept["report"] = corpus.report
    by_session = config.customers == "sessions" and log.session is None
    return replace(corpus, sequences=_compact_owners(corpus.sequences, by_session))


def _with_customers(config: PipelineConfig, log: EventLog) -> bool:
    if config.customers == "users" and log.user is None:
        raise InputError(
            "customers='users' needs a log with users. 'sessions' makes each session its own customer, 'none' makes "
            "item vectors only."
        )
    return config.customers in ("users", "sessions") or (config.customers == "auto" and log.user is not None)


def _compact_owners(sequences: Sequences, by_session: bool) -> Sequences:
    """Owners numbered by those that have sequences; what became of the others stands in the reports."""
    if sequences.owner is None or by_session:
        return replace(sequences, owner=None, owner_ids=np.arange(len(sequences)))
    present, owner = np.unique(sequences.owner, return_inverse=True)
    ids = None if sequences.owner_ids is None else sequences.owner_ids[present]
    return replace(sequences, owner=owner.astype(np.int32), owner_ids=ids)


def make_embedder(config: PipelineConfig) -> Any:
    """The embedder that a configuration asks for; after `fit` it has item_vectors_ and context_vectors_."""
    common = {"vector_size": config.vector_size, "window": config.window, "seed": config.seed}
    if config.method == "item2vec":
        return Item2Vec(negative=config.negative, epochs=config.epochs, workers=config.workers, **common)
    raise ValueError(config.method)


def _token_table(
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


def _item_table(
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


def _customer_table(
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


def _fingerprint(log: EventLog) -> str:
    """sha256 over the coded events and ids: equal logs, equal fingerprint."""
    digest = hashlib.sha256()
    for name in ("item", "user", "action", "timestamp_us", "session", "position"):
        column = getattr(log, name)
        if column is not None:
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(column))
    for ids in (log.item_ids, log.user_ids, log.session_ids):
        if ids is not None:
            digest.update(np.ascontiguousarray(ids) if ids.dtype.kind == "i" else "\0".join(ids.tolist()).encode())
    digest.update("\0".join(log.actions).encode())
    return digest.hexdigest()


def _publish(
    result: PipelineResult, store: TableStore, log: EventLog, force: tuple[str, str] | None, run: _Run
) -> PipelineResult:
    """All tables or none: judged first, then published; when one can't be, those before it are taken back."""
    tables = {name: getattr(result, name) for name in TABLES if getattr(result, name) is not None}
    with run.stage("guardrails") as kept:
        verdicts = {"items": _judge(result, store)}
        kept["report"] = "; ".join(f"{n}: {v.status}" for n, v in verdicts.items())
    fingerprint = _fingerprint(log)
    published: dict[str, str] = {}
    with run.stage("publish") as kept:
        try:
            for name, table in tables.items():
                published[name] = store.publish(
                    table, name, report=verdicts.get(name), parameters=asdict(result.config), seed=result.config.seed,
                    input_fingerprint=fingerprint, forced_by=force and force[0], force_reason=force and force[1],
                )  # fmt: skip
        except BaseException:
            for name in published:
                store.rollback(name)
            raise
        kept["report"] = ", ".join(f"{name} {version}" for name, version in published.items())
    return replace(result, stages=tuple(run.stages), verdict=verdicts, published=published)


def _judge(result: PipelineResult, store: TableStore) -> Verdict:
    """The new items against the published ones, if there are any."""
    has_items = (store.root / "items" / "LATEST").exists()
    previous = store.open("items") if has_items else None
    return judge(result.items, previous, seed=result.config.seed, workers=result.config.workers)
