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
        description="Item vectors: all items are ranked as the next item of held-out sessions, beside NextItemModel, "
        "NextItemCounts (no vectors), their blend, PPMI and popularity. Traits: fitted and named on half of "
        "the customers, judged on the other half, beside controls.",
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
        if args.only != "items" and (log.user is not None or config.customers == "sessions"):
            answer["traits"] = judge_traits(log, config, args, progress)
    finally:
        progress.clear()
    if args.json:
        write_json(answer)
        return
    if "items" in answer:
        found = answer["items"]
        print(f"Next item of {found['sessions']:,} held-out sessions (by {found['by']}), "
              f"{found['queries']:,} queries over {found['n_items']:,} items")
        print(table(
            [(name, f["recall"], "{:.3f}-{:.3f}".format(*f["recall_interval"]), f["mrr"], f["ndcg"], f["coverage"],
              f["popularity_bias"])
             for name, f in found["scorers"].items()],
            ("scorer", f"Recall@{args.k}", "95%", f"MRR@{args.k}", f"NDCG@{args.k}", "coverage", "popularity bias"),
            indent=2,
        ))
    if "traits" in answer:
        print(f"\n{answer['traits']['method']} traits, judged on customers that neither fitted nor named them")
        fixed = ", ".join(f"{name} {value}" for name, value in answer["traits"]["protocol"].items())
        print(f"  ({fixed})")
        print(table(list(answer["traits"]["figures"].items()), ("figure", "value"), indent=2))


def judge_items(
    log: EventLog, config: PipelineConfig, args: argparse.Namespace, progress: ProgressLine
) -> dict[str, Any]:
    """Next items of held-out sessions by vectors and counts of the other sessions; popularity as control."""
    import numpy as np

    from ..items.next_item import NextItemCounts
    from ..items.next_item_blend import NextItemBlend
    from ..items.next_item_model import NextItemModel
    from ..items.ppmi_embedder import PPMIEmbedder
    from ..pipeline import make_embedder, prepare_corpus
    from ..quality.retrieval import VectorScorer, evaluate_retrieval, oldest_first, split_sequences

    corpus = prepare_corpus(log, config.with_options({"tokens": "item", "customers": "auto"}))
    n_items = len(corpus.vocabulary)
    by = args.by or ("session" if corpus.sequences.timestamps_us is None else "time")
    train, test = split_sequences(corpus.sequences, by=by, test_share=args.test_share, random_state=config.seed)
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
            test, scorer, n_items=n_items, k=args.k, repeats="exclude" if args.exclude_seen else "keep",
            ties="order" if known else "set",
            popularity=counts, max_queries=args.max_queries, random_state=config.seed, workers=config.workers,
            progress=progress,
        )
        for name, scorer in scorers.items()
    }
    return {
        "by": by, "sessions": len(test), "n_items": n_items, "queries": next(iter(reports.values())).n_queries,
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

    def embed(part: Sequences) -> NDArray[np.float32]:
        return make_embedder(config, corpus.window).fit(part, n_items=n_tokens).item_vectors_

    found = evaluate_traits(
        corpus.sequences, corpus.vocabulary,
        model=TraitModel(
            config.n_traits, method=config.trait_method, random_state=config.seed, workers=config.workers
        ),
        embed=embed if resolve_recipe(config.trait_method).needs_vectors else None,
        checks=[check for check in args.checks.split(",") if check], n_splits=args.splits, random_state=config.seed,
        progress=progress,
    )
    return {"method": config.trait_method, **found.as_dict()}
