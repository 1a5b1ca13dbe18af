"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


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
