"""fit_pipeline: runs all stages, from the log to published tables."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from .._progress import Progress, ProgressLike, as_progress
from .._protocols import Embedder
from ..customers.attention import AttentionPooling
from ..customers.describe import TraitDescription
from ..customers.traits import TraitModel
from ..events.log import EventLog
from ..events.log_report import InputWarning
from ..events.prepared import PreparedCorpus
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
from .corpus import TokenizedLog, corpus_of, prepare_corpus, settings_of, with_customers, without_order
from .coverage import KEY as COVERAGE
from .coverage import Coverage
from .history import KEY as HISTORY
from .history import trait_history
from .item_sessions import learn_items
from .many_customers import describe, fit_traits, pool_customers, read_traits
from .next_choice import KEY as NEXT
from .publish import TABLES, log_source, publish_tables
from .refits import compare_refits
from .stages import Run, Stage
from .tables import customer_table, item_table, token_table, with_next_model
from .trait_count import with_trait_count
from .trait_versions import KEY as CONTINUES
from .trait_versions import PublishedTraits, carry_names, check_names


@dataclass(frozen=True, eq=False)
class PipelineResult:
    """What `fit_pipeline` returns.

    Attributes
    ----------
    config : the PipelineConfig used. stages : the stages in order, with times and reports.
    sequences, vocabulary : the corpus, with the sessions that are too short for item vectors; `sequences.owner` are
        rows of `customers`.
    tokens : EmbeddingTable of the tokens ("view_prod_001"): vectors, context vectors, counts, loadings of the traits.
    items : EmbeddingTable of the items: the mean of their tokens' vectors, by count.
    customers : EmbeddingTable of the customers' profiles (n_customers, n_traits), rows adding up to 1; None without
        customers.
    traits : descriptions of the traits, () without customers. model : the TraitModel.
    coverage : what of the log is in the corpus, what is not and why; None of a PreparedCorpus.
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
    coverage: Coverage | None = None
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
    log: EventLog | PreparedCorpus,
    *,
    config: PipelineConfig | None = None,
    catalogue: Catalogue | None = None,
    store: str | os.PathLike[str] | TableStore | None = None,
    force: tuple[str, str] | None = None,
    trait_names: Mapping[int, str] | None = None,
    progress: ProgressLike = None,
    **options: Any,
) -> PipelineResult:
    """Learn token, item and customer vectors and traits from a log, and publish them if a store is given.

    Parameters
    ----------
    log : EventLog; or PreparedCorpus, whose settings of sessions and tokens are then taken.
    config : PipelineConfig, or None for its defaults. options : changes to it, by name.
    catalogue : Catalogue of descriptions, categories, prices or content vectors, for items without events.
    store : TableStore or its directory. "tokens", "items" and, with customers, "customers" become new versions there,
        or none of them if a stage or the guardrails fail. The stage "refits" then trains the items three times more
        (once for more than a million events), with other seeds on nine tenths of the sessions. The next run's
        guardrails use their differences. The sessions held out from the first refit choose how next items are ranked,
        by context vectors or by cosine (`metadata["next"]` of tokens and items, used by `traitcore similar --next` and
        `recommend --next`).
    trait_names : {row: name}, names of your own for traits. Traits continue those published before: a trait that is
        matched keeps its row, and the name it was given then, unless another is given here; "" takes it back.
    force : (who, why): publish although the guardrails fail; both are recorded.
    progress : True draws a bar; or a callback `progress(stage, done, total)`.

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
    if not isinstance(log, (EventLog, PreparedCorpus)):
        raise CHECK.type_error("log", "an EventLog or a PreparedCorpus", type(log).__name__)
    config = (PipelineConfig() if config is None else config).with_options(options)
    if isinstance(log, PreparedCorpus):
        config = settings_of(log, config, options)
    config.check()
    names, published = dict(trait_names or {}), None
    if store is not None and not isinstance(store, TableStore):
        store = TableStore(store)
    if with_customers(config, log):
        if config.n_traits != "auto":
            check_names(names, config.n_traits)
        published = PublishedTraits.of(store)
    elif names:
        raise CHECK.value_error("trait_names", "left out: this run makes no customers, so no traits", names)
    return run_pipeline(log, config, catalogue, store, force, published, names, as_progress(progress))


def run_pipeline(
    log: EventLog | PreparedCorpus, config: PipelineConfig, catalogue: Catalogue | None, store: TableStore | None,
    force: tuple[str, str] | None, published: PublishedTraits | None, names: Mapping[int, str],
    progress: Progress | None,
) -> PipelineResult:
    """`fit_pipeline` of checked arguments; the traits continue `published`, which needn't be of the same store."""
    run = Run(progress)
    corpus = corpus_of(log, config, run) if isinstance(log, PreparedCorpus) else prepare_corpus(log, config, run)
    corpus = replace(corpus, vocabulary=with_texts(corpus.vocabulary, catalogue))
    if catalogue is not None and config.content != "none":
        with run.stage("content") as kept:
            catalogue = with_content(catalogue, seed=config.seed)
            kept["report"] = "{:,} items of the catalogue, d={}".format(*catalogue.vectors.shape)
    with run.stage(config.method) as kept:
        embedder = make_embedder(config, corpus.window)
        met = learn_items(embedder, corpus.sessions, len(corpus.vocabulary), run.stage_progress(config.method))
        kept["report"] = getattr(embedder, "report_", None)
    learned = None
    if with_customers(config, log):
        config = with_trait_count(corpus, config, make_embedder, published, run)
        check_names(names, config.trait_count())
        learned = _learn_customers(corpus, embedder, config, catalogue, run, published, names)
    with run.stage("tables") as kept:
        result, kept["report"] = _as_tables(corpus, embedder, met, learned, config, log, catalogue, run)
    if store is not None:
        result = _publish(result, log, corpus, store, catalogue, force, run)
    return replace(result, stages=tuple(run.stages))


def publish_result(
    result: PipelineResult, log: EventLog, store: str | os.PathLike[str] | TableStore, *,
    catalogue: Catalogue | None = None, force: tuple[str, str] | None = None, progress: ProgressLike = None,
) -> PipelineResult:
    """Publish what `fit_pipeline` made of `log` (with that `catalogue`) without a store.

    What is published is what it would have published itself, but for the traits: they were learned before the store was
    known, and don't continue those published there.
    """
    run = Run(as_progress(progress))
    run.stages = list(result.stages)
    report = next(stage.report for stage in result.stages if stage.name == "sessions")
    window = result.config.window or report.advised_window  # type: ignore[attr-defined]
    if catalogue is not None and result.config.content != "none":
        catalogue = with_content(catalogue, seed=result.config.seed)
    store = store if isinstance(store, TableStore) else TableStore(store)
    corpus = TokenizedLog(
        result.sequences, result.vocabulary, window, result.config.min_length,
        without_order(result.sequences, report),  # type: ignore[arg-type]
    )
    published = _publish(result, log, corpus, store, catalogue, force, run)
    return replace(published, stages=tuple(run.stages))


def _publish(
    result: PipelineResult, log: EventLog | PreparedCorpus, corpus: TokenizedLog, store: TableStore,
    catalogue: Catalogue | None, force: tuple[str, str] | None, run: Run,
) -> PipelineResult:
    config = result.config
    with run.stage("refits") as kept:
        refits = compare_refits(result.items, corpus, make_embedder, config, catalogue, run.progress)
        result.tokens.metadata[NEXT], result.items.metadata[NEXT] = refits.next_tokens, refits.next_items
        if refits.next_model is not None:
            kept_items = with_next_model(result.items, corpus.vocabulary, refits.next_model, config, catalogue)
            result = replace(result, items=kept_items)
        chosen = ", ".join(f"{name} by {one['by']}" for name, one in refits.next_items.items())
        kept["report"] = (
            f"{len(refits.comparisons)} on nine tenths of the sessions: the differences expected by the next run's "
            f"guardrails\nnext items in the held-out sessions: {chosen}"
        )
    verdict, release = publish_tables(
        {name: table for name in TABLES if (table := getattr(result, name)) is not None},
        store, config=config, log=log_source(log), force=force, refits=refits.comparisons, run=run,
    )
    return replace(result, verdict=verdict, release=release)


@dataclass(frozen=True, eq=False)
class _Learned:
    vectors: NDArray[np.float32]
    model: TraitModel
    traits: tuple[TraitDescription, ...]
    continues: str | None  # the version of the tokens whose traits these continue


def _learn_customers(
    corpus: TokenizedLog, embedder: Embedder, config: PipelineConfig, catalogue: Catalogue | None, run: Run,
    published: PublishedTraits | None, names: Mapping[int, str],
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
        pooled, n_empty = pool_customers(sequences, vectors, vocabulary, config, attention)
        kept["report"] = f"{len(pooled):,} customers, {n_empty:,} without a vector"
    with run.stage("traits") as kept:
        model, sample, drawn = fit_traits(
            sequences, vocabulary, vectors, config, run.stage_progress("traits"),
            None if published is None else published.loadings_of(vocabulary.tokens),
        )
        if drawn is not None:
            read_traits(model, sequences)
        lines = [] if drawn is None else [f"shaped by {len(drawn):,} customers drawn at random, read for all"]
        lines += [] if model.history_ is None else [str(model.history_)]
        kept["report"] = "\n".join(lines) or None
    with run.stage("descriptions") as kept:
        categories = None
        if catalogue is not None and catalogue.categories is not None:
            categories = [name or "" for name in catalogue.of(vocabulary.item_ids, "categories")]
        found = describe(model, sample, drawn, vocabulary, categories)
        traits = carry_names(found, names, published, model.history_)
        kept["report"] = pointed_out(traits)
    return _Learned(pooled, model, traits, None if published is None else published.version)


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
    corpus: TokenizedLog, embedder: Embedder, met: NDArray[np.bool_], learned: _Learned | None, config: PipelineConfig,
    log: EventLog | PreparedCorpus, catalogue: Catalogue | None, run: Run,
) -> tuple[PipelineResult, str]:
    sequences, vocabulary = corpus.sequences, corpus.vocabulary
    metadata = {"config": config.recorded()}
    model = None if learned is None else learned.model
    customers = None
    items, summary = item_table(vocabulary, embedder, met, metadata, config, catalogue)
    if corpus.coverage is not None:
        items.metadata[COVERAGE] = corpus.coverage.as_dict()
    if learned is not None:
        prices = None
        if catalogue is not None and catalogue.prices is not None:
            prices = np.array(catalogue.of(vocabulary.item_ids, "prices"), dtype=np.float64)
        history = trait_history(sequences, vocabulary, learned.model, prices)
        customers = customer_table(
            sequences, vocabulary, learned.vectors, learned.model, learned.traits, config,
            metadata | {HISTORY: history, CONTINUES: learned.continues}, items, corpus.bought, corpus.left_out,
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
        coverage=corpus.coverage,
    )
    return result, summary


def make_embedder(config: PipelineConfig, window: int) -> Embedder:
    """The embedder that a configuration asks for; after `fit` it has item_vectors_ and context_vectors_."""
    size, seed, workers = config.vector_size, config.seed, config.workers
    if config.method == "ppmi":
        return PPMIEmbedder(vector_size=size, window=window, workers=workers, seed=seed)
    if config.method == "walks":
        return WalkEmbedder(
            graph_window=window, vector_size=size, negative=config.negative, epochs=config.epochs or 1,
            sample=config.sample or 0.0, workers=workers, parallel=config.parallel, seed=seed,
        )
    return Item2Vec(
        vector_size=size, window=window, negative=config.negative, epochs=config.epochs or 15,
        sample=1e-3 if config.sample is None else config.sample, workers=workers, parallel=config.parallel, seed=seed,
    )
