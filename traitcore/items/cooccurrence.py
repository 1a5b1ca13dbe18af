# mypy: allow-untyped-calls
"""Windowed co-occurrence counts of token sequences as a sparse matrix."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from .. import _core
from .._parallel import balanced_blocks, run_tasks
from .._progress import Progress, ProgressSteps
from .._validate import Checks
from ..events.sequences import Sequences
from .count_parts import FIRST_ENTRIES, INT32_MAX, STEPS, CountTask, RangeQueue, RowCounter, assemble
from .merge_counts import merge_counts

_CHECK = Checks("count_cooccurrences")
MEBI = 2.0**20
# Where each token's places begin, the padded corpus, all places, and the sequence of each place (or an empty array).
_Corpus = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any], NDArray[np.int32]]


def count_cooccurrences(
    sequences: Sequences,
    *,
    n_items: int | None = None,
    window: int | None = 5,
    symmetric: bool = True,
    weighting: str | Any = "flat",
    self_pairs: bool = True,
    sequence_weights: Any = None,
    actions: Any = None,
    action_weights: Any = None,
    cap_per_sequence: float | None = None,
    min_pair_count: float | None = None,
    k: int | None = None,
    dtype: DTypeLike | None = None,
    memory_limit_mb: float | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> sparse.csr_array:
    """How often each token occurs within `window` places of each other one, in the same sequence.

    A repeated token is a context of itself; only the position itself is skipped.

    Parameters
    ----------
    sequences : token sequences; no window crosses from one to the next.
    n_items : number of rows and columns; by default one past the largest token.
    window : largest distance in places, at least 1; None for the whole sequence.
    symmetric : count both neighbours of a token; False counts what follows: entry (a, b) is a before b.
    weighting : weight of a pair at distance d: "flat" 1; "harmonic" 1/d (GloVe, Pennington et al. 2014, 3.1);
        "linear" (window - d + 1)/window, what word2vec's shrinking windows give on average (Levy, Goldberg &
        Dagan 2015, 3.1); or an array (window,) of the weights at distances 1, 2, ..., all positive.
    self_pairs : False leaves the diagonal out.
    sequence_weights : (n_sequences,) weights >= 0 of each sequence, or None.
    actions, action_weights : (n_tokens,) action code of each token's event, such as
        `vocabulary.token_action[sequences.tokens]`, and (n_actions, n_actions) weights >= 0 of a pair, by the earlier
        and the later event's action.
    cap_per_sequence : most that one sequence may add to an entry, > 0: against bots and loops.
    min_pair_count : leave out entries below it. It and `k` act on the finished rows, so matrices pruned apart
        do not merge to the whole.
    k : keep each row's largest entries only (of equals, those of smaller column). The result need not be symmetric.
    dtype : int32, int64, float32 or float64; by default int32 (int64 where a count could exceed it) if every weight
        is 1 and any cap an int, else float32. Sums are kept in integers, or in float64, until a row is finished.
    memory_limit_mb : the MiB that the work may need beyond its input. Where more is predicted and every weight is 1,
        without a cap, `min_pair_count` or `k`, the corpus is counted in parts, which are merged: the same bytes. Else
        MemoryError is raised, before it starts where that can be predicted.
    workers : threads, -1 for all cores; the result is the same to the last byte for any number.
    progress : called as progress("counts", done, total) with numbers of tokens.

    Returns
    -------
    (n_items, n_items) CSR with sorted int32 columns (int64 from 2**31 entries on). Memory beyond it: 8 bytes a token,
    one dense row per worker, and the buffers' room to grow: half of the result at most. Several workers' rows are
    joined: what all but one counted is in memory twice, or an eighth of the result with `memory_limit_mb`. No list of
    pairs is made.

    Raises
    ------
    TypeError, ValueError : a parameter of the wrong type or value, a token >= n_items.
    MemoryError : the prediction exceeds `memory_limit_mb`.

    See Also
    --------
    merge_counts, positive_pmi, build_item_graph : work on the counts. NextItemCounts : ranks next items by them.

    References
    ----------
    Pennington, Socher & Manning 2014, "GloVe: global vectors for word representation".
    Levy, Goldberg & Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings".

    Examples
    --------
    >>> import traitcore as tc
    >>> baskets = tc.Sequences.from_lists([[0, 1, 2], [0, 1]])
    >>> tc.count_cooccurrences(baskets, window=1).toarray().tolist()
    [[0, 2, 0], [2, 0, 1], [0, 1, 0]]
    """
    task = _checked_task(
        sequences, n_items, window, symmetric, weighting, self_pairs, sequence_weights, actions, action_weights,
        cap_per_sequence, min_pair_count, k, dtype, workers,
    )
    if memory_limit_mb is not None:
        limit = _CHECK.real("memory_limit_mb", memory_limit_mb, 0.0, open_low=True)
        if task.mergeable and _fixed_bytes(task) > limit * MEBI:
            return _count_in_parts(task, limit, progress)
    return _count(task, memory_limit_mb, progress)


def _count_in_parts(task: CountTask, limit: float, progress: Progress | None) -> sparse.csr_array:
    """Counts of as many sequences at a time as half of the memory takes, added up; the sum needs the other half."""
    empty = task.part(0, 0)
    least = _fixed_bytes(empty)
    _refuse_above(limit, 2.0 * least, task)
    sequences = task.sequences
    room = max(1.0, limit * MEBI / 2 - least)  # for what grows with the tokens
    n_parts = min(len(sequences), math.ceil((_fixed_bytes(task) - least) / room))
    total: sparse.csr_array | None = None
    done = 0
    for first, stop in balanced_blocks(sequences.offsets, n_parts):
        piece = task.part(first, stop)
        held = 0 if total is None else total.nnz * piece.entry_bytes / MEBI
        _refuse_above(limit, held * MEBI, task)
        part = _count(piece, limit - held, None)
        if total is not None:
            # The sum, both terms and a copy of each lie in memory together.
            _refuse_above(limit, 3.0 * piece.entry_bytes * (total.nnz + part.nnz), task)
            part = merge_counts([total, part])
        total = part
        del part
        done += int(sequences.offsets[stop] - sequences.offsets[first])
        if progress is not None:
            progress("counts", done, sequences.n_tokens)
    assert total is not None
    return sparse.csr_array(
        (total.data.astype(task.dtype, copy=False), total.indices, total.indptr), shape=total.shape, copy=False
    )


def weighted_counts(
    sequences: Sequences,
    *,
    n_items: int,
    back: NDArray[np.float64],
    ahead: NDArray[np.float64],
    sequence_weights: NDArray[np.float64] | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> sparse.csr_array:
    """Counts with separate weights for each direction. Internal: arguments are not checked.

    `ahead` and `back` (window,) weigh context 1, 2, ... places after and before the row's token.
    """
    task = CountTask(
        sequences=sequences, n_items=n_items, back=np.append(0.0, back), ahead=np.append(0.0, ahead), keep_self=True,
        sequence_weights=np.zeros(0) if sequence_weights is None else sequence_weights,
        actions=np.zeros(0, dtype=np.int32), action_weights=np.zeros((0, 0)), cap=np.inf, min_count=0.0, k=0,
        dtype=np.dtype(np.float32), workers=workers,
    )
    return _count(task, None, progress)


def _checked_task(
    sequences: Any, n_items: Any, window: Any, symmetric: Any, weighting: Any, self_pairs: Any,
    sequence_weights: Any, actions: Any, action_weights: Any, cap: Any, min_count: Any, k: Any,
    dtype: Any, workers: Any,
) -> CountTask:
    if not isinstance(sequences, Sequences):
        raise _CHECK.type_error("sequences", "a Sequences", sequences)
    n_items = check_n_items(sequences, n_items, _CHECK)
    by_distance = _distance_weights(sequences, window, weighting)
    both = _CHECK.boolean("symmetric", symmetric)
    scale = np.zeros(0)
    if sequence_weights is not None:
        scale = _CHECK.array(
            "sequence_weights", sequence_weights, dtype=np.float64, shape=(len(sequences),), nonnegative=True
        )
    codes, pair_weights = _action_weights(sequences, actions, action_weights)
    most = np.inf if cap is None else _CHECK.real("cap_per_sequence", cap, 0.0, open_low=True)
    whole = bool((by_distance == 1).all()) and (scale == 1).all() and (pair_weights == 1).all()
    whole = whole and (np.isinf(most) or most == int(most))
    reach = len(by_distance) * (2 if both else 1)
    largest = reach * sequences.n_tokens
    if largest > INT32_MAX:  # usually the bound above is enough, and no token is counted
        largest = reach * int(sequences.token_counts(n_items).max())
    return CountTask(
        sequences=sequences, n_items=n_items,
        back=np.append(0.0, by_distance) if both else np.zeros(1), ahead=np.append(0.0, by_distance),
        keep_self=_CHECK.boolean("self_pairs", self_pairs),
        sequence_weights=scale, actions=codes, action_weights=pair_weights, cap=most,
        min_count=0.0 if min_count is None else _CHECK.real("min_pair_count", min_count, 0.0),
        k=0 if k is None else _CHECK.integer("k", k, 1),
        dtype=_result_dtype(dtype, bool(whole), largest), workers=_CHECK.workers(workers),
    )


def check_n_items(sequences: Sequences, n_items: Any, check: Checks) -> int:
    """`n_items` as given or, by default, one past the largest token; a token beyond it is a ValueError."""
    seen = sequences.largest_token() + 1
    if n_items is None:
        return max(1, sequences.vocabulary_size(check))
    size = check.integer("n_items", n_items, 1, INT32_MAX)
    if size < seen:
        raise check.value_error("n_items", f"at least {seen}, one past the largest token", n_items)
    return size


def _distance_weights(sequences: Sequences, window: Any, weighting: Any) -> NDArray[np.float64]:
    """(reach,) weight at each distance; no longer than the longest sequence can use."""
    longest = max(1, int(np.diff(sequences.offsets).max()) - 1) if len(sequences) else 1
    width = longest if window is None else _CHECK.integer("window", window, 1)
    reach = min(width, longest)
    distance = np.arange(1, reach + 1, dtype=np.float64)
    if not isinstance(weighting, str):
        length = None if window is None else width
        table = _CHECK.array("weighting", weighting, dtype=np.float64, shape=(length,))
        if len(table) < reach:
            rule = f"an array of one weight for each distance to {longest}, with window=None"
            raise _CHECK.value_error("weighting", rule, f"shape {table.shape}")
        if len(table) and table.min() <= 0:
            raise _CHECK.value_error("weighting", "positive", float(table.min()))
        return table[:reach]
    name = _CHECK.choice("weighting", weighting, ("flat", "harmonic", "linear"))
    if name == "harmonic":
        return 1.0 / distance
    if name == "linear":
        if window is None:
            raise _CHECK.value_error("weighting", "'flat' or 'harmonic' with window=None", name)
        return (width - distance + 1) / width
    return np.ones(reach)


def _action_weights(sequences: Sequences, actions: Any, weights: Any) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    if (actions is None) != (weights is None):
        raise _CHECK.value_error("actions", "given together with 'action_weights'", actions)
    if actions is None:
        return np.zeros(0, dtype=np.int32), np.zeros((0, 0))
    table = _CHECK.array("action_weights", weights, dtype=np.float64, shape=(None, None), nonnegative=True)
    if table.shape[0] != table.shape[1]:
        raise _CHECK.value_error("action_weights", "a square array", f"shape {table.shape}")
    codes = _CHECK.array("actions", actions, dtype=np.int32, shape=(sequences.n_tokens,))
    if len(codes) and (codes.min() < 0 or codes.max() >= len(table)):
        rule = f"ints in [0, {len(table) - 1}], rows of 'action_weights'"
        raise _CHECK.value_error("actions", rule, f"values from {codes.min()} to {codes.max()}")
    return codes, table


def _by_place(sequences: Sequences, codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """The codes in the places of the padded corpus."""
    if not len(codes):
        return codes
    by_place = np.zeros(sequences.n_tokens + len(sequences) + 1, dtype=np.int32)
    sequence_of = np.repeat(np.arange(len(sequences)), np.diff(sequences.offsets))
    by_place[np.arange(sequences.n_tokens) + sequence_of + 1] = codes
    return by_place


def _result_dtype(dtype: Any, whole: bool, largest: int) -> np.dtype[Any]:
    if dtype is None:
        if not whole:
            return np.dtype(np.float32)
        return np.dtype(np.int32 if largest <= INT32_MAX else np.int64)
    rule = "int32, int64, float32 or float64"
    try:
        asked: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise _CHECK.type_error("dtype", rule, dtype) from error
    if asked not in (np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.float32), np.dtype(np.float64)):
        raise _CHECK.value_error("dtype", rule, dtype)
    if asked.kind == "i" and not whole:
        raise _CHECK.value_error("dtype", "a float dtype: the weights are not whole", str(asked))
    if asked == np.int32 and largest > INT32_MAX:
        raise _CHECK.value_error("dtype", f"int64: a count may reach {largest}", str(asked))
    return asked


def _count(task: CountTask, memory_limit_mb: float | None, progress: Progress | None) -> sparse.csr_array:
    limit = None
    if memory_limit_mb is not None:
        limit = _CHECK.real("memory_limit_mb", memory_limit_mb, 0.0, open_low=True)
        _refuse_above(limit, _fixed_bytes(task), task)  # before anything of the corpus' size is made
    starts, padded, places = _invert(task)
    sequence = np.zeros(0, dtype=np.int32)
    if not task.plain:
        task = replace(task, actions=_by_place(task.sequences, task.actions))
        sequence = np.zeros(len(padded), dtype=np.int32)
        _core.label_places(0, len(task.sequences), task.sequences.offsets, sequence)
    corpus = (starts, padded, places, sequence)
    ranges = RangeQueue(_row_costs(task, starts), task.workers)
    sizes: tuple[int, ...] = (FIRST_ENTRIES,)
    if limit is not None:
        sizes = _buffer_sizes(task, corpus, ranges, limit)
    steps, stop = ProgressSteps("counts", int(starts[-1]), progress), threading.Event()
    lengths = np.zeros(task.n_items, dtype=np.int64)
    most = int(task.bounds(np.diff(starts)).sum())
    counters = [RowCounter(task, *corpus, lengths, most, *sizes) for _ in range(min(task.workers, len(ranges)))]
    del corpus, padded, places, sequence  # the counters hold the last references, which `fill` drops
    run_tasks(
        [partial(one.fill, ranges.take(first=one is counters[0]), steps, stop) for one in counters],
        task.workers, while_waiting=steps.report, stop=stop,
    )
    steps.report()
    return assemble(counters, lengths, task, 1 if limit is None else STEPS)


def _invert(task: CountTask) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
    """Where each token's places begin (n_items + 1,), the corpus with -1 between sequences, and all places in order."""
    sequences = task.sequences
    blocks = balanced_blocks(sequences.offsets, task.workers)
    counts = np.zeros((max(1, len(blocks)), task.n_items), dtype=np.int64)
    spans = [(int(sequences.offsets[a]), int(sequences.offsets[b])) for a, b in blocks]
    run_tasks(
        [partial(_core.count_values, a, b, sequences.tokens, row) for (a, b), row in zip(spans, counts)],
        task.workers,
    )
    starts = np.zeros(task.n_items + 1, dtype=np.int64)
    np.cumsum(counts.sum(axis=0), out=starts[1:])
    cursor = np.cumsum(counts, axis=0) - counts + starts[:-1]
    size = sequences.n_tokens + len(sequences) + 1
    padded = np.empty(size, dtype=np.int32)
    padded[0] = -1
    places: NDArray[np.int32] | NDArray[np.int64] = (
        np.empty(sequences.n_tokens, dtype=np.int32) if size <= INT32_MAX
        else np.empty(sequences.n_tokens, dtype=np.int64)
    )
    run_tasks(
        [
            partial(_core.invert_sequences, a, b, sequences.tokens, sequences.offsets, row, padded, places)
            for (a, b), row in zip(blocks, cursor)
        ],
        task.workers,
    )
    return starts, padded, places


def _row_costs(task: CountTask, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cumulative work by row (n_items + 1,), roughly: the places in all windows (`RangeQueue` evens out the rest)."""
    costs: NDArray[np.int64] = starts * (1 + len(task.back) + len(task.ahead)) + np.arange(len(starts))
    return costs


def _fixed_bytes(task: CountTask) -> int:
    """Memory that does not depend on the result: the inverted corpus and, for each token, sums and lists."""
    size = task.sequences.n_tokens + len(task.sequences) + 1
    corpus = 4 * size + task.sequences.n_tokens * (4 if size <= INT32_MAX else 8)
    if not task.plain:
        corpus += 4 * size * (2 if len(task.actions) else 1)
    row = 4 + task.sum_dtype.itemsize + (0 if task.plain else 12)
    return corpus + task.n_items * max(24 * task.workers + 16, row * task.workers + 40)


def _buffer_sizes(task: CountTask, corpus: _Corpus, ranges: RangeQueue, limit: float) -> tuple[int, int]:
    """Entries with which each worker's buffers begin, and by which they grow, so that the work stays below `limit` MiB.

    By all entries that are possible or, where these would not fit, by an estimate from a sample of rows. MemoryError
    where that does not fit either.
    """
    bounds = task.bounds(np.diff(corpus[0]))
    fixed, workers, largest = _fixed_bytes(task), task.workers, int(bounds.max(initial=0))
    widest = max((int(bounds[a:b].sum()) for a, b in ranges.left), default=0)

    def step(entries: float) -> int:
        return math.ceil(entries / (STEPS * workers))

    def peak(entries: float) -> float:
        # Whoever counts how much: beyond what it has counted, each worker has room for a step or for the longest row
        # possible. A worker alone knows where it will end. When others' rows are joined to the first's, `fixed` is
        # free, and a step or a range is in memory twice.
        spare = largest if workers == 1 else workers * max(step(entries), largest)
        twice = 0.0 if workers == 1 else min(entries, max(workers * step(entries), widest))
        return max(fixed + task.entry_bytes * spare, task.entry_bytes * twice) + task.entry_bytes * entries

    entries = float(bounds.sum())
    if peak(entries) > limit * MEBI:
        _refuse_above(limit, peak(0.0), task)
        entries = _sampled_entries(task, corpus, bounds)
        _refuse_above(limit, peak(entries), task)
    return (step(entries) if workers > 1 else math.ceil(entries) + largest), step(entries)


def _refuse_above(limit: float, needed: float, task: CountTask) -> None:
    if needed > limit * MEBI:
        raise MemoryError(
            f"Counting {task.sequences.n_tokens:,} tokens needs about {needed / MEBI:,.0f} MiB, more than "
            f"memory_limit_mb={limit:g}. A smaller window or vocabulary, 'k' or 'min_pair_count' makes the matrix "
            "smaller; parts of the corpus can be counted separately and merged."
        )


def _sampled_entries(task: CountTask, corpus: _Corpus, bounds: NDArray[np.int64]) -> float:
    """Entries of the result, from every n-th row by falling size and the share of its bound that it fills."""
    order = np.argsort(-bounds, kind="stable")
    rows = np.sort(order[:: max(1, len(order) // 256)])
    lengths = np.zeros(task.n_items, dtype=np.int64)
    counter = RowCounter(task, *corpus, lengths, int(bounds.max(initial=0)))
    counter.fill(((int(row), int(row) + 1) for row in rows), ProgressSteps("", 1, None), threading.Event(), keep=False)
    share = lengths[rows].sum() / max(1, bounds[rows].sum())
    return float(share * bounds.sum())
