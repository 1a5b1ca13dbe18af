"""Commands that answer questions from published tables: similar, traits, customer, recommend."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .options import add_common
from .render import show, table, write_json

if TYPE_CHECKING:
    from .published import Published


def add_commands(commands: Any) -> None:
    """Add this module's commands."""
    similar = commands.add_parser(
        "similar", help="what is like a token or item",
        description="Nearest tokens (view_prod_0012) or, for an item's id, nearest items, by cosine.",
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
        description="Products by the customer's traits, without those bought; or by the latest events (--next).",
    )  # fmt: skip
    recommend.add_argument("id", metavar="ID", help="the customer's id, as in the log")
    recommend.add_argument("-n", "--topn", type=int, default=10, help="how many (%(default)s)")
    recommend.add_argument("--next", action="store_true", help="by the latest events, not by traits")
    recommend.add_argument("--keep-bought", action="store_true", help="products already bought may be recommended")
    recommend.add_argument("--allow", action="append", metavar="ITEM", help="only these items (repeat)")
    recommend.add_argument("--deny", action="append", metavar="ITEM", help="none of these items (repeat)")
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
    heads = ("next to" if args.next else "like", "score" if args.next else "cosine", "events", "description")
    title = f"{show(str(answer['token']))}  {show(answer['description'])}".rstrip()
    print(f"{title}  ({answer['events']:,} events)")
    rows = [(str(r["token"]), r["score"], r["events"], r["description"]) for r in answer["found"]]
    print(table(rows, heads, indent=2))


def similar_rows(
    published: Published, text: str, topn: int, following: bool, index: str | None = None
) -> dict[str, Any]:
    """The nearest tokens of a token, or the nearest items of an item's id; `index` names one beside their table."""
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
    if following:  # rows without events have no context vector
        silent = source.ids[counts == 0]
        found = source.most_similar(source.ids[own], topn, against="context_vectors", metric="dot", exclude=silent)
    elif index is not None:
        found = published.index(source, index).most_similar(source.ids[own], topn)
    else:
        found = source.most_similar(source.ids[own], topn)

    def row(token: Any, score: float | None) -> dict[str, Any]:
        place = source.row(token)
        return {"token": token, "score": score, "events": int(counts[place]), "description": describe(place)}

    head = row(source.ids[own], None)
    return {**{k: head[k] for k in ("token", "events", "description")}, "found": [row(t, s) for t, s in found]}


def run_traits(args: argparse.Namespace) -> None:
    published = _published(args)
    found = published.traits
    if args.picture:
        from ..customers.trait_plot import plot_traits

        plot_traits(published.described, args.picture, n_top=args.topn)
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
    customers, row = _customer(published, args.id)
    rows = recommended_rows(
        published, row, args.topn, following=args.next, keep_bought=args.keep_bought, allow=args.allow, deny=args.deny
    )
    if args.json:
        write_json({"customer": customers.ids[row], "recommended": rows})
        return
    print(f"for customer {show(str(customers.ids[row]))}")
    _print_recommended(rows)


def _print_recommended(rows: list[dict[str, Any]]) -> None:
    print(table([(str(r["item"]), r["score"], r["why"], r["description"]) for r in rows],
                ("item", "score", "because of", "description"), indent=2))  # fmt: skip


def _customer(published: Published, text: str) -> tuple[Any, int]:
    from .published import parse_id

    customers = published.customers
    return customers, customers.row(parse_id(customers, text))


def _token_row(published: Published, row: int) -> dict[str, Any]:
    vocabulary = published.vocabulary
    return {"token": vocabulary.tokens[row], "description": vocabulary.text_of(row)}


def recommended_rows(
    published: Published, row: int, topn: int, *, following: bool = False, keep_bought: bool = False,
    allow: list[str] | None = None, deny: list[str] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Products for a customer, with the trait or the event that speaks most for each."""
    import numpy as np

    from ..serving.recommend import next_items, product_affinity, recommend_products
    from .published import parse_id

    customers, items, vocabulary = published.customers, published.items, published.vocabulary
    start, stop = customers.arrays["bought_offsets"][row : row + 2]
    bought = np.zeros(0, np.int64) if keep_bought else customers.arrays["bought_items"][start:stop].astype(np.int64)
    listed = {name: None if ids is None else items.rows([parse_id(items, i) for i in ids])
              for name, ids in (("allow", allow), ("deny", deny))}  # fmt: skip
    if following:
        latest = customers.arrays["recent"][row]
        history = vocabulary.token_item[latest[latest >= 0]][::-1]
        shut = items.arrays["counts"] == 0  # items without events have no context vector
        shut[bought] = True
        shut[[] if listed["deny"] is None else listed["deny"]] = True
        if listed["allow"] is not None:
            shut |= ~np.isin(np.arange(len(items)), listed["allow"])
        found = next_items(history, items.vectors, items.context_vectors, k=len(items))
        open_rows = [(int(r), float(s)) for r, s in zip(found.rows, found.scores) if r >= 0 and not shut[r]]
        picked = [(r, s, "latest events") for r, s in open_rows[:topn]]
    else:
        affinity = product_affinity(
            np.ascontiguousarray(published.tokens.arrays["loadings"].T), vocabulary.token_item,
            vocabulary.token_action if vocabulary.actions else None, actions=vocabulary.actions, n_items=len(items),
        )  # fmt: skip
        found = recommend_products(customers.vectors[row], affinity, k=topn, seen=bought, **listed)
        names = [trait["name"] for trait in published.traits]
        assert found.by_trait is not None
        picked = [
            (int(r), float(s), f"trait {int(parts.argmax())}  {names[int(parts.argmax())]}")
            for r, s, parts in zip(found.rows, found.scores, found.by_trait)
            if r >= 0
        ]
    return [
        {"item": items.ids[r], "score": s, "why": why, "description": published.text_of_item(r)} for r, s, why in picked
    ]
