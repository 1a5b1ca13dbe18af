"""The command verify-run: a published run once more, compared byte by byte."""

from __future__ import annotations

import argparse

from .options import UsageError, add_common
from .progress import ProgressLine
from .reading import add_log_options, in_flags, read_items, read_log
from .render import write_json

DIFFERENT = 1


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verify = commands.add_parser(
        "verify-run", help="run a published run again and compare every byte",
        description="Runs again what made a release, with the settings recorded there, and compares its tables byte by "
        "byte. Nothing is published. Exit code 0: the same bytes; 1: not.",
        epilog="example:\n  traitcore verify-run events.csv --store shop --workers 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_log_options(verify)
    verify.add_argument("--release", default="latest", metavar="NAME", help="(%(default)s)")
    verify.add_argument("--workers", type=int, default=1, metavar="N", help="threads; -1: all cores (%(default)s)")
    add_common(verify)
    verify.set_defaults(run=run_verify)


def run_verify(args: argparse.Namespace) -> int:
    from ..pipeline import verify_run

    if args.map_action:
        raise UsageError("--map-action is as the release's run had it: leave it out.")
    progress = ProgressLine(args.quiet or None)
    try:
        log = read_log(args, progress)
        catalogue = read_items(args, log)
        with in_flags():
            found = verify_run(
                log, args.store, release=args.release, catalogue=catalogue, workers=args.workers, progress=progress
            )
    finally:
        progress.clear()
    if args.json:
        write_json({"release": found.release, "same": found.same, "differences": found.differences})
    elif not args.quiet:
        print(found)
    return 0 if found.same else DIFFERENT
