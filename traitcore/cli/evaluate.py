"""traitcore evaluate: next items and traits judged on held-out data, beside controls."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .options import add_common, add_learning_options, config_of
from .progress import ProgressLine
from .reading import add_log_options, read_log
from .render import table, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..events.log import EventLog
    from ..events.sequences import Sequences
    from ..pipeline import PipelineConfig

CHECKS = ("coherence", "stability", "support", "prediction", "invariance", "nulls")


def add_commands(commands: Any) -> None:
    """Add this module's command."""
    parser = commands.add_parser(
        "evaluate", help="judge item vectors and traits on held-out data",
        description="Item vectors: all items are ranked as the next item of held-out sessions, beside next-item counts "
        "(NextItemCounts, no vectors) and popularity. Traits: fitted and named on half of the customers, judged on the "
        "other half, beside controls.",
        epilog="example:\n  traitcore evaluate events.csv --by time --n-traits 16",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_log_options(parser, items=False)
    add_learning_options(parser)
    group = parser.add_argument_group("evaluation")
    group.add_argument("--only", choices=("items", "traits"), help="judge only these")
    text = "hold out the latest sessions, or random ones (time, if known)"
    group.add_argument("--by", choices=("time", "session"), help=text)
    text = "share of sessions held out (%(default)s)"
    group.add_argument("--test-share", type=float, default=0.2, metavar="X", help=text)
    group.add_argument("-k", type=int, default=20, metavar="N", help="length of the lists (%(default)s)")
    group.add_argument("--exclude-seen", action="store_true", help="don't list items of the session so far")
    text = "use a sample of this many (%(default)s)"
    group.add_argument("--max-queries", type=int, default=20_000, metavar="N", help=text)
    group.add_argument(
        "--checks", default="coherence,stability,support,prediction", metavar="LIST",
        help=f"checks of the traits, any of {','.join(CHECKS)} (%(default)s)",
    )
    group.add_argument("--splits", type=int, default=5, metavar="N", help="halvings of the customers (%(default)s)")
    add_common(parser, store=False)
    parser.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> None:
    progress = ProgressLine(args.quiet or None)
    config = config_of(args)
    answer: dict[str, Any] = {}
    try:
        log = read_log(args, progress)
        if args.only != "traits":
            answer["items"] = judge_items(log, config, args, progress)
            if not args.json:
                progress.clear()
                _print_items(answer["items"], args.k)
        if args.only != "items" and (log.user is not None or config.customers == "sessions"):
            answer["traits"] = judge_traits(log, config, args, progress)
    finally:
        progress.clear()
    if args.json:
        write_json(answer)
    elif "traits" in answer:
        fixed = ", ".join(f"{name} {value}" for name, value in answer["traits"]["protocol"].items())
        print(f"  ({fixed})")
        print(answer["traits"]["statement"])


def _print_items(found: dict[str, Any], k: int) -> None:
    asked = "Items given the rest of their basket, whose order isn't known," if found["baskets"] else "Next item"
    print(f"{asked} of {found['sessions']:,} held-out sessions (by {found['by']}), "
          f"{found['queries']:,} queries over {found['n_items']:,} items")
    print(table(
        [(name, f["recall"], f["mrr"], f["ndcg"], f["coverage"], f["popularity_bias"])
         for name, f in found["scorers"].items()],
        ("scorer", f"Recall@{k}", f"MRR@{k}", f"NDCG@{k}", "coverage", "popularity bias"), indent=2,
    ), flush=True)


def judge_items(
    log: EventLog, config: PipelineConfig, args: argparse.Namespace, progress: ProgressLine
) -> dict[str, Any]:
    """Next items of held-out sessions by vectors and counts of the other sessions; popularity as control."""
    from dataclasses import replace

    import numpy as np

    from ..pipeline import make_embedder, prepare_corpus
    from ..quality.retrieval import VectorScorer, evaluate_retrieval, split_sequences

    corpus = prepare_corpus(log, config.with_options({"tokens": "item", "customers": "auto"}))
    n_items = len(corpus.vocabulary)
    sessions = corpus.sessions
    by = args.by or ("session" if sessions.timestamps_us is None else "time")
    train, test = split_sequences(sessions, by=by, test_share=args.test_share, random_state=config.seed)
    if corpus.baskets:  # one time for all: a set, of which each item is asked for given the others
        test = replace(test, timestamps_us=np.zeros(test.n_tokens, dtype=np.int64))
    embedder = make_embedder(config, corpus.window).fit(train, n_items=n_items, progress=progress)
    counts = train.token_counts(n_items)
    popular = np.broadcast_to(counts.astype(np.float32), (1, n_items))
    scorers: dict[str, Any] = {
        f"{config.method}, item . context": VectorScorer(embedder.item_vectors_, embedder.context_vectors_),
        f"{config.method}, cosine": VectorScorer(embedder.item_vectors_),
        "next-item counts": next_item_scorer(train, n_items, config.workers),
        "popularity (control)": lambda prefixes: np.repeat(popular, len(prefixes), axis=0),
    }
    # The order of events of one time
    known = not corpus.baskets and (log.position is not None or config.ties == "row")
    reports = {
        name: evaluate_retrieval(
            test, scorer, n_items=n_items, k=args.k, repeats="exclude" if args.exclude_seen else "keep",
            ties="order" if known else "set",
            popularity=counts, max_queries=args.max_queries, random_state=config.seed, workers=config.workers,
            progress=progress,
        )
        for name, scorer in scorers.items()
    }
    return {
        "by": by, "baskets": corpus.baskets, "sessions": len(test),
        "n_items": n_items, "queries": next(iter(reports.values())).n_queries,
        "scorers": {name: report.as_dict() for name, report in reports.items()},
    }


def next_item_scorer(train: Sequences, n_items: int, workers: int) -> Callable[[Sequences], NDArray[Any]]:
    """`NextItemCounts` of the preset "next_click" as a scorer; without times, sessions don't age.

    The counts take the oldest session first; sessions are in order of their owners.
    """
    import numpy as np

    from ..items.next_item import NextItemCounts
    from ..quality.retrieval import oldest_first

    model = NextItemCounts.preset("next_click", workers=workers)
    if train.timestamps_us is None:
        model.set_params(age_scale=1e9)
    else:
        train = oldest_first(train)
    model.fit(train, n_items=n_items).set_params(workers=1)  # the queries are in parallel

    def score(prefixes: Sequences) -> NDArray[Any]:
        return np.asarray(model.score(prefixes).toarray())

    return score


def judge_traits(
    log: EventLog, config: PipelineConfig, args: argparse.Namespace, progress: ProgressLine
) -> dict[str, Any]:
    """The figures of `evaluate_traits`."""
    from ..customers.traits import TraitModel, resolve_recipe
    from ..pipeline import make_embedder, prepare_corpus
    from ..quality.traits import evaluate_traits

    corpus = prepare_corpus(log, config)
    n_tokens = len(corpus.vocabulary)

    if not args.json:
        progress.clear()
        print(f"\n{config.trait_method} traits, judged on customers that neither fitted nor named them", flush=True)

    def show(figures: dict[str, float]) -> None:
        if not args.json:
            progress.clear()
            print(table(list(figures.items()), ("figure", "value"), indent=2), flush=True)

    def embed(part: Sequences) -> NDArray[np.float32]:
        return make_embedder(config, corpus.window).fit(part, n_items=n_tokens).item_vectors_

    found = evaluate_traits(
        corpus.sequences, corpus.vocabulary,
        model=TraitModel(
            config.n_traits, method=config.trait_method, random_state=config.seed, workers=config.workers
        ),
        embed=embed if resolve_recipe(config.trait_method).needs_vectors else None,
        checks=[check for check in args.checks.split(",") if check], n_splits=args.splits, random_state=config.seed,
        progress=progress, partial=show,
    )
    return {"method": config.trait_method, **found.as_dict()}
