"""Files that appear whole or not at all; CSV that reads back as it was."""

from __future__ import annotations

import contextlib
import csv
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _csv import Writer as CsvWriter


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to: a sibling that takes the name `path` at the end, and is removed after an error.

    A target that is there and is no regular file (a device, a pipe) is written to itself: renaming over it would
    replace the device.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        yield target
        return
    scratch = target.with_name(f".{target.name[:100]}-{secrets.token_hex(8)}")
    try:
        yield scratch
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)


class TextSink(Protocol):
    """What takes text."""

    def write(self, text: str, /) -> object: ...


class _LineFeeds:
    """Takes records that end in \\r\\n and hands them on with \\n in its place."""

    def __init__(self, file: TextSink) -> None:
        self.file = file

    def write(self, record: str, /) -> object:
        return self.file.write(record.removesuffix("\r\n") + "\n")


def csv_writer(file: TextSink) -> CsvWriter:
    """csv.writer with line feeds at the ends of lines.

    With lineterminator="\\n" it would not quote a field that holds a carriage return, which would end a line.
    """
    return csv.writer(_LineFeeds(file), lineterminator="\r\n")
