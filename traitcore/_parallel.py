"""Run a serial, GIL-free kernel over blocks of rows on a pool of threads.

Each block owns its output rows, and blocks are cut by the work,
never by the number of workers, wherever a result could depend on the cut; so results don't depend on `workers`.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from itertools import cycle, pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
# Numbers in a plain pass from which a second thread pays for the pool (see `worthwhile`).
_POOL_PAYS = 1 << 22
# Above the cores of any machine, and below what a system refuses to start; more is a slip of the keyboard.
MOST_WORKERS = 4096


def available_cpus() -> int:
    """Cores this process may use (affinity-aware where the platform tells)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def worthwhile(workers: int, numbers: int) -> int:
    """`workers`, or 1 where a pass reads or writes so few numbers that starting threads takes longer than it saves.

    A pool and its futures cost about half a millisecond, in which one core sums a million numbers.
    """
    return workers if numbers >= _POOL_PAYS else 1


def even_blocks(n_rows: int, n_blocks: int) -> list[tuple[int, int]]:
    """[start, stop) ranges that cover n_rows in at most n_blocks non-empty parts of nearly equal length."""
    edges = np.linspace(0, n_rows, max(1, min(n_blocks, n_rows)) + 1).astype(np.int64)
    return [(int(a), int(b)) for a, b in pairwise(edges) if b > a]


def balanced_blocks(cumulative: NDArray[Any], n_blocks: int) -> list[tuple[int, int]]:
    """Like `even_blocks`, but of nearly equal cost; `cumulative` (n_rows + 1,) rises, e.g. a CSR indptr."""
    n_rows = len(cumulative) - 1
    if n_rows <= 0:
        return []
    targets = np.linspace(float(cumulative[0]), float(cumulative[-1]), max(1, n_blocks) + 1)
    edges = np.searchsorted(cumulative, targets[1:-1], side="left")
    edges = np.unique(np.concatenate(([0], edges, [n_rows])))
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def priced_blocks(
    cumulative: NDArray[Any], workers: int, price: float, *, per_worker: int = 8
) -> list[tuple[int, int]]:
    """`balanced_blocks`: some for each worker, and so many that none costs much more than `price`.

    A thread at work in a kernel hears nothing: Ctrl-C waits for the blocks under way. So `price` is what takes about a
    tenth of a second, in the unit of `cumulative`; only for results that don't depend on the cut.
    """
    cost = float(cumulative[-1] - cumulative[0]) if len(cumulative) else 0.0
    return balanced_blocks(cumulative, max(per_worker * workers, math.ceil(cost / price)))


def run_in_slices(
    kernel: Callable[..., Any], start: int, stop: int, step: int, ended: threading.Event, *args: Any
) -> None:
    """`kernel(start, stop, *args)` in slices of `step`, one after the other, until `ended` is set.

    For a kernel that adds to arrays of its block: where more blocks would need more arrays, and one alone would keep
    Ctrl-C waiting.
    """
    for begin in range(start, stop, step):
        if ended.is_set():
            return
        kernel(begin, min(begin + step, stop), *args)


class StopFlag:
    """A stop for `run_tasks` that kernels can look at: `flag` (1,) uint8 becomes 1."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, dtype=np.uint8)

    def set(self) -> None:
        self.flag[0] = 1


def run_blocks(
    kernel: Callable[..., T], blocks: Sequence[tuple[int, int]], workers: int, *args: Any
) -> list[T]:
    """`[kernel(start, stop, *args) for start, stop in blocks]` on `workers` threads, results in block order.

    The first error of a worker is raised in the caller; blocks not yet begun are then left out.
    """
    return run_tasks([lambda a=a, b=b: kernel(a, b, *args) for a, b in blocks], workers)  # type: ignore[misc]


def run_tasks(
    tasks: Iterable[Callable[[], T]],
    workers: int,
    *,
    while_waiting: Callable[[], None] | None = None,
    stop: threading.Event | StopFlag | None = None,
    apart: bool = False,
) -> list[T]:
    """Run callables on `workers` threads; results in order, first error raised, the rest cancelled.

    while_waiting : called in this thread about ten times a second while others work, and once when all are done.
    stop : set at the first error and at Ctrl-C, so that tasks that look at it end early.
    apart : never in this thread, which alone hears Ctrl-C: for tasks that can't be cut and look at `stop`.
    """
    tasks = list(tasks)
    if not apart and (workers == 1 or len(tasks) <= 1):
        return [task() for task in tasks]
    # A pool for each call: threads cost tens of microseconds, and a pool kept for later would not survive a fork.
    with ThreadPoolExecutor(max(1, min(workers, len(tasks))), initializer=_spread()) as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            _wait(futures, while_waiting)
        finally:
            if stop is not None:
                stop.set()
            for future in futures:
                future.cancel()  # leaves alone what is done or under way
        return [future.result() for future in futures if not future.cancelled()]


def _wait(futures: list[Future[T]], while_waiting: Callable[[], None] | None) -> None:
    """Until all are done or one has failed."""
    # Not result by result: each would wake this thread, on a core that a worker is using.
    left: set[Future[T]] = set(futures)
    failed = False
    while left and not failed:
        done, left = wait(left, timeout=None if while_waiting is None else 0.1, return_when=FIRST_EXCEPTION)
        failed = any(future.exception() is not None for future in done)
        if while_waiting is not None and not failed:
            while_waiting()


def _spread() -> Callable[[], None]:
    """What each thread of a pool does first: move to a processor of its own, then be free to go anywhere.

    Linux may start a thread behind the one that made it and leave it there for a scheduler's tick, beside an idle
    processor: longer than many of our calls take (`traitcore::ThreadPlacer` does the same for native threads).
    """
    if not hasattr(os, "sched_setaffinity"):
        return lambda: None
    allowed = os.sched_getaffinity(0)
    turn = cycle(sorted(allowed))

    def place() -> None:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {next(turn)})
            os.sched_setaffinity(0, allowed)

    return place
