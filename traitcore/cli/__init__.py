"""The command line: demo, simulate, fit, similar, traits, customer, recommend, follow, evaluate, store, index,
export.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 bad input or failure (with one line of
explanation), 2 a wrong command line.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .. import __version__
from . import admin, evaluate, fit, follow, query
from .render import show

_EPILOG = """examples:
  traitcore demo                                   a simulated shop, from its log to readable traits
  traitcore fit events.csv --store shop            columns user_id, timestamp, action, item_id
  traitcore similar view_prod_0012 --store shop
  traitcore traits --store shop
  traitcore customer cust_00042 --store shop
  traitcore follow new_events.csv --history events.csv --store shop

traitcore COMMAND --help explains a command. Exit codes: 0 done, 1 bad input or failure, 2 usage."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each stores its function as `run`."""
    parser = argparse.ArgumentParser(
        prog="traitcore", description="From an event log to versioned item vectors and readable customer traits.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"traitcore {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (fit, query, follow, evaluate, admin):
        module.add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # --help, --version and usage errors
        return int(stop.code or 0)
    try:
        args.run(args)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # `traitcore ... | head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        if args.debug:
            raise
        return _fail("interrupted; nothing was published", 130)
    except (ValueError, KeyError, OSError, ImportError, MemoryError) as error:
        if args.debug:
            raise
        return _fail(_one_line(error), 1)


def _one_line(error: BaseException) -> str:
    if isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    elif isinstance(error, MemoryError):
        text = f"out of memory. {error}"
    else:
        text = str(error) or type(error).__name__
    text = " ".join(text.split())
    return text if len(text) <= 600 else text[:597] + "..."


def _fail(message: str, code: int) -> int:
    try:  # unwritten output left in the buffer must not fail again at exit
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"traitcore: error: {show(message)}", file=sys.stderr)
    return code
