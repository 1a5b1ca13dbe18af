"""Lists of recommended products judged on what customers turned to next: counts, traits, and both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..customers.counts import count_tokens
from ..customers.traits import TraitModel
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from ..serving.blended import Blend, ItemNeighbours
from ..serving.mixing import EXAMPLE, TraitLimit
from ..serving.ranking import BLOCK, ranked
from ..serving.recommend import product_affinity
from .trait_coherence import Embed
from .trait_prediction import Periods

BOTH, COUNTS, TRAITS, POPULAR = "counts and traits", "counts (item-kNN)", "traits", "popularity (control)"
_RESAMPLES = 1000


def judge_lists(
    model: TraitModel, periods: Periods, vocabulary: Vocabulary, *, embed: Embed | None = None, k: int = 10,
    limits: Sequence[int] = (EXAMPLE,), max_customers: int = 4000, random_state: int = 0,
) -> dict[str, Any]:
    """Precision@k of lists of new products, of customers with a past and new products in their future.

    model : of traits, with its settings; it is fitted on the past. embed : vectors of tokens of
    sequences, for a method that needs them. limits : the lists by both are also made with at most so many products of
    one trait (`max_per_trait`). max_customers : asked at most, drawn at random.

    Returns {"customers", "k", "items", "lists": by ranking, "precision" with "low" and "high", the 95% interval by
    bootstrap over customers, "shown", the different products in all lists, "catalogue", their share of all products,
    "traits", the mean number of traits in a list, and "more", "more_low", "more_high": how much more than item-kNN
    alone, customer by customer; of lists with a limit also "than_both", "than_both_low", "than_both_high": how much
    more than without}. NaN where there is nobody to ask.
    """
    past, future = (_items(counts, vocabulary) for counts in (
        count_tokens(periods.past, n_tokens=len(vocabulary)), periods.future
    ))
    new = sparse.csr_array(future - future.multiply(past))
    new.eliminate_zeros()
    rng = np.random.default_rng([random_state, 23])
    asked = np.flatnonzero((np.diff(new.indptr) > 0) & (np.diff(past.indptr) > 0))
    asked = np.sort(rng.permutation(asked)[:max_customers])
    hits, shown, traits = _hits(model, periods.past, vocabulary, embed, past, new, asked, k, limits)
    drawn = rng.integers(0, max(1, len(asked)), (_RESAMPLES, len(asked)))
    lists = {}
    for name, found in hits.items():
        low, high = _interval(found, drawn)
        lists[name] = {
            "precision": _mean(found), "low": low, "high": high, "shown": shown[name],
            "catalogue": shown[name] / max(1, past.shape[1]), "traits": _mean(traits[name]),
        }
        if name not in (COUNTS, POPULAR):
            lists[name] |= _more("more", found - hits[COUNTS], drawn)
    for most in limits:
        name = mixed(most)
        lists[name] |= _more("than_both", hits[name] - hits[BOTH], drawn)
    return {"customers": len(asked), "k": k, "items": past.shape[1], "lists": lists}


def mixed(most: int) -> str:
    """The name of lists by both with at most so many products of one trait."""
    return f"{BOTH}, at most {most} a trait"


def _hits(
    model: TraitModel, sequences: Sequences, vocabulary: Vocabulary, embed: Embed | None, past: sparse.csr_array,
    new: sparse.csr_array, asked: NDArray[np.int64], k: int, limits: Sequence[int],
) -> tuple[dict[str, NDArray[np.float64]], dict[str, int], dict[str, NDArray[np.float64]]]:
    """By ranking: the share of each list that is right, how many different products are listed, and the traits of each
    list."""
    vectors = None if embed is None else embed(sequences)
    fresh = type(model)(**model.get_params()).fit(sequences, vocabulary, item_vectors=vectors)
    affinity = product_affinity(
        fresh.token_rates_, vocabulary.token_item, vocabulary.token_action if vocabulary.actions else None,
        actions=vocabulary.actions, n_items=past.shape[1],
    )
    blend, popular = Blend(past, affinity), np.bincount(past.indices, minlength=past.shape[1]).astype(np.float32)
    neighbours: ItemNeighbours = blend.neighbours
    hits = {name: np.zeros(len(asked)) for name in (BOTH, *(mixed(most) for most in limits), COUNTS, TRAITS, POPULAR)}
    n_traits = {name: np.zeros(len(asked)) for name in hits}
    seen = {name: np.zeros(past.shape[1], dtype=bool) for name in hits}
    step = max(1, BLOCK // max(1, past.shape[1]))
    for start in range(0, len(asked), step):
        rows = asked[start : start + step]
        own, profiles = past[rows], fresh.profiles_[rows]
        both, of_traits = blend.scores(own, profiles), TraitLimit(k, profiles, affinity)
        for name, scores, limit in (
            (BOTH, both, None), *((mixed(most), both, TraitLimit(most, profiles, affinity)) for most in limits),
            (COUNTS, neighbours.scores(own), None), (TRAITS, profiles @ affinity, None),
            (POPULAR, np.tile(popular, (len(rows), 1)), None),
        ):
            found = ranked(scores, None, k, None, own, None, limit=limit).rows
            seen[name][found[found >= 0]] = True
            for place, row in enumerate(rows.tolist()):
                right = new.indices[new.indptr[row] : new.indptr[row + 1]]
                hits[name][start + place] = np.isin(found[place], right).sum() / k
                traits = of_traits.traits(place, found[place][found[place] >= 0])
                n_traits[name][start + place] = len(np.unique(traits[traits >= 0]))
    return hits, {name: int(flags.sum()) for name, flags in seen.items()}, n_traits


def _items(counts: sparse.csr_array, vocabulary: Vocabulary) -> sparse.csr_array:
    """(n_customers, n_items) ones from counts of tokens."""
    n, n_items = len(vocabulary), len(vocabulary.item_ids)
    of = sparse.csr_array((np.ones(n, np.float32), (np.arange(n), vocabulary.token_item)), shape=(n, n_items))
    found = sparse.csr_array(counts @ of)
    found.sort_indices()
    return sparse.csr_array((np.ones(found.nnz, np.float32), found.indices, found.indptr), shape=found.shape)


def _more(name: str, values: NDArray[np.float64], drawn: NDArray[np.int64]) -> dict[str, float]:
    low, high = _interval(values, drawn)
    return {name: _mean(values), f"{name}_low": low, f"{name}_high": high}


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _interval(values: NDArray[np.float64], drawn: NDArray[np.int64]) -> tuple[float, float]:
    if not len(values):
        return float("nan"), float("nan")
    means = [values[rows].mean() for rows in drawn]
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))
