"""Options that several commands share: where the log is, what its columns mean, how to learn from it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._progress import Progress
    from ..events.log import EventLog
    from ..pipeline import Catalogue, PipelineConfig

STORE = "traitcore-store"
NONE = "-"

# Field of PipelineConfig -> (type or choices, its default, help). The default is told here, not read there, so that
# --help need not load the whole library; a test holds the two together.
LEARNING: dict[str, tuple[Any, Any, str]] = {
    "n_traits": (int, 16, "traits to find"),
    "trait_method": (str, "joint", "how traits are found (see TraitModel)"),
    "customers": (
        ("auto", "users", "sessions", "none"), "auto",
        "who a customer is; auto: users where the log has them, else item vectors only",
    ),
    "pooling": (
        ("mean", "tfidf", "recency", "attention"), "tfidf",
        "how a customer's tokens become a vector; attention learns which of them tell what comes next",
    ),
    "method": (("item2vec", "ppmi", "walks"), "item2vec", "how token vectors are learned"),
    "vector_size": (int, 64, "dimensions of the vectors"),
    "window": (int, None, "how many tokens before and after one belong to it; 5, or 20 where events are baskets"),
    "negative": (int, 5, "negative samples"),
    "epochs": (int, None, "passes over the sessions (15), or over the walks (1)"),
    "content": (
        ("backfill", "fuse", "none"), "backfill",
        "what --items is for: vectors for items without events; also mixed into the others; or texts only",
    ),
    "behaviour_weight": (float, 0.7, "share of behaviour where content is fused"),
    "tokens": (("auto", "action_item", "item"), "auto", "what a token is; auto: action_item where there are actions"),
    "min_count": (int, 5, "leave out tokens that occur less often"),
    "gap_seconds": (float, 1800, "a session ends after so long without an event"),
    "min_length": (int, 2, "leave out shorter sessions"),
    "max_events_per_session": (int, 1000, "longer sessions are bots'; 0: no limit"),
    "max_events_per_minute": (int, None, "faster sessions are bots'; 0: no limit"),
    "max_events_per_day": (int, 3000, "busier customers are bots; 0: no limit"),
    "merge_repeats": (bool, False, "merge an event with an equal one before it"),
    "drop_duplicates": (bool, False, "drop events equal to another in everything"),
    "ties": (
        ("shuffle", "content", "row"), "shuffle",
        "order of events of one time: random, by action and item id, or as in the log",
    ),
    "workers": (int, 1, "threads; -1: all cores"),
    "seed": (int, 0, "seed of every stage"),
}  # fmt: skip


def add_common(parser: argparse.ArgumentParser, *, store: bool = True) -> None:
    """--store, --json, --quiet."""
    if store:
        parser.add_argument("--store", default=STORE, metavar="DIR", help="folder of published tables (%(default)s)")
    parser.add_argument("--json", action="store_true", help="answer as JSON, for machines")
    parser.add_argument("--quiet", action="store_true", help="no progress, even on a terminal")
    # Also after the command, where one looks for it; SUPPRESS keeps a --debug given before it.
    hidden = argparse.SUPPRESS
    parser.add_argument("--debug", action="store_true", default=hidden, help="show the traceback of an error")


def add_log_options(
    parser: argparse.ArgumentParser, *, items: bool = True, log: str = "CSV (also .gz), or Parquet with the io extra"
) -> None:
    """The log (`log` says what it may be), and which column is what."""
    parser.add_argument("log", metavar="LOG", help=log)
    group = parser.add_argument_group(
        "columns", "Names of the log's columns; '-': it has none. In Parquet any DuckDB SQL expression will do."
    )
    for role, default, text in (
        ("user", "user_id", "customer"),
        ("timestamp", "timestamp", "time: epoch numbers or ISO 8601"),
        ("action", "action", "what was done: view, cart, remove, buy, ..."),
        ("item", "item_id", "product"),
        ("session", None, "ready-made sessions"),
        ("order", None, "place within the session, where there are no times"),
        ("item-text", None, "description of the item"),
    ):
        shown = f"{text} ({default})" if default else text
        group.add_argument(f"--{role}", default=default, metavar="COLUMN", help=shown)
    group.add_argument("--action-value", metavar="NAME", help="the action of every row, where there is no column of it")
    group.add_argument("--where", metavar="SQL", help="condition on the rows to read (Parquet)")
    group.add_argument("--delimiter", default=",", help="between the fields of a CSV (a comma)")
    group.add_argument("--timestamp-unit", choices=("s", "ms", "us", "ns", "iso"), help="default: detected")
    group.add_argument("--id-types", choices=("auto", "int", "str"), default="auto", help="type of ids (%(default)s)")
    group.add_argument(
        "--map-action", action="append", default=[], metavar="OLD=NEW",
        help="rename an action; OLD= drops it. add_cart, remove_cart, purchase become cart, remove, buy anyway",
    )  # fmt: skip
    if items:
        text = "CSV that describes items, new ones too: item_id and any of text, category, brand, price"
        group.add_argument("--items", metavar="FILE", help=text)
    group.add_argument("--set-aside", action="store_true", help="leave bad rows out and report them; default: refuse")
    group.add_argument("--rejects", metavar="FILE", help="write the rows set aside here (implies --set-aside)")


def read_log(args: argparse.Namespace, progress: Progress | None) -> EventLog:
    """The log that the options name."""
    from .._errors import InputError, MissingColumnError
    from ..events.readers import read_events

    roles = ("user", "timestamp", "action", "item", "session", "order", "item_text")
    names: dict[str, Any] = {role: None if getattr(args, role) == NONE else getattr(args, role) for role in roles}
    if args.action_value is not None and args.action == "action":
        names["action"] = None  # the default column gives way to a stated value
    try:
        return read_events(
            args.log, **names, action_value=args.action_value, delimiter=args.delimiter.replace("\\t", "\t"),
            timestamp_unit=args.timestamp_unit, id_types=args.id_types, where=args.where,
            on_bad_rows="set_aside" if args.set_aside or args.rejects else "raise", rejects=args.rejects,
            progress=progress,
        )  # fmt: skip
    except MissingColumnError as error:
        raise InputError(f"{error.problem} {column_advice(error.role)}") from error


def column_advice(role: str, *, required: bool = False) -> str:
    """What to do where the log has no column for a role; `required`: the command can't do without one."""
    flag = "--" + role.replace("_", "-")
    advice = f"{flag} NAME names another one"
    if role != "item" and not required:
        advice += f"; {flag} {NONE} says that there is none"
    if role == "action":
        advice += "; --action-value buy that every event is a buy"
    return f"{advice}."


def read_items(args: argparse.Namespace, log: EventLog) -> Catalogue | None:
    """The catalogue that --items names."""
    if args.items is None:
        return None
    from ..pipeline import read_catalogue

    return read_catalogue(args.items, integer_ids=log.item_ids.dtype.kind == "i")


def add_learning_options(parser: argparse.ArgumentParser) -> None:
    """One option for each choice of PipelineConfig."""
    group = parser.add_argument_group("learning")
    for name, (kind, default, text) in LEARNING.items():
        flag = "--" + name.replace("_", "-")
        # SUPPRESS: what isn't given stays with PipelineConfig.
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
    """The configuration that the options make."""
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
            raise ValueError(f"--map-action must be OLD=NEW. Got {pair!r} instead.")
        renamed[old] = new or None
    return config.with_options({"action_map": {**(config.action_map or {}), **renamed}})
