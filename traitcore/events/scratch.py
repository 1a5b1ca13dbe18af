"""A scratch folder for work larger than memory. It is removed at any end; after a kill the next run removes it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from .. import _disk as disk

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NAME = "traitcore-scratch-"


class ScratchWarning(UserWarning):
    """A run was killed and left its scratch folder, which was removed."""


@contextlib.contextmanager
def scratch_folder(parent: str | os.PathLike[str] | None) -> Iterator[Path]:
    """A new folder in `parent`, by default the system's folder for temporary files.

    Folders there of runs that no longer live are removed first, and named in a ScratchWarning. A full disk is one
    OSError that says how much room there was.
    """
    place = Path(tempfile.gettempdir() if parent is None else parent).expanduser()
    os.makedirs(place, exist_ok=True)
    warn_of_leftovers(disk.remove_abandoned(place, _NAME), stacklevel=5)
    path, fd = disk.make_locked(place, _NAME)
    try:
        yield path
    except OSError as error:
        if error.errno not in _FULL:
            raise
        free = shutil.disk_usage(place).free
        raise OSError(
            error.errno,
            f"the disk is full: {disk.folder_size(path) / 2**20:,.0f} MiB of scratch were written there and "
            f"{free / 2**20:,.0f} MiB were free when it ended. Nothing was published, and the scratch is removed. A "
            "scratch folder on another disk may have room", os.fspath(place),
        ) from error
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(fd)


def warn_of_leftovers(found: list[tuple[Path, int]], *, stacklevel: int) -> None:
    """A ScratchWarning for each folder that was removed."""
    for path, size in found:
        text = f"A run was killed and left {path} ({size / 2**20:,.0f} MiB); it was removed."
        warnings.warn(text, ScratchWarning, stacklevel=stacklevel)
