"""How coherent the names of traits are: NPMI over customers, and how many different tokens the names use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def presence(counts: sparse.csr_array) -> sparse.csr_array:
    """1 where a customer has a token, from counts."""
    return sparse.csr_array((np.ones(counts.nnz, np.float32), counts.indices, counts.indptr), shape=counts.shape)


def npmi_coherence(tops: Sequence[NDArray[np.integer]], counts: sparse.csr_array) -> NDArray[np.float64]:
    """(n_traits,) mean normalised pointwise mutual information of the pairs of each trait's tokens, in [-1, 1].

    A pair's NPMI is log(p_ab / (p_a p_b)) / -log p_ab over customers (rows of `counts`); -1 where no customer has
    both, a token that nobody has included (Bouma 2009; as a score of topics Lau, Newman & Baldwin 2014). A trait
    with fewer than two tokens scores -1.
    """
    n = max(counts.shape[0], 1)
    columns = sparse.csc_array(presence(counts))
    scores = np.full(len(tops), -1.0)
    for trait, rows in enumerate(tops):
        if len(rows) < 2:
            continue
        have = columns[:, np.asarray(rows)]
        both = (have.T @ have).toarray().astype(np.float64) / n
        alone = np.diag(both)
        a, b = np.triu_indices(len(rows), 1)
        met = both[a, b]
        pairs = np.full(len(a), -1.0)
        seen = (met > 0) & (met < 1)
        pairs[seen] = np.log(met[seen] / (alone[a] * alone[b])[seen]) / -np.log(met[seen])
        pairs[met >= 1] = 1.0  # every customer has both: the limit
        scores[trait] = pairs.mean()
    return scores


def name_diversity(tops: Sequence[NDArray[np.integer]]) -> float:
    """Share of the names' tokens that are different ones: 1 where no two traits share a token."""
    listed = np.concatenate([np.asarray(rows) for rows in tops]) if len(tops) else np.zeros(0)
    return float(len(np.unique(listed)) / len(listed)) if len(listed) else 0.0
