"""One event -> the customer's vector and 16 traits (d=64): batched rate on one core, and a single one's latency."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.versus import Bench
from traitcore import Sequences, TraitModel, Vocabulary, customer_vectors
from traitcore.serving.live_customers import LiveCustomers

N_TOKENS, D, TRAITS = 20_000, 64, 16


def run(bench: Bench) -> None:
    n = 20_000 if bench.quick else 400_000
    n_customers = n // 20
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N_TOKENS, D)).astype(np.float32) / 8
    components = np.abs(rng.normal(size=(TRAITS, D))).astype(np.float32)
    df = rng.integers(1, n_customers, N_TOKENS)
    who = np.sort(rng.integers(0, n_customers, n))
    tokens = rng.integers(0, N_TOKENS, n)
    times = np.arange(n) * 1_000_000 + 1_750_000_000_000_000
    methods: dict[str, dict[str, Any]] = {"mean": {}, "tfidf": {"document_frequencies": df, "n_documents": n_customers},
               "recency": {"half_life_days": 0.5}}
    offsets = np.concatenate(([0], np.cumsum(np.bincount(who, minlength=n_customers))))
    owner = np.arange(n_customers, dtype=np.int32)
    corpus = Sequences(tokens=tokens.astype(np.int32), offsets=offsets, owner=owner, timestamps_us=times)
    for method, settings in methods.items():
        live = LiveCustomers(vectors, method=method, components=components, **settings)
        feed(bench, f"live, {method}", live, who, tokens, times)
        want = customer_vectors(corpus, vectors, method=method, **settings).vectors
        seen = np.unique(who)
        error = float(np.abs(live.vectors(seen) - want[seen]).max())
        bench.row(f"live, {method}", "against pooling all", largest_difference=error)
        single(bench, f"live, {method}", live, who, tokens, times)
    vocabulary = shop_vocabulary(df, n_customers)
    for method in ("spectral", "counts"):
        model = TraitModel(TRAITS, method=method, max_iter=5).fit(corpus, vocabulary)
        live = LiveCustomers(vectors, traits=model)
        feed(bench, f"live, traits of {method}", live, who, tokens, times)
        seen = np.unique(who)
        error = float(np.abs(live.traits_batch(seen) - model.transform_raw(corpus)[seen]).max())
        bench.row(f"live, traits of {method}", "against transforming all", largest_difference=error)
        single(bench, f"live, traits of {method}", live, who, tokens, times)


def shop_vocabulary(df: NDArray[Any], n_customers: int) -> Vocabulary:
    """Four tokens an item."""
    row = np.arange(len(df), dtype=np.int32)
    actions = ("view", "cart", "remove", "buy")
    return Vocabulary(np.arange(len(df) // 4), actions, row // 4, row % 4, np.ones(len(df), np.int64), df, n_customers)


def feed(bench: Bench, job: str, live: LiveCustomers, who: Any, tokens: Any, times: Any) -> None:
    """All events in an order of chance, batch by batch, the traits read for each of them."""
    live.update(-1, 0, timestamp_us=0)
    live.traits(-1)
    arrival = np.random.default_rng(1).permutation(len(who))
    start = time.perf_counter()
    for part in np.array_split(arrival, max(1, len(who) // 4096)):
        live.update_batch(who[part], tokens[part], timestamps_us=times[part])
        live.traits_batch(who[part])  # for each event, though a customer may be there twice
    rate = len(who) / (time.perf_counter() - start)
    bench.row(job, "batched, 1 core", events_per_s=rate, bar="events_per_s >= 200000")


def single(bench: Bench, job: str, live: LiveCustomers, who: Any, tokens: Any, times: Any) -> None:
    seconds = []
    arrival = np.random.default_rng(2).permutation(len(who))
    for i in range(2_000 if bench.quick else 20_000):
        one, token, when = int(who[arrival[i]]), int(tokens[i]), int(times[i])
        start = time.perf_counter()
        live.update(one, token, timestamp_us=when)
        live.traits(one)
        seconds.append(time.perf_counter() - start)
    p50, p99 = 1e6 * np.quantile(seconds, [0.5, 0.99])
    bench.row(job, "one event -> traits", p50_us=p50, p99_us=p99, bar="p99_us < 200")
