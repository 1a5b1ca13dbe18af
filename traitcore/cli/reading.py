"""The options that say what a log and a catalogue are and how they are written; every command that reads has them."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .render import show

if TYPE_CHECKING:
    from .._progress import Progress
    from ..events.log import EventLog
    from ..events.prepared import PreparedCorpus
    from ..events.reading import Reading
    from ..pipeline import Catalogue

NONE = "-"
ROLES = ("user", "timestamp", "action", "item", "session", "order", "item_text")
_CATALOGUE = ("text", "category", "brand", "price")
LOG = "a file, a folder, a pattern such as 'logs/**/*.csv', or '-': CSV, JSON lines, Parquet or Excel, also packed"


def add_log_options(parser: argparse.ArgumentParser, *, items: bool = True, log: str = LOG) -> None:
    """The log (`log` is its help text), its columns, and how its files are written."""
    parser.add_argument("log", metavar="LOG", nargs="+", help=log)
    group = parser.add_argument_group(
        "columns", "Names of the log's columns, or SQL expressions over them; in JSON also paths such as a.b or "
        "items[].id; '-': there is none.",
    )
    for role, default, text in (
        ("user", "user_id", "customer"),
        ("timestamp", "timestamp", "time: epoch numbers, ISO 8601, or as --timestamp-format says"),
        ("action", "action", "action: view, cart, remove, buy, ..."),
        ("item", "item_id", "product"),
        ("session", None, "session, if the log has them"),
        ("order", None, "place within the session, for logs without times"),
        ("item-text", None, "description of the item"),
    ):
        shown = f"{text} ({default})" if default else text
        group.add_argument(f"--{role}", default=default, metavar="COLUMN", help=shown)
    group.add_argument("--action-value", metavar="NAME", help="the action of every row, for logs without that column")
    group.add_argument("--where", metavar="SQL", help="condition on the rows to read")
    group.add_argument("--timestamp-unit", choices=("s", "ms", "us", "ns", "iso"), help="default: detected")
    text = "how times are written, such as '%%d/%%m/%%Y %%H:%%M'"
    group.add_argument("--timestamp-format", metavar="FORMAT", help=text)
    group.add_argument("--id-types", choices=("auto", "int", "str"), default="auto", help="type of ids (%(default)s)")
    text = "a word that means 'no value', such as NA (repeat, or separate by commas)"
    group.add_argument("--null", action="append", metavar="WORD", help=text)
    group.add_argument(
        "--map-action", action="append", default=[], metavar="OLD=NEW",
        help="rename an action; OLD= drops it. Common names (addtocart, transaction, ...) are known as cart, buy, ...",
    )
    if items:
        text = "a file of items, also new ones: item_id and any of text, category, brand, price"
        group.add_argument("--items", metavar="FILE", help=text)
        text = "its columns under other names, such as item_id=sku,text=title"
        group.add_argument("--items-columns", metavar="LIST", default="", help=text)
    group.add_argument("--set-aside", action="store_true", help="leave out and report bad rows; default: an error")
    group.add_argument("--rejects", metavar="FILE", help="write the bad rows here (implies --set-aside)")
    _add_file_options(parser.add_argument_group("files", "How the log's files, and --items, are written."))


def _add_file_options(group: Any) -> None:
    text = "default: as the name ends; csv for any other"
    group.add_argument("--format", choices=("csv", "json", "parquet", "excel"), help=text)
    text = "between the fields of a CSV, such as ';', '::' or '\\t' (a comma; a tab for .tsv)"
    group.add_argument("--delimiter", help=text)
    group.add_argument("--quote", metavar="CHAR", default='"', help="around fields of a CSV (%(default)s); '-': none")
    group.add_argument("--columns", metavar="LIST", help="names of the columns of a CSV without a header, by commas")
    group.add_argument("--no-header", action="store_true", help="the CSV has no header (needs --columns)")
    group.add_argument("--encoding", default="utf-8", help="of text, such as latin-1 (%(default)s)")
    group.add_argument("--decimal", default=".", choices=(".", ","), help="in numbers written as text (%(default)s)")
    group.add_argument("--sheet", metavar="NAME", help="of an Excel file (all)")


def reading_of(args: argparse.Namespace, *, columns: bool = True) -> Reading:
    """How files are written, by the options; `columns`: with the names for files without a header."""
    from ..events.reading import Reading

    if args.no_header and args.columns is None:
        raise ValueError("--no-header needs --columns, the names of the columns in their order.")
    names = None if args.columns is None else tuple(name.strip() for name in args.columns.split(","))
    delimiter = None if args.delimiter is None else args.delimiter.replace("\\t", "\t")
    return Reading(
        format=args.format, delimiter=delimiter, quote=None if args.quote == NONE else args.quote,
        columns=names if columns else None, encoding=args.encoding, decimal=args.decimal, sheet=args.sheet,
    )


def nulls_of(args: argparse.Namespace) -> list[str] | None:
    """The words of --null."""
    return None if args.null is None else [word for given in args.null for word in given.split(",")]


def roles_of(args: argparse.Namespace) -> dict[str, str | None]:
    """Column or expression by role."""
    names = {role: None if getattr(args, role) == NONE else getattr(args, role) for role in ROLES}
    if args.action_value is not None and args.action == "action":
        names["action"] = None  # --action-value replaces the default column
    return names


def read_log(args: argparse.Namespace, progress: Progress | None) -> EventLog:
    """The log that the options name."""
    from ..events.readers import read_events

    refuse_overwriting(args)
    with in_flags(), naming_columns():
        return read_events(args.log, **reading_parameters(args), progress=progress)


def reading_parameters(args: argparse.Namespace) -> dict[str, Any]:
    """The parameters of `read_events` by the options."""
    from dataclasses import asdict

    return {
        **roles_of(args), **asdict(reading_of(args)), "action_value": args.action_value, "where": args.where,
        "null": nulls_of(args), "timestamp_unit": args.timestamp_unit, "timestamp_format": args.timestamp_format,
        "id_types": args.id_types, "on_bad_rows": "set_aside" if args.set_aside or args.rejects else "raise",
        "rejects": args.rejects,
    }


@contextmanager
def naming_columns() -> Iterator[None]:
    """A missing column is an error that says which option names another."""
    from .._errors import InputError, MissingColumnError

    try:
        yield
    except MissingColumnError as error:
        raise InputError(f"{error.problem} {column_advice(error.role)}") from error


def given_for_the_log(args: argparse.Namespace) -> list[str]:
    """The options that say something of the log's columns and files."""
    parser = argparse.ArgumentParser()
    add_log_options(parser, items=False)
    defaults = vars(parser.parse_args(["LOG"]))
    return ["--" + name.replace("_", "-") for name, value in defaults.items()
            if name not in ("log", "map_action") and getattr(args, name, value) != value]


def refuse_overwriting(args: argparse.Namespace) -> None:
    """--rejects must name none of the other files of the command."""
    import os

    if not args.rejects:
        return
    others = [*args.log, getattr(args, "items", None), getattr(args, "history", None)]
    for other in filter(None, others):
        if os.path.realpath(os.path.expanduser(other)) == os.path.realpath(os.path.expanduser(args.rejects)):
            raise ValueError(f"--rejects must be another file than those that are read. Got {args.rejects!r}.")


def column_advice(role: str, *, required: bool = False) -> str:
    """Advice where the log has no column for a role; `required`: the command needs one."""
    flag = "--" + role.replace("_", "-")
    advice = f"{flag} NAME gives another name"
    if role != "item" and not required:
        advice += f"; {flag} {NONE} if there is none"
    if role == "action":
        advice += "; --action-value buy if every event is a buy"
    return f"{advice}."


def read_items(args: argparse.Namespace, log: EventLog | PreparedCorpus) -> Catalogue | None:
    """The catalogue that --items names."""
    if args.items is None:
        if args.items_columns:
            raise ValueError("--items-columns needs --items.")
        return None
    from .._errors import InputError, MissingColumnError
    from ..pipeline import read_catalogue

    columns = {}
    for pair in filter(None, args.items_columns.split(",")):
        field, equals, name = pair.partition("=")
        if not equals or field not in ("item_id", *_CATALOGUE) or not name:
            raise ValueError(f"--items-columns must be like item_id=sku,text=title. Got {pair!r}.")
        columns["item" if field == "item_id" else field] = name
    with in_flags():
        try:
            return read_catalogue(
                args.items, **columns, integer_ids=log.item_ids.dtype.kind == "i", null=nulls_of(args) or (),
                reading=reading_of(args, columns=False),
            )
        except MissingColumnError as error:
            field = "item_id" if error.role == "item" else error.role
            raise InputError(f"{error.problem} --items-columns {field}=NAME gives another name.") from error


# -- messages ----------------------------------------------------------------------------------------------------------


_PARAMETERS = (
    "user", "timestamp", "action", "item", "session", "order", "item_text", "action_value", "where", "format",
    "delimiter", "quote", "columns", "encoding", "decimal", "sheet", "null", "timestamp_unit", "timestamp_format",
    "id_types", "on_bad_rows", "rejects",
)


@contextmanager
def in_flags() -> Iterator[None]:
    """Errors of readers speak of flags instead of parameters, and warnings are lines on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except (ValueError, TypeError) as error:
            from .._errors import InputError, MissingColumnError, TableError

            if isinstance(error, (MissingColumnError, TableError)):
                raise
            raise (InputError if isinstance(error, InputError) else ValueError)(flags_for(str(error))) from error
    from ..events.log_report import InputWarning

    for warning in caught:
        if isinstance(warning.message, InputWarning):
            print(f"traitcore: note: {show(flags_for(str(warning.message)))}", file=sys.stderr)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def flags_for(message: str) -> str:
    """timestamp_unit='s' as --timestamp-unit s, and so on."""
    message = re.sub(r"\bon_bad_rows='set_aside'", "--set-aside", message)
    names = "|".join(_PARAMETERS)

    def flag(found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        plain = value[1:-1] if value[0] in "'\"" else value
        plain = NONE if plain == "None" else plain
        return f"--{name.replace('_', '-')} {shlex.quote(plain)}"

    message = re.sub(rf"\b({names})=('[^']*'|\"[^\"]*\"|None)", flag, message)
    return re.sub(
        rf"The '({names})' parameter of \w+ must be", lambda m: f"--{m[1].replace('_', '-')} must be", message
    )
