"""Commands on the store: list, verify, rollback, prune; and indexes of its tables."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .options import add_common
from .render import table, write_json

if TYPE_CHECKING:
    from ..serving.store import TableStore


def add_commands(commands: Any) -> None:
    """Add this module's commands."""
    store = commands.add_parser("store", help="the published versions: list, verify, rollback, prune")
    actions = store.add_subparsers(dest="what", required=True, metavar="list|verify|rollback|prune")
    for name, text, run in (
        ("list", "all versions of all tables", run_list),
        ("verify", "hash every file of the latest versions, or of one", run_verify),
        ("rollback", "make the previous version, or a given one, the latest again", run_rollback),
        ("prune", "remove old versions", run_prune),
    ):
        parser = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name != "list":
            parser.add_argument("name", nargs="?", metavar="TABLE", help="tokens, items or customers; default: all")
        if name in ("verify", "rollback"):
            parser.add_argument("--version", metavar="V", help="a version, e.g. v000002")
        if name == "prune":
            parser.add_argument("--keep", type=int, required=True, help="number of newest versions to keep")
        add_common(parser)
        parser.set_defaults(run=run)

    index = commands.add_parser(
        "index", help="build an index for approximate search over a published table",
        description="Builds a cosine index of one version of a table, stored beside it and pruned with it; `traitcore "
        "similar --index` uses it. Recall@10 is the mean share of the ten exact neighbours that it finds.",
        epilog="example:\n  traitcore index items --store shop", formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    index.add_argument("name", metavar="TABLE", help="tokens, items or customers")
    index.add_argument("--version", default="latest", metavar="V", help="a version of the table (%(default)s)")
    text = "hnsw: a graph, by faiss (extra `ann`); exact: brute force (%(default)s)"
    index.add_argument("--kind", choices=("hnsw", "exact"), default="hnsw", help=text)
    for flag, default, text in (
        ("--links", 32, "links of each row in the graph (HNSW's M)"),
        ("--ef-construction", 200, "candidates when a row is linked"),
        ("--ef-search", 64, "candidates of a search: more is slower and more exact"),
        ("--sample", 500, "rows on which recall is measured"),
        ("--seed", 0, "seed of that sample"),
        ("--workers", 1, "threads; -1: all cores"),
    ):
        index.add_argument(flag, type=int, default=default, metavar="N", help=f"{text} (%(default)s)")
    index.add_argument("--as", dest="label", metavar="NAME", help="name of the index (default: its kind)")
    add_common(index)
    index.set_defaults(run=run_index)


def _open(args: argparse.Namespace) -> tuple[TableStore, list[str]]:
    """The store, and the names of the tables to use."""
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
    ))


def run_verify(args: argparse.Namespace) -> None:
    store, names = _open(args)
    infos = [store.verify(name, args.version or "latest", workers=-1) for name in names]
    if args.json:
        write_json(infos)
        return
    for info in infos:
        print(f"{info.name} {info.version}: all files are as published ({info.size_bytes / 1e6:,.1f} MB)")


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


def run_index(args: argparse.Namespace) -> None:
    import os
    from dataclasses import asdict

    from .._errors import TableError
    from ..serving.index import build_index

    store, _ = _open(args)
    opened = store.open(args.name, args.version)
    assert opened.version is not None
    path = store.index_path(args.name, opened.version, args.label or args.kind)
    if os.path.lexists(path):  # before the build, not after it
        raise TableError(f"{path} exists: an index is never overwritten; --as NAME builds another one.")
    index = build_index(
        opened, kind=args.kind, links=args.links, ef_construction=args.ef_construction, ef_search=args.ef_search,
        sample=args.sample, random_state=args.seed, workers=args.workers,
    )
    index.save(path)
    if args.json:
        write_json({"path": str(path), **asdict(index.info)})
        return
    info = index.info
    measured = "by definition" if info.kind == "exact" else f"measured on {info.sample:,} rows"
    print(f"{path}: {info.kind} index of {info.name} {info.version}, {info.n_rows:,} rows, d={info.dimension}")
    print(f"recall@10 {info.recall_at_10:.3f}, {measured}")
    if args.name in ("tokens", "items"):
        print(f"Next: traitcore similar ID --index {path.name} --store {args.store}")
