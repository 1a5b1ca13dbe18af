"""The command line: demo, simulate, fit, prepare, verify-run, similar, traits, customer, recommend, report, follow,
evaluate, store, index, export, forget.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 bad input or failure (with one line of
explanation), 2 a wrong command line, 3 refused by the guardrails, 4 published with warnings. With --json, stdout is one
JSON document whatever happens: {"error": {...}, "exit_code": N} where there is no result.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .. import __version__
from .._errors import GuardrailError
from . import admin, evaluate, fit, follow, forget, prepare, query, report, verify
from .options import UsageError
from .render import show, write_json

_EPILOG = """examples:
  traitcore demo                                   a simulated shop, from its log to readable traits
  traitcore fit events.csv --store shop            columns user_id, timestamp, action, item_id
  traitcore similar view_prod_0012 --store shop
  traitcore traits --store shop
  traitcore customer cust_00042 --store shop
  traitcore report --store shop -o report.html
  traitcore follow new_events.csv --history events.csv --store shop

traitcore COMMAND --help explains a command.
Exit codes: 0 done, 1 bad input or failure, 2 usage, 3 refused by the guardrails, 4 published with warnings."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors reach `main`, which answers in JSON where that was asked for."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise UsageError(message)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each stores its function as `run`."""
    parser = _Parser(
        prog="traitcore", description="From an event log to versioned item vectors and readable customer traits.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"traitcore {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (fit, prepare, verify, query, report, follow, evaluate, admin, forget):
        module.add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug, json = "--debug" in words, "--json" in words
    try:
        args = build_parser().parse_args(words)
        code = args.run(args)
        sys.stdout.flush()
        return int(code or 0)
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    except BrokenPipeError:  # `traitcore ... | head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as error:
        if debug:
            raise
        return _fail(error, "interrupted; nothing was published", 130, json)
    except UsageError as error:
        return _fail(error, _one_line(error), 2, json)
    except (ValueError, KeyError, OSError, ImportError, MemoryError) as error:
        if debug:
            raise
        return _fail(error, _one_line(error), 3 if isinstance(error, GuardrailError) else 1, json)


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


def _fail(error: BaseException, message: str, code: int, json: bool) -> int:
    try:  # unwritten output left in the buffer must not fail again at exit
        if json:
            answer: dict[str, Any] = {"type": type(error).__name__, "message": message}
            if isinstance(error, GuardrailError):
                answer["report"] = error.report
            write_json({"error": answer, "exit_code": code})
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"traitcore: error: {show(message)}", file=sys.stderr)
    return code
