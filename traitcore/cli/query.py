"""Commands on published tables: similar, traits, customer, recommend."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .options import UsageError, add_common
from .render import show, table, write_json

if TYPE_CHECKING:
    from .published import Published


_SCORES = {"cosine": "cosine", "context": "score", "model": "score"}  # heading of the scores


def add_commands(commands: Any) -> None:
    """Add this module's commands."""
    similar = commands.add_parser(
        "similar", help="nearest neighbours of a token or item",
        description="Nearest tokens of a token (view_prod_0012), or nearest items of an item's id, by cosine. --next "
        "lists what comes next, ranked by cosine or by context vectors, whichever found more on held-out sessions when "
        "the table was fitted (context vectors for tables without that record).",
        epilog="examples:\n  traitcore similar view_prod_0012\n  traitcore similar prod_0012 --next",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    similar.add_argument("token", metavar="TOKEN", help="a token such as view_prod_0012, or an item's id")
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
        description="Products by the customer's traits, without those bought; or by the latest events (--next), ranked "
        "by cosine or context vectors, whichever found more on held-out sessions. Products without evidence are listed "
        "only with --fallback.",
    )
    recommend.add_argument("id", metavar="ID", nargs="?", help="the customer's id, as in the log")
    text = "next items of this session instead of a customer's: items' ids, the oldest first, a comma between them"
    recommend.add_argument("--session", metavar="A,B,C", help=text)
    recommend.add_argument("-k", type=int, default=10, metavar="N", help="number of rows (%(default)s)")
    recommend.add_argument("--next", action="store_true", help="by the latest events, not by traits")
    recommend.add_argument("--keep-bought", action="store_true", help="products already bought may be recommended")
    recommend.add_argument("--allow", action="append", metavar="ITEM", help="only these items (repeat)")
    recommend.add_argument("--deny", action="append", metavar="ITEM", help="none of these items (repeat)")
    text = "fill the list with the products of most events, also for a customer not in the store"
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
        raise UsageError("--index finds similar rows, not next ones: leave out --next.")
    answer = similar_rows(_published(args, customers=False), args.token, args.k, args.next, args.index)
    if args.json:
        write_json(answer)
        return
    heads = ("next" if args.next else "similar", _SCORES[answer["by"]], "events", "description")
    title = f"{show(str(answer['token']))}  {show(answer['description'])}".rstrip()
    print(f"{title}  ({answer['events']:,} events)")
    rows = [(str(r["token"]), r["score"], r["events"], r["description"]) for r in answer["found"]]
    print(table(rows, heads, indent=2))


def similar_rows(
    published: Published, text: str, k: int, following: bool, index: str | None = None
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
    if following and by == "model":
        found = _next_by_model(source, own, k)
    elif following:  # rows without events never came next
        how = {"metric": "cosine"} if by == "cosine" else {"against": "context_vectors", "metric": "dot"}
        found = source.most_similar(source.ids[own], k, exclude=source.ids[counts == 0], **how)
    elif index is not None:
        found = published.index(source, index).most_similar(source.ids[own], k)
    else:
        found = source.most_similar(source.ids[own], k)

    def row(token: Any, score: float | None) -> dict[str, Any]:
        place = source.row(token)
        return {"token": token, "score": score, "events": int(counts[place]), "description": describe(place)}

    head = {name: value for name, value in row(source.ids[own], None).items() if name != "score"}
    return {**head, "by": by, "found": [row(t, s) for t, s in found if s != 0]}  # 0: no vector


def _next_by_model(items: Any, own: int, k: int) -> list[tuple[Any, float]]:
    """What the table's model ranks after one item, the item itself left out."""
    from ..serving.next_model import next_model_of

    model = next_model_of(items)
    assert model is not None
    rows, scores = model.recommend([own], k=k, exclude=[own])
    return [(items.ids[row], float(score)) for row, score in zip(rows.tolist(), scores.tolist()) if row >= 0]


def run_traits(args: argparse.Namespace) -> None:
    published = _published(args)
    found = published.traits
    if args.picture:
        from ..customers.trait_plot import plot_traits

        plot_traits(published.described, args.picture, k=args.k)
    if args.json:
        write_json({"customers": len(published.customers), "traits": found})
        return
    print(f"{len(found)} traits of {len(published.customers):,} customers")
    for trait in found:
        print()
        print(trait_title(trait))
        for line in trait_notes(published, trait):
            print("    " + show(line))
        print(table(trait_rows(published, trait, args.k), ("token", "lift", "customers", "description"), indent=4))


def trait_title(trait: dict[str, Any]) -> str:
    """e.g. "trait 3  buy_prod_0012 / ...  12.1% of all, strong in 240 customers"."""
    return (
        f"trait {trait['trait']}  {show(trait['name'])}  "
        f"({trait['prevalence']:.1%} of all behaviour, strong in {trait['customers']:,} customers)"
    )


def trait_notes(published: Published, trait: dict[str, Any]) -> list[str]:
    """The actions and categories of its customers, and its strongest customers."""
    lifts = trait["action_lifts"]
    acts = [f"{name} {share:.0%} ({lifts[name]:.1f}x)" for name, share in trait["action_shares"].items()]
    likes = [f"{name} {lift:.1f}x" for name, lift in trait["categories"][:3]]
    shown = [str(published.customers.ids[row]) for row in trait["exemplars"][:3]]
    notes = (("acts: ", acts), ("categories: ", likes), ("see customers ", shown))
    return [head + ", ".join(parts) for head, parts in notes if parts]


def trait_rows(published: Published, trait: dict[str, Any], k: int) -> list[tuple[Any, ...]]:
    return [
        (str(t["token"]), t["lift"], t["customers"], published.vocabulary.text_of(t["row"]))
        for t in trait["tokens"][:k]
    ]


def run_customer(args: argparse.Namespace) -> None:
    from ..serving.recommend import find_similar_customers

    published = _published(args)
    customers, row = _customer(published, args.id)
    profile = customers.vectors[row]
    names = [trait["name"] for trait in published.traits]
    best = [int(t) for t in (-profile).argsort(kind="stable")[: args.k] if profile[t] > 0]
    near = find_similar_customers(customers.vectors, row, k=min(args.k, max(1, len(customers) - 1)))
    alike = [(int(r), float(s)) for r, s in zip(near.rows, near.scores) if r >= 0]
    latest = [int(t) for t in customers.arrays["recent"][row] if t >= 0][: args.k]
    answer = {
        "customer": customers.ids[row],
        "events": int(customers.arrays["events"][row]),
        "traits": [{"trait": t, "name": names[t], "share": float(profile[t])} for t in best],
        "latest": [_token_row(published, t) for t in latest],
        "similar": [{"customer": customers.ids[r], "cosine": s, "most": names[int(customers.vectors[r].argmax())]}
                    for r, s in alike],
        "recommended": recommended_rows(published, row, args.k),
    }
    if args.json:
        write_json(answer)
        return
    print(f"customer {show(str(answer['customer']))}  ({answer['events']:,} events)")
    print("\ntraits")
    print(table([(t["share"], f"trait {t['trait']}", t["name"]) for t in answer["traits"]],
                ("share", "trait", "name"), indent=2))
    print("\nlatest events")
    print(table([(str(t["token"]), t["description"]) for t in answer["latest"]], ("token", "description"), indent=2))
    print("\nsimilar customers")
    print(table([(str(c["customer"]), c["cosine"], c["most"]) for c in answer["similar"]],
                ("customer", "cosine", "mostly"), indent=2))
    print("\nrecommended")
    _print_recommended(answer["recommended"])


def run_recommend(args: argparse.Namespace) -> None:
    if (args.id is None) == (args.session is None):
        raise UsageError("recommend takes a customer's ID or --session A,B,C.")
    if args.session is not None:
        run_session(args)
        return
    published = _published(args)
    try:
        customers, row = _customer(published, args.id)
        who = customers.ids[row]
    except KeyError:
        if args.fallback is None:
            raise
        who, row = args.id, None
    rows = recommended_rows(
        published, row, args.k, following=args.next, keep_bought=args.keep_bought, allowed=args.allow,
        exclude=args.deny, fallback=args.fallback,
    )
    if args.json:
        write_json({"customer": who, "recommended": rows})
        return
    print(f"for customer {show(str(who))}" + (", who is not in the store" if row is None else ""))
    _print_recommended(rows)


def run_session(args: argparse.Namespace) -> None:
    """Next items of a session that is not in the store, each with the item of the session that spoke most for it."""
    import numpy as np

    from ..serving.next_model import next_model_of
    from .published import parse_id

    published = _published(args, customers=False)
    items = published.items
    session = items.rows([parse_id(items, one.strip()) for one in args.session.split(",") if one.strip()])
    options: dict[str, Any] = {"k": args.k, "fallback": args.fallback}
    options["popularity"] = None if args.fallback is None else items.arrays["counts"]
    for name, ids in (("allowed", args.allow), ("exclude", args.deny)):
        options[name] = None if ids is None else items.rows([parse_id(items, i) for i in ids])
    found, why = _next_items(published, session, np.zeros(0, np.int64), options)
    model = next_model_of(items) if why == "model" else None
    rows = []
    for place, row in enumerate(found.rows.tolist()):
        if row < 0:
            continue
        spoke = model.explain(session, row) if model is not None else []
        rows.append({
            "item": items.ids[row], "score": float(found.scores[place]),
            "why": f"after {items.ids[spoke[0].item]}" if spoke else "the session",
            "description": published.text_of_item(row),
        })
    if args.json:
        write_json({"session": [items.ids[row] for row in session.tolist()], "by": why, "recommended": rows})
        return
    print(f"after {show(args.session)}")
    _print_recommended(rows)


def _print_recommended(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("  no evidence for any product that may be listed; `traitcore recommend ID --fallback popular` lists "
              "those of most events")
        return
    print(table([(str(r["item"]), r["score"], r["why"], r["description"]) for r in rows],
                ("item", "score", "because of", "description"), indent=2))


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
    published: Published, row: int | None, k: int, *, following: bool = False, keep_bought: bool = False,
    allowed: list[str] | None = None, exclude: list[str] | None = None, fallback: str | None = None,
) -> list[dict[str, Any]]:
    """Products for a customer (`row` None: not in the store), each with its main reason."""
    import numpy as np

    from .published import parse_id

    customers, items = published.customers, published.items
    bought = np.zeros(0, np.int64)
    if row is not None and not keep_bought:
        start, stop = customers.arrays["bought_offsets"][row : row + 2]
        bought = customers.arrays["bought_items"][start:stop].astype(np.int64)
    counts = items.arrays["counts"]
    options: dict[str, Any] = {"k": k, "fallback": fallback, "popularity": None if fallback is None else counts}
    for name, ids in (("allowed", allowed), ("exclude", exclude)):
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
            found.rows.tolist(), found.scores.tolist(), [False] * k if fallback is None else found.fallback.tolist()
        ))
        if r >= 0
    ]


def _by_events(published: Published, row: int | None, bought: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """Products next to a customer's latest events, ranked as recorded; and the reason by place."""
    import numpy as np

    latest = np.zeros(0, np.int64) if row is None else published.customers.arrays["recent"][row]
    history = published.vocabulary.token_item[latest[latest >= 0]][::-1]
    found, _ = _next_items(published, history, bought, options)
    return found, lambda place: "latest events"


def _next_items(published: Published, session: Any, bought: Any, options: dict[str, Any]) -> tuple[Any, str]:
    """Products next to a session of items' rows, and how they are ranked."""
    import numpy as np

    from ..pipeline import recorded_choice
    from ..serving.next_model import next_model_of
    from ..serving.recommend import next_items

    items, by = published.items, recorded_choice(published.items, "recommend")
    denied = np.zeros(0, np.int64) if options["exclude"] is None else options["exclude"]
    model = next_model_of(items) if by == "model" else None
    if model is not None:
        # A session that says nothing has no next items: popularity is what --fallback is for.
        silent = not len(session) and options["fallback"] is None
        allowed = np.zeros(0, np.int64) if silent else options["allowed"]
        options = options | {"exclude": np.concatenate([bought, denied]), "allowed": allowed}
        return next_items(session, model=model, **options), by
    without_events = np.flatnonzero(items.arrays["counts"] == 0)  # without events they have no context
    options = options | {"exclude": np.concatenate([without_events, bought, denied])}
    context = items.context_vectors if by == "context" else None
    return next_items(session, items.vectors, context, **options), by


def _by_traits(published: Published, row: int | None, bought: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """Products by a customer's traits; and the reason by place."""
    import numpy as np

    from ..serving.recommend import product_affinity, recommend_products

    vocabulary = published.vocabulary
    affinity = product_affinity(
        np.ascontiguousarray(published.tokens.arrays["loadings"].T), vocabulary.token_item,
        vocabulary.token_action if vocabulary.actions else None, actions=vocabulary.actions,
        n_items=len(published.items),
    )
    profile = np.zeros(len(affinity), np.float32) if row is None else published.customers.vectors[row]
    found = recommend_products(profile, affinity, seen=bought, **options)
    names = [trait["name"] for trait in published.traits]

    def why(place: int) -> str:
        assert found.by_trait is not None
        trait = int(found.by_trait[place].argmax())
        return f"trait {trait}  {names[trait]}"

    return found, why
