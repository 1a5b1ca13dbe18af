"""The line of progress."""

from __future__ import annotations

import io

from traitcore.cli.progress import ProgressLine, progress_text, short


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_only_on_a_terminal() -> None:
    for stream, quiet, drawn in ((io.StringIO(), None, False), (Terminal(), None, True), (Terminal(), True, False)):
        line = ProgressLine(quiet, stream)
        line("item2vec", 1, 2)
        assert bool(stream.getvalue()) is drawn
        line.clear()
    assert stream.getvalue() == ""


def test_progress_shows_rate_and_remaining_time() -> None:
    assert progress_text("item2vec", 500_000, 2_000_000, 2.0) == "item2vec           25%  250.0k/s  00:06 left"
    assert progress_text("item2vec", 0, 100, 0.0) == "item2vec            0%"
    assert [short(v) for v in (3.14159, 2_500, 1.2e6, 5e9)] == ["3.14", "2.5k", "1.2M", "5.0G"]
