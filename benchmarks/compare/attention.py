"""Learned pooling against the fixed ones: what a customer's last session holds, from the sessions before it.

Two simulated shops, alike but for one thing: in the first only cart, remove and buy events tell what comes next (views
are noise), in the second every action tells as much. Recall@20 of the unseen tokens of the last session, by pooled item
vectors against context vectors; in the first shop of what is put in the cart, removed or bought. Medians over seeds.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import traitcore as tc
from traitcore.customers.attention import AttentionPooling
from traitcore.customers.counts import count_tokens
from traitcore.quality.trait_prediction import Periods

if TYPE_CHECKING:
    from benchmarks.versus import Bench

FIXED: dict[str, dict[str, Any]] = {
    "mean": {"method": "mean"}, "tfidf": {"method": "tfidf"}, "recency, by position": {"method": "recency"},
    "recency, 20 days": {"method": "recency", "half_life_days": 20.0},
}


def run(bench: Bench) -> None:
    seeds = range(1 if bench.quick else 5)
    for title, signal in (("signal in cart, remove, buy", ("cart", "remove", "buy")), ("no signal in actions", ())):
        runs = [one_shop(300 if bench.quick else 2_000, signal, seed) for seed in seeds]
        for name in (*FIXED, "attention"):
            found = [recalls[name] for recalls, _ in runs]
            figures = {"recall": statistics.median(found), "low": min(found), "high": max(found)}
            bar = ""
            if name == "attention":
                figures["seconds_to_learn"] = statistics.median(seconds for _, seconds in runs)
                figures["over_best_fixed"] = statistics.median(r[name] / max(r[f] for f in FIXED) for r, _ in runs)
                bar = "beats every fixed one" if signal else "does not lose"
            bench.row(f"attention: {title}", name, bar=bar, **figures)


def one_shop(n_users: int, signal: tuple[str, ...], seed: int) -> tuple[dict[str, float], float]:
    """Recall@20 by pooling, and the seconds that learning took."""
    made = tc.simulate_events(
        n_users=n_users, n_items=150, n_traits=5, seed=seed, noise=0.6, signal_actions=signal, bot_share=0.0
    )
    corpus = tc.tokenize(tc.split_sessions(made.log), min_count=3)
    vocabulary = corpus.vocabulary
    periods = Periods.of(corpus.sequences, len(vocabulary))
    model = tc.Item2Vec(vector_size=24, epochs=12, seed=seed, sample=0.0).fit(periods.past, n_items=len(vocabulary))
    vectors, contexts = model.item_vectors_, model.context_vectors_
    wanted = vocabulary.token_action > 0 if signal else np.ones(len(vocabulary), dtype=bool)
    start = time.perf_counter()
    learned = AttentionPooling(seed=seed).fit(
        periods.past, vectors, contexts, token_action=vocabulary.token_action, target_tokens=wanted
    )
    seconds = time.perf_counter() - start
    pooled = {name: tc.customer_vectors(periods.past, vectors, **how).vectors for name, how in FIXED.items()}
    pooled["attention"] = learned.transform(periods.past, vectors)
    return {name: recall(rows @ contexts.T, periods, wanted) for name, rows in pooled.items()}, seconds


def recall(scores: Any, periods: Periods, wanted: Any, k: int = 20) -> float:
    """Mean share of a customer's new and wanted tokens among the `k` best-scored ones not in their past."""
    past = count_tokens(periods.past, n_tokens=len(wanted))
    found = []
    for row, line in enumerate(np.array(scores)):
        old = past.indices[past.indptr[row] : past.indptr[row + 1]]
        new = periods.future.indices[periods.future.indptr[row] : periods.future.indptr[row + 1]]
        new = np.setdiff1d(new[wanted[new]], old)
        if len(new) and len(old):
            line[old] = -np.inf
            found.append(np.isin(new, np.argsort(-line, kind="stable")[:k]).mean())
    return float(np.mean(found))
