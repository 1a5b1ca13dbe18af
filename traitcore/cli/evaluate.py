"""traitcore evaluate: next items and traits judged on held-out data, beside controls."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_common, add_learning_options, config_of
from .progress import ProgressLine
from .reading import add_log_options, read_log
from .render import write_json

CHECKS = ("coherence", "stability", "support", "prediction", "invariance", "nulls")


def add_commands(commands: Any) -> None:
    """Add this module's command."""
    parser = commands.add_parser(
        "evaluate", help="judge item vectors and traits on held-out data",
        description="Item vectors: all items are ranked as the next item of held-out sessions, beside NextItemModel, "
        "NextItemCounts (no vectors), their blend, PPMI and popularity. Traits: fitted and named on half of "
        "the customers, judged on the other half, beside controls. Lists: new products of each customer's last "
        "session, by counts and traits, beside item-kNN and popularity.",
        epilog="example:\n  traitcore evaluate events.csv --by time --n-traits 16",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_log_options(parser, items=False)
    add_learning_options(parser)
    group = parser.add_argument_group("evaluation")
    group.add_argument("--only", choices=("items", "traits", "lists"), help="judge only these")
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
    text = "also judge lists of at most M products of one trait (%(default)s)"
    group.add_argument("--max-per-trait", type=int, default=3, metavar="M", help=text)
    add_common(parser, store=False)
    parser.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> None:
    from ..shop.evaluation import Evaluation, judge_items, judge_recommendations, judge_traits

    progress = ProgressLine(args.quiet or None)
    config = config_of(args)
    items = traits = lists = None
    try:
        log = read_log(args, progress)
        if args.only in (None, "items"):
            items = judge_items(
                log, config, by=args.by, test_share=args.test_share, k=args.k, exclude_seen=args.exclude_seen,
                max_queries=args.max_queries, progress=progress,
            )
        with_customers = log.user is not None or config.customers == "sessions"
        if args.only in (None, "traits") and with_customers:
            checks = [check for check in args.checks.split(",") if check]
            traits = judge_traits(log, config, checks=checks, n_splits=args.splits, progress=progress)
            config = config.with_options({"n_traits": traits["protocol"]["n_traits"]})  # "auto" is chosen once
        if args.only in (None, "lists") and with_customers:
            lists = judge_recommendations(log, config, max_per_trait=args.max_per_trait, progress=progress)
    finally:
        progress.clear()
    found = Evaluation(items, traits, lists)
    if args.json:
        write_json(found.as_dict())
    else:
        print(found)
