"""What traits are judged by: names on customers who took no part, profiles by refits, halves and what they predict.

One rule of naming for every method (`token_lift` with a least number of customers that is a share of them), one way of
prediction for every profile (ridge regression, its penalty by cross-validation, judged on other customers).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

import traitcore as tc
from benchmarks.traits_sets import TraitSet
from traitcore._rows import rows_to_shares
from traitcore.customers.counts import count_tokens
from traitcore.customers.customer_subsets import split_halves, take_owners
from traitcore.customers.describe import token_lift
from traitcore.customers.reliability import halve_histories
from traitcore.quality.name_coherence import name_diversity, npmi_coherence, presence
from traitcore.quality.trait_coherence import drop_rare, interval
from traitcore.quality.trait_prediction import take_sequences

K = 10
NAME_SHARE = 0.01  # customers behind a naming token, as a share of those fitted, and at least NAME_LEAST
NAME_LEAST = 5
Weights = NDArray[Any]
Encode = Callable[[tc.Sequences], Weights]


class Method(Protocol):
    """A way to traits. `fit` returns how customers are read: (n, k) weights. predicts_only: too many for names."""

    name: str
    predicts_only: bool

    def fit(self, sequences: tc.Sequences, vocabulary: tc.Vocabulary, n_traits: int, seed: int) -> Encode: ...


@dataclass(frozen=True)
class Effort:
    """How often things are repeated."""

    splits: int = 2
    refits: int = 3


def fitted(method: Method, set_: TraitSet, sequences: tc.Sequences, seed: int = 0) -> Encode:
    """Fitted on these customers alone: tokens rare among them are left out."""
    known = drop_rare(sequences, len(set_.vocabulary), set_.min_count)
    return method.fit(known, set_.vocabulary, set_.n_traits, seed)


def judge(method: Method, set_: TraitSet, effort: Effort) -> dict[str, float]:
    """All figures of a method on a set."""
    start = time.process_time()
    encode = fitted(method, set_, set_.sequences)
    seconds = time.process_time() - start
    weights = encode(set_.sequences)
    figures = {"seconds": seconds}
    if not method.predicts_only:
        figures |= coherence(method, set_, effort) | stability(method, set_, effort) | halves(encode, set_)
    if set_.demographics:
        figures |= both_ways("demographics", weights, predict_demographics, set_)
    if set_.period is not None:
        past = take_sequences(set_.sequences, ~set_.period)
        figures |= both_ways("next", fitted(method, set_, past)(past), predict_next, set_)
    if set_.friends is not None:
        figures["friends"] = friends_closer(profiles(weights), set_.friends)
    return figures


def planted(method: Method, set_: TraitSet) -> dict[str, float]:
    """Matched correlation with the planted shares."""
    assert set_.truth is not None
    start = time.process_time()
    encode = fitted(method, set_, set_.sequences)
    seconds = time.process_time() - start
    return {"planted": matched(set_.truth, profiles(encode(set_.sequences))), "seconds": seconds}


def profiles(weights: Weights) -> Weights:
    """Shares; weights of any sign stay as they are."""
    return weights if (weights < 0).any() else rows_to_shares(np.asarray(weights, dtype=np.float32))


def names_of(weights: Weights, counts: sparse.csr_array, min_df: int) -> list[NDArray[np.int64]]:
    positive = np.maximum(np.asarray(weights, dtype=np.float64), 0.0)
    return token_lift(positive, counts, smoothing=20.0, min_df=min_df).top(K)


def least_customers(n: int) -> int:
    return max(NAME_LEAST, round(NAME_SHARE * n))


def coherence(method: Method, set_: TraitSet, effort: Effort) -> dict[str, float]:
    """Names from one half of the customers, judged by the other half, both ways, over `effort.splits` halvings."""
    rng, n_tokens = np.random.default_rng(1), len(set_.vocabulary)
    rows: list[dict[str, float]] = []
    for split in range(effort.splits):
        sides = split_halves(set_.sequences, np.arange(set_.sequences.n_owners), rng)
        for fit_on, judge_on in (sides, sides[::-1]):
            part = drop_rare(take_owners(set_.sequences, fit_on), n_tokens, set_.min_count)
            weights = fitted(method, set_, part, split)(part)
            counts = count_tokens(part, n_tokens=n_tokens)
            judges = count_tokens(take_owners(set_.sequences, judge_on), n_tokens=n_tokens)
            rows.append(named(names_of(weights, counts, least_customers(len(fit_on))), judges, set_))
            few = npmi_coherence(names_of(weights, counts, NAME_LEAST), judges)
            rows[-1]["npmi_df5"] = float(few.mean())
    return mean_of(rows) | interval("npmi", [row["npmi"] for row in rows])


def named(tops: list[NDArray[np.int64]], judges: sparse.csr_array, set_: TraitSet) -> dict[str, float]:
    events = judges.sum(axis=1)
    light = sparse.csr_array(judges[events <= np.quantile(events, 0.95)])
    figures = {
        "npmi": float(npmi_coherence(tops, judges).mean()), "npmi_light": float(npmi_coherence(tops, light).mean()),
        "diversity": name_diversity(tops), "intruders": intruders_found(tops, judges),
    }
    if set_.category is not None:
        kinds = np.unique(set_.category, return_inverse=True)[1][set_.vocabulary.token_item]
        largest = [np.bincount(kinds[top]).max() / len(top) for top in tops if len(top)]
        figures["purity"] = float(np.mean(largest)) if largest else 0.0
    return figures


def intruders_found(tops: list[NDArray[np.int64]], judges: sparse.csr_array) -> float:
    """Share of a trait's five first tokens plus one of another trait, in which that one is what customers who have the
    others have least (Chang et al. 2009, with customers in place of people): the least mean NPMI."""
    columns = sparse.csc_array(presence(judges))
    n, found = max(1, judges.shape[0]), []
    for trait, top in enumerate(tops):
        for other, rival in enumerate(tops):
            foreign = np.setdiff1d(rival[:5], top)
            if other == trait or len(top) < 5 or not len(foreign):
                continue
            have = columns[:, np.append(top[:5], foreign[0])]
            both = (have.T @ have).toarray().astype(np.float64) / n
            alone = np.diag(both)
            with np.errstate(divide="ignore", invalid="ignore"):
                npmi = np.log(both / np.outer(alone, alone)) / -np.log(both)
            npmi[~np.isfinite(npmi)] = -1.0
            np.fill_diagonal(npmi, 0.0)
            found.append(float(npmi.sum(axis=1).argmin() == 5))
    return float(np.mean(found)) if found else float("nan")


def stability(method: Method, set_: TraitSet, effort: Effort) -> dict[str, float]:
    """Matched correlation of all customers' profiles by refits on 80% of them, mean over pairs of refits."""
    rng, n, read = np.random.default_rng(2), set_.sequences.n_owners, []
    for refit in range(effort.refits):
        drawn = np.sort(rng.permutation(n)[: int(0.8 * n)])
        read.append(profiles(fitted(method, set_, take_owners(set_.sequences, drawn), refit)(set_.sequences)))
    pairs = [matched(a, b) for a, b in combinations(read, 2)]
    return {"stability": float(np.mean(pairs)), "stability_low": float(min(pairs))}


def matched(a: Weights, b: Weights) -> float:
    """Mean correlation of columns matched one to one, of either sign where a weight is negative."""
    table = np.nan_to_num(np.corrcoef(a.T, b.T)[: a.shape[1], a.shape[1] :])
    table = np.abs(table) if (a < 0).any() or (b < 0).any() else table
    rows, columns = linear_sum_assignment(-table)
    return float(table[rows, columns].mean())


def halves(encode: Encode, set_: TraitSet) -> dict[str, float]:
    """Correlation between profiles read from either half of a customer's history, mean over traits."""
    rng = np.random.default_rng(3)
    a, b = (profiles(encode(half)) for half in halve_histories(set_.sequences, set_.vocabulary.token_item, rng))
    known = np.abs(a).sum(axis=1) * np.abs(b).sum(axis=1) > 0
    k = a.shape[1]
    table = np.nan_to_num(np.corrcoef(a[known].T, b[known].T)[:k, k:])
    return {"halves": float(np.diag(table).mean())}


def both_ways(name: str, weights: Weights, predict: Callable[[Weights, TraitSet], float], set_: TraitSet) -> Any:
    """By shares, and by raw weights."""
    return {name: predict(profiles(weights), set_), f"{name}_raw": predict(weights, set_)}


def predict_demographics(features: Weights, set_: TraitSet) -> float:
    scores = []
    for marked in set_.demographics.values():
        known = ~np.isnan(marked)
        scores.append(held_out_auc(features[known], marked[known][:, None]))
    return float(np.mean(scores))


def predict_next(features: Weights, set_: TraitSet) -> float:
    """Mean AUC of whether a customer takes a category (or, without categories, one of the commonest tokens) in the
    later period, over the forty commonest that at most nine in ten take; customers of both periods."""
    assert set_.period is not None
    n_tokens = len(set_.vocabulary)
    past, future = (count_tokens(take_sequences(set_.sequences, kept), n_tokens=n_tokens)
                    for kept in (~set_.period, set_.period))
    if set_.category is not None:
        kinds = np.unique(set_.category, return_inverse=True)[1][set_.vocabulary.token_item]
        shape = (n_tokens, int(kinds.max()) + 1)
        by_kind = sparse.csr_array((np.ones(n_tokens), (np.arange(n_tokens), kinds)), shape=shape)
        future = sparse.csr_array(future @ by_kind)
    asked = (np.diff(past.indptr) > 0) & (np.diff(future.indptr) > 0)
    taken = presence(sparse.csr_array(future[asked])).toarray()
    share = taken.mean(axis=0)
    few = np.flatnonzero((share <= 0.9) & (taken.sum(axis=0) >= 20))
    if not len(few):
        return float("nan")
    return held_out_auc(features[asked], taken[:, few[np.argsort(-share[few], kind="stable")[:40]]])


def held_out_auc(features: Weights, targets: NDArray[Any]) -> float:
    """Mean over targets of the AUC of ridge predictions for customers of other folds, and over two foldings."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold

    spread = features.std(axis=0)
    X = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    found = []
    for seed in range(2):
        scores = np.zeros(targets.shape)
        for train, test in KFold(5, shuffle=True, random_state=seed).split(X):
            model = RidgeCV(alphas=np.logspace(0, 4, 9), alpha_per_target=targets.shape[1] > 1)
            scores[test] = model.fit(X[train], targets[train]).predict(X[test]).reshape(len(test), -1)
            scores[test] -= targets[train].mean(axis=0)
        found.append(auc(scores, targets).mean())
    return float(np.mean(found))


def auc(scores: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """(n_targets,) probability that one who has it scores higher than one who hasn't."""
    ranks, ones = rankdata(scores, axis=0), targets.sum(axis=0)
    rest = len(targets) - ones
    return np.asarray(((ranks * targets).sum(axis=0) - ones * (ones + 1) / 2) / (ones * rest))


def friends_closer(features: Weights, friends: NDArray[np.int64]) -> float:
    """Probability that a pair of friends has a higher cosine than a random pair."""
    rng = np.random.default_rng(4)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    strangers = rng.integers(0, len(features), size=(len(friends), 2))
    pairs = np.concatenate([friends, strangers])
    close = (unit[pairs[:, 0]] * unit[pairs[:, 1]]).sum(axis=1)
    return float(auc(close[:, None], (np.arange(len(pairs)) < len(friends))[:, None].astype(float))[0])


def controls(set_: TraitSet, effort: Effort) -> dict[str, dict[str, float]]:
    """Names of the most popular and of random tokens, by the protocol of `coherence`; what activity alone predicts."""
    rng, draw, n_tokens = np.random.default_rng(1), np.random.default_rng(5), len(set_.vocabulary)
    rows: dict[str, list[dict[str, float]]] = {"popular tokens": [], "random tokens": []}
    for _ in range(effort.splits):
        sides = split_halves(set_.sequences, np.arange(set_.sequences.n_owners), rng)
        for fit_on, judge_on in (sides, sides[::-1]):
            counts, judges = (count_tokens(take_owners(set_.sequences, side), n_tokens=n_tokens)
                              for side in (fit_on, judge_on))
            df = np.bincount(counts.indices, minlength=n_tokens)
            known = np.flatnonzero(df >= least_customers(len(fit_on)))
            popular = known[np.argsort(-df[known], kind="stable")][: set_.n_traits * K]
            for name, of in (("popular tokens", popular), ("random tokens", known)):
                tokens = draw.permutation(of)
                tops = [tokens[i : i + K] for i in range(0, min(len(tokens), set_.n_traits * K) - K + 1, K)]
                rows[name].append(named(tops, judges, set_))
    figures = {name: mean_of(of) | interval("npmi", [row["npmi"] for row in of]) for name, of in rows.items()}
    figures["activity alone"] = {}
    if set_.demographics:
        figures["activity alone"]["demographics"] = predict_demographics(activity(set_.sequences), set_)
    if set_.period is not None:
        past = take_sequences(set_.sequences, ~set_.period)
        figures["activity alone"]["next"] = predict_next(activity(past), set_)
    return figures


def activity(sequences: tc.Sequences) -> Weights:
    """Logarithms of a customer's events, different tokens and sequences."""
    counts = count_tokens(sequences)
    filled = sequences.owners()[np.diff(sequences.offsets) > 0]
    n = np.bincount(filled, minlength=sequences.n_owners)
    return np.asarray(np.log1p(np.stack([counts.sum(axis=1), np.diff(counts.indptr), n], axis=1)))


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def sample(set_: TraitSet, n_customers: int) -> TraitSet:
    """A smaller set, to see that everything runs."""
    n = min(n_customers, set_.sequences.n_owners)
    kept = np.isin(set_.sequences.owners(), np.arange(n))
    return replace(
        set_, sequences=take_owners(set_.sequences, np.arange(n)),
        period=None if set_.period is None else set_.period[kept],
        demographics={name: marked[:n] for name, marked in set_.demographics.items()},
        friends=None if set_.friends is None else set_.friends[(set_.friends < n).all(axis=1)],
        truth=None if set_.truth is None else set_.truth[:n],
    )
