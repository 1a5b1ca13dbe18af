"""Options shared by several commands: the log, its columns, and how to learn from it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._progress import Progress
    from ..events.log import EventLog
    from ..pipeline import Catalogue, PipelineConfig

class UsageError(ValueError):
    """Options that can't be given together, or a value that an option can't have."""


STORE = "traitcore-store"
NONE = "-"
WITH_WARNINGS = 4  # exit code: published, but the guardrails warned, or failed and were forced

# Field of PipelineConfig -> (type or choices, default, help). The defaults are repeated here so that --help doesn't
# import the whole library; a test compares the two.
LEARNING: dict[str, tuple[Any, Any, str]] = {
    "n_traits": (int, 16, "traits to find"),
    "trait_method": (str, "joint", "how traits are found (see TraitModel)"),
    "customers": (
        ("auto", "users", "sessions", "none"), "auto",
        "what a customer is; auto: users if the log has them, else item vectors only",
    ),
    "pooling": (
        ("mean", "tfidf", "recency", "attention"), "tfidf",
        "how a customer's tokens become a vector; attention learns which of them predict the next",
    ),
    "method": (("item2vec", "ppmi", "walks"), "item2vec", "how token vectors are learned"),
    "vector_size": (int, 64, "dimensions of the vectors"),
    "window": (int, None, "context tokens before and after each token; 5, or 20 for baskets"),
    "negative": (int, 5, "negative samples"),
    "epochs": (int, None, "passes over the sessions (15), or over the walks (1)"),
    "content": (
        ("backfill", "fuse", "none"), "backfill",
        "how --items is used: vectors for items without events; also mixed into the others; or texts only",
    ),
    "behaviour_weight": (float, 0.7, "weight of behaviour where content is fused"),
    "tokens": (("auto", "action_item", "item"), "auto", "what a token is; auto: action_item if the log has actions"),
    "min_count": (int, 5, "leave out tokens that occur fewer times"),
    "gap_seconds": (float, 1800, "a session ends after this many seconds without an event"),
    "min_length": (int, 2, "leave out shorter sessions"),
    "max_events_per_session": (int, 1000, "longer sessions count as bots; 0: no limit"),
    "max_events_per_minute": (int, None, "faster sessions count as bots; 0: no limit"),
    "max_events_per_day": (int, 3000, "busier customers count as bots; 0: no limit"),
    "merge_repeats": (bool, False, "merge an event with an equal one just before it"),
    "drop_duplicates": (bool, False, "drop events equal to another in every column"),
    "ties": (
        ("shuffle", "content", "row"), "shuffle",
        "order of events of one time: random, by action and item id, or as in the log",
    ),
    "workers": (int, 1, "threads; -1: all cores"),
    "seed": (int, 0, "seed of every stage"),
}


def add_common(parser: argparse.ArgumentParser, *, store: bool = True) -> None:
    """--store, --json, --quiet."""
    if store:
        parser.add_argument("--store", default=STORE, metavar="DIR", help="folder of published tables (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quiet", action="store_true", help="print no progress and no summary")
    # Also accepted after the command; SUPPRESS keeps a --debug given before it.
    hidden = argparse.SUPPRESS
    parser.add_argument("--debug", action="store_true", default=hidden, help="show the traceback of an error")


def add_log_options(
    parser: argparse.ArgumentParser, *, items: bool = True, log: str = "CSV (also .gz), or Parquet with the io extra"
) -> None:
    """The log (`log` is its help text) and its columns."""
    parser.add_argument("log", metavar="LOG", help=log)
    group = parser.add_argument_group(
        "columns", "Names of the log's columns; '-': there is none. For Parquet also DuckDB SQL expressions."
    )
    for role, default, text in (
        ("user", "user_id", "customer"),
        ("timestamp", "timestamp", "time: epoch numbers or ISO 8601"),
        ("action", "action", "action: view, cart, remove, buy, ..."),
        ("item", "item_id", "product"),
        ("session", None, "session, if the log has them"),
        ("order", None, "place within the session, for logs without times"),
        ("item-text", None, "description of the item"),
    ):
        shown = f"{text} ({default})" if default else text
        group.add_argument(f"--{role}", default=default, metavar="COLUMN", help=shown)
    group.add_argument("--action-value", metavar="NAME", help="the action of every row, for logs without that column")
    group.add_argument("--where", metavar="SQL", help="condition on the rows to read (Parquet)")
    group.add_argument("--delimiter", default=",", help="separator of a CSV's fields (a comma)")
    group.add_argument("--timestamp-unit", choices=("s", "ms", "us", "ns", "iso"), help="default: detected")
    group.add_argument("--id-types", choices=("auto", "int", "str"), default="auto", help="type of ids (%(default)s)")
    group.add_argument(
        "--map-action", action="append", default=[], metavar="OLD=NEW",
        help="rename an action; OLD= drops it. By default add_cart, remove_cart, purchase become cart, remove, buy",
    )
    if items:
        text = "CSV of items, also new ones: item_id and any of text, category, brand, price"
        group.add_argument("--items", metavar="FILE", help=text)
    group.add_argument("--set-aside", action="store_true", help="leave out and report bad rows; default: an error")
    group.add_argument("--rejects", metavar="FILE", help="write the bad rows here (implies --set-aside)")


def read_log(args: argparse.Namespace, progress: Progress | None) -> EventLog:
    """The log that the options name."""
    from .._errors import InputError, MissingColumnError
    from ..events.readers import read_events

    roles = ("user", "timestamp", "action", "item", "session", "order", "item_text")
    names: dict[str, Any] = {role: None if getattr(args, role) == NONE else getattr(args, role) for role in roles}
    if args.action_value is not None and args.action == "action":
        names["action"] = None  # --action-value replaces the default column
    try:
        return read_events(
            args.log, **names, action_value=args.action_value, delimiter=args.delimiter.replace("\\t", "\t"),
            timestamp_unit=args.timestamp_unit, id_types=args.id_types, where=args.where,
            on_bad_rows="set_aside" if args.set_aside or args.rejects else "raise", rejects=args.rejects,
            progress=progress,
        )
    except MissingColumnError as error:
        raise InputError(f"{error.problem} {column_advice(error.role)}") from error


def column_advice(role: str, *, required: bool = False) -> str:
    """Advice where the log has no column for a role; `required`: the command needs one."""
    flag = "--" + role.replace("_", "-")
    advice = f"{flag} NAME gives another name"
    if role != "item" and not required:
        advice += f"; {flag} {NONE} if there is none"
    if role == "action":
        advice += "; --action-value buy if every event is a buy"
    return f"{advice}."


def read_items(args: argparse.Namespace, log: EventLog) -> Catalogue | None:
    """The catalogue that --items names."""
    if args.items is None:
        return None
    from ..pipeline import read_catalogue

    return read_catalogue(args.items, integer_ids=log.item_ids.dtype.kind == "i")


def add_learning_options(parser: argparse.ArgumentParser) -> None:
    """One option for each field of PipelineConfig."""
    group = parser.add_argument_group("learning")
    for name, (kind, default, text) in LEARNING.items():
        flag = "--" + name.replace("_", "-")
        # SUPPRESS: options not given keep PipelineConfig's default.
        if kind is bool:
            group.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=text)
            continue
        shown = text if default is None else f"{text} ({default})"
        if isinstance(kind, tuple):
            group.add_argument(flag, choices=kind, default=argparse.SUPPRESS, help=shown)
        else:
            metavar = {int: "N", float: "X", str: "NAME"}[kind]
            group.add_argument(flag, type=kind, default=argparse.SUPPRESS, metavar=metavar, help=shown)


def config_of(args: argparse.Namespace) -> PipelineConfig:
    """The configuration by the options given."""
    from ..pipeline import PipelineConfig

    given = {name: getattr(args, name) for name in LEARNING if hasattr(args, name)}
    for name, value in given.items():
        if name.startswith("max_events") and value == 0:
            given[name] = None
    config = PipelineConfig(**given)
    renamed: dict[str, str | None] = {}
    for pair in getattr(args, "map_action", []):
        old, equals, new = pair.partition("=")
        if not equals or not old:
            raise UsageError(f"--map-action must be OLD=NEW. Got {pair!r} instead.")
        renamed[old] = new or None
    return config.with_options({"action_map": {**(config.action_map or {}), **renamed}})
