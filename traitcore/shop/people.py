"""Questions about traits and customers."""

from __future__ import annotations

from typing import Any

from .._looks import Rows, plain
from .._validate import Checks
from ..serving.recommend import find_similar_customers
from .answers import CustomerView, LatestEvent, SimilarCustomer, Trait, TraitShare
from .recommending import recommended
from .tables import Tables, parse_id


class NoProfile(KeyError):
    """A customer of the fitted log who has no profile: `events` of theirs were in the log, `why` says the reason."""

    def __init__(self, customer: Any, events: int, why: str) -> None:
        super().__init__(f"Customer {customer!r} has no profile: {events:,} events, {why}.")
        self.customer, self.events, self.why = customer, events, why


def traits(tables: Tables, k: int) -> Rows[Trait]:
    """See `Shop.traits`."""
    k = Checks("Shop.traits").integer("k", k, 1)
    ids, rows = tables.customers.ids, []
    for trait in tables.traits:
        lifts = trait["action_lifts"]
        acts = [f"{name} {share:.0%} ({lifts[name]:.1f}x)" for name, share in trait["action_shares"].items()]
        products = [str(token["text"] or token["token"]) for token in trait["tokens"]]
        rows.append(Trait(
            trait["trait"], trait["name"], trait["prevalence"], trait["customers"], ", ".join(acts),
            tuple(dict.fromkeys(products))[:k], tuple(ids[row] for row in tables.exemplars(trait["trait"])),
        ))
    return Rows(Trait, rows, title=f"{len(rows)} traits of {len(ids):,} customers")


def customer_view(tables: Tables, customer: Any, k: int) -> CustomerView:
    """See `Shop.customer`."""
    customers, vocabulary = tables.customers, tables.vocabulary
    try:
        row = row_of(tables, customer)
    except NoProfile as known:
        return CustomerView(
            known.customer, known.events, Rows(TraitShare, []), Rows(LatestEvent, []), Rows(SimilarCustomer, []),
            recommended(tables, None, k, fallback="popular"), f"{known.events:,} events, {known.why}",
        )
    profile, mean = customers.vectors[row], customers.vectors.mean(axis=0)
    names = [trait["name"] for trait in tables.traits]
    best = [int(t) for t in (-profile).argsort(kind="stable")[:k] if profile[t] > 0]
    near = find_similar_customers(customers.vectors, row, k=min(k, max(1, len(customers) - 1)))
    latest = [int(t) for t in customers.arrays["recent"][row] if t >= 0][:k]
    return CustomerView(
        plain(customers.ids[row]),
        int(customers.arrays["events"][row]),
        Rows(TraitShare, [TraitShare(t, names[t], float(profile[t]), float(profile[t] / mean[t])) for t in best]),
        Rows(LatestEvent, [LatestEvent(vocabulary.tokens[t], vocabulary.text_of(t)) for t in latest]),
        Rows(SimilarCustomer, [
            SimilarCustomer(customers.ids[r], float(s), names[int(customers.vectors[r].argmax())])
            for r, s in zip(near.rows, near.scores) if r >= 0
        ]),
        recommended(tables, row, k),
    )


def row_of(tables: Tables, customer: Any) -> int:
    """The row of a customer's id; NoProfile or KeyError, with what may be done, where there is none."""
    customers = tables.customers
    try:
        return customers.row(parse_id(customers, customer))
    except KeyError as error:
        unknown = error
    try:
        key = parse_id(customers, customer)
        out = None if tables.left_out is None else tables.left_out.why(key)
    except (KeyError, TypeError):  # another kind of id
        out = None
    if out is not None:
        raise NoProfile(key, *out)
    raise KeyError(
        f"{str(unknown.args[0]).rstrip('.')}. It has the customers of the fitted log: "
        "`traitcore fit` a log that has this one, or `traitcore follow` new events; until then "
        "`traitcore recommend ID --fallback popular` lists products."
    )
