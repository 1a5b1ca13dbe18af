"""The command that keeps traits fresh: follow."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from .options import NONE, add_common, add_log_options, column_advice, read_log
from .progress import ProgressLine
from .render import plain, show

if TYPE_CHECKING:
    from ..serving.live_customers import LiveCustomers
    from .published import Published

SAVED = "live"  # the table that --save publishes


def add_commands(commands: Any) -> None:
    """Add this module's commands."""
    follow = commands.add_parser(
        "follow", help="events as they come, and after each its customer's traits as they are now",
        description="Reads events and tells, after each, the shares of its customer's traits and how they moved, "
        "without a refit: exactly what a refit of the customer by the published traits would give. A customer's events "
        "before these come from --history (the log that was fitted), else from where the last `follow --save` ended "
        "(table 'live' of the store), else there are none. Ctrl-C ends the following as the end of the events does.",
        epilog="examples:\n"
        "  traitcore follow new_events.csv --history events.csv --store shop --save\n"
        "  tail -n +1 -f new_events.csv | traitcore follow - --store shop --save --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_log_options(follow, items=False, log="CSV with a header line, read as it grows; '-': standard input")
    follow.add_argument("--history", metavar="LOG", help="log of the same columns with the events before these")
    follow.add_argument("--save", action="store_true", help="at the end, keep what is known of customers in the store")
    follow.add_argument("-k", type=int, default=3, metavar="N", help="traits told after each event (%(default)s)")
    add_common(follow)
    follow.set_defaults(run=run_follow)


class Event(NamedTuple):
    """One row of the stream; `token` None where its action is mapped to nothing."""

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
        raise ValueError("This store's customers are sessions, which end: there is nobody to follow. Fit a log with "
                         "users, and --customers users.")  # fmt: skip
    live = live_customers(published.tokens)
    _begin(live, published, config, args)
    told = left_out = 0
    with _opened(args.log) as lines:
        try:
            for line, event in read_stream(lines, published, config, args):
                if isinstance(event, str):
                    left_out += 1
                    print(f"traitcore: line {line} left out: {show(event)}", file=sys.stderr)
                elif event.token is not None:
                    tell(follow_event(live, published, event, args.k), args)
                    told += 1
        except KeyboardInterrupt:  # how one stops following
            pass
    version = published.store.publish(live.snapshot(), SAVED) if args.save and len(live) else None
    saved = "" if version is None else f"; saved as {SAVED} {version}"
    if not args.quiet:
        print(f"{told:,} events followed, {left_out:,} lines left out; {len(live):,} customers known{saved}",
              file=sys.stderr)  # fmt: skip


def _begin(live: LiveCustomers, published: Published, config: Any, args: argparse.Namespace) -> None:
    """Give the customers their past."""
    import numpy as np

    from ..pipeline import prepare_corpus

    if args.history is not None:
        progress = ProgressLine(args.quiet or None)
        try:
            log = read_log(argparse.Namespace(**vars(args) | {"log": args.history}), progress)
            corpus = prepare_corpus(log, config)  # as the run did: the same events count
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
            raise TableError(f"{error} It was saved under an earlier fit: --history LOG begins anew.") from error
    elif not args.quiet:
        print("traitcore: no --history and nothing saved: customers begin without events", file=sys.stderr)


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    if path == NONE:
        yield sys.stdin
        return
    with open(path, encoding="utf-8-sig", newline="") as file:
        yield file


def read_stream(
    lines: Any, published: Published, config: Any, args: argparse.Namespace
) -> Iterator[tuple[int, Event | str]]:
    """(line, event) for each row of a CSV, or (line, what is wrong with it)."""
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


def _token(published: Published, item: str, action: str | None, renamed: Any) -> int | str | None:
    """The name of an event's token in the published table; None where its action is mapped to nothing."""
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
    """Add an event; its customer's largest traits now, and how much each has moved."""
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


def tell(answer: dict[str, Any], args: argparse.Namespace) -> None:
    """One line for an event, written at once."""
    if args.json:
        print(json.dumps(plain(answer), ensure_ascii=True, allow_nan=False), flush=True)
        return
    parts = [f"trait {t['trait']} {t['share']:.0%} ({100 * t['change']:+.1f})" for t in answer["traits"]]
    if not answer["known"]:
        parts.insert(0, "not in the tables, nothing moved")
    most = f"  {answer['traits'][0]['name']}" if answer["traits"] else ""
    head = f"{show(str(answer['customer']))}  {show(str(answer['token']))}"
    print(f"{head}  {', '.join(parts) or 'no trait yet'}{show(most)}", flush=True)
