"""traitcore forget: customers leave the published tables."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_common
from .render import write_json


def add_commands(commands: Any) -> None:
    """Add this module's command."""
    forget = commands.add_parser(
        "forget", help="remove customers from every published table that holds them",
        description="Replaces every version of the tables of customers and of live customers that holds one of these "
        "customers by a revision without them (v000003 by v000003.r1), all or none; releases name the revisions. Old "
        "indexes of these versions are removed. Tables of tokens and items, which hold sums over all customers, change "
        "with the next fit: leave the customers out of its log too. What tables hold about people: docs/people.md",
        epilog="example:\n  traitcore forget cust_00042 cust_00077 --store shop",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    forget.add_argument("customers", nargs="+", metavar="ID", help="ids of customers")
    text = "another table whose rows are customers (may be repeated)"
    forget.add_argument("--also", action="append", default=[], metavar="TABLE", help=text)
    add_common(forget)
    forget.set_defaults(run=run_forget)


def run_forget(args: argparse.Namespace) -> None:
    from ..events.id_text import as_integer
    from ..pipeline.forget import forget_customers
    from ..serving.store import existing_store

    store = existing_store(args.store)
    numbers = [number for text in args.customers if (number := as_integer(text)) is not None]
    done = forget_customers(store, [*args.customers, *numbers], tables=args.also)
    if args.json:
        write_json(done.as_dict())
    elif not args.quiet:
        print(done)
