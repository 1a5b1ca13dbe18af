"""Lists mixed over traits: at most so many products of one trait, so that a list isn't all one family.

A product's trait is, for a customer, the one that speaks most for it: the largest part of profile x affinity. It is the
trait given as the reason, or would be if no item of the history said more. A product that no trait speaks for counts
for none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validate import Checks
from ..items.next_item_ranking import top_places

# What `evaluate` and the report compare with lists without a limit. An example, not a default: 2, 3, 5 and 7 all listed
# fewer right products, on eight logs of eight (docs/recommendations.md).
EXAMPLE = 3


@dataclass(frozen=True, eq=False)
class TraitLimit:
    """At most `most` products of one trait in a list, as long as there are others.

    profiles : (n_customers, n_traits) float32. affinity : (n_traits, n_items) float32, see `product_affinity`.
    """

    most: int
    profiles: NDArray[np.float32]
    affinity: NDArray[np.float32]

    @classmethod
    def of(
        cls, check: Checks, most: Any, profiles: NDArray[np.float32], affinity: NDArray[np.float32]
    ) -> TraitLimit | None:
        """The limit that a caller's `max_per_trait` asks for; None for None."""
        return None if most is None else cls(check.integer("max_per_trait", most, 1), profiles, affinity)

    def traits(self, customer: int, items: NDArray[np.integer]) -> NDArray[np.int64]:
        """(len(items),) the trait of each item for a customer, of equal ones the first; -1: none speaks for it."""
        found, most = np.full(len(items), -1, dtype=np.int64), np.zeros(len(items), dtype=np.float32)
        for trait in np.flatnonzero(self.profiles[customer]).tolist():  # row by row: argmax over rows takes longer
            part = self.profiles[customer, trait] * self.affinity[trait, items]
            found[part > most] = trait
            np.maximum(most, part, out=most)
        return found

    def places(self, customer: int, scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """The `k` best places of score above 0 within the limit; where they are fewer, the best of the others too.
        Best first, ties by place."""
        n = 8 * k  # enough for most customers; the others have few traits, and all places are looked at
        best = top_places(scores, n)
        best = best[scores[best] > 0]
        within = self._within(self.traits(customer, best))
        if np.count_nonzero(within) < k and len(best) == n:
            best = self._candidates(customer, scores, k)
            within = self._within(self.traits(customer, best))
        taken = np.flatnonzero(within)[:k]
        filled = np.flatnonzero(~within)[: k - len(taken)]
        return np.asarray(best[np.sort(np.concatenate([taken, filled]))])

    def _candidates(self, customer: int, scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """All that may be listed, best first: the best of each trait, those of none, and the best 2k, which hold all
        that fills a list: fewer than k are within the limit then."""
        positive = np.flatnonzero(scores > 0)
        trait, found = self.traits(customer, positive), [top_places(scores, 2 * k)]
        for one in range(-1, len(self.affinity)):
            own = positive[trait == one]
            found.append(own[top_places(scores[own], k if one < 0 else self.most)])
        best = np.unique(np.concatenate(found))
        best = best[scores[best] > 0]
        return np.asarray(best[np.argsort(-scores[best], kind="stable")])

    def _within(self, trait: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether fewer than `most` of those before each are of its trait."""
        order = np.argsort(trait, kind="stable")
        ordered = trait[order]
        place = np.empty(len(trait), dtype=np.int64)
        place[order] = np.arange(len(trait)) - np.searchsorted(ordered, ordered)
        return (place < self.most) | (trait < 0)
