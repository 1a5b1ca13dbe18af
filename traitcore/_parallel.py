"""Run a serial, GIL-free kernel over blocks of rows on a pool of threads.

The only place where `workers` is resolved. Each block owns its output rows, and blocks are cut by the work,
never by the number of workers, wherever a result could depend on the cut; so results don't depend on `workers`.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import cycle, pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._errors import parameter_message

T = TypeVar("T")
# Numbers in a plain pass from which a second thread pays for the pool (see `worthwhile`).
_POOL_PAYS = 1 << 22


def available_cpus() -> int:
    """Cores this process may use (affinity-aware where the platform tells)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def resolve_workers(workers: int, owner: str) -> int:
    """Number of threads: a positive int as given, -1 for all cores; anything else is a house error."""
    if isinstance(workers, (bool, np.bool_)) or not isinstance(workers, (int, np.integer)):
        raise TypeError(parameter_message("workers", owner, "an int in [1, inf), or -1 for all cores", workers))
    if workers == -1:
        return available_cpus()
    if workers < 1:
        raise ValueError(parameter_message("workers", owner, "an int in [1, inf), or -1 for all cores", workers))
    return int(workers)


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


def run_blocks(
    kernel: Callable[..., T], blocks: Sequence[tuple[int, int]], workers: int, *args: Any
) -> list[T]:
    """`[kernel(start, stop, *args) for start, stop in blocks]` on `workers` threads, results in block order.

    The first error of a worker is raised in the caller; blocks not yet begun are then left out.
    """
    return run_tasks([lambda a=a, b=b: kernel(a, b, *args) for a, b in blocks], workers)  # type: ignore[misc]


def run_tasks(
    tasks: Iterable[Callable[[], T]], workers: int, stop: threading.Event | None = None
) -> list[T]:
    """Run callables on `workers` threads; results in order, first error raised, the rest cancelled.

    `stop` is set as soon as waiting ends, also by Ctrl-C: long tasks look at it, since those under way are waited for.
    """
    tasks = list(tasks)
    if workers == 1 or len(tasks) <= 1:
        return [task() for task in tasks]
    # A pool for each call: threads cost tens of microseconds, and a pool kept for later would not survive a fork.
    with ThreadPoolExecutor(min(workers, len(tasks)), initializer=_spread()) as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            # Not result by result: each would wake this thread, on a core that a worker is using.
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if stop is not None:
                stop.set()
            for future in futures:
                future.cancel()  # leaves alone what is done or under way
        return [future.result() for future in futures if not future.cancelled()]


def _spread() -> Callable[[], None]:
    """What each thread of a pool does first: move to a processor of its own, then be free to go anywhere.

    Linux may start a thread behind the one that made it and leave it there for a scheduler's tick, beside an idle
    processor: longer than many of our calls take (`traitcore::Spread` does the same for native threads).
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
