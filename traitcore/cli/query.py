"""Commands that answer questions from published tables: similar, traits, customer, recommend."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .options import add_common
from .render import show, table, write_json

if TYPE_CHECKING:
    from .published import Published


_SCORES = {"cosine": "cosine", "context": "score"}  # what the numbers of a ranking are called


def add_commands(commands: Any) -> None:
    """Add this module's commands."""
    similar = commands.add_parser(
        "similar", help="what is like a token or item",
        description="Nearest tokens (view_prod_0012) or, for an item's id, nearest items, by cosine. --next ranks as "
        "found more on held-out sessions when the table was fitted: by cosine, or by context vectors (also where an "
        "older table doesn't say).",
        epilog="examples:\n  traitcore similar view_prod_0012\n  traitcore similar prod_0012 --next",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    similar.add_argument("token", metavar="TOKEN", help="a token such as view_prod_0012, or an item's id")
    similar.add_argument("-n", "--topn", type=int, default=10, help="how many (%(default)s)")
    similar.add_argument("--next", action="store_true", help="what tends to come next to it, not what is like it")
    text = "ask this index of the table (see `traitcore index`), not every row"
    similar.add_argument("--index", metavar="NAME", help=text)
    similar.set_defaults(run=run_similar)

    traits = commands.add_parser(
        "traits", help="the traits: name, share of customers, top tokens with lift",
        description="Each trait with the tokens that set its customers apart; lift 3: three times as common with them.",
    )  # fmt: skip
    traits.add_argument("-n", "--topn", type=int, default=5, help="tokens of each trait (%(default)s)")
    traits.add_argument("--picture", metavar="FILE", help="draw them as well: .png, .svg or .pdf (report extra)")
    traits.set_defaults(run=run_traits)

    customer = commands.add_parser(
        "customer", help="one customer: traits, latest events, similar customers, recommendations",
        description="What is known of one customer.",
    )  # fmt: skip
    customer.add_argument("id", metavar="ID", help="the customer's id, as in the log")
    customer.add_argument("-n", "--topn", type=int, default=5, help="rows of each list (%(default)s)")
    customer.set_defaults(run=run_customer)

    recommend = commands.add_parser(
        "recommend", help="products for a customer",
        description="Products by the customer's traits, without those bought; or by the latest events (--next), ranked "
        "as found more on held-out sessions when the table was fitted. Products that nothing speaks for are not "
        "listed, unless --fallback says so.",
    )  # fmt: skip
    recommend.add_argument("id", metavar="ID", help="the customer's id, as in the log")
    recommend.add_argument("-n", "--topn", type=int, default=10, help="how many (%(default)s)")
    recommend.add_argument("--next", action="store_true", help="by the latest events, not by traits")
    recommend.add_argument("--keep-bought", action="store_true", help="products already bought may be recommended")
    recommend.add_argument("--allow", action="append", metavar="ITEM", help="only these items (repeat)")
    recommend.add_argument("--deny", action="append", metavar="ITEM", help="none of these items (repeat)")
    text = "fill up with the products of most events, and say so; also for a customer that the store doesn't know"
    recommend.add_argument("--fallback", choices=("popular",), help=text)
    recommend.set_defaults(run=run_recommend)
    for parser in (similar, traits, customer, recommend):
        parser.add_argument("--version", default="latest", metavar="V", help="a version of the store (%(default)s)")
        add_common(parser)


def _published(args: argparse.Namespace, *, customers: bool = True) -> Published:
    from .published import Published

    return Published(args.store, args.version, customers=customers)


def run_similar(args: argparse.Namespace) -> None:
    if args.index is not None and args.next:
        raise ValueError("--index knows what is like a token, not what comes next to it: leave out --next.")
    answer = similar_rows(_published(args, customers=False), args.token, args.topn, args.next, args.index)
    if args.json:
        write_json(answer)
        return
    heads = ("next to" if args.next else "like", _SCORES[answer["by"]], "events", "description")
    title = f"{show(str(answer['token']))}  {show(answer['description'])}".rstrip()
    print(f"{title}  ({answer['events']:,} events)")
    rows = [(str(r["token"]), r["score"], r["events"], r["description"]) for r in answer["found"]]
    print(table(rows, heads, indent=2))


def similar_rows(
    published: Published, text: str, topn: int, following: bool, index: str | None = None
) -> dict[str, Any]:
    """The nearest tokens of a token, or the nearest items of an item's id; `index` names one beside their table."""
    from ..pipeline import recorded_choice
    from .published import parse_id

    vocabulary = published.vocabulary
    try:
        rows = vocabulary.parse(text)
    except KeyError as unknown:
        items = published.items
        if vocabulary.actions == ():
            raise
        try:
            own = items.row(parse_id(items, text))
        except KeyError:
            raise unknown from None
        source, describe = items, published.text_of_item
    else:
        source, own, describe = published.tokens, rows, vocabulary.text_of
    counts = source.arrays["counts"]
    by = recorded_choice(source, "similar") if following else "cosine"
    if following:  # nothing has come next to rows without events
        how = {"metric": "cosine"} if by == "cosine" else {"against": "context_vectors", "metric": "dot"}
        found = source.most_similar(source.ids[own], topn, exclude=source.ids[counts == 0], **how)
    elif index is not None:
        found = published.index(source, index).most_similar(source.ids[own], topn)
    else:
        found = source.most_similar(source.ids[own], topn)

    def row(token: Any, score: float | None) -> dict[str, Any]:
        place = source.row(token)
        return {"token": token, "score": score, "events": int(counts[place]), "description": describe(place)}

    head = {k: v for k, v in row(source.ids[own], None).items() if k != "score"}
    return {**head, "by": by, "found": [row(t, s) for t, s in found if s != 0]}  # a row without a vector is like none


def run_traits(args: argparse.Namespace) -> None:
    published = _published(args)
    found = published.traits
    if args.picture:
        from ..customers.trait_plot import plot_traits

        plot_traits(published.described, args.picture, k=args.topn)
    if args.json:
        write_json({"customers": len(published.customers), "traits": found})
        return
    print(f"{len(found)} traits of {len(published.customers):,} customers")
    for trait in found:
        print()
        print(trait_title(trait))
        for line in trait_notes(published, trait):
            print("    " + show(line))
        print(table(trait_rows(published, trait, args.topn), ("token", "lift", "customers", "description"), indent=4))


def trait_title(trait: dict[str, Any]) -> str:
    """e.g. "trait 3  buy_prod_0012 / ...  12.1% of all, strong in 240 customers"."""
    return (
        f"trait {trait['trait']}  {show(trait['name'])}  "
        f"({trait['prevalence']:.1%} of all behaviour, strong in {trait['customers']:,} customers)"
    )


def trait_notes(published: Published, trait: dict[str, Any]) -> list[str]:
    """How its customers act, which categories they like, who shows it most."""
    lifts = trait["action_lifts"]
    acts = [f"{name} {share:.0%} ({lifts[name]:.1f}x)" for name, share in trait["action_shares"].items()]
    likes = [f"{name} {lift:.1f}x" for name, lift in trait["categories"][:3]]
    shown = [str(published.customers.ids[row]) for row in trait["exemplars"][:3]]
    notes = (("acts: ", acts), ("categories: ", likes), ("see customers ", shown))
    return [head + ", ".join(parts) for head, parts in notes if parts]


def trait_rows(published: Published, trait: dict[str, Any], topn: int) -> list[tuple[Any, ...]]:
    return [
        (str(t["token"]), t["lift"], t["customers"], published.vocabulary.text_of(t["row"]))
        for t in trait["tokens"][:topn]
    ]


def run_customer(args: argparse.Namespace) -> None:
    from ..serving.recommend import find_similar_customers

    published = _published(args)
    customers, row = _customer(published, args.id)
    profile = customers.vectors[row]
    names = [trait["name"] for trait in published.traits]
    best = [int(t) for t in (-profile).argsort(kind="stable")[: args.topn] if profile[t] > 0]
    near = find_similar_customers(customers.vectors, row, k=min(args.topn, max(1, len(customers) - 1)))
    alike = [(int(r), float(s)) for r, s in zip(near.rows, near.scores) if r >= 0]
    latest = [int(t) for t in customers.arrays["recent"][row] if t >= 0][: args.topn]
    answer = {
        "customer": customers.ids[row],
        "events": int(customers.arrays["events"][row]),
        "traits": [{"trait": t, "name": names[t], "share": float(profile[t])} for t in best],
        "latest": [_token_row(published, t) for t in latest],
        "similar": [{"customer": customers.ids[r], "cosine": s, "most": names[int(customers.vectors[r].argmax())]}
                    for r, s in alike],
        "recommended": recommended_rows(published, row, args.topn),
    }  # fmt: skip
    if args.json:
        write_json(answer)
        return
    print(f"customer {show(str(answer['customer']))}  ({answer['events']:,} events)")
    print("\ntraits")
    print(table([(t["share"], f"trait {t['trait']}", t["name"]) for t in answer["traits"]],
                ("share", "trait", "name"), indent=2))  # fmt: skip
    print("\nlatest events")
    print(table([(str(t["token"]), t["description"]) for t in answer["latest"]], ("token", "description"), indent=2))
    print("\nsimilar customers")
    print(table([(str(c["customer"]), c["cosine"], c["most"]) for c in answer["similar"]],
                ("customer", "cosine", "mostly"), indent=2))  # fmt: skip
    print("\nrecommended")
    _print_recommended(answer["recommended"])


def run_recommend(args: argparse.Namespace) -> None:
    published = _published(args)
    try:
        customers, row = _customer(published, args.id)
        who = customers.ids[row]
    except KeyError:
        if args.fallback is None:
            raise
        who, row = args.id, None
    rows = recommended_rows(
        published, row, args.topn, following=args.next, keep_bought=args.keep_bought, allow=args.allow, deny=args.deny,
        fallback=args.fallback,
    )  # fmt: skip
    if args.json:
        write_json({"customer": who, "recommended": rows})
        return
    print(f"for customer {show(str(who))}" + (", whom the store doesn't know" if row is None else ""))
    _print_recommended(rows)


def _print_recommended(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("  nothing speaks for any product that may be listed; `traitcore recommend ID --fallback popular` lists "
              "those of most events")  # fmt: skip
        return
    print(table([(str(r["item"]), r["score"], r["why"], r["description"]) for r in rows],
                ("item", "score", "because of", "description"), indent=2))  # fmt: skip


def _customer(published: Published, text: str) -> tuple[Any, int]:
    from .published import parse_id

    customers = published.customers
    try:
        return customers, customers.row(parse_id(customers, text))
    except KeyError as unknown:
        config = customers.metadata.get("config") or {}
        least = f" of {config['min_length']} events or more" if config.get("min_length", 1) > 1 else ""
        raise KeyError(
            f"{str(unknown.args[0]).rstrip('.')}. It has the customers of the fitted log with a session{least}: "
            "`traitcore fit` a log that has this one, or `traitcore follow` new events; until then "
            "`traitcore recommend ID --fallback popular` lists products."
        ) from None


def _token_row(published: Published, row: int) -> dict[str, Any]:
    vocabulary = published.vocabulary
    return {"token": vocabulary.tokens[row], "description": vocabulary.text_of(row)}


def recommended_rows(
    published: Published, row: int | None, topn: int, *, following: bool = False, keep_bought: bool = False,
    allow: list[str] | None = None, deny: list[str] | None = None, fallback: str | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Products for a customer, None for one that isn't known, with what speaks most for each."""
    import numpy as np

    from .published import parse_id

    customers, items = published.customers, published.items
    bought = np.zeros(0, np.int64)
    if row is not None and not keep_bought:
        start, stop = customers.arrays["bought_offsets"][row : row + 2]
        bought = customers.arrays["bought_items"][start:stop].astype(np.int64)
    counts = items.arrays["counts"]
    options: dict[str, Any] = {"k": topn, "fallback": fallback, "popularity": None if fallback is None else counts}
    for name, ids in (("allow", allow), ("deny", deny)):
        options[name] = None if ids is None else items.rows([parse_id(items, i) for i in ids])
    found, why = (_by_events if following else _by_traits)(published, row, bought, options)
    return [
        {
            "item": items.ids[r],
            "score": None if popular else s,
            "why": f"popular: {int(counts[r]):,} events" if popular else why(place),
            "description": published.text_of_item(r),
        }
        for place, (r, s, popular) in enumerate(zip(
            found.rows.tolist(), found.scores.tolist(), [False] * topn if fallback is None else found.fallback.tolist()
        ))
        if r >= 0
    ]  # fmt: skip


def _by_events(published: Published, row: int | None, bought: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """What comes next to a customer's latest events, ranked as recorded; and why, by place."""
    import numpy as np

    from ..pipeline import recorded_choice
    from ..serving.recommend import next_items

    items, vocabulary = published.items, published.vocabulary
    latest = np.zeros(0, np.int64) if row is None else published.customers.arrays["recent"][row]
    history = vocabulary.token_item[latest[latest >= 0]][::-1]
    silent = np.flatnonzero(items.arrays["counts"] == 0)  # nothing has been seen to come before them
    denied = np.zeros(0, np.int64) if options["deny"] is None else options["deny"]
    context = items.context_vectors if recorded_choice(items, "recommend") == "context" else None
    closed = np.concatenate([silent, bought, denied])
    return next_items(history, items.vectors, context, **options | {"deny": closed}), lambda place: "latest events"


def _by_traits(published: Published, row: int | None, bought: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """Products by a customer's traits; and why, by place."""
    import numpy as np

    from ..serving.recommend import product_affinity, recommend_products

    vocabulary = published.vocabulary
    affinity = product_affinity(
        np.ascontiguousarray(published.tokens.arrays["loadings"].T), vocabulary.token_item,
        vocabulary.token_action if vocabulary.actions else None, actions=vocabulary.actions,
        n_items=len(published.items),
    )  # fmt: skip
    profile = np.zeros(len(affinity), np.float32) if row is None else published.customers.vectors[row]
    found = recommend_products(profile, affinity, seen=bought, **options)
    names = [trait["name"] for trait in published.traits]

    def why(place: int) -> str:
        assert found.by_trait is not None
        trait = int(found.by_trait[place].argmax())
        return f"trait {trait}  {names[trait]}"

    return found, why
