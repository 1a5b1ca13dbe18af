"""SGNS against gensim: speed at d=64 and 128, threads, fresh negatives; quality of the same runs on the hard corpus and
next-item retrieval on Diginetica. Vocabulary and encoding time is left out for everyone."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import traitcore as tc
from benchmarks.suite.synthetic import clustered_sessions, hard_sessions

# The arithmetic of a pair against 6 outputs is 3 products of length d: scores, moves of inputs, moves of outputs.
_FLOPS_A_PAIR = 3 * 6 * 2


def run(bench: Any) -> None:
    peer = importlib.util.find_spec("gensim") is not None
    if not peer:
        print("  gensim is missing: rows of the peer are left out")
    speed(bench, peer)
    quality(bench, peer)
    if folder := bench.path("diginetica"):
        retrieval(bench, folder)


def gensim_run(seqs: tc.Sequences, n_items: int, seed: int = 1, **options: Any) -> tuple[float, NDArray[np.float32]]:
    """(seconds of training alone, item vectors)."""
    from gensim.models import Word2Vec

    names = [str(i) for i in range(n_items)]
    lists = [[names[t] for t in s] for s in seqs]
    model = Word2Vec(sg=1, hs=0, negative=5, window=5, sample=0, min_count=1, seed=seed, **options)
    model.build_vocab(lists)
    start = time.perf_counter()
    model.train(lists, total_examples=len(lists), epochs=model.epochs)
    seconds = time.perf_counter() - start
    vectors = np.zeros((n_items, model.vector_size), dtype=np.float32)
    for name, row in model.wv.key_to_index.items():
        vectors[int(name)] = model.wv.vectors[row]
    return seconds, vectors


def speed(bench: Any, peer: bool) -> None:
    n_tokens, n_items = (100_000, 2_000) if bench.quick else (5_000_000, 50_000)
    seqs = clustered_sessions(n_tokens, n_items).sequences
    peak = measured_flops()
    for size, workers, bar in ((64, 1, "12x, aim 15x"), (64, 2, "1.8x of one thread"), (128, 1, "10x"), (128, 2, "")):
        job = f"train d={size}, {workers} threads"

        def ours(size: int = size, workers: int = workers, negatives: str = "shared") -> float:
            options = {"vector_size": size, "workers": workers, "negatives": negatives}
            return tc.train_sgns(seqs, epochs=1, sample=0.0, **options).report.seconds

        contenders: dict[str, Any] = {"traitcore": ours}
        if workers == 1 and size == 64:
            contenders["traitcore fresh (bar: 5x)"] = lambda ours=ours: ours(negatives="fresh")
        if peer:
            contenders["gensim"] = lambda size=size, workers=workers: gensim_run(
                seqs, n_items, vector_size=size, workers=workers, epochs=1
            )[0]
        seconds = bench.race(job, contenders, ours="traitcore", bar=bar)["traitcore"]
        pairs = tc.train_sgns(seqs, epochs=1, sample=0.0, vector_size=16).report.pairs
        bench.row(job, "share of the FMA roofline", share=pairs * _FLOPS_A_PAIR * size / seconds / (peak * workers))
    bench.row("memory", "process peak", mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measured_flops() -> float:
    """float32 operations a second of one core, by a product of matrices (set OMP_NUM_THREADS=1)."""
    a = np.random.default_rng(0).random((1024, 1024), dtype=np.float32)
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * 1024**3 / best


def precision(vectors: NDArray[np.float32], cluster: NDArray[np.int32], rows: NDArray[np.int64]) -> float:
    """Share of the ten nearest (cosine) that are of the same cluster."""
    v = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    scores = v[rows] @ v.T
    scores[np.arange(len(rows)), rows] = -2
    nearest = np.argpartition(-scores, 10, axis=1)[:, :10]
    return float((cluster[nearest] == cluster[rows][:, None]).mean())


def quality(bench: Any, peer: bool) -> None:
    n_tokens, n_items = (100_000, 2_000) if bench.quick else (5_000_000, 50_000)
    corpus = hard_sessions(n_tokens, n_items)
    rng = np.random.default_rng(0)
    bands = {"mid": (n_items // 50, n_items // 5), "tail": (n_items // 2, n_items)}
    n = 300 if bench.quick else 1000
    queries = {name: rng.choice(np.arange(*band), n) for name, band in bands.items()}
    found: dict[str, list[list[float]]] = {}
    for seed in range(1 if bench.quick else 3):
        runs: dict[str, Any] = {
            f"traitcore {n}": lambda n=n, seed=seed: tc.train_sgns(
                corpus.sequences, n_items=n_items, epochs=3, sample=0.0, seed=seed, negatives=n
            ).item_vectors
            for n in ("shared", "fresh")
        }
        if peer:
            runs["gensim"] = lambda seed=seed: gensim_run(
                corpus.sequences, n_items, seed + 1, vector_size=64, workers=1, epochs=3
            )[1]
        for name, call in runs.items():
            vectors = call()
            found.setdefault(name, []).append([precision(vectors, corpus.cluster, q) for q in queries.values()])
    for name, values in found.items():
        mean, spread = np.mean(values, axis=0), np.ptp(values, axis=0)
        bench.row("hard corpus, same cluster", name, mid=mean[0], tail=mean[1], mid_spread=spread[0],
                  tail_spread=spread[1], bar="gensim's, within its spread" if name != "gensim" else "")  # fmt: skip


def read_sessions(path: Path) -> list[list[str]]:
    sessions: dict[str, list[str]] = {}
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            sessions.setdefault(row["session_id"], []).append(row["item_id"])
    return list(sessions.values())


def retrieval(bench: Any, folder: Path) -> None:
    """Next click of test prefixes: the sum over the session of 0.5^back item @ context, every item ranked."""
    train, test = (read_sessions(folder / f"sessions_{part}.csv.gz") for part in ("train", "test"))
    names, counts = np.unique(np.concatenate([np.array(s) for s in train]), return_counts=True)
    row = {name: i for i, name in enumerate(names[np.argsort(-counts, kind="stable")])}
    seqs = tc.Sequences.from_lists([[row[i] for i in s] for s in train])
    prefixes = [([row[i] for i in s[:k] if i in row], row[s[k]]) for s in test for k in range(1, len(s)) if s[k] in row]
    chosen = np.random.default_rng(0).permutation(len(prefixes))[: 500 if bench.quick else 6000]
    second = {"window": 10, "negative": 10, "ns_exponent": 0.5, "sample": 1e-4, "epochs": 20}
    for name, options in (("notes' second setting", second), ("preset 'sessions'", None)):
        size = 32 if bench.quick else 100
        model = tc.Item2Vec.preset("sessions", vector_size=size) if options is None else tc.Item2Vec(
            vector_size=size, **options
        )  # fmt: skip
        model.set_params(epochs=1 if bench.quick else model.epochs, workers=2).fit(seqs, n_items=len(row))
        hits, reciprocal = 0.0, 0.0
        for start in range(0, len(chosen), 500):
            part = [prefixes[i] for i in chosen[start : start + 500]]
            state = np.zeros((len(part), size), dtype=np.float32)
            for i, (items, _) in enumerate(part):
                for back, item in enumerate(reversed(items)):
                    state[i] += 0.5**back * model.item_vectors_[item]
            scores = state @ model.context_vectors_.T
            truth = scores[np.arange(len(part)), [t for _, t in part]][:, None]
            rank = (scores > truth).sum(axis=1) + ((scores == truth).sum(axis=1) + 1) / 2  # ties: the mean rank
            hits += float((rank <= 20).sum())
            reciprocal += float((1 / rank[rank <= 20]).sum())
        n = len(chosen)
        bench.row("diginetica, item -> context", name, recall20=100 * hits / n, mrr20=100 * reciprocal / n,
                  bar="recall@20 at least 44.7")  # fmt: skip
