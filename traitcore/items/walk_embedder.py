"""WalkEmbedder: item vectors from random walks over an item graph."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._errors import on_behalf_of
from .._progress import Progress, ProgressLike, as_progress
from .._validate import Checks
from ..events.corpus import Corpus
from ..events.corpus_argument import sequences_of
from ..events.sequences import Sequences
from .cooccurrence import count_cooccurrences
from .graph import GraphReport, as_graph, build_item_graph
from .sgns_options import SgnsEmbedder
from .sgns_report import SgnsResult, TrainingInterrupted
from .sgns_trainer import SgnsTrainer
from .walks import WalkCorpus, WalkReport

# About how many tokens of walks are in memory at once; no result depends on it.
_BLOCK_TOKENS = 1 << 22


@dataclass(kw_only=True, eq=False, repr=False)
class WalkEmbedder(SgnsEmbedder):
    """Graph embedding: co-occurrence graph -> random walks -> skip-gram with negative sampling.

    DeepWalk on weighted graphs; with p or q other than 1, node2vec. Walks are made in blocks as the trainer consumes
    them, so their corpus is never in memory.

    Parameters
    ----------
    vector_size, window, dynamic_window, negative, negatives, ns_exponent, sample, alpha, min_alpha, epochs, workers,
        parallel, seed : as of `SgnsOptions`, but for the defaults sample=0 and epochs=1. An epoch is one pass over all
        walks, the same walks in each.
    graph_window, k, weighting, directed : how `fit` makes the graph of sequences (`count_cooccurrences`,
        `build_item_graph`); `fit_graph` takes a graph as it is.
    n_walks, walk_length, p, q, restart_probability : the walks (`random_walks`).

    Attributes
    ----------
    item_vectors_, context_vectors_ : (n_items, vector_size) float32; rows of isolated items, which no walk relates to
        anything, are zero and named in `graph_report_.isolated`.
    n_items_ : rows of both.
    loss_ : mean log-loss per positive pair, by epoch.
    node_ids_ : (n_items,) ids of the rows where the graph had labels, else None.
    graph_report_, walk_report_, report_ : GraphReport, WalkReport and SgnsReport.

    See Also
    --------
    build_item_graph, WalkCorpus, SgnsTrainer : its three steps. Item2Vec : the same training on the sequences.

    References
    ----------
    Perozzi, Al-Rfou & Skiena 2014, "DeepWalk: online learning of social representations".
    Grover & Leskovec 2016, "node2vec: scalable feature learning for networks".

    Examples
    --------
    >>> import traitcore as tc
    >>> baskets = tc.Sequences.from_lists([[0, 1, 2], [3, 4, 5]] * 20)
    >>> model = tc.WalkEmbedder(vector_size=8, n_walks=50, alpha=0.1).fit(baskets)
    >>> similar = model.item_vectors_[0] @ model.item_vectors_.T
    >>> bool(similar[:3].min() > similar[3:].max())  # item 0 is nearest to those of its own basket
    True
    """

    sample: float = 0.0
    epochs: int = 1
    graph_window: int | None = 5
    k: int | None = 50
    weighting: str = "counts"
    directed: bool = True
    n_walks: int = 10
    walk_length: int = 20
    p: float = 1.0
    q: float = 1.0
    restart_probability: float = 0.0

    node_ids_: NDArray[Any] | None = field(init=False)
    graph_report_: GraphReport = field(init=False)
    walk_report_: WalkReport = field(init=False)

    @on_behalf_of("WalkEmbedder")
    def fit(
        self, sequences: Sequences | Corpus, *, n_items: int | None = None, progress: ProgressLike = None
    ) -> Self:
        """Count which items stand together, link each to its `k` heaviest neighbours, walk, and train.

        progress : True draws a bar; or a callback `progress(stage, done, total)`.
        """
        sequences, n_items = sequences_of(sequences, n_items)
        tell = as_progress(progress)
        self._options()  # a wrong parameter is an error before anything is counted
        if self.graph_window is not None:
            Checks(type(self).__name__).integer("graph_window", self.graph_window, 1)
        counts = count_cooccurrences(
            sequences, n_items=n_items, window=self.graph_window, self_pairs=False, workers=self.workers,
            progress=tell,
        )
        graph = build_item_graph(
            counts, k=self.k, weighting=self.weighting, directed=self.directed, workers=self.workers
        )
        return self.fit_graph(graph, progress=tell)

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
        check = Checks(type(self).__name__)
        options = self._options()
        graph = as_graph(graph, "graph", check)
        if graph.n_edges == 0:
            raise check.value_error("graph", "a graph with at least one edge", graph)
        corpus = WalkCorpus(
            graph, n_walks=self.n_walks, walk_length=self.walk_length, p=self.p, q=self.q,
            restart_probability=self.restart_probability, seed=self.seed, workers=self.workers,
            block_tokens=_BLOCK_TOKENS, shuffle=True,
        )
        counts, self.walk_report_ = corpus.count(progress=progress)
        # Frequent rows side by side: the trainer's memory traffic is mostly theirs.
        order = np.argsort(-counts, kind="stable")
        rank = np.empty(len(order), dtype=np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        trainer = SgnsTrainer(counts[order], options)
        self.graph_report_, self.node_ids_ = graph.report, graph.node_ids
        try:
            for _ in range(options.epochs):
                for block in corpus:
                    trainer.train_block(Sequences(rank[block.tokens], block.offsets), progress=progress)
                trainer.end_epoch()
        except KeyboardInterrupt as error:
            self._keep_ranked(trainer.result(), rank)
            raise TrainingInterrupted(trainer.result()) from error
        self._keep_ranked(trainer.result(), rank)
        return self

    def _keep_ranked(self, result: SgnsResult, rank: NDArray[np.int32]) -> None:
        """Keep the vectors in the order of the graph's nodes; isolated ones have none."""
        items, contexts = result.item_vectors[rank], result.context_vectors[rank]
        self._keep(replace(result, item_vectors=items, context_vectors=contexts))
        self.item_vectors_[self.graph_report_.isolated] = 0.0
        self.context_vectors_[self.graph_report_.isolated] = 0.0
