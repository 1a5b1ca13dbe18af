"""The whole job: an event log in memory -> sessions, item2vec, tf-idf customer vectors, 16 traits.

Ours is `fit_pipeline`, once with its defaults and once with the traits of the peer's recipe (`trait_method="shift"`),
so that the same work is compared too. The peer is the recipe this library was asked to build, as its document
types it: Python loops for sessions and pooling (grouped by user, which its sketch forgot), gensim with 2 workers,
scikit-learn's NMF on the globally shifted vectors.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

N_TRAITS = 16
THREADS = 2


def simulated(quick: bool) -> Any:
    """2.7M events: 400k customers, 60k items, sessions of 6."""
    from traitcore import simulate_events

    scale = 50 if quick else 1
    return simulate_events(
        n_users=400_000 // scale, n_items=60_000 // scale, n_traits=N_TRAITS, sessions_per_user=1.1,
        events_per_session=6, bot_share=0.0001, integer_ids=True, seed=0,
    )


def matched_correlation(profiles: Any, shares: Any) -> float:
    """Mean correlation of planted traits with the found ones they match best, one to one."""
    k = shares.shape[1]
    table = np.nan_to_num(np.corrcoef(shares.T, profiles.T)[:k, k:])
    return float(table[linear_sum_assignment(-table)].mean())


def run(bench: Any) -> None:
    sim = simulated(bench.quick)
    print(f"  {sim!r}")
    events = events_as_dicts(sim)
    result: dict[str, Any] = {}

    def contender(name: str, run_it: Callable[[], Any]) -> Callable[[], None]:
        def timed() -> None:
            result[name] = run_it()

        return timed

    run_ours(simulated(True), "spectral")  # JIT
    names = {
        "traitcore": lambda: run_ours(sim, "spectral"),
        "traitcore, spec's recipe": lambda: run_ours(sim, "shift"),
        "spec's way": lambda: run_spec(events),
    }
    bench.race(
        "2.7M events to traits, 2 threads", {name: contender(name, call) for name, call in names.items()},
        ours="traitcore", bar="at most 1/8 of the spec's time", repeat=1,
    )
    for name in names:
        bench.row("  seconds by stage", name, **result[name][1])
    for name in names:
        ids, profiles = result[name][0]
        row = {int(user): i for i, user in enumerate(ids)}
        known = np.asarray([user for user in sim.truth.customer_ids.tolist() if user in row])
        found = np.asarray(profiles)[[row[user] for user in known.tolist()]]
        shares = sim.truth.customer_shares[known]
        bench.row("  planted traits recovered", name, correlation=matched_correlation(found, shares))


def run_ours(sim: Any, trait_method: str) -> tuple[tuple[Any, Any], dict[str, float]]:
    from traitcore import fit_pipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "shift" says what it costs
        result = fit_pipeline(
            sim.log, n_traits=N_TRAITS, trait_method=trait_method, epochs=15, vector_size=64, min_count=5,
            workers=THREADS,
        )
    assert result.customers is not None
    return (result.customers.ids, result.profiles), {stage.name: stage.seconds for stage in result.stages}


def events_as_dicts(sim: Any) -> list[dict[str, Any]]:
    """The log as the spec's functions take it, in the order they assume (not part of the timing)."""
    columns = sim.columns
    order = np.lexsort((columns["timestamp"], columns["user_id"]))
    rows = zip(*(columns[name][order].tolist() for name in ("user_id", "timestamp", "action", "item_id")))
    return [{"user_id": u, "timestamp": t, "action": a, "product_id": p} for u, t, a, p in rows]


# From here on the spec's own code, with its one leak between users mended.


def run_spec(events: list[dict[str, Any]]) -> tuple[tuple[Any, Any], dict[str, float]]:
    from gensim.models import Word2Vec

    clock = [time.perf_counter()]
    sessions = segment_sessions(events)
    sentences = [[tokenize_event(event) for event in session] for session in sessions]
    tokens_of: dict[Any, list[str]] = {}
    for session, tokens in zip(sessions, sentences):
        tokens_of.setdefault(session[0]["user_id"], []).extend(tokens)
    clock.append(time.perf_counter())
    model = Word2Vec(
        sentences=sentences, vector_size=64, window=5, min_count=5, sg=1, negative=5, epochs=15, workers=THREADS
    )
    clock.append(time.perf_counter())
    vectors = {user: aggregate_customer_embedding(tokens, model) for user, tokens in tokens_of.items()}
    clock.append(time.perf_counter())
    profiles = apply_nmf(vectors)
    clock.append(time.perf_counter())
    names = ("sessions", "item2vec", "pooling", "nmf")
    return (list(vectors), profiles), dict(zip(names, np.diff(clock).tolist()))


def segment_sessions(events: list[dict[str, Any]], timeout_minutes: int = 30) -> list[list[dict[str, Any]]]:
    sessions = []
    current: list[dict[str, Any]] = []
    for i, event in enumerate(events):
        if i == 0:
            current.append(event)
            continue
        time_gap = event["timestamp"] - events[i - 1]["timestamp"]
        if time_gap > timeout_minutes * 60 or event["user_id"] != events[i - 1]["user_id"]:
            if len(current) >= 2:
                sessions.append(current)
            current = [event]
        else:
            current.append(event)
    if len(current) >= 2:
        sessions.append(current)
    return sessions


def tokenize_event(event: dict[str, Any]) -> str:
    action_map = {"view": "view", "add_cart": "cart", "remove_cart": "remove", "purchase": "buy"}
    action = action_map.get(event["action"], event["action"])
    return f"{action}_{event['product_id']}"


def aggregate_customer_embedding(customer_tokens: list[str], model: Any) -> Any:
    embeddings = []
    weights: Any = []
    for token in customer_tokens:
        if token in model.wv:
            embeddings.append(model.wv[token])
            df = model.wv.get_vecattr(token, "count")
            weights.append(np.log(len(model.wv) / (df + 1)))
    if not embeddings:
        return np.zeros(model.vector_size)
    weights = np.array(weights) / sum(weights)
    return np.average(np.array(embeddings), axis=0, weights=weights)


def apply_nmf(customer_embeddings: dict[Any, Any]) -> Any:
    from sklearn.decomposition import NMF

    matrix = np.array(list(customer_embeddings.values()))
    low = matrix.min()
    shifted = matrix - low + 1e-6 if low < 0 else matrix
    nmf = NMF(n_components=N_TRAITS, init="nndsvd", max_iter=200, random_state=42)
    w = nmf.fit_transform(shifted)
    return w / (w.sum(axis=1, keepdims=True) + 1e-6)
