"""Stability of traits: refits on other customers and with other seeds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._rows import rows_to_shares
from ..customers.components import match_rows
from ..customers.customer_subsets import take_owners
from ..customers.reliability import halve_histories, split_half_reliability
from ..customers.traits import TraitModel
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from .trait_coherence import Embed, NamedFit, NamingRules, fit_and_name

REFIT_SHARE = 0.8


def matched_cosine(A: NDArray[Any], B: NDArray[Any]) -> float:
    """Mean cosine of the columns of A (n, k) with their matched columns of B (n, k)."""
    return float(match_rows(A.T, B.T)[1].mean())


def matched_correlation(A: NDArray[Any], B: NDArray[Any]) -> float:
    """Mean Pearson correlation of matched columns; an all-equal column correlates 0."""
    return matched_cosine(A - A.mean(axis=0), B - B.mean(axis=0))


def adjusted_rand(a: NDArray[np.integer], b: NDArray[np.integer]) -> float:
    """Adjusted Rand index of two labellings (Hubert & Arabie 1985): 1 for the same groups, 0 expected by chance."""
    table = np.zeros((int(a.max(initial=0)) + 1, int(b.max(initial=0)) + 1))
    np.add.at(table, (a, b), 1.0)

    def pairs(counts: NDArray[np.float64]) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    total = pairs(np.array([float(len(a))]))
    expected = rows * columns / total if total else 0.0
    highest = (rows + columns) / 2
    return (both - expected) / (highest - expected) if highest != expected else 1.0


def name_jaccard(a: list[NDArray[np.int64]], b: list[NDArray[np.int64]], rows: NDArray[np.int64]) -> float:
    """Mean Jaccard overlap of each trait's name tokens with those of its matched trait."""
    overlaps = []
    for trait, other in enumerate(rows):
        mine, theirs = set(a[trait].tolist()), set(b[other].tolist()) if other >= 0 else set()
        overlaps.append(len(mine & theirs) / max(len(mine | theirs), 1))
    return float(np.mean(overlaps))


def judge_stability(
    model: TraitModel,
    sequences: Sequences,
    vocabulary: Vocabulary,
    naming: NamingRules,
    embed: Embed | None,
    n_refits: int,
    seed: int,
    progress: Callable[[int], None],
) -> dict[str, float]:
    """Agreement of refits on random 80% of the customers, over all pairs of them, and of refits with other seeds.

    bootstrap_cosine: matched cosine of the raw weights W of all customers; bootstrap_low: the least of the pairs;
    bootstrap_ari: adjusted Rand index of each customer's strongest trait, with its chance level (one side shuffled);
    bootstrap_jaccard: overlap of the names; seed_cosine: the same cosine for two seeds on all customers (near 1 by
    construction when a fit starts from the SVD: read the bootstrap); reliability: correlation of the shares read from
    two halves of the history of a customer whom a refit hasn't seen.
    """
    rng = np.random.default_rng([seed, 2])
    n = sequences.n_owners
    fits: list[NamedFit] = []
    weights: list[NDArray[np.float32]] = []
    reliable: list[float] = []
    for refit in range(n_refits):
        drawn = np.sort(rng.permutation(n)[: max(2, int(REFIT_SHARE * n))])
        fits.append(fit_and_name(model, take_owners(sequences, drawn), vocabulary, naming, embed, seed + refit))
        weights.append(fits[-1].model.transform_raw(sequences))
        unseen = take_owners(sequences, np.setdiff1d(np.arange(n), drawn))
        halves = halve_histories(unseen, vocabulary.token_item, np.random.default_rng([seed, 5, refit]))
        reliable.append(split_half_reliability(*(fits[-1].model.transform_raw(half) for half in halves)))
        progress(refit + 1)
    rows: list[tuple[float, float, float, float]] = []
    for a, b in combinations(range(n_refits), 2):
        matched, cosine = match_rows(weights[a].T, weights[b].T)
        strongest = [rows_to_shares(w).argmax(axis=1) for w in (weights[a], weights[b])]
        chance = adjusted_rand(strongest[0], rng.permutation(strongest[1]))
        overlap = name_jaccard(fits[a].tops, fits[b].tops, matched)
        rows.append((float(cosine.mean()), adjusted_rand(*strongest), chance, overlap))
    cosine_mean, ari, chance_level, jaccard = np.mean(rows, axis=0)
    seeds = [fit_and_name(model, sequences, vocabulary, naming, embed, seed + 100 + s).model for s in range(2)]
    return {
        "bootstrap_cosine": float(cosine_mean), "bootstrap_low": float(min(row[0] for row in rows)),
        "bootstrap_ari": float(ari), "bootstrap_ari_chance": float(chance_level),
        "bootstrap_jaccard": float(jaccard),
        "reliability": float(np.mean(reliable)),
        "seed_cosine": matched_cosine(seeds[0].raw_profiles_, seeds[1].raw_profiles_),
    }
