"""Progress on a terminal: one line, rewritten, with rate and remaining time; silent elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_EVERY = 0.1  # seconds between two drawings


class ProgressLine:
    """A `traitcore` progress callback that draws on stderr where that is a terminal.

    `quiet` True: never; None: only on a terminal.
    """

    def __init__(self, quiet: bool | None = None, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.active = not quiet and self.stream.isatty()
        self._stage = ""
        self._began = self._drawn = 0.0
        self._length = 0

    def __call__(self, stage: str, done: float, total: float) -> None:
        if not self.active:
            return
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began, self._drawn = stage, now, 0.0
        if now - self._drawn < _EVERY and done < total:
            return
        self._drawn = now
        self._write(progress_text(stage, done, total, now - self._began))

    def _write(self, text: str) -> None:
        self.stream.write("\r" + text.ljust(self._length))
        self.stream.flush()
        self._length = len(text)

    def clear(self) -> None:
        """Erase the line, so that output or an error starts on an empty one."""
        if self.active and self._length:
            self.stream.write("\r" + " " * self._length + "\r")
            self.stream.flush()
            self._length = 0


def progress_text(stage: str, done: float, total: float, seconds: float) -> str:
    """e.g. "item2vec   43%  1.2M/s  00:12 left"."""
    parts = [f"{stage:16s}"]
    if total > 0:
        parts.append(f"{min(done / total, 1.0):4.0%}")
    if seconds > 0.5 and done > 0:
        rate = done / seconds
        parts.append(f"{short(rate)}/s")
        if total > done:
            left = (total - done) / rate
            parts.append(f"{int(left // 60):02d}:{int(left % 60):02d} left")
    return "  ".join(parts)


def short(value: float) -> str:
    """1234567 -> "1.2M"."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{unit}"
    return f"{value:.3g}"
