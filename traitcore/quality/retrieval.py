"""Next-item retrieval: how high a model ranks the items that come next in held-out sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._parallel import run_blocks
from .._progress import Progress
from .._rows import order_within, unit_float32_rows
from .._validate import COUNT_MAX, Checks
from ..events.sequences import Sequences
from .retrieval_report import RetrievalReport

CHECK = Checks("evaluate_retrieval")
_BLOCK = 128
_ASKED_AGAIN = 16  # queries that are scored in company and alone

Scorer = Callable[[Sequences], Any]
"""Sequences (m prefixes) -> (m, n_items) scores of the next item, larger is better."""


class VectorScorer:
    """Scores by vectors: a session is the sum of its items' vectors, weighted by `decay` per step back.

    Where the prefixes have times, items of one time count as one step, in no order.

    item_vectors : (n_items, d) float32. context_vectors : (n_items, d) or None; where given the next item's score is
    session . context, else the cosine between the session and the item. `evaluate_retrieval` takes it as a scorer.
    """

    def __init__(
        self, item_vectors: ArrayLike, context_vectors: ArrayLike | None = None, *, decay: float = 0.5
    ) -> None:
        check = Checks("VectorScorer")
        self._items = check.array("item_vectors", item_vectors, dtype=np.float32, shape=(None, None))
        self.decay = check.real("decay", decay, 0.0, 1.0)
        unit = unit_float32_rows(self._items)
        if context_vectors is None:
            self._items, self._targets = unit, unit
        else:
            self._targets = check.array(
                "context_vectors", context_vectors, dtype=np.float32, shape=self._items.shape
            )

    def __call__(self, prefixes: Sequences) -> NDArray[np.float32]:
        """(m, n_items) float32 scores."""
        step: NDArray[np.int64] = np.cumsum(_begins_instant(prefixes))
        lengths = np.diff(prefixes.offsets)
        last = step[prefixes.offsets[1:][lengths > 0] - 1]
        steps_back = np.repeat(last, lengths[lengths > 0]) - step
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
    ties: str = "set",
    popularity: ArrayLike | None = None,
    max_queries: int | None = None,
    n_unknown: int = 0,
    random_state: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> RetrievalReport:
    """Rank all items as the next one of every prefix of each test sequence.

    Events of one time are a set: an order among them, e.g. that of their ids, can't improve the figures. Each item of
    the set is one query, given the events before the set. The set's other items are right too and don't count as ranked
    above it ("filtered" ranks). A set at the start of a sequence, a basket, has nothing before it: each of its items is
    a query given the others in random order ("all but 1").

    No query can help another: the scorer sees prefixes only, its scores of a prefix may not depend on what else is in
    the batch (some queries are asked again alone; scores that change are an error), and the figures don't change when
    test sessions are put in another order, doubled, or cut into other batches.

    Parameters
    ----------
    sequences : the test sessions, tokens in [0, n_items). Without timestamps_us, the order is taken as given.
    scorer : callable, prefixes (Sequences) -> (m, n_items) scores: ints, floats or bools without NaN; -inf for items
        not to list. For example a `VectorScorer`.
    k : length of the lists.
    ties : "set"; or "order": the order of events of one time is known (from an order column of the log, or its rows),
        and each is a query given those before it.
    repeats : "keep", or "exclude": items already in the prefix are not listed (a right answer among them is a miss).
    popularity : (n_items,) counts in the training data, for the popularity bias.
    max_queries : use a random sample of this many queries; None: all.
    random_state : int, the seed of the sample and of the order of each set.
    n_unknown : number of next items dropped earlier because the model has no row for them; counted as misses.
    workers : threads; the result doesn't depend on it.

    Raises
    ------
    ValueError : no query (all sessions are shorter than 2), a token outside [0, n_items), scores of a wrong shape or
        with NaN, scores of a prefix that depend on the other prefixes.

    See Also
    --------
    next_items, NextItemCounts : models to evaluate. evaluate_traits : the same question for traits.

    References
    ----------
    Bordes et al. 2013, "Translating embeddings for modeling multi-relational data", section 4.1 (filtered ranks);
    Breese, Heckerman & Kadie 1998, "Empirical analysis of predictive algorithms for collaborative filtering", section
    3.1 (all but 1).

    Examples
    --------
    >>> import traitcore as tc
    >>> sessions = tc.Sequences.from_lists([[0, 1], [2, 1]])
    >>> print(tc.evaluate_retrieval(sessions, lambda prefixes: [[0, 2, 1]] * len(prefixes), n_items=3, k=1))
    Recall@1 1.0000, MRR@1 1.0000, NDCG@1 1.0000, coverage 0.333 (2 queries)
    """
    CHECK.instance("sequences", sequences, Sequences)
    n_items = CHECK.integer("n_items", n_items, 1)
    k = CHECK.integer("k", k, 1)
    CHECK.choice("repeats", repeats, ("keep", "exclude"))
    CHECK.choice("ties", ties, ("set", "order"))
    seed = CHECK.seed("random_state", random_state)
    n_unknown = CHECK.integer("n_unknown", n_unknown, 0, COUNT_MAX)
    threads = CHECK.workers(workers)
    largest = sequences.largest_token()
    if largest >= n_items:
        got = f"token {largest}"
        raise CHECK.value_error("sequences", f"of tokens in [0, {n_items})", got)
    asked = _Queries(sequences, seed) if ties == "set" else _Queries(replace(sequences, timestamps_us=None), seed)
    places = asked.sample(max_queries, seed)
    targets = asked.sequences.tokens[places]
    _check_alone(scorer, asked.prefixes(places[:: max(1, len(places) // _ASKED_AGAIN)][:_ASKED_AGAIN]), n_items)
    ranks, listed = np.empty(len(places)), np.full((len(places), min(k, n_items)), -1, dtype=np.int32)

    def rank_block(a: int, b: int) -> None:
        prefixes = asked.prefixes(places[a:b])
        scores = _checked_scores(scorer(prefixes), (b - a, n_items))
        may = scores > -np.inf
        if repeats == "exclude":
            may[np.repeat(np.arange(b - a), np.diff(prefixes.offsets)), prefixes.tokens] = False
        listed[a:b] = best_rows(scores, may, listed.shape[1])
        own = may[np.arange(b - a), targets[a:b]]
        query, other = asked.equally_right(places[a:b])
        may[query, other] = False
        may[np.arange(b - a), targets[a:b]] = own
        ranks[a:b] = mean_ranks(scores, targets[a:b], may)

    for first in range(0, len(places), 64 * _BLOCK):
        last = min(first + 64 * _BLOCK, len(places))
        run_blocks(rank_block, [(a, min(a + _BLOCK, last)) for a in range(first, last, _BLOCK)], threads)
        if progress is not None:
            progress("evaluate retrieval", last, len(places))
    sessions = np.searchsorted(asked.sequences.offsets, places, side="right") - 1
    return _report(ranks, listed, targets, k, n_items, popularity, n_unknown, sessions)


def mean_ranks(
    scores: NDArray[Any], targets: NDArray[Any], may: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """(m,) rank, from 1, of each row's target; equal scores share the mean of their ranks.

    may : (m, n) bool, the items that count; None: those above -inf. A target that doesn't count has rank inf.
    """
    may = scores > -np.inf if may is None else may
    rows = np.arange(len(targets))
    own = scores[rows, targets][:, None]
    above = ((scores > own) & may).sum(axis=1)
    equal = ((scores == own) & may).sum(axis=1)
    return np.where(may[rows, targets], above + (equal + 1) / 2.0, np.inf)


def best_rows(scores: NDArray[Any], may: NDArray[np.bool_], k: int) -> NDArray[np.int32]:
    """(m, k) the k items of highest score in each row, in no order, of those in `may` (m, n); -1 past their end.

    Of equal scores, the lower items.
    """
    lowest = -np.inf if scores.dtype.kind == "f" else False if scores.dtype.kind == "b" else np.iinfo(scores.dtype).min
    held = scores if may.all() else np.where(may, scores, scores.dtype.type(lowest))
    cut = np.partition(held, held.shape[1] - k, axis=1)[:, held.shape[1] - k, None]
    chosen, level = (held > cut) & may, (held == cut) & may
    spare = k - chosen.sum(axis=1)
    for row in np.flatnonzero(level.sum(axis=1) > spare):
        level[row, np.flatnonzero(level[row])[spare[row] :]] = False
    rows, items = np.nonzero(chosen | level)
    listed = np.full((len(scores), k), -1, dtype=np.int32)
    listed[rows, np.arange(len(rows)) - np.searchsorted(rows, rows)] = items
    return listed


def split_sequences(
    sequences: Sequences, *, by: str = "time", test_share: float = 0.2, random_state: int = 0
) -> tuple[Sequences, Sequences]:
    """(train, test), whole sequences with their owners and times.

    by : "time": the test set is the `test_share` of sequences that end last (needs timestamps_us), of those that end
        together a random part: rows are in order of customer ids. "session": a random share.
    random_state : int, the seed of the random choice.
    """
    check = Checks("split_sequences")
    check.choice("by", by, ("time", "session"))
    share = check.real("test_share", test_share, 0.0, 1.0)
    n = len(sequences)
    n_test = round(n * share)
    chance = np.random.default_rng(check.seed("random_state", random_state)).permutation(n)
    if by == "time":
        if sequences.timestamps_us is None:
            raise check.value_error("by", "'session': the sequences have no timestamps_us", by)
        chance = chance[np.argsort(session_ends(sequences, sequences.timestamps_us)[chance], kind="stable")]
    return sequences.take(np.sort(chance[: n - n_test])), sequences.take(np.sort(chance[n - n_test :]))


def oldest_first(sequences: Sequences) -> Sequences:
    """The same sequences in order of their ends, ties by row; ValueError where they have no timestamps_us."""
    if sequences.timestamps_us is None:
        raise Checks("oldest_first").value_error("sequences", "with timestamps_us", sequences)
    return sequences.take(np.argsort(session_ends(sequences, sequences.timestamps_us), kind="stable"))


def session_ends(sequences: Sequences, timestamps_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n_sequences,) time of each one's last event, the smallest int64 for those without events."""
    filled = np.diff(sequences.offsets) > 0
    ends = np.full(len(sequences), np.iinfo(np.int64).min)
    ends[filled] = timestamps_us[sequences.offsets[1:][filled] - 1]
    return ends


def _begins_instant(sequences: Sequences) -> NDArray[np.bool_]:
    """(n_tokens,) bool: whether the event begins its sequence or is later than the one before it."""
    begins = np.ones(sequences.n_tokens, dtype=bool)
    if sequences.timestamps_us is not None:
        begins[1:] = np.diff(sequences.timestamps_us) != 0
        begins[sequences.offsets[:-1][np.diff(sequences.offsets) > 0]] = True
    return begins


class _Queries:
    """The queries of some sequences: places of `sequences.tokens` to predict, and the prefix of each.

    `sequences` holds the items of each instant once, in a random order that doesn't depend on the order given.
    """

    def __init__(self, sequences: Sequences, seed: int) -> None:
        begins = _begins_instant(sequences)
        if not begins.all():
            sequences, begins = _shuffled_sets(sequences, begins, np.random.default_rng(seed))
        self.sequences = sequences
        bounds = np.append(np.flatnonzero(begins), sequences.n_tokens)
        instant = np.cumsum(begins) - 1
        self._first, self._last = bounds[instant], bounds[instant + 1]
        self._start = np.repeat(sequences.offsets[:-1], np.diff(sequences.offsets))

    def sample(self, max_queries: int | None, seed: int) -> NDArray[np.int64]:
        """Places to predict, rising: those with events before their instant or other items in it."""
        places = np.flatnonzero((self._first > self._start) | (self._last - self._first > 1))
        if not len(places):
            rule = "with at least one session of two or more items"
            raise CHECK.value_error("sequences", rule, repr(self.sequences))
        if max_queries is not None and CHECK.integer("max_queries", max_queries, 1) < len(places):
            places = np.sort(np.random.default_rng(seed).choice(places, max_queries, replace=False))
        return places.astype(np.int64)

    def prefixes(self, places: NDArray[np.int64]) -> Sequences:
        """The prefix of each query: the events before the instant, or else the instant's other items."""
        start, first, last = self._start[places], self._first[places], self._last[places]
        alone = first == start
        # Two runs of places each. Later places of the instant come first, so that no item is always the latest.
        starts = np.stack((np.where(alone, places + 1, start), first), axis=1)
        stops = np.stack((np.where(alone, last, first), np.where(alone, places, first)), axis=1)
        at, lengths = _runs(starts.reshape(-1), stops.reshape(-1))
        times = self.sequences.timestamps_us
        offsets = np.concatenate(([0], np.cumsum(lengths.reshape(-1, 2).sum(axis=1))))
        return Sequences(self.sequences.tokens[at], offsets, timestamps_us=None if times is None else times[at])

    def equally_right(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """(queries, items): the items of each query's instant, where they are not its prefix."""
        alone = self._first[places] == self._start[places]
        at, lengths = _runs(self._first[places], np.where(alone, self._first[places], self._last[places]))
        return np.repeat(np.arange(len(places)), lengths), self.sequences.tokens[at]


def _runs(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(starts[0] ... stops[0] - 1, starts[1] ... and so on; the length of each run)."""
    lengths = stops - starts
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths), lengths


def _shuffled_sets(
    sequences: Sequences, begins: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Sequences, NDArray[np.bool_]]:
    """Each instant's items once, in random order that doesn't depend on the one given; and where instants begin."""
    instant = np.cumsum(begins)
    order = order_within(instant, sequences.tokens)
    tokens = sequences.tokens[order]
    once = np.ones(len(tokens), dtype=bool)
    once[1:] = (np.diff(tokens) != 0) | (np.diff(instant) != 0)
    kept, instant = replace(sequences, tokens=tokens).keep(once), instant[once]
    shuffled = order_within(instant, rng.random(kept.n_tokens))
    return replace(kept, tokens=kept.tokens[shuffled]), np.diff(instant, prepend=-1) != 0


def _check_alone(scorer: Scorer, prefixes: Sequences, n_items: int) -> None:
    """ValueError where a prefix gets other scores beside others than alone: it might read their answers there."""
    together = _checked_scores(scorer(prefixes), (len(prefixes), n_items))
    for i in range(len(prefixes)):
        alone = _checked_scores(scorer(prefixes.take([i])), (1, n_items))[0]
        both = np.stack((alone, together[i])).astype(np.float64)
        finite = np.isfinite(both)
        numbers = np.where(finite, both, 0.0)
        # Float32 sums in another order differ by far less; a neighbour's answer in the scores, by far more.
        slack = 1e-4 * max(1e-30, float(np.abs(numbers).max()))
        if (finite[0] != finite[1]).any() or (np.abs(numbers[0] - numbers[1]) > slack).any():
            rule = "a callable whose scores of a prefix don't depend on the other prefixes of the call"
            raise CHECK.value_error("scorer", rule, f"others for {prefixes[i].tolist()[:10]} alone")


def _checked_scores(found: object, shape: tuple[int, int]) -> NDArray[Any]:
    if isinstance(found, np.ma.MaskedArray):
        rule = "a callable that returns a plain array (-inf for items not to list)"
        raise CHECK.value_error("scorer", rule, "a masked array")
    scores = np.asarray(found)
    if scores.shape != shape or scores.dtype.kind not in "iufb":
        rule = f"a callable that returns numbers of shape {shape}"
        raise CHECK.value_error("scorer", rule, f"shape {scores.shape}, dtype {scores.dtype}")
    if np.isnan(scores).any():
        rule = "a callable that returns numbers without NaN (-inf for items not to list)"
        raise CHECK.value_error("scorer", rule, "NaN")
    return scores


def _report(
    ranks: NDArray[np.float64], listed: NDArray[np.int32], targets: NDArray[np.int32], k: int, n_items: int,
    popularity: Any, n_unknown: int, sessions: NDArray[np.int64],
) -> RetrievalReport:
    n_queries = len(ranks) + n_unknown
    hit = ranks <= k
    bias = None
    if popularity is not None and (listed >= 0).any():
        counts = CHECK.array("popularity", popularity, dtype=np.float64, shape=(n_items,), nonnegative=True)
        percentile = popularity_percentiles(counts)
        bias = float(percentile[listed[listed >= 0]].mean() - percentile[targets].mean())
    return RetrievalReport(
        k=k,
        n_queries=n_queries,
        recall=float(hit.sum() / n_queries),
        mrr=float((1.0 / ranks[hit]).sum() / n_queries),
        ndcg=float((1.0 / np.log2(1.0 + ranks[hit])).sum() / n_queries),
        coverage=len(np.unique(listed[listed >= 0])) / n_items,
        popularity_bias=bias,
        ranks=ranks,
        n_unknown=n_unknown,
        sessions=sessions,
    )


def popularity_percentiles(counts: NDArray[Any]) -> NDArray[np.float64]:
    """(n,) in (0, 1): the mean share of items that are less popular; equal counts share a percentile."""
    _, place, number = np.unique(counts, return_inverse=True, return_counts=True)
    below = np.cumsum(number) - number
    return np.asarray((below + number / 2.0)[place] / len(counts))
