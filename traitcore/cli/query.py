"""Commands on published tables: similar, traits, customer, recommend."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .options import UsageError, add_common
from .render import show, table, write_json

if TYPE_CHECKING:
    from .._looks import Rows
    from ..shop.answers import Recommended
    from ..shop.shop import Shop


_SCORES = {"cosine": "cosine", "context": "score", "model": "score"}  # heading of the scores


def add_commands(commands: Any) -> None:
    """Add this module's commands."""
    similar = commands.add_parser(
        "similar", help="nearest neighbours of a token, an item, or the item that a text describes",
        description="Nearest tokens of a token (view_prod_0012), or nearest items of an item's id, or of the item of "
        "most events whose description holds all the words given, by cosine. --next lists what comes next, ranked by "
        "cosine or by context vectors, whichever found more on held-out sessions when the table was fitted (context "
        "vectors for tables without that record).",
        epilog="examples:\n  traitcore similar view_prod_0012\n  traitcore similar prod_0012 --next\n"
        "  traitcore similar 'regency teacup'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    similar.add_argument("token", metavar="TOKEN", help="such as view_prod_0012, an item's id, or words of its text")
    similar.add_argument("-k", type=int, default=10, metavar="N", help="number of rows (%(default)s)")
    similar.add_argument("--next", action="store_true", help="what tends to come next, not what is similar")
    text = "use this index of the table (see `traitcore index`)"
    similar.add_argument("--index", metavar="NAME", help=text)
    similar.set_defaults(run=run_similar)

    traits = commands.add_parser(
        "traits", help="the traits: name, share of customers, top tokens with lift",
        description="Each trait with its most characteristic tokens. Lift 3: three times as common with its customers.",
    )
    traits.add_argument("-k", type=int, default=5, metavar="N", help="tokens of each trait (%(default)s)")
    traits.add_argument("--picture", metavar="FILE", help="also draw them: .png, .svg or .pdf (extra `report`)")
    traits.set_defaults(run=run_traits)

    customer = commands.add_parser(
        "customer", help="one customer: traits, latest events, similar customers, recommendations",
        description="One customer: traits, latest events, similar customers, recommendations.",
    )
    customer.add_argument("id", metavar="ID", help="the customer's id, as in the log")
    customer.add_argument("-k", type=int, default=5, metavar="N", help="rows of each list (%(default)s)")
    customer.set_defaults(run=run_customer)

    recommend = commands.add_parser(
        "recommend", help="products for a customer",
        description="Products by the customer's traits and by what goes with the items they had, without those bought; "
        "by traits alone (--by traits); or by the latest events (--next), ranked "
        "by cosine or context vectors, whichever found more on held-out sessions. Products without evidence are listed "
        "only with --fallback.",
    )
    recommend.add_argument("id", metavar="ID", nargs="?", help="the customer's id, as in the log")
    text = "next items of this session instead of a customer's: items' ids, the oldest first, a comma between them"
    recommend.add_argument("--session", metavar="A,B,C", help=text)
    recommend.add_argument("-k", type=int, default=10, metavar="N", help="number of rows (%(default)s)")
    recommend.add_argument("--by", choices=("both", "traits"), help="traits and items had (both), or traits alone")
    recommend.add_argument("--next", action="store_true", help="by the latest events, not by traits")
    recommend.add_argument("--keep-bought", action="store_true", help="products already bought may be recommended")
    recommend.add_argument("--allow", action="append", metavar="ITEM", help="only these items (repeat)")
    recommend.add_argument("--deny", action="append", metavar="ITEM", help="none of these items (repeat)")
    text = "fill the list with the products of most events, also for a customer not in the store"
    recommend.add_argument("--fallback", choices=("popular",), help=text)
    text = "at most M products of one trait, so that the list is mixed; filled up where there are too few"
    recommend.add_argument("--max-per-trait", type=int, metavar="M", help=text)
    recommend.set_defaults(run=run_recommend)
    for parser in (similar, traits, customer, recommend):
        parser.add_argument("--version", default="latest", metavar="V", help="a version of the store (%(default)s)")
        add_common(parser)


def _shop(args: argparse.Namespace, *, customers: bool = True) -> Shop:
    from ..shop.shop import Shop
    from ..shop.tables import Published

    return Shop(Published(args.store, args.version, customers=customers))


def run_similar(args: argparse.Namespace) -> None:
    if args.index is not None and args.next:
        raise UsageError("--index finds similar rows, not next ones: leave out --next.")
    shop = _shop(args, customers=False)
    meant, found = shop.meant(args.token), shop.similar(args.token, args.k, following=args.next, index=args.index)
    by = shop.ranked_by(args.token) if args.next else "cosine"
    if args.json:
        write_json({
            "token": meant.id, "events": meant.events, "description": meant.description, "by": by,
            "found": [{"token": r.id, "score": r.score, "events": r.events, "description": r.description}
                      for r in found],
        })
        return
    print(found.title)
    heads = ("next" if args.next else "similar", _SCORES[by], "events", "description")
    print(table([(str(r.id), r.score, r.events, r.description) for r in found], heads, indent=2))


def run_traits(args: argparse.Namespace) -> None:
    shop = _shop(args)
    tables = shop.tables
    if args.picture:
        from ..customers.trait_plot import plot_traits

        plot_traits(tables.described, args.picture, k=args.k)
    brief = shop.traits(args.k)
    if args.json:
        write_json({
            "customers": len(tables.customers),
            "traits": [
                {**trait, "exemplars": list(one.examples),
                 "tokens": [{name: v for name, v in token.items() if name != "row"} for token in trait["tokens"]]}
                for trait, one in zip(tables.traits, brief)
            ],
        })
        return
    print(brief.title)
    for trait, one in zip(tables.traits, brief):
        print()
        print(trait_title(trait))
        likes = ", ".join(f"{name} {lift:.1f}x" for name, lift in trait["categories"][:3])
        shown = ", ".join(str(who) for who in one.examples)
        for head, text in (("acts: ", one.acts), ("categories: ", likes), ("see customers ", shown)):
            if text:
                print("    " + show(head + text))
        rows = [(str(t["token"]), t["lift"], t["customers"], t["text"]) for t in trait["tokens"][: args.k]]
        print(table(rows, ("token", "lift", "customers", "description"), indent=4))
    print("\nlift 3: three times as common with the trait's customers as with all; acts (1.5x): so many times as often")


def trait_title(trait: dict[str, Any]) -> str:
    """e.g. "trait 3  buy_prod_0012 / ...  12.1% of all, strong in 240 customers"."""
    return (
        f"trait {trait['trait']}  {show(trait['name'])}  "
        f"({trait['prevalence']:.1%} of all behaviour, strong in {trait['customers']:,} customers)"
    )


def run_customer(args: argparse.Namespace) -> None:
    answer = _shop(args).customer(args.id, args.k)
    if args.json:
        write_json(answer.to_dict())
        return
    print(f"customer {show(str(answer.customer))}  ({answer.events:,} events)")
    if answer.note:
        print(f"  {answer.note}; products below are what is popular")
    if len(answer.traits):
        print("\ntraits")
        print(table([(t.share, f"{t.times:.1f}x all customers", f"trait {t.trait}", t.name) for t in answer.traits],
                    ("share", "of it", "trait", "name"), indent=2))
    if len(answer.latest):
        print("\nlatest events")
        print(table([(str(t.token), t.description) for t in answer.latest], ("token", "description"), indent=2))
    if len(answer.similar):
        print("\nsimilar customers")
        print(table([(str(c.customer), c.cosine, c.most) for c in answer.similar],
                    ("customer", "cosine", "mostly"), indent=2))
    print("\nrecommended")
    _print_recommended(answer.recommended)


def run_recommend(args: argparse.Namespace) -> None:
    if (args.id is None) == (args.session is None):
        raise UsageError("recommend takes a customer's ID or --session A,B,C.")
    if args.session is not None:
        for flag, given in (
            ("--next", args.next), ("--keep-bought", args.keep_bought), ("--by", args.by),
            ("--max-per-trait", args.max_per_trait is not None),
        ):
            if given:
                raise UsageError(f"{flag} is for a customer's ID: --session lists next items, and nothing is bought.")
        run_session(args)
        return
    if args.next and args.by:
        raise UsageError("--next lists by the latest events: leave out --by.")
    if args.next and args.max_per_trait is not None:
        raise UsageError("--next lists by the latest events, not by traits: leave out --max-per-trait.")
    shop = _shop(args)
    rows = shop.recommend(
        args.id, args.k, by="latest" if args.next else args.by or "both", keep_bought=args.keep_bought,
        allowed=args.allow, exclude=args.deny, fallback=args.fallback, max_per_trait=args.max_per_trait,
    )
    if args.json:
        write_json({"customer": shop.id_of(args.id), "recommended": rows})
        return
    print(f"for customer {show(args.id)}" + ("" if args.id in shop else ", who is not in the store"))
    _print_recommended(rows)


def run_session(args: argparse.Namespace) -> None:
    """Next items of a session that is not in the store, each with the item of the session that spoke most for it."""
    from ..shop.recommending import after_session
    from ..shop.tables import parse_id

    tables = _shop(args, customers=False).tables
    session = [parse_id(tables.items, one.strip()) for one in args.session.split(",") if one.strip()]
    rows, by = after_session(
        tables, session, args.k, allowed=args.allow, exclude=args.deny, fallback=args.fallback
    )
    if args.json:
        write_json({"session": session, "by": by, "recommended": rows})
        return
    print(f"after {show(args.session)}")
    _print_recommended(rows)


def _print_recommended(rows: Rows[Recommended]) -> None:
    if not rows:
        print("  no evidence for any product that may be listed; `traitcore recommend ID --fallback popular` lists "
              "those of most events")
        return
    by_traits = any(r.times is not None for r in rows)
    scores = [r.score if not by_traits else None if r.times is None else f"{r.times:.1f}x" for r in rows]
    cells = [(str(r.item), score, r.why, r.description) for r, score in zip(rows, scores)]
    print(table(cells, ("item", "as likely" if by_traits else "score", "because of", "description"), indent=2))
    if by_traits:
        print("  3x: three times as likely for this customer as for all customers together, by traits")
