"""Products for a customer by two kinds of evidence: what goes with what they had, and their traits.

Neither alone lists more right products on any log tried; docs/recommendations.md has the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._validate import Checks
from ..items.next_item_ranking import may_list
from .mixing import TraitLimit
from .ranking import BLOCK, Recommendations, popular_items, ranked

# Weight of the traits; the counts have the rest. Chosen among .1, .2, .3, .4, .7 on Online Retail (best: .1) and the
# simulated shops of 12 and of 3 sessions (best: .3): .2 is within .0015 of each one's best precision. Checked on
# RetailRocket, Last.fm, Complete Journey and two more shops: not below item-kNN; from .3 on it is on Last.fm.
TRAITS = 0.2
# Customers whose histories are counted; of more, so many, taken evenly. For time only: a list of a store of any size
# takes milliseconds. No other number was tried.
MOST_CUSTOMERS = 100_000


class ItemNeighbours:
    """Which items customers have together: item-kNN by cosine, without a matrix of items by items.

    The cosine of items i and j is (customers who have both) / sqrt(customers of i * customers of j), as in Deshpande &
    Karypis 2004, section 4.1. An item says nothing of itself.

    histories : (n_customers, n_items) csr_array, an entry for each item that a customer had.
    """

    def __init__(self, histories: sparse.csr_array) -> None:
        n = histories.shape[0]
        if n > MOST_CUSTOMERS:
            histories = histories[np.linspace(0, n - 1, MOST_CUSTOMERS).astype(np.int64)]
        customers = np.bincount(histories.indices, minlength=histories.shape[1])
        self._known = customers > 0
        weight = (1.0 / np.sqrt(np.maximum(customers, 1))).astype(np.float32)
        self._unit = sparse.csr_array(
            (weight[histories.indices], histories.indices, histories.indptr), shape=histories.shape
        )
        self._by_item = self._unit.T.tocsr()

    def scores(self, own: sparse.csr_array) -> NDArray[np.float32]:
        """(m, n_items) for each item, the sum of its cosines with the items of each row of `own`."""
        found = np.asarray(((own @ self._by_item) @ self._unit).toarray(), dtype=np.float32)
        row = np.repeat(np.arange(own.shape[0]), np.diff(own.indptr))
        found[row, own.indices] -= self._known[own.indices]
        return np.maximum(found, 0.0)  # what rounding leaves below 0

    def parts(self, own: NDArray[np.integer], item: int) -> NDArray[np.float32]:
        """(len(own),) the cosine of each of these items with `item`: what `scores` adds up."""
        cosines = np.asarray((self._by_item[own] @ self._by_item[[item]].T).toarray(), dtype=np.float32).ravel()
        return np.where(np.asarray(own) == item, np.float32(0), cosines)


class Blend:
    """Scores of products: `ItemNeighbours` and profile x affinity, each divided by its root mean square over the
    customer's products, for their units differ.

    histories : (n_customers, n_items) csr_array of ones. affinity : (n_traits, n_items), see `product_affinity`.
    """

    def __init__(self, histories: sparse.csr_array, affinity: NDArray[np.float32]) -> None:
        self.neighbours = ItemNeighbours(histories)
        self.affinity = affinity

    def scores(self, own: sparse.csr_array, profiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(m, n_items) float32 for customers with these histories (m, n_items) and profiles (m, n_traits)."""
        by_counts, by_traits = self.neighbours.scores(own), profiles @ self.affinity
        counted = np.float32(1 - TRAITS) * by_counts / _scale(by_counts)
        return np.asarray(counted + np.float32(TRAITS) * by_traits / _scale(by_traits), dtype=np.float32)

    def reasons(self, own: NDArray[np.integer], profile: NDArray[np.float32]) -> Callable[[int], tuple[str, int]]:
        """For one customer, a function of a product: ("item", the row of `own` that added most to its score), or
        ("trait", the trait that did)."""
        line = sparse.csr_array(
            (np.ones(len(own), np.float32), own, [0, len(own)]), shape=(1, self.affinity.shape[1])
        )
        by_counts, by_traits = self.neighbours.scores(line), (profile @ self.affinity)[None]
        of_counts, of_traits = (1 - TRAITS) / _scale(by_counts).item(), TRAITS / _scale(by_traits).item()

        def reason(item: int) -> tuple[str, int]:
            items, traits = of_counts * self.neighbours.parts(own, item), of_traits * profile * self.affinity[:, item]
            if len(items) and items.max() > traits.max():
                return "item", int(own[items.argmax()])
            return "trait", int(traits.argmax())

        return reason


def recommend_blended(
    blend: Blend, own: sparse.csr_array, profiles: NDArray[np.float32], *, k: int = 10,
    seen: sparse.csr_array | None = None, allowed: Any = None, exclude: Any = None, fallback: str | None = None,
    popularity: Any = None, max_per_trait: int | None = None,
) -> Recommendations:
    """The `k` products of highest blended score above 0 for each customer; options as of `recommend_products`.

    own : (m, n_items) csr_array, their histories. profiles : (m, n_traits). seen : like `own`, not to be listed.
    """
    check = Checks("recommend_blended")
    n_items = blend.affinity.shape[1]
    eligible = may_list(check, n_items, allowed, exclude)
    popular = popular_items(check, n_items, fallback, popularity)
    step, parts = max(1, BLOCK // max(1, n_items)), []
    for start in range(0, max(1, len(profiles)), step):
        block = slice(start, min(start + step, len(profiles)))
        hidden = None if seen is None else seen[block]
        limit = TraitLimit.of(check, max_per_trait, profiles[block], blend.affinity)
        scores = blend.scores(own[block], profiles[block])
        parts.append(ranked(scores, None, k, eligible, hidden, popular, limit=limit))
    return Recommendations(
        np.concatenate([part.rows for part in parts]), np.concatenate([part.scores for part in parts]),
        fallback=None if popular is None else np.concatenate([part.fallback for part in parts]),
    )


def _scale(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """(m, 1) root mean square of each row; 1 for a row of zeros."""
    found = np.sqrt(np.square(scores, dtype=np.float64).mean(axis=1, keepdims=True))
    return np.where(found > 0, found, 1.0).astype(np.float32)
