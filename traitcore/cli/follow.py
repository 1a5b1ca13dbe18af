"""traitcore follow: traits updated by each new event."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from .._files import csv_writer
from .options import add_common, mapped_actions
from .progress import ProgressLine
from .reading import (
    NONE,
    add_log_options,
    column_advice,
    flags_for,
    in_flags,
    nulls_of,
    read_log,
    reading_of,
    refuse_overwriting,
    roles_of,
)
from .render import plain, show

if TYPE_CHECKING:
    from ..events.followed import FollowedRow
    from ..pipeline import PipelineConfig
    from ..serving.live_customers import LiveCustomers
    from ..shop.tables import Published

SAVED = "live"  # the table that --save publishes
# Options that only --history uses: the new events need no times and no sessions.
_OF_HISTORY = {
    "timestamp": "timestamp", "session": None, "order": None, "item_text": None, "timestamp_unit": None,
    "timestamp_format": None, "id_types": "auto",
}


def add_commands(commands: Any) -> None:
    """Add this module's commands."""
    follow = commands.add_parser(
        "follow", help="read new events and print each customer's updated traits",
        description="Reads events and prints, after each, its customer's trait shares and their changes: what a refit "
        "of the customer by the published traits would give, without the refit. Earlier events of a customer come from "
        "--history (the log that was fitted), else from the last `follow --save` (table 'live' of the store), else "
        "there are none. Rows that are no events are reported and left out. Ctrl-C ends the command like the end of "
        "the events.",
        epilog="examples:\n"
        "  traitcore follow new_events.csv --history events.csv --store shop --save\n"
        "  traitcore follow events.csv --wait --store shop --save --json\n"
        "  kcat -C -t events | traitcore follow - --format json --store shop --save",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_log_options(follow, items=False)
    follow.add_argument("--history", metavar="LOG", help="log with the same columns and the earlier events")
    follow.add_argument("--wait", action="store_true", help="wait for more lines at the end of the file, until Ctrl-C")
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
    from ..shop.tables import Published

    _refuse_unused(args)
    published = Published(args.store)
    config = PipelineConfig(**published.tokens.metadata["config"])
    config = config.with_options({"action_map": {**(config.action_map or {}), **mapped_actions(args)}})
    if config.customers == "sessions":
        raise ValueError("This store holds sessions, not users, so live updates are not available. Fit a log with "
                         "users, and --customers users.")
    live = live_customers(published.tokens)
    _begin(live, published, config, args)
    counts = {"followed": 0, "left out": 0}
    try:
        with _stopped_by_signals(), in_flags():
            _follow_all(live, published, config, args, counts)
    except KeyboardInterrupt:  # the usual end
        pass
    finally:  # whatever ends it, the events so far are kept
        version = published.store.publish(live.snapshot(), SAVED) if args.save and len(live) else None
    saved = "" if version is None else f"; saved as {SAVED} {version}"
    if not args.quiet:
        print(f"{counts['followed']:,} events followed, {counts['left out']:,} lines left out; {len(live):,} customers "
              f"known{saved}", file=sys.stderr)


def _refuse_unused(args: argparse.Namespace) -> None:
    """Refuse what would have no effect."""
    if args.k < 1:
        raise ValueError(f"-k must be at least 1. Got {args.k} instead.")
    if args.history is None:
        for name, default in _OF_HISTORY.items():
            if getattr(args, name) != default:
                flag = "--" + name.replace("_", "-")
                raise ValueError(f"{flag} is used with --history only: new events are taken as they come.")
    if args.wait and args.log == [NONE]:
        raise ValueError("--wait is for files: standard input is followed to its end anyway.")
    if args.wait and len(args.log) > 1:
        raise ValueError("--wait is for one file.")
    if NONE in args.log and len(args.log) > 1:
        raise ValueError("'-', standard input, is followed alone.")
    refuse_overwriting(args)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """A request to terminate ends the command as Ctrl-C does, so that --save is kept."""
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _follow_all(
    live: LiveCustomers, published: Published, config: PipelineConfig, args: argparse.Namespace, counts: dict[str, int]
) -> None:
    from ..events.readers import rejects_file

    with ExitStack() as stack:
        rejects = stack.enter_context(rejects_file(args.rejects, keep=True))
        writer = None if rejects is None else csv_writer(rejects)
        if writer is not None:
            writer.writerow(["file", "line or row", "reason", "record"])
        for row, event in read_stream(published, config, args):
            if isinstance(event, str):
                counts["left out"] += 1
                where = f"line {row.place}" if len(args.log) == 1 else f"{row.source}, line {row.place}"
                print(f"traitcore: {where} left out: {show(flags_for(event))}", file=sys.stderr)
                if writer is not None:
                    writer.writerow([row.source, row.place, event, row.record or "|".join(row.texts.values())])
            elif event.token is not None:
                answer = follow_event(live, published, event, args.k)
                counts["followed"] += 1
                print_answer(answer, args)


def _begin(live: LiveCustomers, published: Published, config: PipelineConfig, args: argparse.Namespace) -> None:
    """Load the customers' earlier events."""
    import numpy as np

    from ..pipeline import prepare_corpus

    if args.history is not None:
        progress = ProgressLine(args.quiet or None)
        try:
            changed = {"log": [args.history], "rejects": None, "set_aside": args.set_aside or bool(args.rejects)}
            log = read_log(argparse.Namespace(**vars(args) | changed), progress)
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


def read_stream(
    published: Published, config: PipelineConfig, args: argparse.Namespace
) -> Iterator[tuple[FollowedRow, Event | str]]:
    """Each row of the logs with its event, or with what is wrong with it."""
    from .._errors import MissingColumnError
    from ..events.followed import follow_rows
    from ..events.id_text import parse_id

    with_actions = bool(published.vocabulary.actions)
    roles = roles_of(args)
    wanted = {role: name for role, name in roles.items() if role in ("user", "item") and name is not None}
    if with_actions and args.action_value is None and roles["action"] is not None:
        wanted["action"] = roles["action"]
    missing = [role for role in ("user", "item") if role not in wanted]
    if with_actions and "action" not in wanted and args.action_value is None:
        missing.append("action")
    if missing:
        advice = column_advice(missing[0], required=True)
        raise ValueError(f"The store's tables need a column for {missing[0]}. {advice}")
    nulls = {"", *(nulls_of(args) or ())}
    integers = published.customers.id_kind == "int64"
    try:
        for row in follow_rows(
            args.log, wanted, args.where, reading_of(args), wait=args.wait, stream=getattr(sys.stdin, "buffer", None)
        ):
            empty = [role for role in wanted if row.texts.get(role, "") in nulls]
            if row.fault or empty:
                yield row, row.fault or f"no {empty[0]}"
                continue
            customer = parse_id(row.texts["user"], integers)
            if customer is None:
                yield row, f"customer {row.texts['user']!r} is not an integer, as the store's customers are"
                continue
            action = row.texts.get("action", args.action_value) if with_actions else None
            yield row, Event(customer, _token(published, row.texts["item"], action, config.action_map))
    except MissingColumnError as error:
        raise ValueError(f"{error.problem} {column_advice(error.role, required=True)}") from error


def _token(
    published: Published, item: str, action: str | None, renamed: Mapping[str, str | None] | None
) -> int | str | None:
    """The name of an event's token in the published table; None where its action is dropped."""
    from ..events.id_text import is_canonical, parse_id

    vocabulary = published.vocabulary
    if vocabulary.item_ids.dtype.kind == "i":
        number = parse_id(item, True)
        item = item if number is None else str(number)
    if action is None:
        return int(item) if vocabulary.item_ids.dtype.kind == "i" and is_canonical(item) else item
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
