"""Random walks over a weighted graph: sequences for any trainer, whole or block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import on_behalf_of
from .._kernels.alias import build_alias_rows
from .._kernels.walks import (
    LANES,
    build_edge_sets,
    edge_chances,
    first_order_walks,
    pack_walks,
    second_order_walks,
)
from .._parallel import StopFlag, balanced_blocks, priced_blocks, run_blocks, run_tasks
from .._progress import Progress, ProgressSteps
from .._validate import COUNT_MAX, Checks
from ..events.sequences import Sequences
from .graph import as_graph

# Fewest and most tokens of the blocks of walks that threads take; no result depends on them. (Kernels look at a flag of
# their own to hear Ctrl-C, for a step at a hub may cost a million times another.) Between blocks a thread waits for the
# GIL: 85 blocks of 32,000 to a million tokens were 1.8 times as fast on two threads as on one, 29 of these 1.9 times.
BLOCK_TOKENS = (1 << 16, 1 << 22)


@dataclass(frozen=True)
class WalkReport:
    """How the walks went.

    n_walks, n_tokens : walks made, and nodes in them, starts included.
    n_short : walks that ended before `walk_length`, at a node without outgoing edges.
    dead_ends : (n_dead_ends,) int32 the nodes at which they ended.
    """

    n_walks: int
    n_tokens: int
    n_short: int
    dead_ends: NDArray[np.int32] = field(repr=False)

    def __str__(self) -> str:
        return (
            f"{self.n_walks:,} walks, {self.n_tokens:,} tokens; {self.n_short:,} walks ended early at "
            f"{len(self.dead_ends):,} nodes without outgoing edges"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Walks(Sequences):
    """`Sequences` of nodes, and the `report` of how the walks went."""

    report: WalkReport | None = None

    @classmethod
    def _made(cls, tokens: NDArray[np.int32], offsets: NDArray[np.int64], report: WalkReport) -> Walks:
        """Of arrays that are right by construction: `Sequences` would read all tokens once more to see it."""
        walks = object.__new__(cls)
        walks._keep("tokens", tokens)
        walks._keep("offsets", offsets)
        for name, value in (("report", report), ("owner", None), ("timestamps_us", None), ("owner_ids", None)):
            object.__setattr__(walks, name, value)
        return walks


def random_walks(
    graph: Any,
    *,
    n_walks: int = 10,
    walk_length: int = 20,
    p: float = 1.0,
    q: float = 1.0,
    restart_probability: float = 0.0,
    starts: Any = None,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Walks:
    """Weighted random walks, of first order or node2vec's second order.

    DeepWalk with edge weights; with p or q other than 1 node2vec, by rejection sampling, so memory stays in proportion
    to the edges.

    Parameters
    ----------
    graph : ItemGraph, or what `graph_from_matrix` makes one of: an (n, n) non-negative sparse or dense adjacency, a
        graph of networkx or igraph. Zero weights are no edges, and the diagonal is left out; an ItemGraph made with
        `keep_self_loops=True` keeps it.
    n_walks, walk_length : walks from each start, and nodes in each, the start included.
    p, q : return and in-out parameter, > 0: the weight of a step back is divided by p, of a step to a node that the
        node before doesn't point to, by q.
    restart_probability : in [0, 1): chance that a step goes back to the walk's start instead of along an edge; the
        step after it is of first order.
    starts : (n_starts,) rows of nodes, or None for every node. Walk w from the i-th start is sequence
        w * n_starts + i.
    seed, workers : a walk is decided by (seed, start, w) alone; any `workers` give the same bytes.
    progress : called as progress("walks", walks done, walks in all).

    Returns
    -------
    Walks : `Sequences` with `.report`. A walk ends at a node without outgoing edges; the report counts it.

    Raises
    ------
    ValueError, TypeError : a parameter out of range, a graph that isn't square or has bad weights, a start that is
        no node.

    See Also
    --------
    WalkCorpus : the same walks block by block. WalkEmbedder : vectors from walks.

    References
    ----------
    Perozzi, Al-Rfou & Skiena 2014, "DeepWalk: online learning of social representations", section 4.2.
    Grover & Leskovec 2016, "node2vec: scalable feature learning for networks", section 3.2.

    Examples
    --------
    >>> import traitcore as tc
    >>> ring = tc.graph_from_edges([0, 1, 2], [1, 2, 0])
    >>> walks = tc.random_walks(ring, n_walks=1, walk_length=5)
    >>> [walk.tolist() for walk in walks]
    [[0, 1, 2, 0, 1], [1, 2, 0, 1, 2], [2, 0, 1, 2, 0]]
    """
    with on_behalf_of("random_walks"):
        corpus = WalkCorpus(
            graph, n_walks=n_walks, walk_length=walk_length, p=p, q=q, restart_probability=restart_probability,
            starts=starts, seed=seed, workers=workers,
        )
    return corpus.walks(0, len(corpus), progress=progress)


class WalkCorpus:
    """Walks that are made when they are read: a corpus of any size in the memory of one block.

    Parameters are those of `random_walks`, and
    block_tokens : about how many tokens one block holds.
    shuffle : True draws a new order of the starts for each round of walks, as DeepWalk does, so that a trainer
        doesn't meet the nodes in the same order again and again; False keeps `random_walks`' order.

    Iterating gives `Walks`, block after block, the same at every iteration. len() is the number of walks.

    See Also
    --------
    random_walks : all walks at once. SgnsTrainer : trains on the blocks.

    Examples
    --------
    >>> import traitcore as tc
    >>> ring = tc.graph_from_edges([0, 1, 2], [1, 2, 0])
    >>> corpus = tc.WalkCorpus(ring, n_walks=4, walk_length=5, block_tokens=30)
    >>> len(corpus), [len(block) for block in corpus]
    (12, [6, 6])
    """

    def __init__(
        self, graph: Any, *, n_walks: int = 10, walk_length: int = 20, p: float = 1.0, q: float = 1.0,
        restart_probability: float = 0.0, starts: Any = None, seed: int = 0, workers: int = 1,
        block_tokens: int = 1 << 22, shuffle: bool = False,
    ) -> None:
        check = Checks("WalkCorpus")
        self.walk_length = check.integer("walk_length", walk_length, 1, 2**31 - 1)
        self.n_walks = check.integer("n_walks", n_walks, 1, 2**31 - 1)
        self._back = 1.0 / check.real("p", p, 0.0, open_low=True)
        self._out = 1.0 / check.real("q", q, 0.0, open_low=True)
        self._restart = check.real("restart_probability", restart_probability, 0.0, 1.0)
        if self._restart == 1.0:
            raise check.value_error("restart_probability", "a number in [0, 1)", 1.0)
        for name, value, factor in (("p", p, self._back), ("q", q, self._out)):
            if not np.isfinite(factor):
                raise check.value_error(name, f"large enough for 1 / {name} to be finite", value)
        self._seed = np.uint64(check.seed("seed", seed))
        self._workers = check.workers(workers)
        self._block_tokens = check.integer("block_tokens", block_tokens, 1, COUNT_MAX)
        self._shuffle = bool(shuffle)
        self._tables = _Tables(graph, check, self._workers, second_order=self._back != 1.0 or self._out != 1.0)
        n = self._tables.n_nodes
        if starts is None:
            self._starts = np.arange(n, dtype=np.int32)
        else:
            self._starts = check.array("starts", starts, dtype=np.int32, shape=(None,))
            if len(self._starts) and (self._starts.min() < 0 or self._starts.max() >= n):
                place = int(np.argmax((self._starts < 0) | (self._starts >= n)))
                got = f"{self._starts[place]} at {place}"
                raise check.value_error("starts", f"rows of nodes in [0, {n - 1}]", got)

    def __len__(self) -> int:
        return self.n_walks * len(self._starts)

    @property
    def n_nodes(self) -> int:
        """Number of nodes of the graph."""
        return self._tables.n_nodes

    def __iter__(self) -> Iterator[Walks]:
        step = max(1, self._block_tokens // self.walk_length)
        for first in range(0, len(self), step):
            yield self.walks(first, min(first + step, len(self)))

    def walks(self, first: int, stop: int, *, progress: Progress | None = None) -> Walks:
        """Walks first ... stop - 1 of the corpus."""
        if 4 * (stop - first) * self.walk_length > 2**62:  # which NumPy would call a wrong value
            raise MemoryError(f"{stop - first:,} walks of {self.walk_length:,} nodes fit in no memory")
        walks = np.empty((stop - first, self.walk_length), dtype=np.int32)
        nodes, numbers = self._keys(first, stop)
        offsets = np.empty(stop - first + 1, dtype=np.int64)
        offsets[0] = 0
        lengths = offsets[1:]  # first lengths, then summed up in place
        blocks = _shrinking_blocks(stop - first, self.walk_length, self._workers)
        self._tables.run(
            blocks, self._workers, ProgressSteps("walks", stop - first, progress), nodes, numbers, self._seed,
            self._restart, self._back, self._out, walks, lengths,
        )
        return _pack(walks, offsets, self._workers)

    def count(self, *, progress: Progress | None = None) -> tuple[NDArray[np.int64], WalkReport]:
        """(n_nodes,) int64 visits of each node over all walks, and the report; walks are made and let go again."""
        counts = np.zeros(self.n_nodes, dtype=np.int64)
        n_tokens, n_short, dead_ends = 0, 0, [np.zeros(0, dtype=np.int32)]
        done = 0
        for block in self:
            counts += block.token_counts(self.n_nodes)
            done += len(block)
            if block.report is not None:
                n_tokens += block.report.n_tokens
                n_short += block.report.n_short
                dead_ends.append(block.report.dead_ends)
            if progress:
                progress("walks", done, len(self))
        return counts, WalkReport(done, n_tokens, n_short, np.unique(np.concatenate(dead_ends)))

    def _keys(self, first: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Start and number of the walks first ... stop - 1."""
        n = len(self._starts)
        if stop == first:
            return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
        rounds = range(first // n, (stop - 1) // n + 1)
        nodes = np.concatenate([self._starts[self._order(r)] if self._shuffle else self._starts for r in rounds])
        numbers = np.repeat(np.arange(rounds.start, rounds.stop, dtype=np.int32), n)
        cut = slice(first - rounds.start * n, stop - rounds.start * n)
        return nodes[cut], numbers[cut]

    def _order(self, number: int) -> NDArray[np.int64]:
        return np.random.default_rng([int(self._seed), number]).permutation(len(self._starts))


class _Tables:
    """What the kernels draw from: alias tables, and for second-order walks edge sets and reverse chances."""

    def __init__(self, graph: Any, check: Checks, workers: int, *, second_order: bool) -> None:
        matrix = as_graph(graph, "graph", check).adjacency  # read-only: its arrays are read where they lie
        self.n_nodes = int(matrix.shape[0])
        self.indptr = matrix.indptr.astype(np.int64)
        self.indices = matrix.indices.astype(np.int32, copy=False)
        self.table = np.empty((matrix.nnz + 1, 4), dtype=np.int32)
        self.table[-1] = 0  # where a walk without an outgoing edge may look
        self.own: NDArray[np.float64] = np.zeros(0)
        self.slots = np.zeros(0, dtype=np.int32)
        self.chances = np.zeros((0, 2), dtype=np.float32)
        self.second_order = second_order
        blocks = priced_blocks(self.indptr, workers, 1 << 22)
        weights = matrix.data.astype(np.float64, copy=False)
        run_blocks(build_alias_rows, blocks, workers, self.indptr, self.indices, weights, self.table)
        if second_order:
            self.slots = np.full(2 * matrix.nnz, -1, dtype=np.int32)
            run_blocks(build_edge_sets, blocks, workers, self.indptr, self.indices, self.slots)
            self.own = _first_order_chances(self.indptr, weights)
            mirror = sparse.csr_array((self.own, self.indices, self.indptr), shape=matrix.shape).T.tocsr()
            mirror.sort_indices()
            parts = (mirror.indptr.astype(np.int64), mirror.indices.astype(np.int32), mirror.data)
            self.chances = np.empty((matrix.nnz, 2), dtype=np.float32)
            run_blocks(edge_chances, blocks, workers, self.indptr, self.indices, self.own, parts, self.chances)

    def run(
        self, blocks: list[tuple[int, int]], workers: int, steps: ProgressSteps, nodes: NDArray[np.int32],
        numbers: NDArray[np.int32], seed: np.uint64, restart: float, back: float, out: float,
        walks: NDArray[np.int32], lengths: NDArray[np.int64],
    ) -> None:
        """Fill walks and lengths for the blocks of walks."""
        common = (nodes, numbers, seed, self.indptr, self.table, restart)
        kernel: Any = second_order_walks if self.second_order else first_order_walks
        more = (self.own, self.slots, self.chances, back, out) if self.second_order else ()

        ended = StopFlag()

        def walk(start: int, stop: int) -> None:
            kernel(start, stop, *common, *more, walks, lengths, ended.flag)
            steps.add(stop - start)

        tasks = [partial(walk, *block) for block in blocks]
        run_tasks(tasks, workers, while_waiting=steps.report, stop=ended, apart=True)
        steps.report()


def _shrinking_blocks(n_walks: int, walk_length: int, workers: int) -> list[tuple[int, int]]:
    """Large blocks first and small ones last, so that no thread waits long for another's last one; whole lanes."""
    fewest, most = (max(1, tokens // walk_length) for tokens in BLOCK_TOKENS)
    blocks, begin = [], 0
    while begin < n_walks:
        size = min(most, max(fewest, (n_walks - begin) // (2 * workers)))
        stop = min(begin + LANES * max(1, size // LANES), n_walks)
        blocks.append((begin, stop))
        begin = stop
    return blocks


def _first_order_chances(indptr: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(nnz,) float64 chance of each edge in its row; divided by the row's largest first, so that no sum overflows."""
    degree = np.diff(indptr)
    filled = np.flatnonzero(degree)
    row_of = np.repeat(np.arange(len(degree)), degree)
    top = np.ones(len(degree))
    if len(filled):
        top[filled] = np.maximum.reduceat(weights, indptr[filled])
    chances = weights / top[row_of]
    chances /= np.bincount(row_of, chances, minlength=len(degree))[row_of]
    return np.asarray(chances)


def _pack(walks: NDArray[np.int32], offsets: NDArray[np.int64], workers: int) -> Walks:
    """Rows of equal length, and their lengths in offsets[1:], to tokens and offsets; whole walks are not copied."""
    short = np.flatnonzero(offsets[1:] < walks.shape[1])
    dead_ends = np.unique(walks[short, offsets[1:][short] - 1])
    np.cumsum(offsets, out=offsets)
    tokens = walks.reshape(-1)
    if len(short):
        tokens = np.empty(offsets[-1], dtype=np.int32)
        run_blocks(pack_walks, balanced_blocks(offsets, 8 * workers), workers, walks, offsets, tokens)
    report = WalkReport(len(walks), int(offsets[-1]), len(short), dead_ends)
    return Walks._made(tokens, offsets, report)
