"""Commands about the store itself: list, verify, rollback, prune."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_common
from .render import table, write_json


def add_commands(commands: Any) -> None:
    """Add this module's commands."""
    store = commands.add_parser("store", help="the published versions: list, verify, rollback, prune")
    actions = store.add_subparsers(dest="what", required=True, metavar="list|verify|rollback|prune")
    for name, text, run in (
        ("list", "all versions of all tables", run_list),
        ("verify", "hash every file of the latest versions, or of one", run_verify),
        ("rollback", "make the version before the latest, or a stated one, the latest again", run_rollback),
        ("prune", "remove old versions", run_prune),
    ):
        parser = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name != "list":
            parser.add_argument("name", nargs="?", metavar="TABLE", help="tokens, items or customers; default: all")
        if name in ("verify", "rollback"):
            parser.add_argument("--version", metavar="V", help="a version, e.g. v000002")
        if name == "prune":
            parser.add_argument("--keep", type=int, required=True, help="how many of the newest versions stay")
        add_common(parser)
        parser.set_defaults(run=run)


def _open(args: argparse.Namespace) -> tuple[Any, list[str]]:
    """The store, and the tables asked about."""
    from .._errors import TableError
    from ..serving.store import TableStore

    store = TableStore(args.store)
    if not store.root.is_dir():
        raise TableError(f"There is no store at {args.store!r}: `traitcore fit LOG --store {args.store}` makes one.")
    names = list(dict.fromkeys(info.name for info in store.list()))
    wanted = getattr(args, "name", None)
    return store, [wanted] if wanted else names


def run_list(args: argparse.Namespace) -> None:
    store, _ = _open(args)
    infos = store.list()
    if args.json:
        write_json(infos)
        return
    print(table(
        [(i.name, i.version, "latest" if i.is_latest else "", i.n_rows, i.dimension, i.size_bytes / 1e6, i.created_utc,
          i.error or i.status or "") for i in infos],
        ("table", "version", "", "rows", "d", "MB", "published (UTC)", "guardrails"),
    ))  # fmt: skip


def run_verify(args: argparse.Namespace) -> None:
    store, names = _open(args)
    infos = [store.verify(name, args.version or "latest", workers=-1) for name in names]
    if args.json:
        write_json(infos)
        return
    for info in infos:
        print(f"{info.name} {info.version}: every file is as it was published ({info.size_bytes / 1e6:,.1f} MB)")


def run_rollback(args: argparse.Namespace) -> None:
    store, names = _open(args)
    found = {name: store.rollback(name, args.version) for name in names}
    if args.json:
        write_json(found)
        return
    for name, version in found.items():
        print(f"{name}: {version} is the latest again")


def run_prune(args: argparse.Namespace) -> None:
    store, names = _open(args)
    found = {name: store.prune(name, keep=args.keep) for name in names}
    if args.json:
        write_json(found)
        return
    for name, versions in found.items():
        print(f"{name}: removed {', '.join(versions) or 'nothing'}")


