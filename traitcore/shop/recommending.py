"""Products for a customer, by counts and traits, by traits alone or by the latest events, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._looks import Rows
from ..pipeline import recorded_choice
from ..serving.blended import recommend_blended
from ..serving.next_model import next_model_of
from ..serving.ranking import Recommendations
from ..serving.recommend import next_items, recommend_products
from .answers import Recommended
from .tables import Tables, parse_id

BY = ("both", "traits", "latest")
Reason = Callable[[int], str]


def recommended(
    tables: Tables, row: int | None, k: int, *, by: str = "both", keep_bought: bool = False, allowed: Any = None,
    exclude: Any = None, fallback: str | None = None, max_per_trait: int | None = None,
) -> Rows[Recommended]:
    """Products for a customer (`row` None: one who isn't in the tables)."""
    bought = np.zeros(0, np.int64)
    if row is not None and not keep_bought:
        start, stop = tables.customers.arrays["bought_offsets"][row : row + 2]
        bought = tables.customers.arrays["bought_items"][start:stop].astype(np.int64)
    options = _options(tables, k, allowed, exclude, fallback)
    if by == "latest":
        return _listed(tables, *_by_events(tables, row, bought, options), None)
    options["max_per_trait"] = max_per_trait
    both = by == "both" and row is not None and tables.blend is not None
    found, why = (_by_both if both else _by_traits)(tables, row, bought, options)
    return _listed(tables, found, why, _times(tables, row))


def after_session(
    tables: Tables, session: Sequence[Any], k: int, *, allowed: Any = None, exclude: Any = None,
    fallback: str | None = None,
) -> tuple[Rows[Recommended], str]:
    """Next items of a session (ids, the oldest first), each with the item of it that spoke most for it; and how they
    are ranked."""
    items = tables.items
    rows = items.rows([parse_id(items, one) for one in session])
    options = _options(tables, k, allowed, exclude, fallback)
    found, by = _next_items(tables, rows, np.zeros(0, np.int64), options)
    model = next_model_of(items) if by == "model" else None

    def why(place: int) -> str:
        spoke = [] if model is None else model.explain(rows, int(found.rows[place]))
        return f"after {items.ids[spoke[0].item]}" if spoke else "the session"

    return _listed(tables, found, why, None), by


def lists_of(
    tables: Tables, rows: NDArray[np.int64], k: int, *, max_per_trait: int | None = None
) -> NDArray[np.int64]:
    """(len(rows), k) what `recommended` lists for these customers, -1 past the end."""
    bought, profiles = tables.items_of("bought", rows), np.asarray(tables.customers.vectors[rows])
    if tables.blend is None:
        return recommend_products(profiles, tables.affinity, k=k, seen=bought, max_per_trait=max_per_trait).rows
    return recommend_blended(
        tables.blend, tables.items_of("history", rows), profiles, k=k, seen=bought, max_per_trait=max_per_trait
    ).rows


def _options(tables: Tables, k: int, allowed: Any, exclude: Any, fallback: str | None) -> dict[str, Any]:
    """What `recommend_products` and `next_items` take, ids of items as rows."""
    items = tables.items
    popularity = None if fallback is None else items.arrays["counts"]
    options: dict[str, Any] = {"k": k, "fallback": fallback, "popularity": popularity}
    for name, ids in (("allowed", allowed), ("exclude", exclude)):
        options[name] = None if ids is None else items.rows([parse_id(items, one) for one in ids])
    return options


def _listed(
    tables: Tables, found: Recommendations, why: Reason, times: NDArray[np.float32] | None
) -> Rows[Recommended]:
    """The products found, each with its reason; `times`: see `_times`, None where not by traits."""
    items, counts = tables.items, tables.items.arrays["counts"]
    filled = np.zeros(found.rows.shape, dtype=bool) if found.fallback is None else found.fallback
    return Rows(Recommended, [
        Recommended(
            item=items.ids[r],
            description=tables.text_of_item(r),
            times=None if popular or times is None or np.isnan(times[r]) else float(times[r]),
            score=None if popular else s,
            why=f"popular: {int(counts[r]):,} events" if popular else why(place),
        )
        for place, (r, s, popular) in enumerate(zip(found.rows.tolist(), found.scores.tolist(), filled.tolist()))
        if r >= 0
    ])


def _times(tables: Tables, row: int | None) -> NDArray[np.float32] | None:
    """(n_items,) how many times as likely as with all customers together each product is by the customer's traits; NaN
    for one that all together put back more than they take."""
    if row is None:
        return None
    own, all_ = tables.customers.vectors[row] @ tables.affinity, tables.everyone
    times: NDArray[np.float32] = np.full(len(all_), np.nan, dtype=np.float32)
    np.divide(own, all_, out=times, where=all_ > 0)
    return times


def _by_events(
    tables: Tables, row: int | None, bought: NDArray[np.int64], options: dict[str, Any]
) -> tuple[Recommendations, Reason]:
    """Products next to a customer's latest events, ranked as recorded; and the reason by place."""
    latest = np.zeros(0, np.int64) if row is None else tables.customers.arrays["recent"][row]
    history = tables.vocabulary.token_item[latest[latest >= 0]][::-1]
    found, _ = _next_items(tables, history, bought, options)
    return found, lambda place: "latest events"


def _next_items(
    tables: Tables, session: NDArray[Any], bought: NDArray[np.int64], options: dict[str, Any]
) -> tuple[Recommendations, str]:
    """Products next to a session of items' rows, and how they are ranked."""
    items, by = tables.items, recorded_choice(tables.items, "recommend")
    denied = np.zeros(0, np.int64) if options["exclude"] is None else options["exclude"]
    model = next_model_of(items) if by == "model" else None
    # A session that says nothing has no next items, though the model knows what is popular: that is for a fallback.
    if model is not None and len(session):
        options = options | {"exclude": np.concatenate([bought, denied])}
        return next_items(session, model=model, **options), by
    without_events = np.flatnonzero(items.arrays["counts"] == 0)  # without events they have no context
    options = options | {"exclude": np.concatenate([without_events, bought, denied])}
    context = items.context_vectors if by == "context" else None
    return next_items(session, items.vectors, context, **options), by


def _by_traits(
    tables: Tables, row: int | None, bought: NDArray[np.int64], options: dict[str, Any]
) -> tuple[Recommendations, Reason]:
    """Products by a customer's traits; and the reason by place."""
    affinity = tables.affinity
    profile = np.zeros(len(affinity), np.float32) if row is None else tables.customers.vectors[row]
    found = recommend_products(profile, affinity, seen=bought, **options)
    names = [trait["name"] for trait in tables.traits]

    def why(place: int) -> str:
        assert found.by_trait is not None
        trait = int(found.by_trait[place].argmax())
        return f"trait {trait}  {names[trait]}"

    return found, why


def _by_both(
    tables: Tables, row: int | None, bought: NDArray[np.int64], options: dict[str, Any]
) -> tuple[Recommendations, Reason]:
    """Products by the items of a customer's history and by traits; and what added most to each one's score."""
    assert row is not None
    assert tables.blend is not None
    rows, profile = np.array([row]), np.asarray(tables.customers.vectors[row])
    own = tables.items_of("history", rows)
    hidden = sparse.csr_array(
        (np.ones(len(bought), np.float32), bought, [0, len(bought)]), shape=(1, len(tables.items))
    )
    found = recommend_blended(tables.blend, own, profile[None], seen=hidden, **options)[0]
    reason, names = tables.blend.reasons(own.indices, profile), [trait["name"] for trait in tables.traits]

    def why(place: int) -> str:
        kind, which = reason(int(found.rows[place]))
        if kind == "trait":
            return f"trait {which}  {names[which]}"
        return f"goes with {tables.items.ids[which]}  {tables.text_of_item(which)}".rstrip()

    return found, why
