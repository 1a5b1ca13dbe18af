"""Progress of long work: a callback `progress(stage, done, total)`, called seldom, never from a worker thread."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float, float], None]
