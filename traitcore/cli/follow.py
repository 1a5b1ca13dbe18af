"""traitcore follow: traits updated by each new event."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from .options import NONE, add_common, add_log_options, column_advice, read_log
from .progress import ProgressLine
from .render import plain, show

if TYPE_CHECKING:
    from ..pipeline import PipelineConfig
    from ..serving.live_customers import LiveCustomers
    from .published import Published

SAVED = "live"  # the table that --save publishes


def add_commands(commands: Any) -> None:
    """Add this module's commands."""
    follow = commands.add_parser(
        "follow", help="read new events and print each customer's updated traits",
        description="Reads events and prints, after each, its customer's trait shares and their changes: what a refit "
        "of the customer by the published traits would give, without the refit. Earlier events of a customer come from "
        "--history (the log that was fitted), else from the last `follow --save` (table 'live' of the store), else "
        "there are none. Ctrl-C ends the command like the end of the events.",
        epilog="examples:\n"
        "  traitcore follow new_events.csv --history events.csv --store shop --save\n"
        "  tail -n +1 -f new_events.csv | traitcore follow - --store shop --save --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_log_options(follow, items=False, log="CSV with a header line, read as it grows; '-': standard input")
    follow.add_argument("--history", metavar="LOG", help="log with the same columns and the earlier events")
    follow.add_argument("--save", action="store_true", help="at the end, publish the customers' state to the store")
    follow.add_argument("-k", type=int, default=3, metavar="N", help="traits printed after each event (%(default)s)")
    add_common(follow)
    follow.set_defaults(run=run_follow)


class Event(NamedTuple):
    """One row of the stream; `token` is None where its action is dropped."""

    customer: int | str
    token: int | str | None


def run_follow(args: argparse.Namespace) -> None:
    from ..pipeline import PipelineConfig, live_customers
    from .published import Published

    if args.k < 1:
        raise ValueError(f"-k must be at least 1. Got {args.k} instead.")
    published = Published(args.store)
    config = PipelineConfig(**published.tokens.metadata["config"])
    if config.customers == "sessions":
        raise ValueError("This store holds sessions, not users, so live updates are not available. Fit a log with "
                         "users, and --customers users.")
    live = live_customers(published.tokens)
    _begin(live, published, config, args)
    followed = left_out = 0
    with _opened(args.log) as lines:
        try:
            for line, event in read_stream(lines, published, config, args):
                if isinstance(event, str):
                    left_out += 1
                    print(f"traitcore: line {line} left out: {show(event)}", file=sys.stderr)
                elif event.token is not None:
                    print_answer(follow_event(live, published, event, args.k), args)
                    followed += 1
        except KeyboardInterrupt:  # the usual end
            pass
    version = published.store.publish(live.snapshot(), SAVED) if args.save and len(live) else None
    saved = "" if version is None else f"; saved as {SAVED} {version}"
    if not args.quiet:
        print(f"{followed:,} events followed, {left_out:,} lines left out; {len(live):,} customers known{saved}",
              file=sys.stderr)


def _begin(live: LiveCustomers, published: Published, config: PipelineConfig, args: argparse.Namespace) -> None:
    """Load the customers' earlier events."""
    import numpy as np

    from ..pipeline import prepare_corpus

    if args.history is not None:
        progress = ProgressLine(args.quiet or None)
        try:
            log = read_log(argparse.Namespace(**vars(args) | {"log": args.history}), progress)
            corpus = prepare_corpus(log, config)  # as in the fit: the same events count
        finally:
            progress.clear()
        sequences = corpus.sequences
        who = sequences.owner_ids[np.repeat(sequences.owners(), np.diff(sequences.offsets))]  # type: ignore[index]
        live.update_batch(who, corpus.vocabulary.tokens[sequences.tokens])
    elif (published.store.root / SAVED / "LATEST").exists():
        from .._errors import TableError

        try:
            live.restore(published.store.open(SAVED))
        except TableError as error:
            raise TableError(f"{error} It was saved with an earlier fit: --history LOG starts again.") from error
    elif not args.quiet:
        print("traitcore: no --history and nothing saved: customers start without events", file=sys.stderr)


@contextmanager
def _opened(path: str) -> Iterator[TextIO]:
    if path == NONE:
        yield sys.stdin
        return
    with open(path, encoding="utf-8-sig", newline="") as file:
        yield file


def read_stream(
    lines: TextIO, published: Published, config: PipelineConfig, args: argparse.Namespace
) -> Iterator[tuple[int, Event | str]]:
    """(line, event) for each row of a CSV, or (line, error)."""
    reader = csv.reader(iter(lines.readline, ""), delimiter=args.delimiter.replace("\\t", "\t"))
    heads = next(reader, None)
    if heads is None:
        return
    places = {}
    with_actions = bool(published.vocabulary.actions)
    wanted = {"user": args.user, "item": args.item}
    if with_actions and args.action_value is None:
        wanted["action"] = args.action
    for role, name in wanted.items():
        if name not in heads:
            known = ", ".join(heads)
            raise ValueError(f"{args.log} has no column {name!r}: it has {known}. {column_advice(role, required=True)}")
        places[role] = heads.index(name)
    integers = published.customers.id_kind == "int64"
    for row in reader:
        if not row:
            continue
        try:
            found = {role: row[place] for role, place in places.items()}
        except IndexError:
            yield reader.line_num, f"{len(row)} fields, where the header has {len(heads)}"
            continue
        empty = [role for role, text in found.items() if not text]
        if empty:
            yield reader.line_num, f"no {empty[0]}"
            continue
        try:
            customer = int(found["user"]) if integers else found["user"]
        except ValueError:
            yield reader.line_num, f"customer {found['user']!r} is not a number, as the store's customers are"
            continue
        action = found.get("action", args.action_value)
        token = _token(published, found["item"], action if with_actions else None, config.action_map)
        yield reader.line_num, Event(customer, token)


def _token(
    published: Published, item: str, action: str | None, renamed: Mapping[str, str | None] | None
) -> int | str | None:
    """The name of an event's token in the published table; None where its action is dropped."""
    vocabulary = published.vocabulary
    if action is None:
        return int(item) if vocabulary.item_ids.dtype.kind == "i" and item.lstrip("-").isdigit() else item
    name = (renamed or {}).get(action, action)
    if name is None:
        return None
    try:
        return str(vocabulary.tokens[vocabulary.row_of((name, item))])
    except KeyError:
        return f"{name}_{item}"


def follow_event(live: LiveCustomers, published: Published, event: Event, k: int) -> dict[str, Any]:
    """Add an event; its customer's largest traits and their changes."""
    import numpy as np

    customer, token = event
    names = [trait["name"] for trait in published.traits]
    before = live.profiles([customer])[0] if customer in live else np.zeros(len(names), np.float32)
    unknown = live.n_unknown
    live.update(customer, token)
    now = live.profiles([customer])[0] if customer in live else before
    best = [int(t) for t in (-now).argsort(kind="stable")[:k] if now[t] > 0]
    return {
        "customer": customer,
        "token": token,
        "known": live.n_unknown == unknown,
        "traits": [
            {"trait": t, "name": names[t], "share": float(now[t]), "change": float(now[t] - before[t])} for t in best
        ],
    }


def print_answer(answer: dict[str, Any], args: argparse.Namespace) -> None:
    """One line for an event, flushed."""
    if args.json:
        print(json.dumps(plain(answer), ensure_ascii=True, allow_nan=False), flush=True)
        return
    parts = [f"trait {t['trait']} {t['share']:.0%} ({100 * t['change']:+.1f})" for t in answer["traits"]]
    if not answer["known"]:
        parts.insert(0, "not in the tables, nothing changed")
    most = f"  {answer['traits'][0]['name']}" if answer["traits"] else ""
    head = f"{show(str(answer['customer']))}  {show(str(answer['token']))}"
    print(f"{head}  {', '.join(parts) or 'no trait yet'}{show(most)}", flush=True)
