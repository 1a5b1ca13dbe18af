"""The stages of a run, with their times, reports and progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .._progress import Progress

LOGGER = logging.getLogger("traitcore")


@dataclass(frozen=True)
class Stage:
    """One stage of a run: its name, how long it took, and its report (str() of it is for people)."""

    name: str
    seconds: float
    report: object = None


class Run:
    """The stages so far, and the progress callback."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.stages: list[Stage] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, object]]:
        """Time a stage; the value stored under "report" becomes its report.

        Its progress begins with (name, 0, 1) and ends with (name, 1, 1), so that a stage without steps of its own, or
        one that ends before its last step, has an end too.
        """
        kept: dict[str, object] = {}
        began = time.perf_counter()
        if self.progress is not None:
            self.progress(name, 0, 1)
        yield kept
        if self.progress is not None:
            self.progress(name, 1, 1)
        self.stages.append(Stage(name, time.perf_counter() - began, kept.get("report")))
        LOGGER.info("%s: %.2f s. %s", name, self.stages[-1].seconds, kept.get("report") or "")

    def stage_progress(self, name: str) -> Progress | None:
        """A progress callback that reports under the pipeline's name of the stage."""
        progress = self.progress
        return None if progress is None else lambda _, done, total: progress(name, done, total)
