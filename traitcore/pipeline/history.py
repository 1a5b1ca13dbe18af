"""When each trait was acted out, and what it is worth: shares of events by period, and of revenue where prices are
known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..customers.traits import TraitModel
from ..events.action_names import buying
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from .many_customers import owner_blocks

KEY = "history"  # in the metadata of the customers
_BLOCK = 100_000  # events at a time
_MAX_PERIODS = 60
_DAY_US = 86_400_000_000
_UNITS = (("day", "D", 14), ("week", "W", 16), ("month", "M", _MAX_PERIODS), ("year", "Y", 10**6))


def trait_history(
    sequences: Sequences, vocabulary: Vocabulary, model: TraitModel, prices: NDArray[np.float64] | None
) -> dict[str, Any]:
    """Events of each trait by period, and its share of revenue, for the metadata: plain lists and numbers.

    An event is divided among the traits by how likely each makes it: the customer's share of the trait times the
    trait's rate of the token; of customers without a profile it is nobody's.

    prices : (n_items,) of the vocabulary's items, NaN where unknown; or None. A purchase counts as one piece.

    Returns
    -------
    "unit" : "day", "week", "month" or "year" ("" without times). "periods" : as numpy writes their dates, "2020-01" for
    a month. "everyone" : events by period. "traits" : the same for each trait, which add up to it. "revenue" : shares
    that add up to 1, None where nothing was paid. "purchases_without_price" : left out of it; None without prices.
    """
    n_traits = len(model.components_)
    unit, code, names, first = _periods(sequences.timestamps_us)
    by_period = np.zeros((n_traits, max(1, len(names))))
    revenue, unknown = np.zeros(n_traits), 0.0
    of_buy = np.isin(
        vocabulary.token_action, [vocabulary.actions.index(name) for name in buying(vocabulary.actions, None)]
    )
    price = None if prices is None else prices[vocabulary.token_item]
    rates = np.maximum(model.token_rates_, 0.0).T
    for tokens, owner, times in _event_blocks(sequences):
        shares = model.profiles_[owner].astype(np.float64)
        parts = shares * rates[tokens]
        sums = parts.sum(axis=1, keepdims=True)
        parts = np.divide(parts, sums, out=shares, where=sums > 0)
        if names and times is not None:
            period = _in_units(times, code) - first
            for trait in range(n_traits):
                by_period[trait] += np.bincount(period, weights=parts[:, trait], minlength=len(names))
        if price is not None:
            paid = np.where(of_buy[tokens], price[tokens], 0.0)
            known = np.isfinite(paid)
            revenue += parts[known].T @ paid[known]
            unknown += float((~known).sum())
    total = float(revenue.sum())
    return {
        "unit": unit, "periods": names, "everyone": by_period.sum(axis=0).round(1).tolist() if names else [],
        "traits": by_period.round(2).tolist() if names else [],
        "revenue": (revenue / total).round(5).tolist() if total > 0 else None,
        "purchases_without_price": unknown if price is not None else None,
    }


def _event_blocks(
    sequences: Sequences,
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64] | None]]:
    """(tokens, owners, times or None) of some events at a time."""
    for low, _, some in owner_blocks(sequences):
        owner = low + np.repeat(some.owners(), np.diff(some.offsets)).astype(np.int64)
        for start in range(0, some.n_tokens, _BLOCK):
            part = slice(start, start + _BLOCK)
            yield some.tokens[part], owner[part], None if some.timestamps_us is None else some.timestamps_us[part]


def _in_units(times: NDArray[np.int64], code: str) -> NDArray[np.int64]:
    days: NDArray[np.int64] = times // _DAY_US
    return days.astype("datetime64[D]").astype(f"datetime64[{code}]").astype(np.int64)


def _periods(times: NDArray[np.int64] | None) -> tuple[str, str, list[str], int]:
    """("day", "week", "month" or "year", its numpy code, the periods' names, the first one's number): the finest of at
    most 60, and of days only within two weeks."""
    if times is None or not len(times):
        return "", "", [], 0
    ends = np.array([times.min(), times.max()])
    for unit, code, most in _UNITS:  # noqa: B007 the unit that the loop ends with is the answer
        first, last = _in_units(ends, code).tolist()
        if last - first < most:
            break
    every = np.arange(first, last + 1) if last - first < 1000 else np.arange(0)
    return unit, code, every.astype(f"datetime64[{code}]").astype(str).tolist(), first
