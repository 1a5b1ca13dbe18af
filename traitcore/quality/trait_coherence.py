"""Coherence of traits: fitted and named on half of the customers, judged on the other half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import stdtrit

from .._rows import rows_to_shares
from ..customers.counts import count_tokens
from ..customers.customer_subsets import split_halves, take_owners
from ..customers.describe import token_lift
from ..customers.traits import TraitModel
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from .name_coherence import name_diversity, npmi_coherence

Embed = Callable[[Sequences], NDArray[np.float32]]


@dataclass(frozen=True)
class NamingRules:
    """How traits are named while they are judged. Coherence depends on it, so it is recorded."""

    k: int = 10
    smoothing: float = 20.0
    min_df: int = 5
    min_count: int = 1
    support_weight: float = 0.3
    heavy_share: float = 0.05


@dataclass(frozen=True, eq=False)
class NamedFit:
    """A model fitted on some customers, its names, and the counts behind them."""

    model: TraitModel
    tops: list[NDArray[np.int64]]
    counts: sparse.csr_array
    eligible: NDArray[np.bool_]
    document_frequencies: NDArray[np.int64]


def fit_and_name(
    model: TraitModel, sequences: Sequences, vocabulary: Vocabulary, naming: NamingRules, embed: Embed | None, seed: int
) -> NamedFit:
    """A fresh model with the same parameters, fitted and named on these customers alone."""
    known = drop_rare(sequences, len(vocabulary), naming.min_count)
    fresh = type(model)(**model.get_params()).set_params(random_state=seed)
    fresh.fit(known, vocabulary, item_vectors=None if embed is None else embed(known))
    counts = count_tokens(known, n_tokens=len(vocabulary))
    lift = token_lift(fresh.raw_profiles_, counts, smoothing=naming.smoothing, min_df=naming.min_df)
    return NamedFit(fresh, lift.top(naming.k), counts, lift.eligible, lift.document_frequencies)


def drop_rare(sequences: Sequences, n_tokens: int, min_count: int) -> Sequences:
    """Without the tokens that occur fewer than `min_count` times: the vocabulary of these customers alone."""
    return sequences.keep(sequences.token_counts(n_tokens)[sequences.tokens] >= min_count)


def judge_coherence(
    model: TraitModel,
    sequences: Sequences,
    vocabulary: Vocabulary,
    naming: NamingRules,
    embed: Embed | None,
    n_splits: int,
    seed: int,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Figures over `n_splits` random halvings, each judged both ways, with 95% intervals.

    npmi, npmi_low, npmi_high, npmi_worst (mean of the weakest trait), npmi_without_heavy (without the longest 5% of
    histories), diversity, and as controls names of the same shape from random and from popular eligible tokens.
    """
    rng = np.random.default_rng([seed, 1])
    rows = []
    for split in range(n_splits):
        sides = split_halves(sequences, np.arange(sequences.n_owners), rng)
        both = []
        for fit_on, judge_on in (sides, sides[::-1]):
            fit = fit_and_name(model, take_owners(sequences, fit_on), vocabulary, naming, embed, seed + split)
            judges = count_tokens(take_owners(sequences, judge_on), n_tokens=len(vocabulary))
            both.append(_judged(fit, judges, naming, rng))
        rows.append({name: (both[0][name] + both[1][name]) / 2 for name in both[0]})
        progress(split + 1)
    figures = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return figures | interval("npmi", [row["npmi"] for row in rows])


def _judged(fit: NamedFit, judges: sparse.csr_array, naming: NamingRules, rng: np.random.Generator) -> dict[str, float]:
    events = judges.sum(axis=1)
    light = sparse.csr_array(judges[events <= np.quantile(events, 1.0 - naming.heavy_share)])
    scores = npmi_coherence(fit.tops, judges)
    shape = (len(fit.tops), naming.k)
    eligible = np.flatnonzero(fit.eligible)
    popular = eligible[np.argsort(-fit.document_frequencies[eligible], kind="stable")][: shape[0] * shape[1]]
    share = rows_to_shares(fit.model.raw_profiles_)

    def control(tokens: NDArray[np.int64], counts: sparse.csr_array) -> float:
        return float(npmi_coherence(_split_names(rng.permutation(tokens), shape), counts).mean())

    return {
        "npmi": float(scores.mean()),
        "npmi_worst": float(scores.min()),
        "npmi_without_heavy": float(npmi_coherence(fit.tops, light).mean()),
        "diversity": name_diversity(fit.tops),
        "named_tokens": float(sum(len(rows) for rows in fit.tops)),
        "support_half": float((share > naming.support_weight).sum(axis=0).min()),
        "npmi_random": control(eligible, judges),
        "npmi_popular": control(popular, judges),
        "npmi_popular_without_heavy": control(popular, light),
        "eligible_tokens": float(len(eligible)),
    }


def _split_names(tokens: NDArray[np.int64], shape: tuple[int, int]) -> list[NDArray[np.int64]]:
    """Tokens split into names of `shape`; fewer traits if there are not enough."""
    n_traits = min(shape[0], max(1, len(tokens) // shape[1]))
    return [tokens[t * shape[1] : (t + 1) * shape[1]] for t in range(n_traits)]


def interval(name: str, values: list[float]) -> dict[str, float]:
    """95% interval of the mean by Student's t over splits. They share customers, so its width is a lower bound."""
    if len(values) < 2:
        return {f"{name}_low": float("nan"), f"{name}_high": float("nan")}
    half = float(stdtrit(len(values) - 1, 0.975)) * float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return {f"{name}_low": float(np.mean(values)) - half, f"{name}_high": float(np.mean(values)) + half}
