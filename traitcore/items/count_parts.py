# mypy: allow-untyped-calls
"""The rows of a count matrix, counted in ranges by several workers, and joined."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .. import _core
from .._parallel import balanced_blocks, run_tasks
from .._progress import ProgressSteps
from ..events.sequences import Sequences

INT32_MAX = 2**31 - 1
# Occurrences counted, or contexts of them, between two looks at the stop flag: tens of milliseconds of work.
_SLICE, _WORK = 250_000, 1 << 24
# Ranges of rows per worker, where there are several: at the end the others wait for one range's time at most.
_RANGES = 32
# Entries for which address space is taken at first. Pages cost nothing until written, and a buffer that is large from
# the start and seldom grows gets huge pages where the system has them: writing 4 KiB pages for the first time took a
# tenth of the whole count.
FIRST_ENTRIES = 1 << 24
# With a memory limit the rows are joined in about so many steps, in each of which the result grows and the others'
# buffers shrink: so much of the result is in memory twice. All buffers together also grow in so many steps. More steps
# save little, and where the system can't remap pages each step copies what there is. Without a limit one step does: on
# two threads eight took a tenth of the whole count.
STEPS = 8


@dataclass
class CountTask:
    """What is counted: the checked arguments of `count_cooccurrences` in the kernels' form."""

    sequences: Sequences
    n_items: int
    back: NDArray[Any]
    ahead: NDArray[Any]
    keep_self: bool
    sequence_weights: NDArray[np.float64]
    actions: NDArray[np.int32]
    action_weights: NDArray[np.float64]
    cap: float
    min_count: float
    k: int
    dtype: np.dtype[Any]
    workers: int

    @property
    def plain(self) -> bool:
        """No weight but the distance's, and no cap: the short kernel does."""
        return not len(self.sequence_weights) and not len(self.actions) and np.isinf(self.cap)

    @property
    def sum_dtype(self) -> np.dtype[Any]:
        """What a row is summed in: integers where every weight is 1, else float64."""
        whole = self.plain and (self.ahead[1:] == 1).all() and (self.back[1:] == 1).all()
        if whole:
            return self.dtype if self.dtype.kind == "i" else np.dtype(np.int64)
        return np.dtype(np.float64)

    @property
    def mergeable(self) -> bool:
        """Do the counts of parts of the corpus add up to those of the whole, exactly?"""
        return self.sum_dtype.kind == "i" and self.min_count == 0 and self.k == 0

    def part(self, first: int, stop: int) -> CountTask:
        """The same for sequences first ... stop - 1, in integers."""
        whole, dtype = self.sequences, self.dtype if self.dtype.kind == "i" else np.dtype(np.int64)
        offsets = whole.offsets[first : stop + 1]
        tokens = whole.tokens[offsets[0] : offsets[-1]]
        return replace(self, sequences=Sequences(tokens, offsets - offsets[0]), dtype=dtype)

    @property
    def entry_bytes(self) -> int:
        """Bytes of an entry of the result: its column and its value."""
        return 4 + self.dtype.itemsize

    def bounds(self, occurrences: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n_items,) most entries each row can have."""
        return np.minimum(occurrences * (len(self.back) + len(self.ahead) - 2), self.n_items)


class RangeQueue:
    """Ranges of rows for the workers to take. The first worker goes up from row 0, so that its buffer becomes the
    beginning of the result without a copy; the others take from the other end, until all meet."""

    def __init__(self, costs: NDArray[np.int64], workers: int) -> None:
        self.left = balanced_blocks(costs, 1 if workers == 1 else _RANGES * workers)
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.left)

    def take(self, *, first: bool) -> Iterator[tuple[int, int]]:
        while True:
            with self.lock:
                if not self.left:
                    return
                rows = self.left.pop(0 if first else -1)
            yield rows


class RowCounter:
    """One worker's rows, counted into buffers that grow as the kernel asks: never more than the output and one row."""

    def __init__(
        self, task: CountTask, starts: NDArray[np.int64], padded: NDArray[np.int32], places: NDArray[Any],
        sequence: NDArray[np.int32], lengths: NDArray[np.int64], most: int, first: int = FIRST_ENTRIES,
        step: int | None = None,
    ) -> None:
        self.task, self.starts, self.lengths = task, starts, lengths
        self.most, self.first, self.step = most, first, step
        self.corpus: tuple[Any, ...] = (places, padded)
        self.sequence = sequence
        self.indices = np.empty(0, dtype=np.int32)
        self.data = np.empty(0, dtype=task.dtype)
        self.used = 0
        # (first row, where it begins in the buffers, where the range ends there)
        self.pieces: list[tuple[int, int, int]] = []

    def fill(
        self, ranges: Iterable[tuple[int, int]], steps: ProgressSteps, stop: threading.Event, *, keep: bool = True
    ) -> None:
        """Count ranges of rows, one after the other, until `stop` is set; `keep=False` only learns their lengths."""
        task, n = self.task, self.task.n_items
        words = (n + 63) // 64
        scratch = (
            np.zeros(n, dtype=task.sum_dtype), np.empty(n + 1, dtype=np.int32),
            np.zeros(words, np.uint64), np.zeros((words + 63) // 64, np.uint64), self.lengths,
        )
        extra: tuple[Any, ...] = ()
        if not task.plain:
            extra = (
                self.sequence, task.sequence_weights, task.actions, task.action_weights, task.cap,
                np.zeros(n), np.empty(n + 1, dtype=np.int32),
            )
        for begin, end in ranges:
            before = self.used
            self._fill(begin, end, scratch, extra, steps, stop)
            if keep:
                self.pieces.append((begin, before, self.used))
            else:
                self.used = 0
        self.corpus, self.sequence = (), np.zeros(0, dtype=np.int32)

    def _fill(
        self, row: int, last: int, scratch: tuple[Any, ...], extra: tuple[Any, ...], steps: ProgressSteps,
        stop: threading.Event,
    ) -> None:
        from .._kernels import cooccurrence as kernels  # numba takes a while to import; only counting needs it

        task, starts = self.task, self.starts
        weights = (task.back.astype(task.sum_dtype), task.ahead.astype(task.sum_dtype))
        run: Any = kernels.count_rows if task.plain else kernels.count_rows_weighted
        pause = np.zeros(4, dtype=np.int64)
        while row < last and not stop.is_set():
            self._grow(row)
            end = int(np.searchsorted(starts, starts[row] + _SLICE, side="right"))
            before = self.used
            reached, self.used = run(
                row, min(max(end, row + 1), last), starts, *self.corpus,
                *weights, task.keep_self, task.min_count, *scratch,
                self.indices, self.data, self.used, pause, _WORK, *extra,
            )
            if task.k:
                self.used = _core.keep_largest(row, reached, task.k, self.lengths, self.indices, self.data, before)
            steps.add(int(starts[reached] - starts[row]))
            row = reached

    def _grow(self, row: int) -> None:
        """Make room for the next row, by a step or by half; the OS remaps pages instead of copying where it can."""
        bound = int(self.task.bounds(np.diff(self.starts[row : row + 2]))[0])
        if self.used + bound <= len(self.indices):
            return
        if not len(self.indices):
            size = min(self.most, max(bound, self.first))
            self.indices, self.data = np.empty(size, dtype=np.int32), np.empty(size, dtype=self.task.dtype)
        else:
            step = len(self.indices) // 2 if self.step is None else self.step
            self.resize(min(self.most, self.used + max(bound, step)))

    def resize(self, size: int) -> None:
        self.indices.resize(size, refcheck=False)
        self.data.resize(size, refcheck=False)


def assemble(
    counters: list[RowCounter], lengths: NDArray[np.int64], task: CountTask, steps: int
) -> sparse.csr_array:
    """All ranges in order: the first counter's buffers grow by a step of rows, and those they come from shrink by it.

    So the result and a step, or a range that is larger, are in memory at most, however the counters shared the rows.
    """
    indptr = np.zeros(task.n_items + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    result, step = counters[0], -(-int(indptr[-1]) // steps)
    pieces = [(*piece, counter) for counter in counters[1:] for piece in counter.pieces]
    # By falling row, so that the next one is the last; being counted from the end, it is its counter's last as well.
    pieces.sort(key=lambda piece: piece[0], reverse=True)
    for counter in counters[1:]:
        counter.resize(counter.used)
    end = result.used
    while pieces:
        batch, begin = [pieces.pop()], end
        end += batch[0][2] - batch[0][1]
        while pieces and end + pieces[-1][2] - pieces[-1][1] - begin <= step:
            batch.append(pieces.pop())
            end += batch[-1][2] - batch[-1][1]
        result.resize(end)
        run_tasks([partial(_copy, counter, result, indptr, *piece) for *piece, counter in batch], task.workers)
        for _, left, _, counter in batch:
            counter.resize(left)
    result.resize(end)
    return csr_of(result.data, result.indices, indptr, (task.n_items, task.n_items))


def _copy(counter: RowCounter, result: RowCounter, indptr: NDArray[np.int64], row: int, begin: int, end: int) -> None:
    to = slice(int(indptr[row]), int(indptr[row]) + end - begin)
    result.indices[to] = counter.indices[begin:end]
    result.data[to] = counter.data[begin:end]


def csr_of(
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[np.int64],
    shape: tuple[int, int],
    limit: int = INT32_MAX,
) -> sparse.csr_array:
    """A canonical CSR; both index arrays are int64 where there are more than `limit` entries, else int32."""
    index = np.dtype(np.int32 if len(indices) <= limit and max(shape) <= limit else np.int64)
    matrix = sparse.csr_array(
        (data, indices.astype(index, copy=False), indptr.astype(index, copy=False)), shape=shape, copy=False
    )
    matrix.has_canonical_format = True
    return matrix
