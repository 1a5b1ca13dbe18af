"""Split-half reliability: how well two halves of a customer's history agree on the customer's traits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._rows import order_within, rows_to_shares
from ..events.sequences import Sequences


def halve_histories(
    sequences: Sequences, token_item: NDArray[np.int32], rng: np.random.Generator
) -> tuple[Sequences, Sequences]:
    """Two corpora of the same owners: each one's sequences dealt out at random, or, of a single one, its items.

    An item's tokens stay together, and so do the events of a sequence unless it is the only one: a cart after a view,
    or a second view a minute later, would make any two halves agree.
    """
    lengths = np.diff(sequences.offsets)
    several = np.bincount(sequences.owners()[lengths > 0], minlength=sequences.n_owners) > 1
    sequence = np.repeat(np.arange(len(sequences)), lengths)
    owner = sequences.owners()[sequence].astype(np.int64)
    n_items = int(token_item.max(initial=0)) + 1
    key = np.where(several[owner], n_items + sequence, token_item[sequences.tokens])
    width = n_items + len(sequences)
    units, unit = np.unique(owner * width + key, return_inverse=True)
    whose = units // width
    dealt = order_within(whose, rng.random(len(units)))
    first = np.zeros(len(units), dtype=bool)
    begin = np.concatenate(([0], np.cumsum(np.bincount(whose, minlength=sequences.n_owners))))[whose]
    first[dealt] = (np.arange(len(units)) - begin) % 2 == 0
    return sequences.keep(first[unit]), sequences.keep(~first[unit])


def split_half_reliability(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Mean over traits of the correlation between customers' shares by one half of their histories and by the other.

    first, second : (n_customers, n_traits) weights >= 0. Customers with an empty half are left out; a trait
    that all customers have equally correlates 0. The reliability of a measure by halves of it (Spearman 1910; Brown
    1910), not stepped up to the whole length.
    """
    known = (first.sum(axis=1) > 0) & (second.sum(axis=1) > 0)
    a, b = (rows_to_shares(weights[known]).astype(np.float64) for weights in (first, second))
    if not len(a):
        return 0.0
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    return float(np.divide((a * b).sum(axis=0), scale, out=np.zeros_like(scale), where=scale > 1e-12).mean())
