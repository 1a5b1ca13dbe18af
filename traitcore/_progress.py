"""Progress of long work: a callback `progress(stage, done, total)`, called seldom, never from a worker thread."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

Progress = Callable[[str, float, float], None]
ProgressLike: TypeAlias = Progress | Literal[True] | None  # what front doors take: True draws a bar

# Calls of the callback over a whole stage.
_STEPS = 100


class ProgressSteps:
    """Work done by any number of threads, reported to the callback in fixed steps.

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


def as_progress(progress: ProgressLike) -> Progress | None:
    """The callback itself; for True a bar on standard error: tqdm's where it is installed, else a line of text."""
    if progress is not True:
        return progress
    try:
        return _TqdmBar(importlib.import_module("tqdm.auto").tqdm)
    except ImportError:
        return _TextBar()


class _TqdmBar:
    """A bar for each stage, by tqdm; it ends at its total."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm, self._stage = tqdm, ""
        self._bar: Any = None

    def __call__(self, stage: str, done: float, total: float) -> None:
        if stage != self._stage or self._bar is None:
            self._close()
            self._stage, self._bar = stage, self._tqdm(total=total, desc=stage, unit_scale=True, leave=True)
        bar = self._bar
        bar.total, bar.n = total, done
        bar.refresh()
        if done >= total:
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None


class _TextBar:
    """The same without tqdm: one line, rewritten, and ended when a stage is done."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, stage: str, done: float, total: float) -> None:
        share = min(1.0, done / total) if total > 0 else 1.0
        line = f"{stage:24s} [{'#' * round(20 * share):20s}] {share:4.0%}"
        if line != self._shown:
            self._shown = line
            sys.stderr.write("\r" + line + ("\n" if share >= 1.0 else ""))
            sys.stderr.flush()
