"""traitcore report: a store's newest run as one HTML file."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .options import add_common
from .render import write_json


def add_commands(commands: Any) -> None:
    """Add this module's command."""
    parser = commands.add_parser(
        "report", help="one HTML file for people: traits, map, customers, quality, what was left out",
        description="Writes one HTML file that needs no network: the traits with their products, a map of the products "
        "to search, customers, quality, recommendations, what was left out, and what changed since the last version.",
        epilog="examples:\n  traitcore report --store shop -o report.html\n"
        "  traitcore evaluate events.csv --json > quality.json && \\\n"
        "      traitcore report --store shop --quality quality.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--out", default="report.html", metavar="FILE", help="(%(default)s)")
    text = "show these figures: what `traitcore evaluate LOG --json` printed"
    parser.add_argument("--quality", metavar="FILE", help=text)
    parser.add_argument("--title", metavar="TEXT", help="heading of the page")
    parser.add_argument("--version", default="latest", metavar="V", help="a version of the store (%(default)s)")
    add_common(parser)
    parser.set_defaults(run=run_report)


def run_report(args: argparse.Namespace) -> None:
    import os

    from ..shop.shop import open_shop

    shop = open_shop(args.store, args.version)
    shop.report(args.out, quality=None if args.quality is None else read_quality(args.quality), title=args.title)
    size = os.path.getsize(args.out)
    if args.json:
        write_json({"path": args.out, "bytes": size, "version": shop.tables.items.version})
    elif not args.quiet:
        print(f"{args.out}: {size / 1e6:.1f} MB; open it in a browser, it needs no network")


def read_quality(path: str) -> dict[str, Any]:
    """What `traitcore evaluate --json` printed; ValueError for another file."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        found = json.loads(text)
        good = isinstance(found, dict) and bool(found.keys() & {"items", "traits"}) and all(
            isinstance(found[name][part], dict)
            for name, part in (("items", "scorers"), ("traits", "figures")) if name in found
        )
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise ValueError(f"--quality must be what `traitcore evaluate LOG --json` printed. {path} is not.")
    return found  # type: ignore[no-any-return]
