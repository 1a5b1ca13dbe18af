"""Command prepare, and the options with which fit takes a log that is larger than memory."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .options import LEARNING, PREPARING, UsageError, add_common, add_learning_options, config_of
from .progress import ProgressLine
from .reading import (
    add_log_options,
    given_for_the_log,
    in_flags,
    naming_columns,
    read_log,
    reading_parameters,
    refuse_overwriting,
)
from .render import show, write_json

if TYPE_CHECKING:
    from .._progress import Progress
    from ..events.log import EventLog
    from ..events.prepared import PreparedCorpus
    from ..pipeline import PipelineConfig

_MEMORY = "2GB"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this module's command."""
    prepare = commands.add_parser(
        "prepare", help="read a log of any size into sessions and tokens on disk, for fit",
        description="Reads a log that may be larger than memory into a corpus on disk, which `traitcore fit` takes in "
        "place of the log, as often as you like.",
        epilog="examples:\n"
        "  traitcore prepare 'logs/**/*.parquet' --out corpus --memory 2GB --scratch /data/tmp --plan\n"
        "  traitcore prepare 'logs/**/*.parquet' --out corpus --memory 2GB --scratch /data/tmp\n"
        "  traitcore fit corpus --store shop",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_log_options(prepare, items=False)
    add_learning_options(prepare, PREPARING)
    prepare.add_argument("--out", metavar="DIR", required=True, help="the folder to make")
    text = "a prepared corpus of the log so far: its tokens keep their numbers, so that counts of both add up"
    prepare.add_argument("--after", metavar="DIR", help=text)
    add_memory_options(prepare)
    text = "say what it will take, from a quick look at the files, and do nothing"
    prepare.add_argument("--plan", action="store_true", help=text)
    add_common(prepare, store=False)
    prepare.set_defaults(run=run_prepare)


def add_memory_options(parser: argparse.ArgumentParser) -> None:
    """--memory and --scratch."""
    group = parser.add_argument_group("logs larger than memory")
    text = "memory to stay within, such as 2GB; the log then goes to scratch in pieces"
    group.add_argument("--memory", metavar="SIZE", help=text)
    text = "folder for the pieces, some 40 bytes an event (the system's for temporary files)"
    group.add_argument("--scratch", metavar="DIR", help=text)


def run_prepare(args: argparse.Namespace) -> None:
    from ..events.prepared import PreparedCorpus
    from ..pipeline import plan_log, prepare_log

    progress = ProgressLine(args.quiet or None)
    memory = args.memory or _MEMORY
    if args.plan:
        with in_flags(), naming_columns():
            plan = plan_log(args.log, memory=memory, **reading_parameters(args))
        write_json(plan) if args.json else print(plan)
        return
    refuse_overwriting(args)
    try:
        with in_flags(), naming_columns(), leftovers_named():
            corpus = prepare_log(
                args.log, args.out, memory=memory, scratch=args.scratch, config=config_of(args), progress=progress,
                after=None if args.after is None else PreparedCorpus.open(args.after), **reading_parameters(args),
            )
    finally:
        progress.clear()
    if args.json:
        write_json({"out": args.out, "log": corpus.log_report, "sessions": corpus.session_report,
                    "tokens": corpus.token_report})
    elif not args.quiet:
        print(replace(corpus.log_report, notes=()))  # they are on standard error
        print(corpus.session_report)
        print(corpus.token_report)
        print(f"\nprepared in {args.out}\nNext: traitcore fit {shlex.quote(args.out)}")


def log_or_corpus(
    args: argparse.Namespace, config: PipelineConfig, progress: Progress, stack: contextlib.ExitStack
) -> EventLog | PreparedCorpus:
    """What `fit` learns from: a prepared corpus, the log in memory or, with --memory, prepared in scratch for now."""
    from ..events.prepared import PreparedCorpus
    from ..events.scratch import scratch_folder
    from ..pipeline import prepare_log
    from ..pipeline.corpus import settings_of

    if len(args.log) == 1 and Path(args.log[0]).is_dir() and PreparedCorpus.is_at(args.log[0]):
        given = given_for_the_log(args)
        if given or args.memory or args.scratch:
            named = ", ".join([*given, *(f"--{name}" for name in ("memory", "scratch") if getattr(args, name))])
            raise UsageError(f"{args.log[0]} is a prepared corpus: {named} can't change it.")
        corpus = PreparedCorpus.open(args.log[0])
        asked = [*(name for name in LEARNING if hasattr(args, name)), *(["action_map"] if args.map_action else [])]
        settings_of(corpus, config, {name: getattr(config, name) for name in asked})
        return corpus
    if args.memory is None:
        if args.scratch is not None:
            raise UsageError("--scratch needs --memory.")
        return read_log(args, progress)
    refuse_overwriting(args)
    with in_flags(), naming_columns(), leftovers_named():
        place = stack.enter_context(scratch_folder(args.scratch))
        return prepare_log(
            args.log, place / "corpus", memory=args.memory, scratch=args.scratch, config=config, progress=progress,
            **reading_parameters(args),
        )


@contextlib.contextmanager
def leftovers_named() -> Iterator[None]:
    """A killed run's folder that was removed is a line on standard error."""
    from ..events.scratch import ScratchWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if isinstance(warning.message, ScratchWarning):
            print(f"traitcore: note: {show(str(warning.message))}", file=sys.stderr)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
