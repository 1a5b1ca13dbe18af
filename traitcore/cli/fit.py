"""Commands demo, simulate and fit."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import shlex
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import csv_writer
from .options import WITH_WARNINGS, add_common, add_learning_options, config_of, learning_flags
from .prepare import add_memory_options, log_or_corpus
from .progress import ProgressLine
from .reading import LOG, add_log_options, in_flags, read_items
from .render import table, write_json

if TYPE_CHECKING:
    from ..pipeline import PipelineResult

_RAW = argparse.RawDescriptionHelpFormatter


def add_commands(commands: Any) -> None:
    """Add this module's commands."""
    demo = commands.add_parser(
        "demo", help="a simulated shop, from its log to readable traits, in under a minute",
        description="Simulates a shop with planted traits, learns from its log, publishes, shows results, and compares "
        "the traits found with the planted ones.",
    )
    demo.add_argument("--store", metavar="DIR", help="keep the published tables here (default: a temporary folder)")
    demo.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    demo.add_argument("--workers", type=int, default=-1, help="threads (all cores)")
    add_common(demo, store=False)
    demo.set_defaults(run=run_demo)

    simulate = commands.add_parser(
        "simulate", help="write the log of a simulated shop",
        description="Write a shop's log with planted traits as CSV: user_id, timestamp, action, item_id, item_text.",
        epilog="example:\n  traitcore simulate events.csv --users 5000 --items 2000", formatter_class=_RAW,
    )
    simulate.add_argument("out", metavar="OUT.csv")
    for flag, name, default in (("--users", "n_users", 2000), ("--items", "n_items", 1000), ("--traits", "n_traits", 8),
                                ("--seed", "seed", 0)):
        simulate.add_argument(flag, dest=name, type=int, default=default, metavar="N", help="(%(default)s)")
    text = "share of events that are independent of traits (%(default)s)"
    simulate.add_argument("--noise", type=float, default=0.35, metavar="X", help=text)
    text = "also write the text, category and price of every item, as CSV"
    simulate.add_argument("--catalogue", metavar="FILE", help=text)
    add_common(simulate, store=False)
    simulate.set_defaults(run=run_simulate)

    fit = commands.add_parser(
        "fit", help="learn from a log and publish item vectors and customer traits",
        description="Learns from a log and publishes tables of tokens, items and customers with their traits as new "
        "versions in a store. Items are trained three times more (once for over a million events), on nine tenths of "
        "the sessions. The guardrails of the next run use the differences of these trainings; the sessions held out "
        "choose how `similar --next` and `recommend --next` rank.",
        epilog="examples:\n"
        "  traitcore fit events.csv --store shop --workers -1\n"
        "  traitcore fit orders.parquet --user CustomerID --timestamp InvoiceDate --item StockCode \\\n"
        "      --action \"CASE WHEN InvoiceNo LIKE 'C%' THEN 'remove' ELSE 'buy' END\" \\\n"
        "      --item-text Description --set-aside\n"
        "  traitcore fit sessions.csv.gz --user - --timestamp - --action - --session session_id --order position\n"
        "  traitcore fit 'logs/**/*.parquet' --memory 2GB --scratch /data/tmp     # a log larger than memory\n"
        "  traitcore fit corpus/                                                  # made by traitcore prepare",
        formatter_class=_RAW,
    )
    add_log_options(fit, log=f"{LOG}; or a folder made by `traitcore prepare`")
    add_learning_options(fit)
    text = "a name of your own for trait ROW; it stays with the trait in later versions (repeatable)"
    fit.add_argument("--trait-name", action="append", default=[], metavar="ROW=NAME", help=text)
    add_memory_options(fit)
    fit.add_argument("--force", metavar="WHY", help="publish although the guardrails fail; who and why are recorded")
    add_common(fit)
    fit.set_defaults(run=run_fit)


def run_simulate(args: argparse.Namespace) -> None:
    from ..events.simulate import simulate_events

    sim = simulate_events(
        n_users=args.n_users, n_items=args.n_items, n_traits=args.n_traits, seed=args.seed, noise=args.noise
    )
    sim.log.to_csv(args.out)
    if args.catalogue is not None:
        truth = sim.truth
        with open(args.catalogue, "w", encoding="utf-8", newline="") as file:
            writer = csv_writer(file)
            writer.writerow(("item_id", "text", "category", "price"))
            writer.writerows(zip(truth.item_ids, truth.item_text, truth.item_category, truth.item_price))
    if args.quiet and not args.json:
        return
    if args.json:
        write_json({"path": args.out, "events": len(sim), "traits": sim.truth.trait_names})
    else:
        print(f"{args.out}: {len(sim):,} events of {args.n_users:,} users with {args.n_items:,} items")


def named_traits(given: list[str]) -> dict[int, str]:
    """{row: name} of --trait-name ROW=NAME; ValueError for another form."""
    names = {}
    for text in given:
        row, equals, name = text.partition("=")
        if not equals or not row.strip().isdigit() or not name.strip():
            raise ValueError(f"--trait-name must be ROW=NAME, as in 3=Gardeners. Got {text!r} instead.")
        names[int(row)] = name.strip()
    return names


def run_fit(args: argparse.Namespace) -> int:
    from ..pipeline import fit_pipeline

    progress = ProgressLine(args.quiet or None)
    with contextlib.ExitStack() as stack:
        stack.callback(progress.clear)
        config = config_of(args)
        log = log_or_corpus(args, config, progress, stack)
        force = None if args.force is None else (getpass.getuser(), args.force)
        catalogue = read_items(args, log)
        with in_flags():
            result = fit_pipeline(
                log, config=config, catalogue=catalogue, store=args.store, force=force, progress=progress,
                trait_names=named_traits(args.trait_name),
            )
    if args.json:
        write_json(fit_summary(log, result, args.store))
    elif not args.quiet:
        assert log.report is not None
        print(replace(log.report, notes=()))  # they are on standard error
        if result.coverage is not None:  # a prepared log has none
            print(learning_flags(str(result.coverage)))  # what is lost comes first
        print_stages(result)
        print(f"\npublished in {args.store}: release {result.release}")
        if result.customers is not None:
            print(f"Next: traitcore traits --store {shlex.quote(args.store)}")
    return 0 if result.verdict is None or result.verdict.status == "pass" else WITH_WARNINGS


def fit_summary(log: Any, result: PipelineResult, store: str) -> dict[str, Any]:
    """The result of `fit --json`."""
    from .._protocols import Report

    return {
        "store": store,
        "release": None if result.release is None else result.release.name,
        "published": result.published,
        "log": log.report,
        "coverage": result.coverage,
        "stages": [
            {"name": s.name, "seconds": s.seconds,
             "report": s.report.as_dict() if isinstance(s.report, Report) else s.report}
            for s in result.stages
        ],
        "tokens": len(result.tokens),
        "items": len(result.items),
        "customers": None if result.customers is None else len(result.customers),
        "guardrails": None if result.verdict is None else result.verdict.as_dict(),
        "traits": result.traits,
    }


def print_stages(result: PipelineResult) -> None:
    """Each stage with its time and, indented, its report."""
    for stage in result.stages:
        if stage.name == "coverage":
            continue
        lines = report_lines(stage.report)
        print(f"{stage.name:14s} {stage.seconds:7.2f} s  {lines[0] if lines else ''}".rstrip())
        for line in lines[1:]:
            print(f"{'':26s}{line}")


def report_lines(report: Any) -> list[str]:
    """A stage's report as lines; that of SGNS is shortened to one."""
    if report is None:
        return []
    if hasattr(report, "pairs_per_second"):
        return [
            f"{report.epochs} epochs, {report.pairs:,} pairs, {report.pairs_per_second / 1e6:.2f} M/s, "
            f"loss {report.loss[0]:.3f} -> {report.loss[-1]:.3f}"
        ]
    return str(report).splitlines()


def run_demo(args: argparse.Namespace) -> None:
    if args.store is not None:
        _demo(args, args.store)
        return
    with tempfile.TemporaryDirectory(prefix="traitcore-demo-") as folder:
        _demo(args, str(Path(folder) / "store"))


def _demo(args: argparse.Namespace, store: str) -> None:
    from ..events.simulate import simulate_events
    from ..pipeline import fit_pipeline
    from ..shop.tables import Published
    from .query import run_customer, run_similar

    progress = ProgressLine(args.quiet or None)
    sim = simulate_events(n_users=2000, n_items=600, n_traits=8, seed=args.seed)
    try:
        result = fit_pipeline(
            sim.log, n_traits=8, max_events_per_minute=30, workers=args.workers, seed=args.seed, store=store,
            progress=progress,
        )
    finally:
        progress.clear()
    found = planted_recovery(sim.truth, result)
    if args.json:
        write_json(fit_summary(sim.log, result, store) | {"recovery": found})
        return
    print(f"A simulated shop: {len(sim):,} events, 2,000 customers, 600 items, 8 planted traits, 35% noise.\n")
    print(learning_flags(str(result.coverage)))
    print_stages(result)
    published = Published(store)
    example = argparse.Namespace(store=store, version="latest", json=False, k=5, next=False, index=None)
    example.token = str(result.tokens.ids[0])
    print("\n$ traitcore similar", example.token)
    run_similar(example)
    row = int(result.customers.arrays["events"].argmax()) if result.customers is not None else 0
    example.id, example.k = str(published.customers.ids[row]), 3
    print("\n$ traitcore customer", example.id)
    run_customer(example)
    print("\nPlanted traits and the traits found (correlation over customers; matched one to one)")
    print(table(
        [(pair["correlation"], pair["planted"], pair["found"]) for pair in found["pairs"]],
        ("correlation", "planted", "found"), indent=2,
    ))
    print(f"mean correlation {found['mean']:.3f}; {found['ceiling']:.3f} is that of the log's own events")
    if args.store is not None:
        print(f"\nNext: traitcore traits --store {shlex.quote(store)}")


def planted_recovery(truth: Any, result: PipelineResult) -> dict[str, Any]:
    """Correlation of found profiles and planted mixtures, and "ceiling": the same for the shares in the log itself."""
    import numpy as np

    from .._assignment import best_assignment
    from ..quality.traits import matched_correlation

    customers = result.customers
    assert customers is not None
    rows = np.searchsorted(truth.customer_ids, customers.ids.astype(truth.customer_ids.dtype))
    planted, shown = truth.customer_traits[rows], truth.customer_shares[rows]
    cross = np.corrcoef(planted.T, result.profiles.T)[: planted.shape[1], planted.shape[1] :]
    return {
        "mean": matched_correlation(planted, result.profiles),
        "ceiling": matched_correlation(planted, shown),
        "pairs": [
            {"correlation": float(cross[i, j]), "planted": truth.trait_names[i], "found": result.traits[j].name}
            for i, j in zip(*best_assignment(np.nan_to_num(cross)))
        ],
    }
