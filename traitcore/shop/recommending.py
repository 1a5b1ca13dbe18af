"""Products for a customer, by traits or by the latest events, each with its reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._looks import Rows
from ..pipeline import recorded_choice
from ..serving.recommend import Recommendations, next_items, recommend_products
from .answers import Recommended
from .tables import Tables, parse_id

BY = ("traits", "latest")
Reason = Callable[[int], str]


def recommended(
    tables: Tables, row: int | None, k: int, *, by: str = "traits", keep_bought: bool = False, allowed: Any = None,
    exclude: Any = None, fallback: str | None = None,
) -> Rows[Recommended]:
    """Products for a customer (`row` None: one who isn't in the tables)."""
    items, counts = tables.items, tables.items.arrays["counts"]
    bought = np.zeros(0, np.int64)
    if row is not None and not keep_bought:
        start, stop = tables.customers.arrays["bought_offsets"][row : row + 2]
        bought = tables.customers.arrays["bought_items"][start:stop].astype(np.int64)
    options: dict[str, Any] = {"k": k, "fallback": fallback, "popularity": None if fallback is None else counts}
    for name, ids in (("allowed", allowed), ("exclude", exclude)):
        options[name] = None if ids is None else items.rows([parse_id(items, one) for one in ids])
    found, why = (_by_events if by == "latest" else _by_traits)(tables, row, bought, options)
    popular = [False] * k if found.fallback is None else found.fallback.tolist()
    return Rows(Recommended, [
        Recommended(
            item=items.ids[r],
            description=tables.text_of_item(r),
            times=None if filled or by == "latest" else float(s / tables.everyone[r]),
            score=None if filled else s,
            why=f"popular: {int(counts[r]):,} events" if filled else why(place),
        )
        for place, (r, s, filled) in enumerate(zip(found.rows.tolist(), found.scores.tolist(), popular)) if r >= 0
    ])


def _by_events(
    tables: Tables, row: int | None, bought: NDArray[np.int64], options: dict[str, Any]
) -> tuple[Recommendations, Reason]:
    """Products next to a customer's latest events, ranked as recorded; and the reason by place."""
    items, vocabulary = tables.items, tables.vocabulary
    latest = np.zeros(0, np.int64) if row is None else tables.customers.arrays["recent"][row]
    history = vocabulary.token_item[latest[latest >= 0]][::-1]
    without_events = np.flatnonzero(items.arrays["counts"] == 0)  # without events they have no context
    denied = np.zeros(0, np.int64) if options["exclude"] is None else options["exclude"]
    context = items.context_vectors if recorded_choice(items, "recommend") == "context" else None
    options = options | {"exclude": np.concatenate([without_events, bought, denied])}
    return next_items(history, items.vectors, context, **options), lambda place: "latest events"


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
