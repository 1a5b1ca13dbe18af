"""Random walks against pecanpy, and BlogCatalog against DeepWalk's own table.

pecanpy needs numpy < 2, so it runs in an interpreter of its own, named by the environment variable PECANPY_PYTHON
(a virtual environment with pecanpy in it); without one its rows say "missing". It is timed generously: its kernel
alone, without its alias tables and without turning walks into lists of strings, which its users wait for too. Our
figure is the whole call, tables included.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import io, sparse

import traitcore as tc
from benchmarks.multilabel import label_scores
from benchmarks.versus import SETTLE

# Runs in the peer's interpreter: reads commands on stdin, answers with seconds.
PEER = """
import sys, time
import numpy as np
from pecanpy import pecanpy as node2vec
parts = np.load(sys.argv[1])
def graph(cls, p, q):
    g = cls(p=p, q=q, workers=1, random_state=0)
    g.indptr = parts["indptr"].astype(np.uint32)
    g.indices = parts["indices"].astype(np.uint32)
    g.data = parts["data"].astype(np.float32)
    g.set_node_ids([str(i) for i in range(len(g.indptr) - 1)])
    g._preprocess_transition_probs()
    return g
class Silent:
    pass
made = {}
def walk(cls, p, q, n_walks, length):
    key = (cls, p, q)
    if key not in made:
        g = graph(getattr(node2vec, cls), p, q)
        made[key] = (g, g.get_has_nbrs(), g.get_move_forward())
    g, has, move = made[key]
    starts = np.concatenate([np.arange(g.num_nodes, dtype=np.uint32)] * n_walks)
    np.random.seed(0)
    np.random.shuffle(starts)
    with node2vec.ProgressBar(total=len(starts), disable=True) as bar:
        began = time.perf_counter()
        g._random_walks(len(starts), length, 0, starts, has, move, bar)
        return time.perf_counter() - began
print("ready", flush=True)
for line in sys.stdin:
    cls, p, q, n_walks, length = line.split()
    print(walk(cls, float(p), float(q), int(n_walks), int(length)), flush=True)
"""


class Pecanpy:
    """pecanpy in its own process, on one graph; `walk` gives the seconds of its kernel."""

    def __init__(self, python: str, graph: tc.ItemGraph, folder: str, threads: int) -> None:
        path = Path(folder, "graph.npz")
        matrix = graph.adjacency
        np.savez(path, indptr=matrix.indptr, indices=matrix.indices, data=matrix.data)
        self.process = subprocess.Popen(
            [python, "-c", PEER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "NUMBA_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"},
        )
        self._answer("ready")

    def walk(self, cls: str, p: float, q: float, n_walks: int, length: int) -> float:
        assert self.process.stdin is not None
        # Its walk_length counts steps, ours nodes.
        print(cls, p, q, n_walks, length - 1, file=self.process.stdin, flush=True)
        return float(self._answer(""))

    def _answer(self, expected: str) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line or (expected and line != expected):
            raise RuntimeError(f"pecanpy's process stopped or answered {line!r}; its error is above")
        return line

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def item_graph(n_nodes: int, degree: int, seed: int = 0) -> tc.ItemGraph:
    """Top-`degree` graph of as many items: neighbours partly close by, partly popular, weights exponential."""
    rng = np.random.default_rng(seed)
    near = (np.arange(n_nodes)[:, None] + rng.integers(1, 500, (n_nodes, degree))) % n_nodes
    popular = (n_nodes * rng.random((n_nodes, degree)) ** 2).astype(np.int64)
    target = np.where(rng.random((n_nodes, degree)) < 0.5, near, popular)
    weight = rng.exponential(size=(n_nodes, degree)) + 0.01
    edges = (weight.ravel(), (np.repeat(np.arange(n_nodes), degree), target.ravel()))
    return tc.build_item_graph(sparse.coo_array(edges, shape=(n_nodes, n_nodes)), k=degree)


def run(bench: Any) -> None:
    if any(bench.wants(job) for job in ("first order, length 20", "first order, length 80", "second order, p .5 q 2")):
        speeds(bench)
    if bench.wants("BlogCatalog"):
        blogcatalog(bench)


def speeds(bench: Any) -> None:
    n_nodes, degree = (2_000, 20) if bench.quick else (50_000, 50)
    graph = item_graph(n_nodes, degree)
    python = os.environ.get("PECANPY_PYTHON")
    with tempfile.TemporaryDirectory() as folder:
        peer = Pecanpy(python, graph, folder, threads=1) if python else None
        if peer is None:
            print("  pecanpy: missing (set PECANPY_PYTHON to an interpreter that has it)")
        first = "10 M steps/s and 6x pecanpy on 1 thread; 1.8x on 2"
        for job, cls, p, q, length, bar in (
            ("first order, length 20", "PreCompFirstOrder", 1.0, 1.0, 20, first),
            ("first order, length 80", "PreCompFirstOrder", 1.0, 1.0, 80, first),
            ("second order, p .5 q 2", "SparseOTF", 0.5, 2.0, 20, "5x pecanpy's SparseOTF"),
        ):
            if bench.wants(job):
                speed(bench, job, graph, peer, cls, p, q, length, bar)
        if peer is not None:
            peer.close()


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """glibc keeps freed memory for what is made next, as it does of itself with the blocks that a trainer consumes.

    Else each result of 240 MB goes back to the system, and a virtual machine's host, which takes back what is free,
    spends .01 to .5 s of system time on giving it again: more than the walks, and as it pleases.
    """
    trim, mmap_max = -1, -4  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_MAX
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(mmap_max, 0)
        mallopt(trim, 2**31 - 1)
    yield
    if mallopt is not None:
        mallopt(mmap_max, 65536)
        mallopt(trim, 128 << 10)
        ctypes.CDLL(None).malloc_trim(0)


def speed(
    bench: Any, job: str, graph: tc.ItemGraph, peer: Pecanpy | None, cls: str, p: float, q: float, length: int,
    bar: str,
) -> None:
    n_walks = 60 if length < 50 else 15
    steps = n_walks * graph.n_nodes * (length - 1)

    def ours(workers: int) -> Callable[[], Any]:
        return lambda: tc.random_walks(graph, n_walks=n_walks, walk_length=length, p=p, q=q, workers=workers)

    few = 1 if cls == "SparseOTF" else 5  # the slower peer walks less, and its seconds are scaled
    # Ours in turn with each other, then the peer, so that its process is idle while we are timed.
    contenders: dict[str, Callable[[], Any]] = {"traitcore, 1 thread": ours(1), "traitcore, 2 threads": ours(2)}
    with freed_memory_kept():
        for workers in (1, 2, 1, 2):
            ours(workers)()  # compiles, and takes the memory of the results from the system once
        median = bench.race(job, contenders, ours="traitcore, 1 thread", bar=bar, repeat=3 * bench.repeat)
    if peer is not None:
        walk = peer.walk
        walk(cls, p, q, 1, length)  # compiles
        name = f"pecanpy {cls}"
        rounds = []
        for _ in range(bench.repeat):
            time.sleep(SETTLE)
            rounds.append(walk(cls, p, q, few, length) * n_walks / few)
        seconds = float(np.median(rounds))
        median[name] = seconds
        bench.row(job, name, seconds=seconds, ratio=seconds / median["traitcore, 1 thread"])
    for name, seconds in median.items():
        bench.row(job, name, million_steps_per_s=steps / seconds / 1e6)
    if peer is None:
        print(f"  {job:34s} {'pecanpy ' + cls:28s} missing")
    bench.row(job, "2 threads over 1", ratio=median["traitcore, 1 thread"] / median["traitcore, 2 threads"])


# DeepWalk's table 2 (Perozzi et al. 2014) at 10, 50, 90% of labels: the bar; its README: 20 minutes on 20 workers.
TABLE = {0.1: (0.359, 0.211), 0.5: (0.415, 0.277), 0.9: (0.424, 0.282)}
# p, q, negatives and their exponent, epochs and the contexts' smoothing were chosen on this graph's own labels, as
# node2vec's authors chose theirs, on shuffles of the nodes and seeds of the training other than those measured here.
WALKS: dict[str, Any] = {"n_walks": 80, "walk_length": 40, "p": 0.25, "q": 0.25, "workers": 2}
SGNS: dict[str, Any] = {
    "window": 10, "vector_size": 128, "negatives": "fresh", "negative": 2, "ns_exponent": 0.5, "epochs": 3,
}
PPMI: dict[str, Any] = {
    "window": 10, "vector_size": 128, "weighting": "linear", "context_smoothing": 0.5, "workers": 2,
}


def by_sgns(graph: tc.ItemGraph, walks: dict[str, Any], seed: int) -> NDArray[np.float32]:
    return tc.WalkEmbedder(**walks, **SGNS, seed=seed).fit_graph(graph).item_vectors_


def by_ppmi(graph: tc.ItemGraph, walks: dict[str, Any], seed: int) -> NDArray[np.float32]:
    """What SGNS factorizes on the way (Levy & Goldberg 2014; of walks, Qiu et al. 2018), counted and decomposed."""
    corpus = tc.random_walks(graph, **walks, seed=seed)
    return tc.PPMIEmbedder(**PPMI, seed=seed).fit(corpus, n_items=graph.n_nodes).item_vectors_


def blogcatalog(bench: Any) -> None:
    path = bench.path("graphs/blogcatalog.mat")
    if path is None:
        return
    graph = tc.read_graph(path, key="network", directed=False)
    labels = io.loadmat(path)["group"].toarray() > 0
    # Vectors of SGNS as they are, C = 1, as DeepWalk's script has it; the lengths of an SVD's say nothing.
    for name, make, c in (("walks, SGNS; C = 1", by_sgns, 1.0), ("walks, PPMI, SVD; C by CV", by_ppmi, None)):
        label_rows(bench, name, partial(make, graph, walks_of(bench)), labels, c)


def walks_of(bench: Any) -> dict[str, Any]:
    return {**WALKS, "n_walks": 2} if bench.quick else WALKS


def label_rows(
    bench: Any, name: str, fit: Callable[[int], NDArray[np.float32]], labels: NDArray[np.bool_], c: float | None
) -> None:
    """`--repeat` trainings with seeds of their own: median seconds, mean figures."""
    seconds, figures = [], []
    for seed in range(bench.repeat):
        time.sleep(SETTLE)
        began = time.perf_counter()
        vectors = fit(seed)
        seconds.append(time.perf_counter() - began)
        shuffles = 1 if bench.quick else 10
        figures.append([label_scores(vectors, labels, share, shuffles=shuffles, c=c) for share in TABLE])
    job = "BlogCatalog, 80 walks of 40"
    bench.row(job, name, seconds=float(np.median(seconds)), low=min(seconds), high=max(seconds), bar="120 s, 2 threads")
    for i, (share, (micro, macro)) in enumerate(TABLE.items()):
        got = np.asarray([scores[i] for scores in figures])
        bar = f"micro {micro}, macro {macro} (DeepWalk's table)"
        (low, high), mean = (got.min(axis=0), got.max(axis=0)), got.mean(axis=0)
        bench.row(f"{job}, {share:.0%} of labels", name, micro_f1=mean[0], macro_f1=mean[1], micro_low=low[0],
                  micro_high=high[0], macro_low=low[1], macro_high=high[1], bar=bar)


if __name__ == "__main__":
    sys.exit("Run it as: python benchmarks/versus.py walks")
