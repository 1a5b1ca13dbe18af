"""Embedders: from sequences to item vectors, one protocol.

`fit(seqs, *, n_items=None, progress=None)` returns self; then `item_vectors_` and `context_vectors_` are float32
(n_items, vector_size) and `n_items_` their number of rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import on_behalf_of, parameter_message
from .._params import ParamsMixin
from .._progress import Progress
from .._validate import check_choice, check_int, check_real, check_seed
from ..events.sequences import Sequences
from ..factorization.svd import svd_vectors
from .cooccurrence import count_cooccurrences
from .graph import GraphReport, as_graph, build_item_graph
from .merge_counts import merge_counts
from .ppmi import positive_pmi
from .sgns import SgnsReport, SgnsResult, SgnsTrainer, TrainingInterrupted, _train
from .sgns_plan import SgnsPlan, plan_sgns
from .walks import WalkCorpus, WalkReport

# Parameters that suit a kind of data. 'sessions', for the next item of short shop sessions: found on Diginetica's train
# split, trained on its first 94% and judged on 5,000 prefixes of the rest (item -> context, Recall@20, d=100). From
# window 10, 10 negatives, exponent .5, alpha .025 (42.8): alpha .05 45.8, .1 46.2; exponent .25 46.3, .75 44.4, 0 44.5;
# 20 negatives 47.3, 5 43.4; window 5 48.3; 10 epochs 45.1. On the test split 48.5 / MRR@20 16.3, where the start of the
# search has 42.7 / 14.6 (benchmarks/compare/sgns_quality.py, 2 seeds).
_PRESETS: dict[str, dict[str, Any]] = {
    "sessions": {
        "window": 5, "negative": 20, "ns_exponent": 0.25, "sample": 1e-4, "alpha": 0.1, "epochs": 20,
    },
}  # fmt: skip
# 'sessions', found in the same way on 6,000 prefixes (k=400, cosine, Recall@20 / MRR@20): the defaults 37.3 / 14.1;
# discount 1 38.3 / 14.3, 3 38.4 / 14.4, 10 37.9 / 14.2; then without self-pairs 38.6 / 14.4, and with smoothing .5,
# shift .3 and power .25 38.6 / 14.5; windows 10, 20 and whole, harmonic weights: no better.
_PPMI_PRESETS: dict[str, dict[str, Any]] = {
    "sessions": {"discount": 3.0, "self_pairs": False, "context_smoothing": 0.5, "shift": 0.3, "power": 0.25},
}


class Item2Vec(ParamsMixin):
    """Item2vec: skip-gram with negative sampling over item sequences (see `train_sgns` for every parameter).

    Barkan & Koenigstein 2016, "Item2vec: neural item embedding for collaborative filtering".

    Attributes
    ----------
    item_vectors_, context_vectors_ : (n_items, vector_size) float32. item @ context predicts what comes with an item,
        item @ item finds what is like it.
    n_items_ : rows of both.
    loss_ : mean log-loss per positive pair, by epoch.
    report_ : SgnsReport.
    """

    item_vectors_: NDArray[np.float32]
    context_vectors_: NDArray[np.float32]
    n_items_: int
    loss_: tuple[float, ...]
    report_: SgnsReport

    def __init__(
        self,
        *,
        vector_size: int = 64,
        window: int | None = 5,
        dynamic_window: bool = True,
        negative: int = 5,
        negatives: str = "shared",
        ns_exponent: float = 0.75,
        sample: float = 1e-3,
        alpha: float = 0.025,
        min_alpha: float = 1e-4,
        epochs: int = 5,
        patience: int | None = None,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        self.vector_size = vector_size
        self.window = window
        self.dynamic_window = dynamic_window
        self.negative = negative
        self.negatives = negatives
        self.ns_exponent = ns_exponent
        self.sample = sample
        self.alpha = alpha
        self.min_alpha = min_alpha
        self.epochs = epochs
        self.patience = patience
        self.workers = workers
        self.seed = seed

    def fit(
        self,
        seqs: Sequences,
        *,
        n_items: int | None = None,
        noise_groups: Any = None,
        group_negative: int | None = None,
        global_context: Any = None,
        held_out: Sequences | None = None,
        start: SgnsResult | tuple[Any, Any] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train on `seqs`; arguments as of `train_sgns`.

        After Ctrl-C the KeyboardInterrupt is raised on, and the attributes hold the vectors as of then, with
        `report_.finished` False.
        """
        try:
            result = _train(
                "Item2Vec",
                seqs=seqs,
                counts=None,
                first_epoch=0,
                stop_epoch=None,
                n_items=n_items,
                noise_groups=noise_groups,
                group_negative=group_negative,
                global_context=global_context,
                held_out=held_out,
                start=start,
                progress=progress,
                **self.get_params(),
            )
        except TrainingInterrupted as interrupted:
            self._keep(interrupted.result)
            raise
        self._keep(result)
        return self

    @classmethod
    def preset(cls, name: str, **params: Any) -> Self:
        """Parameters for a kind of data, others as given: 'sessions' predicts the next item of short shop sessions."""
        check_choice("name", "Item2Vec.preset", name, tuple(_PRESETS))
        return cls(**(_PRESETS[name] | params))

    def plan(self, seqs: Sequences, *, n_items: int | None = None) -> SgnsPlan:
        """Memory and time that `fit(seqs, n_items=n_items)` would take, from a short trial."""
        params = self.get_params()
        params.pop("patience")
        plan = plan_sgns(seqs, n_items=n_items, **params)
        return plan if self.patience is None else replace(plan, matrix_bytes=2 * plan.matrix_bytes)

    def _keep(self, result: SgnsResult) -> None:
        self.item_vectors_ = result.item_vectors
        self.context_vectors_ = result.context_vectors
        self.n_items_ = len(result.item_vectors)
        self.loss_ = result.loss
        self.report_ = result.report


class WalkEmbedder(ParamsMixin):
    """Graph embedding: co-occurrence graph -> random walks -> skip-gram with negative sampling.

    DeepWalk (Perozzi, Al-Rfou & Skiena 2014) on weighted graphs; with p or q other than 1, node2vec (Grover &
    Leskovec 2016). Walks are made in blocks as the trainer consumes them, so their corpus is never in memory.

    Parameters
    ----------
    graph_window, top_k, weighting, directed : how `fit` makes the graph of sequences (`count_cooccurrences`,
        `build_item_graph`); `fit_graph` takes a graph as it is.
    n_walks, walk_length, p, q, restart_probability : the walks (`random_walks`).
    block_tokens : about how many tokens of walks are in memory at once.
    the rest : the training (`train_sgns`); an epoch is one pass over all walks, the same walks in each.

    Attributes
    ----------
    item_vectors_, context_vectors_ : (n_items, vector_size) float32; rows of isolated items, which no walk relates to
        anything, are zero and named in `graph_report_.isolated`.
    n_items_ : rows of both.
    loss_ : mean log-loss per positive pair, by epoch.
    node_ids_ : (n_items,) ids of the rows where the graph had labels, else None.
    graph_report_, walk_report_, report_ : GraphReport, WalkReport and SgnsReport.
    """

    item_vectors_: NDArray[np.float32]
    context_vectors_: NDArray[np.float32]
    n_items_: int
    loss_: tuple[float, ...]
    node_ids_: NDArray[Any] | None
    graph_report_: GraphReport
    walk_report_: WalkReport
    report_: SgnsReport

    def __init__(
        self,
        *,
        graph_window: int | None = 5,
        top_k: int | None = 50,
        weighting: str = "counts",
        directed: bool = True,
        n_walks: int = 10,
        walk_length: int = 20,
        p: float = 1.0,
        q: float = 1.0,
        restart_probability: float = 0.0,
        block_tokens: int = 1 << 22,
        vector_size: int = 64,
        window: int | None = 5,
        dynamic_window: bool = True,
        negative: int = 5,
        negatives: str = "shared",
        ns_exponent: float = 0.75,
        sample: float = 0.0,
        alpha: float = 0.025,
        min_alpha: float = 1e-4,
        epochs: int = 1,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        self.graph_window = graph_window
        self.top_k = top_k
        self.weighting = weighting
        self.directed = directed
        self.n_walks = n_walks
        self.walk_length = walk_length
        self.p = p
        self.q = q
        self.restart_probability = restart_probability
        self.block_tokens = block_tokens
        self.vector_size = vector_size
        self.window = window
        self.dynamic_window = dynamic_window
        self.negative = negative
        self.negatives = negatives
        self.ns_exponent = ns_exponent
        self.sample = sample
        self.alpha = alpha
        self.min_alpha = min_alpha
        self.epochs = epochs
        self.workers = workers
        self.seed = seed

    @on_behalf_of("WalkEmbedder")
    def fit(self, seqs: Sequences, *, n_items: int | None = None, progress: Progress | None = None) -> Self:
        """Count which items stand together in `seqs`, link each to its `top_k`, walk, and train."""
        if self.graph_window is not None:
            check_int("graph_window", type(self).__name__, self.graph_window, 1)
        counts = count_cooccurrences(
            seqs, n_items=n_items, window=self.graph_window, self_pairs=False, workers=self.workers, progress=progress
        )
        graph = build_item_graph(
            counts, top_k=self.top_k, weighting=self.weighting, directed=self.directed, workers=self.workers
        )
        return self.fit_graph(graph, progress=progress)

    @on_behalf_of("WalkEmbedder")
    def fit_graph(self, graph: Any, *, progress: Progress | None = None) -> Self:
        """Walk over `graph` and train.

        graph : an ItemGraph (see `graph_from_edges`, `read_graph`), or what `graph_from_matrix` takes: a square sparse
        or dense matrix, a graph of networkx or igraph. The labels of its nodes are `node_ids_`.

        After Ctrl-C in training a TrainingInterrupted is raised, and the attributes hold the vectors as of then, with
        `report_.finished` False.

        Raises
        ------
        ValueError : a graph without edges, a parameter out of range; TypeError : something that is no graph.
        """
        owner = type(self).__name__
        graph = as_graph(graph, "graph", owner)
        if graph.n_edges == 0:
            raise ValueError(parameter_message("graph", owner, "a graph with at least one edge", graph))
        corpus = WalkCorpus(
            graph, n_walks=self.n_walks, walk_length=self.walk_length, p=self.p, q=self.q,
            restart_probability=self.restart_probability, seed=self.seed, workers=self.workers,
            block_tokens=self.block_tokens, shuffle=True, owner=owner,
        )  # fmt: skip
        counts, self.walk_report_ = corpus.count(progress=progress)
        # Frequent rows side by side: the trainer's memory traffic is mostly theirs.
        order = np.argsort(-counts, kind="stable")
        rank = np.empty(len(order), dtype=np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        trainer = SgnsTrainer(
            counts[order], vector_size=self.vector_size, window=self.window, dynamic_window=self.dynamic_window,
            negative=self.negative, negatives=self.negatives, ns_exponent=self.ns_exponent, sample=self.sample,
            alpha=self.alpha, min_alpha=self.min_alpha, epochs=self.epochs, workers=self.workers, seed=self.seed,
            owner=owner,
        )  # fmt: skip
        self.graph_report_, self.node_ids_ = graph.report, graph.node_ids
        try:
            for _ in range(self.epochs):
                for block in corpus:
                    trainer.train_block(Sequences(rank[block.tokens], block.offsets), progress=progress)
                trainer.end_epoch()
        except KeyboardInterrupt as error:
            self._keep(trainer.result(), rank)
            raise TrainingInterrupted(trainer.result()) from error
        self._keep(trainer.result(), rank)
        return self

    def _keep(self, result: SgnsResult, rank: NDArray[np.int32]) -> None:
        self.item_vectors_ = result.item_vectors[rank]
        self.context_vectors_ = result.context_vectors[rank]
        self.item_vectors_[self.graph_report_.isolated] = 0.0
        self.context_vectors_[self.graph_report_.isolated] = 0.0
        self.n_items_ = len(rank)
        self.loss_ = result.loss
        self.report_ = result.report


class PPMIEmbedder(ParamsMixin):
    """Counts, PPMI and SVD: the ships-first embedding, deterministic and without epochs.

    Levy, Goldberg & Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings".

    Parameters
    ----------
    vector_size : components of the SVD; where there are fewer items, the rest of a vector is zero.
    window, weighting, self_pairs, min_pair_count : as of `count_cooccurrences` (pairs below `min_pair_count` are left
        out of the PPMI, not of `counts_`).
    shift, context_smoothing, discount : as of `positive_pmi`.
    power, tol : as of `svd_vectors`.
    decay : factor in (0, 1] on the counts so far at each `partial_fit`: 1 forgets nothing.
    workers : threads, -1 for all cores. seed : of the SVD's starting block.

    Attributes
    ----------
    item_vectors_, context_vectors_ : (n_items, vector_size) float32; item @ context approximates the PPMI. Items
        that met nothing have zero vectors.
    n_items_ : rows of both.
    counts_ : (n_items, n_items) CSR, the counts so far, to which `partial_fit` adds.
    singular_values_ : (vector_size,) float32.
    converged_ : the SVD reached `tol`; a `ConvergenceWarning` says so where it didn't.
    """

    item_vectors_: NDArray[np.float32]
    context_vectors_: NDArray[np.float32]
    n_items_: int
    counts_: sparse.csr_array
    singular_values_: NDArray[np.float32]
    converged_: bool

    def __init__(
        self,
        *,
        vector_size: int = 64,
        window: int | None = 5,
        weighting: str = "flat",
        self_pairs: bool = True,
        min_pair_count: float | None = None,
        shift: float = 1.0,
        context_smoothing: float = 0.75,
        discount: float = 0.0,
        power: float = 0.5,
        tol: float = 1e-3,
        decay: float = 1.0,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        self.vector_size = vector_size
        self.window = window
        self.weighting = weighting
        self.self_pairs = self_pairs
        self.min_pair_count = min_pair_count
        self.shift = shift
        self.context_smoothing = context_smoothing
        self.discount = discount
        self.power = power
        self.tol = tol
        self.decay = decay
        self.workers = workers
        self.seed = seed

    @on_behalf_of("PPMIEmbedder")
    def fit(self, seqs: Sequences, *, n_items: int | None = None, progress: Progress | None = None) -> Self:
        """Count `seqs` and factorize; what was learned before is forgotten.

        Raises
        ------
        TypeError, ValueError : a parameter of the wrong type or value, a token >= n_items.
        """
        self._checked_decay()
        check_seed("seed", type(self).__name__, self.seed)
        return self._refit(self._count(seqs, n_items, progress), progress)

    @on_behalf_of("PPMIEmbedder")
    def partial_fit(self, seqs: Sequences, *, n_items: int | None = None, progress: Progress | None = None) -> Self:
        """Add the counts of more sequences, after `decay` of those so far, and factorize again.

        Without decay this is exactly the `fit` of all sequences so far. New items may come: rows are appended.
        Each call's vectors have their own basis, as those of any fit do.
        """
        if not hasattr(self, "counts_"):
            return self.fit(seqs, n_items=n_items, progress=progress)
        decay = self._checked_decay()
        if n_items is None and seqs.n_tokens == 0:
            n_items = self.n_items_
        new = self._count(seqs, n_items, progress)
        return self._refit(merge_counts([self.counts_, new], weights=None if decay == 1.0 else (decay, 1.0)), progress)

    def _checked_decay(self) -> float:
        return check_real("decay", type(self).__name__, self.decay, 0.0, 1.0, open_low=True)

    @classmethod
    def preset(cls, name: str, **params: Any) -> Self:
        """Parameters for a kind of data, others as given: 'sessions' relates the items of short shop sessions."""
        check_choice("name", "PPMIEmbedder.preset", name, tuple(_PPMI_PRESETS))
        return cls(**(_PPMI_PRESETS[name] | params))

    def _count(self, seqs: Sequences, n_items: int | None, progress: Progress | None) -> sparse.csr_array:
        return count_cooccurrences(
            seqs, n_items=n_items, window=self.window, weighting=self.weighting, self_pairs=self.self_pairs,
            workers=self.workers, progress=progress,
        )  # fmt: skip

    def _refit(self, counts: sparse.csr_array, progress: Progress | None) -> Self:
        owner = type(self).__name__
        size = check_int("vector_size", owner, self.vector_size, 1)
        kept = counts
        if self.min_pair_count is not None:
            least = check_real("min_pair_count", owner, self.min_pair_count, 0.0)
            kept = counts.copy()
            kept.data[kept.data < least] = 0
            kept.eliminate_zeros()
        association = positive_pmi(
            kept, shift=self.shift, context_smoothing=self.context_smoothing, discount=self.discount,
            workers=self.workers,
        )  # fmt: skip
        n = counts.shape[0]
        found = svd_vectors(
            association, min(size, n), power=self.power, tol=self.tol, random_state=self.seed, workers=self.workers,
            progress=progress,
        )  # fmt: skip
        # Items without any association keep zero rows, whatever null vectors the decomposition filled in.
        items = np.zeros((n, size), dtype=np.float32)
        contexts = np.zeros((n, size), dtype=np.float32)
        real = found.singular_values > 0
        items[:, : len(real)] = found.item_vectors * real
        contexts[:, : len(real)] = found.context_vectors * real
        items[np.diff(association.indptr) == 0] = 0.0  # exactly: rounding's 1e-15 has a direction too
        contexts[np.bincount(association.indices, minlength=n) == 0] = 0.0
        self.counts_, self.n_items_ = counts, n
        self.item_vectors_, self.context_vectors_ = items, contexts
        self.singular_values_ = np.zeros(size, dtype=np.float32)
        self.singular_values_[: len(real)] = found.singular_values
        self.converged_ = found.svd.converged
        return self
