"""Quality of SGNS vectors beside gensim's at equal epochs: planted clusters of the hard corpus, word similarity on the
novels, next-item retrieval on Diginetica (`--data`; `--only hard`, `novels`, `diginetica` pick a part).

A figure is the mean over seeds, a spread their range. gensim runs on two workers, as do we.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

import traitcore as tc
from benchmarks.compare.sgns import gensim_run
from benchmarks.suite.synthetic import hard_sessions

# A strong setting for next-item retrieval with gensim's trainer, as a search by others found it.
PLAIN = {"window": 10, "negative": 10, "ns_exponent": 0.5, "sample": 1e-4, "epochs": 20}
WORD_SETS = {"ws353": "EN-WS-353-ALL.txt", "men": "EN-MEN-TR-3k.txt", "simlex": "EN-SIMLEX-999.txt"}


def run(bench: Any) -> None:
    peer = importlib.util.find_spec("gensim") is not None
    if not peer:
        print("  gensim is missing: rows of the peer are left out")
    for millions in (5.0, 1.5):  # at 5M tokens the mid band is close to its ceiling
        job = f"hard corpus, {millions}M tokens"
        if bench.wants(job):
            hard_corpus(bench, job, peer, int(millions * (2e4 if bench.quick else 1e6)))
    if bench.wants("novels") and (text := bench.path("novels/novels.txt.gz")) and (words := bench.path("wordsim")):
        novels(bench, peer, text, words)
    if bench.wants("diginetica") and (folder := bench.path("diginetica")):
        diginetica(bench, peer, folder)


def compare(
    bench: Any, job: str, contenders: dict[str, Callable[[int], dict[str, float]]], bar: str, seeds: int
) -> None:
    """Rows with the mean and the range, over seeds, of the figures each contender's seed gives."""
    for name, call in contenders.items():
        found = [call(seed) for seed in range(1 if bench.quick else seeds)]
        mean = {key: float(np.mean([f[key] for f in found])) for key in found[0]}
        spread = {f"{key}_spread": float(np.ptp([f[key] for f in found])) for key in found[0]}
        bench.row(job, name, **mean, **spread, seeds=len(found), bar=bar if name.startswith("traitcore") else "")


def from_counts(sequences: tc.Sequences, n_items: int, *, window: int = 5, **options: Any) -> Any:
    """Trained from the counts of the sequences alone: as many pairs, on average, as a pass over them meets."""
    counts = tc.count_cooccurrences(sequences, n_items=n_items, window=window, weighting="linear", workers=2)
    return tc.train_sgns_from_counts(
        counts, tc.SgnsOptions(window=window, **options), item_counts=sequences.token_counts(n_items)
    )


def precision(vectors: NDArray[np.float32], cluster: NDArray[np.int32], rows: NDArray[np.int64]) -> float:
    """Share of the ten nearest (cosine) that are of the same cluster."""
    v = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    same, n = 0, 0
    for part in np.array_split(rows, max(1, len(rows) // 500)):
        scores = v[part] @ v.T
        scores[np.arange(len(part)), part] = -2
        nearest = np.argpartition(-scores, 10, axis=1)[:, :10]
        same, n = same + int((cluster[nearest] == cluster[part][:, None]).sum()), n + nearest.size
    return same / n


def hard_corpus(bench: Any, job: str, peer: bool, n_tokens: int) -> None:
    """Share of the ten nearest that are of an item's own cluster, for items of middling and of low rank."""
    n_items = 2_000 if bench.quick else 50_000
    corpus = hard_sessions(n_tokens, n_items)
    rng = np.random.default_rng(0)
    bands = {"mid": (n_items // 50, n_items // 5), "tail": (n_items // 2, n_items), "head": (0, n_items // 50)}
    most = 300 if bench.quick else 4000
    queries = {name: rng.choice(np.arange(a, b), min(most, b - a), False) for name, (a, b) in bands.items()}

    def judged(vectors: NDArray[np.float32]) -> dict[str, float]:
        return {name: precision(vectors, corpus.cluster, rows) for name, rows in queries.items()}

    def ours(negatives: str, parallel: str, seed: int) -> dict[str, float]:
        options = tc.SgnsOptions(epochs=3, sample=0.0, seed=seed, negatives=negatives, parallel=parallel, workers=2)
        result = tc.train_sgns(corpus.sequences, options, n_items=n_items)
        return judged(result.item_vectors)

    contenders: dict[str, Callable[[int], dict[str, float]]] = {
        f"traitcore {negatives}, {parallel}": partial(ours, negatives, parallel)
        for negatives in ("shared", "fresh") for parallel in ("reproducible", "hogwild")
    }
    contenders["traitcore from counts"] = lambda seed: judged(
        from_counts(corpus.sequences, n_items, epochs=3, sample=0.0, seed=seed, workers=2).item_vectors
    )
    # Made to rank what comes next, not to lie beside what is alike: no bar.
    contenders["NextItemModel"] = lambda seed: judged(
        tc.NextItemModel(seed=seed, repeat=0.0, workers=2).fit(corpus.sequences, n_items=n_items).vectors_
    )
    if peer:
        contenders["gensim"] = lambda seed: judged(
            gensim_run(corpus.sequences, n_items, seed + 1, vector_size=64, workers=2, epochs=3).item_vectors
        )
    compare(bench, job, contenders, "gensim's, within its spread", 3)


def read_words(path: Path, quick: bool) -> tuple[tc.Sequences, list[str]]:
    """The text in sequences of 1,000 words (gensim cuts at 10,000), words that occur fewer than 5 times left out."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        words = np.array((file.read(2_000_000) if quick else file.read()).split())
    corpus = tc.encode_tokens(words, np.append(np.arange(0, len(words), 1000), len(words)), min_count=5)
    return corpus.sequences, [str(word) for word in corpus.vocabulary.tokens]


def similarity(vectors: NDArray[np.float32], row: dict[str, int], pairs: Iterable[list[str]]) -> float:
    """Spearman correlation of cosines with people's scores, over pairs of known words."""
    v = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    known = [(row[a], row[b], float(score)) for a, b, score in pairs if a in row and b in row]
    ours = [float(v[a] @ v[b]) for a, b, _ in known]
    return float(spearmanr(ours, [score for _, _, score in known]).statistic)


def novels(bench: Any, peer: bool, text: Path, words: Path) -> None:
    seqs, tokens = read_words(text, bench.quick)
    row = {token: i for i, token in enumerate(tokens)}
    pairs = {
        name: [line.lower().split() for line in (words / file).read_text(encoding="utf-8").splitlines()]
        for name, file in WORD_SETS.items()
    }
    common: dict[str, Any] = {"vector_size": 100, "epochs": 1 if bench.quick else 3, "sample": 1e-3, "workers": 2}

    def judged(vectors: NDArray[np.float32]) -> dict[str, float]:
        return {name: similarity(vectors, row, p) for name, p in pairs.items()}

    def ours(negatives: str, parallel: str, seed: int) -> dict[str, float]:
        options = tc.SgnsOptions(seed=seed, negatives=negatives, **common)
        return judged(tc.train_sgns(seqs, options, n_items=len(row)).item_vectors)

    contenders: dict[str, Callable[[int], dict[str, float]]] = {
        f"traitcore {negatives}, {parallel}": partial(ours, negatives, parallel)
        for negatives in ("shared", "fresh") for parallel in ("reproducible", "hogwild")
    }
    contenders["traitcore from counts"] = lambda seed: judged(
        from_counts(seqs, len(row), seed=seed, **common).item_vectors
    )
    if peer:
        contenders["gensim"] = lambda seed: judged(gensim_run(seqs, len(row), seed + 1, **common).item_vectors)
    compare(bench, "novels, word similarity", contenders, "gensim's, within its spread", 3)


def read_sessions(path: Path) -> list[list[str]]:
    sessions: dict[str, list[str]] = {}
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            sessions.setdefault(line["session_id"], []).append(line["item_id"])
    return list(sessions.values())


def retrieval(
    items: NDArray[np.float32], contexts: NDArray[np.float32], asked: list[tuple[list[int], int]]
) -> dict[str, float]:
    """Next click of prefixes: the sum over the session of 0.5^back item @ context, every item ranked, ties fairly."""
    hits, reciprocal = 0.0, 0.0
    for start in range(0, len(asked), 500):
        part = asked[start : start + 500]
        state = np.zeros((len(part), items.shape[1]), dtype=np.float32)
        for i, (clicked, _) in enumerate(part):
            for back, item in enumerate(reversed(clicked)):
                state[i] += 0.5**back * items[item]
        scores = state @ contexts.T
        truth = scores[np.arange(len(part)), [target for _, target in part]][:, None]
        rank = (scores > truth).sum(axis=1) + ((scores == truth).sum(axis=1) + 1) / 2
        hits += float((rank <= 20).sum())
        reciprocal += float((1 / rank[rank <= 20]).sum())
    return {"recall20": 100 * hits / len(asked), "mrr20": 100 * reciprocal / len(asked)}


def ask(sessions: list[list[str]], row: dict[str, int], n: int) -> list[tuple[list[int], int]]:
    """n of the prefixes of these sessions, with the known click that follows."""
    asked = [
        ([row[i] for i in s[:k] if i in row], row[s[k]]) for s in sessions for k in range(1, len(s)) if s[k] in row
    ]
    return [asked[i] for i in np.random.default_rng(0).permutation(len(asked))[:n]]


def rows_by_count(sessions: list[list[str]]) -> tuple[tc.Sequences, dict[str, int]]:
    names, counts = np.unique(np.concatenate([np.array(s) for s in sessions]), return_counts=True)
    row = {str(name): i for i, name in enumerate(names[np.argsort(-counts, kind="stable")])}
    return tc.Sequences.from_lists([[row[i] for i in s] for s in sessions]), row


def diginetica(bench: Any, peer: bool, folder: Path) -> None:
    train, test = (read_sessions(folder / f"sessions_{part}.csv.gz") for part in ("train", "test"))
    seqs, row = rows_by_count(train)
    asked = ask(test, row, 500 if bench.quick else 6000)
    size = 32 if bench.quick else 100

    def ours(**options: Any) -> Callable[[int], dict[str, float]]:
        def call(seed: int) -> dict[str, float]:
            model = tc.Item2Vec(vector_size=size, workers=2, seed=seed, **options)
            model.set_params(epochs=1 if bench.quick else model.epochs).fit(seqs, n_items=len(row))
            return retrieval(model.item_vectors_, model.context_vectors_, asked)

        return call

    preset = tc.Item2Vec.preset("sessions").get_params()
    preset = {key: value for key, value in preset.items() if key not in ("vector_size", "workers", "parallel", "seed")}
    contenders = {
        "traitcore, the plain setting": ours(**PLAIN),
        "traitcore hogwild, the plain setting": ours(parallel="hogwild", **PLAIN),
        "traitcore fresh, the plain setting": ours(negatives="fresh", **PLAIN),
        "traitcore preset 'sessions'": ours(**preset),
    }
    for name, setting in (("the plain setting", PLAIN), ("preset 'sessions'", preset)):
        def by_counts(seed: int, setting: dict[str, Any] = setting) -> dict[str, float]:
            given = {key: value for key, value in setting.items() if key != "patience"}
            given |= {"epochs": 1} if bench.quick else {}
            found = from_counts(seqs, len(row), vector_size=size, workers=2, seed=seed, **given)
            return retrieval(found.item_vectors, found.context_vectors, asked)

        contenders[f"traitcore from counts, {name}"] = by_counts
    job, bar = "diginetica, item -> context", "recall@20 at least 44.7, and gensim's"
    if peer:
        options = PLAIN | {"vector_size": size, "workers": 2} | ({"epochs": 1} if bench.quick else {})

        def theirs(seed: int) -> dict[str, float]:
            run = gensim_run(seqs, len(row), seed + 1, **options)
            return retrieval(run.item_vectors, run.context_vectors, asked)

        contenders["gensim, the plain setting"] = theirs
    compare(bench, job, contenders, bar, 3)
