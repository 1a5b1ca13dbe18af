"""When each trait was acted out, and what it is worth: shares of events by period, and of revenue where prices are
known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..customers.traits import TraitModel
from ..events.action_names import buying
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary

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
    owner = np.repeat(sequences.owners(), np.diff(sequences.offsets))
    n_traits = len(model.components_)
    period, names, unit = _periods(sequences.timestamps_us)
    by_period = np.zeros((n_traits, max(1, len(names))))
    revenue, unknown = np.zeros(n_traits), 0.0
    of_buy = np.isin(
        vocabulary.token_action, [vocabulary.actions.index(name) for name in buying(vocabulary.actions, None)]
    )
    price = None if prices is None else prices[vocabulary.token_item]
    rates = np.maximum(model.token_rates_, 0.0).T
    for start in range(0, sequences.n_tokens, _BLOCK):
        part = slice(start, start + _BLOCK)
        tokens = sequences.tokens[part]
        shares = model.profiles_[owner[part]].astype(np.float64)
        parts = shares * rates[tokens]
        sums = parts.sum(axis=1, keepdims=True)
        parts = np.divide(parts, sums, out=shares, where=sums > 0)
        if len(names):
            for trait in range(n_traits):
                by_period[trait] += np.bincount(period[part], weights=parts[:, trait], minlength=len(names))
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


def _periods(times: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], list[str], str]:
    """(period of each event, the periods' names, "day", "week", "month" or "year"): the finest of at most 60, and of
    days only within two weeks."""
    if times is None or not len(times):
        return np.zeros(0, np.int64), [], ""
    days = times // _DAY_US
    for unit, code, most in _UNITS:  # noqa: B007 the unit that the loop ends with is the answer
        of = days.astype("datetime64[D]").astype(f"datetime64[{code}]").astype(np.int64)
        first, last = int(of.min()), int(of.max())
        if last - first < most:
            break
    every = np.arange(first, last + 1) if last - first < 1000 else np.arange(0)
    names = every.astype(f"datetime64[{code}]").astype(str).tolist()
    return of - first, names, unit
