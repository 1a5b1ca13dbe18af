"""Next-item retrieval: is what comes next in a session near the top of what the model would show?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import parameter_message
from .._parallel import resolve_workers, run_blocks
from .._progress import Progress
from .._validate import check_array, check_choice, check_int, check_real, check_seed
from ..events.sequences import Sequences

OWNER = "evaluate_retrieval"
_BLOCK = 128

Scorer = Callable[[Sequences], Any]
"""Sequences (m prefixes) -> (m, n_items) scores of what comes next, larger is better."""


@dataclass(frozen=True, eq=False)
class RetrievalReport:
    """What `evaluate_retrieval` found; shares are in [0, 1].

    Attributes
    ----------
    k, n_queries : list length and number of prefixes asked.
    recall, mrr, ndcg : hit rate, mean reciprocal rank and NDCG at k. There is one right answer a query, so recall is
        the hit rate and the ideal DCG is 1. A tie counts as the mean of the ranks it spans.
    coverage : share of the items that stand in at least one list of k.
    popularity_bias : mean popularity percentile of the items listed minus that of the right answers; 0 shows items as
        popular as what customers choose, above 0 favours hits. None where `popularity` was not given.
    ranks : (n_queries,) float64 rank of each right answer (infinite: it could not be listed), for other figures.
    n_unknown : right answers that the model does not know, counted as misses.
    """

    k: int
    n_queries: int
    recall: float
    mrr: float
    ndcg: float
    coverage: float
    popularity_bias: float | None
    ranks: NDArray[np.float64]
    n_unknown: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The figures without the ranks, for JSON."""
        return {key: value for key, value in vars(self).items() if key != "ranks"}

    def __str__(self) -> str:
        bias = "" if self.popularity_bias is None else f", popularity bias {self.popularity_bias:+.3f}"
        return (
            f"Recall@{self.k} {self.recall:.4f}, MRR@{self.k} {self.mrr:.4f}, NDCG@{self.k} {self.ndcg:.4f}, "
            f"coverage {self.coverage:.3f}{bias} ({self.n_queries:,} queries)"
        )


class VectorScorer:
    """Scores by vectors: a session is the sum of its items' vectors, weighted by `decay` per step back.

    item_vectors : (n_items, d) float32. context_vectors : (n_items, d) or None; where given the next item's score is
    session . context, else the cosine between the session and the item.
    """

    def __init__(self, item_vectors: Any, context_vectors: Any = None, *, decay: float = 0.5) -> None:
        owner = "VectorScorer"
        self._items = check_array("item_vectors", owner, item_vectors, dtype=np.float32, shape=(None, None))
        self.decay = check_real("decay", owner, decay, 0.0, 1.0)
        norms = np.linalg.norm(self._items, axis=1, keepdims=True)
        unit = np.divide(self._items, norms, out=np.zeros_like(self._items), where=norms > 0)
        if context_vectors is None:
            self._items, self._targets = unit, unit
        else:
            self._targets = check_array(
                "context_vectors", owner, context_vectors, dtype=np.float32, shape=self._items.shape
            )

    def __call__(self, prefixes: Sequences) -> NDArray[np.float32]:
        """(m, n_items) float32 scores."""
        lengths = np.diff(prefixes.offsets)
        steps_back = np.repeat(prefixes.offsets[1:], lengths) - 1 - np.arange(prefixes.n_tokens)
        weights = (np.float64(self.decay) ** steps_back).astype(np.float32)
        shape = (len(prefixes), len(self._items))
        sessions = sparse.csr_array((weights, prefixes.tokens, prefixes.offsets), shape=shape) @ self._items
        return np.asarray(sessions @ self._targets.T, dtype=np.float32)


def evaluate_retrieval(
    sequences: Sequences,
    scorer: Scorer,
    *,
    n_items: int,
    k: int = 20,
    repeats: str = "keep",
    popularity: Any = None,
    max_queries: int | None = None,
    n_unknown: int = 0,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> RetrievalReport:
    """Every prefix of each test sequence asks for its next item; all items are ranked.

    Parameters
    ----------
    sequences : the test sessions, tokens in [0, n_items).
    scorer : prefixes (Sequences) -> (m, n_items) scores; e.g. a `VectorScorer`.
    k : length of the list.
    repeats : "keep", or "exclude": items already in the prefix can't be listed (a right answer among them is a miss).
    popularity : (n_items,) counts in the training data, for the popularity bias.
    max_queries : ask a random sample of so many prefixes (by `seed`); None: all.
    n_unknown : next items dropped before because the model has no row for them; counted as misses.
    workers : threads; the result doesn't depend on it.

    Raises
    ------
    ValueError : no prefix to ask (every session shorter than 2), a token outside [0, n_items), scores of a wrong shape
        or with NaN.
    """
    n_items = check_int("n_items", OWNER, n_items, 1)
    k = check_int("k", OWNER, k, 1)
    check_choice("repeats", OWNER, repeats, ("keep", "exclude"))
    n_unknown = check_int("n_unknown", OWNER, n_unknown, 0)
    threads = resolve_workers(workers, OWNER)
    largest = sequences.largest_token()
    if largest >= n_items:
        got = f"token {largest}"
        raise ValueError(parameter_message("sequences", OWNER, f"of tokens in [0, {n_items})", got))
    places = _query_places(sequences, max_queries, check_seed("seed", OWNER, seed))
    owner_of = np.searchsorted(sequences.offsets, places, side="right") - 1
    starts = sequences.offsets[owner_of]
    ranks, listed = np.empty(len(places)), np.zeros((len(places), min(k, n_items)), dtype=np.int32)

    def rank_block(a: int, b: int) -> None:
        prefixes = _prefixes(sequences, starts[a:b], places[a:b])
        scores = np.asarray(scorer(prefixes))
        _check_scores(scores, (b - a, n_items))
        targets = sequences.tokens[places[a:b]]
        if repeats == "exclude":
            scores = scores.astype(np.result_type(scores.dtype, np.float32))
            scores[np.repeat(np.arange(b - a), np.diff(prefixes.offsets)), prefixes.tokens] = -np.inf
        ranks[a:b] = mean_ranks(scores, targets)
        listed[a:b] = np.argpartition(-scores, min(k, n_items) - 1, axis=1)[:, : min(k, n_items)]

    for first in range(0, len(places), 64 * _BLOCK):
        last = min(first + 64 * _BLOCK, len(places))
        run_blocks(rank_block, [(a, min(a + _BLOCK, last)) for a in range(first, last, _BLOCK)], threads)
        if progress is not None:
            progress("evaluate retrieval", last, len(places))
    return _report(ranks, listed, sequences.tokens[places], k, n_items, popularity, n_unknown)


def mean_ranks(scores: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """(m,) rank, from 1, of each row's target; equal scores share the mean of their ranks; -inf has rank inf."""
    own = np.take_along_axis(scores, targets[:, None].astype(np.int64), axis=1)
    above = (scores > own).sum(axis=1)
    equal = (scores == own).sum(axis=1)
    return np.where(own[:, 0] == -np.inf, np.inf, above + (equal + 1) / 2.0)


def split_sequences(
    sequences: Sequences, *, by: str = "time", test_share: float = 0.2, seed: int = 0
) -> tuple[Sequences, Sequences]:
    """(train, test) sequences, none cut in two. Owners and times go along.

    by : "time": the test set is the `test_share` of sequences that end last (needs timestamps_us; ties by row);
        "session": a random share by `seed`.
    """
    owner = "split_sequences"
    check_choice("by", owner, by, ("time", "session"))
    share = check_real("test_share", owner, test_share, 0.0, 1.0)
    n = len(sequences)
    n_test = round(n * share)
    if by == "time":
        if sequences.timestamps_us is None:
            raise ValueError(parameter_message("by", owner, "'session': the sequences have no timestamps_us", by))
        order = _by_end(sequences, sequences.timestamps_us)
    else:
        order = np.random.default_rng(check_seed("seed", owner, seed)).permutation(n)
    return sequences.take(np.sort(order[: n - n_test])), sequences.take(np.sort(order[n - n_test :]))


def oldest_first(sequences: Sequences) -> Sequences:
    """The same sequences in order of their ends, ties by row; ValueError where they have no timestamps_us."""
    if sequences.timestamps_us is None:
        raise ValueError(parameter_message("sequences", "oldest_first", "with timestamps_us", sequences))
    return sequences.take(_by_end(sequences, sequences.timestamps_us))


def _by_end(sequences: Sequences, timestamps_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows in order of the sequences' last events, those without events first."""
    filled = np.diff(sequences.offsets) > 0
    ends = np.full(len(sequences), np.iinfo(np.int64).min)
    ends[filled] = timestamps_us[sequences.offsets[1:][filled] - 1]
    return np.argsort(ends, kind="stable")


def _query_places(sequences: Sequences, max_queries: int | None, seed: int) -> NDArray[np.int64]:
    """Places of `tokens` that have a token of the same sequence before them, in order."""
    asked = np.ones(sequences.n_tokens, dtype=bool)
    asked[sequences.offsets[:-1][np.diff(sequences.offsets) > 0]] = False
    places = np.flatnonzero(asked)
    if not len(places):
        rule = "with at least one session of two or more items: nothing comes next in these"
        raise ValueError(parameter_message("sequences", OWNER, rule, repr(sequences)))
    if max_queries is not None and check_int("max_queries", OWNER, max_queries, 1) < len(places):
        places = np.sort(np.random.default_rng(seed).choice(places, max_queries, replace=False))
    return places.astype(np.int64)


def _prefixes(sequences: Sequences, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Sequences:
    offsets = np.concatenate(([0], np.cumsum(stops - starts))).astype(np.int64)
    places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], stops - starts)
    return Sequences(tokens=sequences.tokens[places], offsets=offsets)


def _check_scores(scores: NDArray[Any], shape: tuple[int, int]) -> None:
    if scores.shape != shape or scores.dtype.kind not in "iuf":
        rule = f"a callable that gives numbers of shape {shape}"
        raise ValueError(parameter_message("scorer", OWNER, rule, f"shape {scores.shape}, dtype {scores.dtype}"))
    if np.isnan(scores).any():
        raise ValueError(parameter_message("scorer", OWNER, "a callable that gives numbers without NaN", "NaN"))


def _report(
    ranks: NDArray[np.float64], listed: NDArray[np.int32], targets: NDArray[np.int32], k: int, n_items: int,
    popularity: Any, n_unknown: int,
) -> RetrievalReport:  # fmt: skip
    n_queries = len(ranks) + n_unknown
    hit = ranks <= k
    bias = None
    if popularity is not None:
        counts = check_array("popularity", OWNER, popularity, dtype=np.float64, shape=(n_items,), nonnegative=True)
        percentile = popularity_percentiles(counts)
        bias = float(percentile[listed].mean() - percentile[targets].mean())
    return RetrievalReport(
        k=k,
        n_queries=n_queries,
        recall=float(hit.sum() / n_queries),
        mrr=float((1.0 / ranks[hit]).sum() / n_queries),
        ndcg=float((1.0 / np.log2(1.0 + ranks[hit])).sum() / n_queries),
        coverage=len(np.unique(listed)) / n_items,
        popularity_bias=bias,
        ranks=ranks,
        n_unknown=n_unknown,
    )


def popularity_percentiles(counts: NDArray[Any]) -> NDArray[np.float64]:
    """(n,) in (0, 1): the mean share of items that are less popular; equal counts share a percentile."""
    _, place, number = np.unique(counts, return_inverse=True, return_counts=True)
    below = np.cumsum(number) - number
    return np.asarray((below + number / 2.0)[place] / len(counts))
