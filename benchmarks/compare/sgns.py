"""SGNS against gensim: seconds of training at d=64 and 128, threads, fresh negatives, real corpora; encoding; memory.

Vocabulary time is left out of training for everyone and shown apart. `--only 'd=64'` picks rows. The same settings'
quality is `sgns_quality`.
"""

from __future__ import annotations

import gzip
import importlib.util
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import traitcore as tc
from benchmarks.suite.synthetic import clustered_sessions

# The arithmetic of a pair against 6 outputs is 3 products of length d: scores, moves of inputs, moves of outputs.
_FLOPS_A_PAIR = 3 * 6 * 2


class PeerRun(NamedTuple):
    """Vectors in our order of rows; training and vocabulary apart, in seconds."""

    item_vectors: NDArray[np.float32]
    context_vectors: NDArray[np.float32]
    seconds: float
    vocabulary_seconds: float


def gensim_run(seqs: tc.Sequences, n_items: int, seed: int = 1, **options: Any) -> PeerRun:
    from gensim.models import Word2Vec

    names = [str(i) for i in range(n_items)]
    lists = [[names[t] for t in s] for s in seqs]
    model = Word2Vec(sg=1, hs=0, min_count=1, seed=seed, **({"sample": 0, "negative": 5, "window": 5} | options))
    start = time.perf_counter()
    model.build_vocab(lists)
    middle = time.perf_counter()
    model.train(lists, total_examples=len(lists), epochs=model.epochs)
    seconds = time.perf_counter() - middle
    items, contexts = (np.zeros((n_items, model.vector_size), dtype=np.float32) for _ in range(2))
    rows = np.array([int(name) for name in model.wv.index_to_key])
    items[rows], contexts[rows] = model.wv.vectors, model.syn1neg
    return PeerRun(items, contexts, seconds, middle - start)


def run(bench: Any) -> None:
    peer = importlib.util.find_spec("gensim") is not None
    if not peer:
        print("  gensim is missing: rows of the peer are left out")
    n_tokens, n_items = (100_000, 2_000) if bench.quick else (5_000_000, 50_000)
    seqs = clustered_sessions(n_tokens, n_items).sequences
    bars = {(64, 1): "12x, aim at 15x", (128, 1): "10x"}
    for size in (64, 128):
        for workers in (1, 2):
            job = f"train d={size}, {workers} thread{'s' * (workers > 1)}"
            if bench.wants(job):
                train(bench, job, seqs, n_items, peer, size, workers, bars.get((size, workers), ""))
    if bench.wants("threads, ours"):
        threads(bench, seqs)
    if bench.wants("reproducible against hogwild"):
        against_hogwild(bench, seqs)
    for name in ("novels", "diginetica"):
        job = f"train on {name}, d=64, 1 thread"
        if bench.wants(job) and (folder := bench.path(name)):
            corpus = real_corpus(folder, bench.quick)
            train(bench, job, corpus.sequences, len(corpus.vocabulary), peer, 64, 1, "12x")
    if bench.wants("encoding"):
        encoding(bench, seqs)
    if bench.wants("memory"):
        memory(bench, n_tokens, n_items)


def train(
    bench: Any, job: str, seqs: tc.Sequences, n_items: int, peer: bool, size: int, workers: int, bar: str
) -> None:
    """One epoch without subsampling, window 5, 5 negatives, and the share of the roofline that ours reaches."""
    pairs = [0]

    def ours(negatives: str = "shared") -> float:
        options = tc.SgnsOptions(vector_size=size, workers=workers, negatives=negatives, epochs=1, sample=0.0)
        report = tc.train_sgns(seqs, options, n_items=n_items).report
        pairs[0] = report.pairs
        return report.seconds

    vocabulary: list[float] = []

    def theirs() -> float:
        peer_run = gensim_run(seqs, n_items, vector_size=size, workers=workers, epochs=1)
        vocabulary.append(peer_run.vocabulary_seconds)
        return peer_run.seconds

    contenders: dict[str, Any] = {"traitcore": ours}
    if size == 64:
        contenders["traitcore fresh"] = lambda: ours("fresh")
    if peer:
        contenders["gensim"] = theirs
    seconds = bench.race(job, contenders, ours="traitcore", bar=bar)
    if peer and size == 64:
        fresh = seconds["traitcore fresh"]
        bench.row(job, "fresh against gensim", ratio=seconds["gensim"] / fresh, bar="5x" if workers == 1 else "")
    if vocabulary:
        bench.row(job, "gensim's vocabulary alone", seconds=float(np.median(vocabulary)))
    flops = pairs[0] * _FLOPS_A_PAIR * size / seconds["traitcore"]
    bench.row(
        job, "of the FMA roofline", share=flops / (measured_flops() * workers), gflops=flops / 1e9,
        million_tokens_a_second=seqs.n_tokens / seconds["traitcore"] / 1e6,
    )


def threads(bench: Any, seqs: tc.Sequences) -> None:
    """Two threads over one, beside what two threads that share nothing gain: other work on a core shows."""
    for size in (64, 128):
        gains, machine = [], []
        for _ in range(max(bench.repeat, 7)):
            one, two = (
                tc.train_sgns(seqs, tc.SgnsOptions(epochs=1, sample=0.0, vector_size=size, workers=w)).report.seconds
                for w in (1, 2)
            )
            gains.append(one / two)
            machine.append(machine_gain())
        bench.row(
            f"threads, ours, d={size}", "2 threads over 1", gain=float(np.median(gains)), low=min(gains),
            high=max(gains), machine=float(np.median(machine)), machine_low=min(machine), bar="1.8x",
        )


def against_hogwild(bench: Any, seqs: tc.Sequences) -> None:
    """Wall and processor time of reproducible training over Hogwild's, alternated: ratios of medians, of minima."""
    for size in (64, 128):
        for workers in (1, 2):
            times: dict[str, list[tuple[float, float]]] = {"reproducible": [], "hogwild": []}
            for _ in range(max(bench.repeat, 7)):
                for parallel, found in times.items():
                    options = tc.SgnsOptions(
                        epochs=1, sample=0.0, vector_size=size, workers=workers, parallel=parallel
                    )
                    began = time.process_time()
                    wall = tc.train_sgns(seqs, options).report.seconds
                    found.append((wall, time.process_time() - began))
            ours, theirs = (np.array(found) for found in times.values())
            middle, least = np.median(ours, axis=0) / np.median(theirs, axis=0), ours.min(axis=0) / theirs.min(axis=0)
            bench.row(
                f"reproducible against hogwild, d={size}, {workers} thread{'s' * (workers > 1)}", "times as long",
                wall=float(middle[0]), cpu=float(middle[1]), wall_of_minima=float(least[0]),
                cpu_of_minima=float(least[1]), bar="1.2, aim at 1.1",
            )


def machine_gain() -> float:
    """Throughput of two threads over one in work that stays in the nearest cache (logarithms; no BLAS)."""
    values = np.full(32_768, 1.5)

    def work(times: int) -> None:
        out = np.empty_like(values)
        for _ in range(times):
            np.log(values, out=out)

    work(200)  # the processor's clock rises
    seconds = []
    for n in (1, 2):
        start = time.perf_counter()
        with ThreadPoolExecutor(n) as pool:
            list(pool.map(work, [1_500] * n))
        seconds.append(time.perf_counter() - start)
    return 2 * seconds[0] / seconds[1]


def measured_flops() -> float:
    """float32 operations a second of one core, by a product of matrices (set OMP_NUM_THREADS=1)."""
    a = np.random.default_rng(0).random((1024, 1024), dtype=np.float32)
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * 1024**3 / best


def real_corpus(folder: Path, quick: bool) -> Any:
    """Words in sequences of 1,000 (gensim cuts at 10,000) with rare ones left out, or a shop's sessions."""
    if (text := folder / "novels.txt.gz").exists():
        with gzip.open(text, "rt", encoding="utf-8") as file:
            words = np.array((file.read(500_000) if quick else file.read(20_000_000)).split())
        return tc.encode_tokens(words, np.append(np.arange(0, len(words), 1000), len(words)), min_count=5)
    with gzip.open(folder / "sessions_train.csv.gz", "rt", encoding="utf-8") as file:
        rows = np.loadtxt(file, dtype=np.int64, delimiter=",", skiprows=1, max_rows=20_000 if quick else None)
    starts = np.flatnonzero(np.diff(rows[:, 0], prepend=-1))
    return tc.encode_tokens(rows[:, 2], np.append(starts, len(rows)))


def encoding(bench: Any, seqs: tc.Sequences) -> None:
    """From outer tokens to rows and vocabulary."""
    numbers = seqs.tokens.astype(np.int64) * 7 + 1_000
    texts = np.array([f"item_{i}" for i in range(int(seqs.tokens.max()) + 1)])[seqs.tokens]
    listed = texts.tolist()
    bench.race(
        "encoding and vocabulary",
        {
            "integers": lambda: tc.encode_tokens(numbers, seqs.offsets),
            "texts, NumPy array": lambda: tc.encode_tokens(texts, seqs.offsets),
            "texts, list of str": lambda: tc.encode_tokens(listed, seqs.offsets),
        },
        ours="integers",
        bar="0.5 s for 5M tokens (the C tools)",
    )


_CHILD = """
import resource, sys
import traitcore as tc
from benchmarks.suite.synthetic import clustered_sessions
def resident():
    with open("/proc/self/status") as f:
        return {l.split(":")[0]: int(l.split()[1]) for l in f if l.startswith("Vm")}
n_tokens, n_items, size, workers = map(int, sys.argv[1:])
made = clustered_sessions(n_tokens, n_items).sequences
seqs = tc.Sequences(tokens=made.tokens.copy(), offsets=made.offsets.copy())
del made
tc.train_sgns(tc.Sequences.from_lists([[0, 1, 2]]), tc.SgnsOptions(vector_size=4))  # modules are loaded
open("/proc/self/clear_refs", "w").write("5")  # the peak so far is forgotten
before = resident()["VmRSS"]
tc.train_sgns(seqs, tc.SgnsOptions(vector_size=size, workers=workers, epochs=1), n_items=n_items)
print(before, resident()["VmHWM"])
"""


def memory(bench: Any, n_tokens: int, n_items: int) -> None:
    """How far the peak of a process that holds the corpus rises in training, above the two matrices (Linux)."""
    if not Path("/proc/self/clear_refs").exists():
        print("  no /proc/self/clear_refs here: the memory row is left out")
        return
    root = Path(__file__).resolve().parents[2]
    for size, workers in ((64, 1), (128, 2)):
        command = [sys.executable, "-c", _CHILD, *map(str, (n_tokens, n_items, size, workers))]
        shown = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split()
        rise, matrices = (int(shown[1]) - int(shown[0])) / 1024, 2 * n_items * size * 4 / 2**20
        bench.row(
            f"memory, d={size}, {workers} workers", "above matrices and corpus", mb=rise - matrices,
            matrices_mb=matrices, process_mb=int(shown[1]) / 1024, bar="50 MB",
        )
