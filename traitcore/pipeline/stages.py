"""The stages of a run: timed, reported, told about as they go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .._progress import Progress


@dataclass(frozen=True)
class Stage:
    """One stage of a run: its name, how long it took, and its report (str() of it is for people)."""

    name: str
    seconds: float
    report: Any = None


class Run:
    """The stages so far, and where to tell about them."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.stages: list[Stage] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage; what is put under "report" becomes its report.

        Its progress begins with (name, 0, 1) and ends with (name, 1, 1), so that a stage without steps of its own, or
        one that ends before its last step, has an end too.
        """
        kept: dict[str, Any] = {}
        began = time.perf_counter()
        if self.progress is not None:
            self.progress(name, 0, 1)
        yield kept
        if self.progress is not None:
            self.progress(name, 1, 1)
        self.stages.append(Stage(name, time.perf_counter() - began, kept.get("report")))

    def tell(self, name: str) -> Progress | None:
        """A progress callback that speaks of a stage by the pipeline's name for it."""
        progress = self.progress
        return None if progress is None else lambda _, done, total: progress(name, done, total)
