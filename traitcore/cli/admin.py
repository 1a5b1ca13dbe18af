"""Commands on the store: list, show, verify, rollback, repair, prune; indexes of its tables, and exports."""

from __future__ import annotations

import argparse
import functools
import shlex
from typing import TYPE_CHECKING, Any

from .options import UsageError, add_common
from .render import table, write_json

if TYPE_CHECKING:
    from ..serving.releases import Release
    from ..serving.store import TableStore


_ENDINGS = {"parquet": ".parquet", "word2vec": ".txt", "csv": ".csv", "npy": ".npy", "safetensors": ".safetensors",
            "huggingface": "_hub", "features": "_features.parquet", "xlsx": ".xlsx"}
_LISTS = ("profiles", "segments", "campaign")
_LIST_FORMATS = ("csv", "parquet", "xlsx")


def add_commands(commands: Any) -> None:
    """Add this module's commands."""
    store = commands.add_parser("store", help="the published versions: list, show, verify, rollback, repair, prune")
    actions = store.add_subparsers(dest="what", required=True, metavar="list|show|verify|rollback|repair|prune")
    release = "a release, e.g. r000002 (see `traitcore store list`)"
    for name, text, run in (
        ("list", "all releases, and all versions of all tables", run_list),
        ("show", "the record of a release as JSON: tables, verdict, settings, data, stages of the run", run_show),
        ("verify", "hash every file of the latest versions, or of one", run_verify),
        ("rollback", "make all tables of the previous release, or of a given one, the latest again", run_rollback),
        ("repair", "where the latest version is damaged, make the newest whole one the latest; it is recorded",
         run_repair),
        ("prune", "remove old versions; those that a kept one was made with stay", run_prune),
    ):
        parser = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name not in ("list", "show"):
            alone = " of no release" if name == "rollback" else ""
            text = f"tokens, items, customers or another table{alone}; default: all"
            parser.add_argument("name", nargs="?", metavar="TABLE", help=text)
        if name in ("verify", "rollback"):
            parser.add_argument("--version", metavar="V", help="a version of TABLE, e.g. v000002")
        if name in ("show", "rollback"):
            parser.add_argument("--release", metavar="R", help=release)
        if name == "prune":
            parser.add_argument("--keep", type=int, required=True, help="newest releases and versions to keep")
        add_common(parser)
        parser.set_defaults(run=run)

    export = commands.add_parser(
        "export", help="write a published table, or a list of customers, for other systems",
        description="Writes the ids and vectors of one version of a table for other systems. huggingface: a folder of "
        "config.json, model.safetensors and a card, with the whole table. features: Parquet for feature stores, a row "
        "for each customer (or item), its time that of the publication. Or a list of customers (CSV, Parquet, Excel): "
        "profiles, the share of each trait; segments, the largest trait of each customer; campaign, the customers of "
        "one trait, without those who bought something.",
        epilog="examples:\n  traitcore export items --to parquet --store shop\n"
        "  traitcore export profiles --to xlsx --store shop\n"
        "  traitcore export campaign --trait 5 --min-share .3 --not-bought 22423 --to csv --store shop",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument(
        "name", metavar="TABLE", help="tokens, items or customers; or profiles, segments or campaign"
    )
    export.add_argument("--trait", type=int, metavar="N", help="of a campaign")
    text = "least share of the trait, of a campaign or segment (.3)"
    export.add_argument("--min-share", type=float, metavar="X", help=text)
    text = "leave out of a campaign who bought this item (repeat)"
    export.add_argument("--not-bought", action="append", metavar="ITEM", help=text)
    export.add_argument("--to", choices=tuple(_ENDINGS), required=True, help="format of the file")
    export.add_argument("--out", metavar="FILE", help="default: the table's name")
    export.add_argument("--version", default="latest", metavar="V", help="a version of the table (%(default)s)")
    add_common(export)
    export.set_defaults(run=run_export)

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
    from ..serving.store import existing_store

    store = existing_store(args.store)
    names = list(dict.fromkeys(info.name for info in store.list()))
    wanted = getattr(args, "name", None)
    return store, [wanted] if wanted else names


def run_list(args: argparse.Namespace) -> None:
    store, _ = _open(args)
    infos, releases = store.list(), store.releases.list()
    if args.json:
        write_json({"releases": releases, "tables": infos})
        return
    if releases:
        print(table(
            [(r.name, "latest" if r.is_latest else "", r.parent, r.created_utc, _verdict(r.status, r.forced_by),
              (r.input_fingerprint or "")[:12], r.library_version, r.error or _contents(r)) for r in releases],
            ("release", "", "after", "published (UTC)", "guardrails", "data", "traitcore", "tables"),
        ))
        print()
    print(table(
        [(i.name, i.version, "latest" if i.is_latest else "", i.n_rows, i.dimension, i.size_bytes / 1e6, i.created_utc,
          i.error or _verdict(i.status, i.forced_by)) for i in infos],
        ("table", "version", "", "rows", "d", "MB", "published (UTC)", "guardrails"),
    ))


def _verdict(status: str | None, forced_by: str | None) -> str:
    return (status or "") + (f", forced by {forced_by}" if forced_by else "")


def _contents(release: Release) -> str:
    tables = (release.tables or {}).items()
    return ", ".join(f"{n} {v}" + (" (pruned)" if n in release.missing else "") for n, v in tables)


def run_show(args: argparse.Namespace) -> None:
    store, _ = _open(args)
    write_json(store.releases.describe(args.release or "latest"))


def run_verify(args: argparse.Namespace) -> None:
    store, names = _open(args)
    infos = [store.verify(name, args.version or "latest", workers=-1) for name in names]
    if args.json:
        write_json(infos)
        return
    for info in [] if args.quiet else infos:
        print(f"{info.name} {info.version}: all files are as published ({info.size_bytes / 1e6:,.1f} MB)")


def run_rollback(args: argparse.Namespace) -> None:
    if args.release is not None and (args.name or args.version):
        raise UsageError("--release moves all tables of a release: leave out TABLE and --version.")
    if args.version is not None and args.name is None:
        raise UsageError("--version is that of one table: name the TABLE, or use --release.")
    store, _ = _open(args)
    if args.name is not None:
        found = {args.name: store.rollback(args.name, args.version)}
        release = None
    else:
        moved = store.releases.rollback(args.release)
        found, release = dict(moved.tables or {}), moved.name
    if args.json:
        write_json({"release": release, "tables": found})
    elif not args.quiet:
        print(", ".join(f"{n} {v}" for n, v in found.items()) + " are the latest again"
              + (f" (release {release})" if release else ""))


def run_repair(args: argparse.Namespace) -> None:
    import getpass

    store, names = _open(args)
    found = {name: store.repair(name, by=getpass.getuser()) for name in names}
    if args.json:
        write_json({name: {"was": was, "now": now} for name, (was, now) in found.items()})
        return
    for name, (was, now) in found.items():
        if was == now and was is not None:
            print(f"{name}: {was} is whole")
        else:
            shown = "no version is whole: the next fit starts anew" if now is None else f"{now} is the latest now"
            print(f"{name}: {was or 'LATEST'} is damaged; {shown}")


def run_export(args: argparse.Namespace) -> None:
    if args.name in _LISTS:
        _export_list(args)
        return
    for flag, value in (("--trait", args.trait), ("--min-share", args.min_share), ("--not-bought", args.not_bought)):
        if value is not None:
            raise UsageError(f"{flag} is for lists of customers: {', '.join(_LISTS)}.")
    if args.to == "xlsx":
        raise UsageError(f"--to xlsx is for lists of customers: {', '.join(_LISTS)}.")
    from datetime import datetime

    from ..serving import export
    from ..serving.hub_folder import write_folder
    from ..serving.tensors import write_safetensors
    from ..serving.word2vec import write_word2vec

    store, _ = _open(args)
    opened = store.open(args.name, args.version)
    out = args.out or f"{args.name}{_ENDINGS[args.to]}"
    writers: dict[str, Any] = {"parquet": export.write_parquet, "word2vec": write_word2vec, "csv": export.write_csv,
               "npy": export.write_npy, "safetensors": write_safetensors, "huggingface": write_folder}
    if args.to == "features":
        at = datetime.fromisoformat(store.describe(args.name, opened.version or "latest")["created_utc"])
        entity = {"customers": "customer_id", "items": "item_id"}.get(args.name, "id")
        writers["features"] = functools.partial(export.write_features, timestamp=at, entity=entity)
    beside = writers[args.to](opened, out)
    files = [out, *([] if beside is None else [str(beside)])]
    if args.json:
        write_json({"table": args.name, "version": opened.version, "files": files, "rows": len(opened)})
    else:
        print(f"{' and '.join(files)}: {args.name} {opened.version}, {len(opened):,} rows, d={opened.dimension}")


def _export_list(args: argparse.Namespace) -> None:
    from ..shop.shop import open_shop

    if args.to not in _LIST_FORMATS:
        raise UsageError(f"--to must be {', '.join(_LIST_FORMATS)} for {args.name}. Got {args.to!r}.")
    if (args.trait is None) == (args.name == "campaign"):
        raise UsageError("A campaign needs --trait N." if args.trait is None else "--trait is for a campaign.")
    if args.not_bought is not None and args.name != "campaign":
        raise UsageError("--not-bought is for a campaign.")
    if args.min_share is not None and args.name == "profiles":
        raise UsageError("--min-share is for a campaign or segments.")
    shop = open_shop(args.store, args.version)
    least: dict[str, Any] = {} if args.min_share is None else {"min_share": args.min_share}
    if args.name == "campaign":
        found = shop.campaign(args.trait, not_bought=args.not_bought or (), **least)
    else:
        found = shop.segments(**least) if args.name == "segments" else shop.profiles()
    out = args.out or f"{args.name}{_ENDINGS[args.to]}"
    found.write(out)
    if args.json:
        write_json({"list": args.name, "version": shop.tables.customers.version, "files": [out], "rows": len(found)})
    else:
        print(f"{out}: {args.name}, {len(found):,} customers")


def run_prune(args: argparse.Namespace) -> None:
    store, _ = _open(args)
    found = store.releases.prune(keep=args.keep) if args.name is None else {
        args.name: store.prune(args.name, keep=args.keep)
    }
    if args.json:
        write_json(found)
    elif not args.quiet:
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
    if args.quiet:
        return
    info = index.info
    measured = "by definition" if info.kind == "exact" else f"measured on {info.sample:,} rows"
    print(f"{path}: {info.kind} index of {info.name} {info.version}, {info.n_rows:,} rows, d={info.dimension}")
    print(f"recall@10 {info.recall_at_10:.3f}, {measured}")
    if args.name in ("tokens", "items"):
        print(f"Next: traitcore similar ID --index {path.name} --store {shlex.quote(args.store)}")
