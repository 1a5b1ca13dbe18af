"""Options shared by several commands: the store, and how to learn from a log (for the log itself see reading.py)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..pipeline import PipelineConfig

class UsageError(ValueError):
    """Options that can't be given together, or a value that an option can't have."""


STORE = "traitcore-store"
WITH_WARNINGS = 4  # exit code: published, but the guardrails warned, or failed and were forced


def count_or_auto(text: str) -> int | str:
    try:
        return text if text == "auto" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number, or auto. Got {text!r} instead") from None


# Field of PipelineConfig -> (type or choices, default, help). The defaults are repeated here so that --help doesn't
# import the whole library; a test compares the two.
LEARNING: dict[str, tuple[Any, Any, str]] = {
    "n_traits": (count_or_auto, 16, "traits to find; auto: as many as last time, or else chosen by refits"),
    "trait_method": (str, "spectral", "how traits are found (see TraitModel)"),
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
    "sample": (
        float, None, "drop some occurrences of tokens more frequent than this share (0.001, or 0 over walks); 0: none",
    ),
    "content": (
        ("backfill", "fuse", "none"), "backfill",
        "how --items is used: vectors for items without events; also mixed into the others; or texts only",
    ),
    "behaviour_weight": (float, 0.7, "weight of behaviour where content is fused"),
    "tokens": (("auto", "action_item", "item"), "auto", "what a token is; auto: action_item if the log has actions"),
    "min_count": (int, 5, "leave out tokens that occur fewer times"),
    "gap_seconds": (float, 1800, "a session ends after this many seconds without an event"),
    "min_length": (int, 2, "item vectors learn from sessions of so many tokens; customers keep shorter ones too"),
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
    "parallel": (
        ("reproducible", "hogwild"), "reproducible", "reproducible: the same bytes for any --workers; hogwild: never",
    ),
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


# Of these, what sessions and tokens are made by.
PREPARING = (
    "gap_seconds", "max_events_per_session", "max_events_per_minute", "max_events_per_day",
    "merge_repeats", "drop_duplicates", "ties", "tokens", "min_count", "customers", "workers", "seed",
)


def add_learning_options(parser: argparse.ArgumentParser, names: Sequence[str] = tuple(LEARNING)) -> None:
    """One option for each field of PipelineConfig, or for these."""
    group = parser.add_argument_group("learning")
    for name in names:
        kind, default, text = LEARNING[name]
        flag = "--" + name.replace("_", "-")
        # SUPPRESS: options not given keep PipelineConfig's default.
        if kind is bool:
            group.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=text)
            continue
        shown = text if default is None else f"{text} ({default})"
        if isinstance(kind, tuple):
            group.add_argument(flag, choices=kind, default=argparse.SUPPRESS, help=shown)
        else:
            metavar = {int: "N", float: "X", str: "NAME", count_or_auto: "N"}[kind]
            group.add_argument(flag, type=kind, default=argparse.SUPPRESS, metavar=metavar, help=shown)


def config_of(args: argparse.Namespace) -> PipelineConfig:
    """The configuration by the options given."""
    from ..pipeline import PipelineConfig

    given = {name: getattr(args, name) for name in LEARNING if hasattr(args, name)}
    for name, value in given.items():
        if name.startswith("max_events") and value == 0:
            given[name] = None
    config = PipelineConfig(**given)
    return config.with_options({"action_map": {**(config.action_map or {}), **mapped_actions(args)}})


def learning_flags(text: str) -> str:
    """A report's min_count=1 as --min-count 1, and max_events_per_day=None as --max-events-per-day 0."""
    names = "|".join(LEARNING)
    return re.sub(
        rf"\b({names})=(\w+)", lambda m: f"--{m[1].replace('_', '-')} {'0' if m[2] == 'None' else m[2]}", text
    )


def mapped_actions(args: argparse.Namespace) -> dict[str, str | None]:
    """The names that --map-action gives to actions."""
    renamed: dict[str, str | None] = {}
    for pair in getattr(args, "map_action", []):
        old, equals, new = pair.partition("=")
        if not equals or not old:
            raise UsageError(f"--map-action must be OLD=NEW. Got {pair!r} instead.")
        renamed[old] = new or None
    return renamed
