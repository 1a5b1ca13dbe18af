"""Item vectors and traits judged on held-out data, beside controls, each figure with what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._looks import Rows, text_table
from .._progress import Progress
from .._validate import Checks
from ..customers.traits import TraitModel
from ..events.log import EventLog
from ..events.sequences import Sequences
from ..items.next_item import NextItemCounts
from ..items.next_item_blend import NextItemBlend
from ..items.next_item_model import NextItemModel
from ..items.ppmi_embedder import PPMIEmbedder
from ..pipeline import PipelineConfig, make_embedder, prepare_corpus
from ..pipeline.refits import at_one_time
from ..pipeline.stages import Run
from ..pipeline.trait_count import embed_of, with_trait_count
from ..quality.lists import judge_lists
from ..quality.retrieval import VectorScorer, evaluate_retrieval, oldest_first, split_sequences
from ..quality.trait_prediction import Periods
from ..quality.traits import CHECKS, evaluate_traits
from ..report.facts import Figure
from ..report.glossary import LISTS, RETRIEVAL, list_figures, retrieval_figures, trait_figures
from ..serving.mixing import EXAMPLE

__all__ = [
    "CHECKS", "DEFAULT_CHECKS", "Evaluation", "judge_items", "judge_recommendations", "judge_traits",
    "next_item_scorer",
]

DEFAULT_CHECKS: tuple[str, ...] = ("coherence", "stability", "support", "prediction")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was found on held-out data.

    Attributes
    ----------
    items : sessions, queries, and figures by scorer of the next item; None where it wasn't judged.
    traits : figures and protocol of `evaluate_traits`; None where it wasn't judged.
    lists : right products in lists by counts, traits and both; None where it wasn't judged.
    """

    items: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    lists: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and dicts, for JSON."""
        parts = {"items": self.items, "traits": self.traits, "lists": self.lists}
        return {name: one for name, one in parts.items() if one is not None}

    def explained(self) -> Rows[Figure]:
        """The main figures, each beside its control and with a sentence on what it says."""
        found = trait_figures(self.traits["figures"]) if self.traits else []
        found += retrieval_figures(self.items["scorers"]) if self.items else []
        found += list_figures(self.lists) if self.lists else []
        return Rows(Figure, found)

    def to_frame(self, library: str | None = None) -> Any:
        """`explained` as a data frame."""
        return self.explained().to_frame(library)

    def _repr_html_(self) -> str:
        return self.explained()._repr_html_()

    def __repr__(self) -> str:
        return f"Evaluation({', '.join(f'{f.name} {f.value:.3f}' for f in self.explained())})"

    def __str__(self) -> str:
        lines: list[str] = []
        if self.items:
            lines += _items_text(self.items)
        if self.traits:
            fixed = ", ".join(f"{name} {value}" for name, value in self.traits["protocol"].items())
            lines += [
                *([""] if lines else []),
                f"{self.traits['method']} traits, judged on customers that neither fitted nor named them",
                f"  ({fixed})",
                text_table(list(self.traits["figures"].items()), ("figure", "value"), indent=2), "", "In words",
                *([f"  {self.traits['statement']}"] if self.traits.get("statement") else []),
            ]
            for f in trait_figures(self.traits["figures"]):
                control = "" if f.control is None else f" ({f.control_name}: {f.control:.3f})"
                lines += [f"  {f.name}: {f.value:.3f}{control}, {f.verdict}", f"    {f.sentence}"]
        if self.lists:
            lines += [*([""] if lines else []), *_lists_text(self.lists)]
        return "\n".join(lines)


def _lists_text(found: dict[str, Any]) -> list[str]:
    def between(one: dict[str, float], *names: str) -> str:
        return "" if names[0] not in one else "{:+.4f} ({:+.4f} to {:+.4f})".format(*(one[name] for name in names))

    rows = [
        (name, f"{one['precision']:.4f}", f"{one['low']:.4f}-{one['high']:.4f}", f"{one['traits']:.1f}",
         f"{one['shown']:,} ({one['catalogue']:.0%})", between(one, "more", "more_low", "more_high"))
        for name, one in found["lists"].items()
    ]
    limited = [
        f"  {name}: {between(one, 'than_both', 'than_both_low', 'than_both_high')} right products beside no limit"
        for name, one in found["lists"].items() if "than_both" in one
    ]
    heads = ("list", f"precision@{found['k']}", "95%", "traits a list", "products shown", "more than item-kNN")
    return [
        f"New products in the last session of {found['customers']:,} customers, listed by the sessions before",
        text_table(rows, heads, indent=2), *limited, f"  {LISTS.format(k=found['k'])}",
    ]


def _items_text(found: dict[str, Any]) -> list[str]:
    k = next(iter(found["scorers"].values()))["k"]
    rows = [
        (name, f["recall"], "{recall_low:.3f}-{recall_high:.3f}".format(**f), f["mrr"], f["ndcg"], f["coverage"],
         f["popularity_bias"])
        for name, f in found["scorers"].items()
    ]
    heads = ("scorer", f"Recall@{k}", "95%", f"MRR@{k}", f"NDCG@{k}", "coverage", "popularity bias")
    asked = "Items, given the others of their basket, whose order isn't known," if found["baskets"] else "Next item"
    return [
        f"{asked} of {found['sessions']:,} held-out sessions (by {found['by']}), {found['queries']:,} queries over "
        f"{found['n_items']:,} items", text_table(rows, heads, indent=2), f"  {RETRIEVAL.format(k=k)}",
    ]


def judge_items(
    log: EventLog, config: PipelineConfig, *, by: str | None = None, test_share: float = 0.2, k: int = 20,
    exclude_seen: bool = False, max_queries: int | None = 20_000, progress: Progress | None = None,
) -> dict[str, Any]:
    """Next items of held-out sessions by vectors and counts of the other sessions; popularity as control."""
    corpus = prepare_corpus(log, config.with_options({"tokens": "item", "customers": "auto"}))
    n_items = len(corpus.vocabulary)
    by = by or ("session" if corpus.sequences.timestamps_us is None else "time")
    train, test = split_sequences(corpus.sessions, by=by, test_share=test_share, random_state=config.seed)
    if corpus.sets:  # "next" would ask for a shuffled order
        test = at_one_time(test)
    embedder = make_embedder(config, corpus.window).fit(train, n_items=n_items, progress=progress)
    counts = train.token_counts(n_items)
    popular = np.broadcast_to(counts.astype(np.float32), (1, n_items))
    timed = oldest_first(train) if train.timestamps_us is not None else train
    blend = NextItemBlend(
        model=NextItemModel(seed=config.seed), workers=config.workers,
        counts=NextItemCounts() if train.timestamps_us is not None else NextItemCounts(age_scale=1e9),
    ).fit(timed, n_items=n_items, progress=progress).set_params(workers=1)  # the queries are in parallel
    ppmi = PPMIEmbedder(vector_size=config.vector_size, window=corpus.window, workers=config.workers, seed=config.seed)
    scorers: dict[str, Any] = {
        "next-item blend": blend.score,
        "next-item model": blend.model_.score,
        f"{config.method}, item . context": VectorScorer(embedder.item_vectors_, embedder.context_vectors_),
        f"{config.method}, cosine": VectorScorer(embedder.item_vectors_),
        "next-item counts": next_item_scorer(train, n_items, config.workers),
        **({} if config.method == "ppmi" else {
            "ppmi, cosine": VectorScorer(ppmi.fit(train, n_items=n_items).item_vectors_),
        }),
        "popularity (control)": lambda prefixes: np.repeat(popular, len(prefixes), axis=0),
    }
    known = log.position is not None or config.ties == "row"  # the order of events of one time
    reports = {
        name: evaluate_retrieval(
            test, scorer, n_items=n_items, k=k, repeats="exclude" if exclude_seen else "keep",
            ties="order" if known else "set", popularity=counts, max_queries=max_queries, random_state=config.seed,
            workers=config.workers, progress=progress,
        )
        for name, scorer in scorers.items()
    }
    return {
        "by": by, "baskets": corpus.sets, "sessions": len(test),
        "n_items": n_items, "queries": next(iter(reports.values())).n_queries,
        "scorers": {name: report.as_dict() for name, report in reports.items()},
    }


def next_item_scorer(train: Sequences, n_items: int, workers: int) -> Callable[[Sequences], NDArray[Any]]:
    """`NextItemCounts` of the preset "next_click" as a scorer; without times, sessions don't age.

    The counts take the oldest session first; sessions are in order of their owners.
    """
    model = NextItemCounts.preset("next_click", workers=workers)
    if train.timestamps_us is None:
        model.set_params(age_scale=1e9)
    else:
        train = oldest_first(train)
    model.fit(train, n_items=n_items).set_params(workers=1)  # the queries are in parallel

    def score(prefixes: Sequences) -> NDArray[Any]:
        return np.asarray(model.score(prefixes).toarray())

    return score


def judge_recommendations(
    log: EventLog, config: PipelineConfig, *, k: int = 10, max_per_trait: int = EXAMPLE,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The figures of `judge_lists`: each customer's last session, by the sessions before. max_per_trait : of the lists
    mixed over traits, which stand beside those without a limit."""
    most = Checks("judge_recommendations").integer("max_per_trait", max_per_trait, 1)
    corpus = prepare_corpus(log, config)
    config = with_trait_count(corpus, config, make_embedder, None, Run(progress))
    periods = Periods.of(corpus.sequences, len(corpus.vocabulary))
    return judge_lists(
        _trait_model(config), periods, corpus.vocabulary, embed=embed_of(corpus, config, make_embedder), k=k,
        limits=(most,), random_state=config.seed,
    )


def judge_traits(
    log: EventLog, config: PipelineConfig, *, checks: Sequence[str] = DEFAULT_CHECKS, n_splits: int = 5,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The figures of `evaluate_traits`."""
    corpus = prepare_corpus(log, config)
    config = with_trait_count(corpus, config, make_embedder, None, Run(progress))
    found = evaluate_traits(
        corpus.sequences, corpus.vocabulary, model=_trait_model(config), embed=embed_of(corpus, config, make_embedder),
        checks=checks, n_splits=n_splits, random_state=config.seed, progress=progress,
    )
    return {"method": config.trait_method, **found.as_dict()}


def _trait_model(config: PipelineConfig) -> TraitModel:
    return TraitModel(
        config.trait_count(), method=config.trait_method, random_state=config.seed, workers=config.workers
    )
