"""Progress of long work: a callback `progress(stage, done, total)`, called seldom, never from a worker thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

Progress = Callable[[str, float, float], None]

# Calls of the callback over a whole stage.
_STEPS = 100


class ProgressSteps:
    """Work done by any number of threads, told to the callback in fixed steps.

    The callback gets the same calls for any number of workers: `done` is 1/100, 2/100, ... of `total`, each once and
    in order, and `total` last. Only the thread that made this object calls it: when that thread itself adds work, or
    from `report` while it waits for the others.
    """

    def __init__(self, stage: str, total: int, progress: Progress | None) -> None:
        self._stage, self._total, self._progress = stage, total, progress
        steps = min(_STEPS, max(1, total))
        self._marks = [total * step // steps for step in range(1, steps + 1)]
        self._done = 0
        self._thread = threading.get_ident()
        self._lock = threading.Lock()

    def add(self, amount: int) -> None:
        """Count work as done; safe in any thread."""
        with self._lock:
            self._done += amount
        if threading.get_ident() == self._thread:
            self.report()

    def report(self) -> None:
        """Call the callback for each step passed since the last call."""
        if self._progress is None:
            return
        passed = 0
        while passed < len(self._marks) and self._marks[passed] <= self._done:
            passed += 1
        # Removed first: an error in the callback must not repeat its steps.
        now, self._marks = self._marks[:passed], self._marks[passed:]
        for done in now:
            self._progress(self._stage, done, self._total)
