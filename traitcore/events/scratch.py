"""A scratch folder for work larger than memory. It is removed at any end; after a kill the next run removes it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from .. import _disk as disk

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NAME, _MAKING = "traitcore-scratch-", ".traitcore-making-"


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
    for left, size in remove_leftovers(place):
        warnings.warn(f"A run was killed and left {left} ({size / 2**20:,.0f} MiB); it was removed.", ScratchWarning,
                      stacklevel=4)
    path, fd = _locked_folder(place)
    try:
        yield path
    except OSError as error:
        if error.errno not in _FULL:
            raise
        free = shutil.disk_usage(place).free
        raise OSError(
            error.errno,
            f"the disk is full: {_size(path) / 2**20:,.0f} MiB of scratch were written there and "
            f"{free / 2**20:,.0f} MiB were free when it ended. Nothing was published, and the scratch is removed. A "
            "scratch folder on another disk may have room", os.fspath(place),
        ) from error
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(fd)


def remove_leftovers(place: Path) -> list[tuple[Path, int]]:
    """Remove the scratch folders in `place` whose runs are dead; each with its bytes."""
    found = []
    for name in sorted(os.listdir(place)):
        path = place / name
        if name.startswith((_NAME, _MAKING)) and path.is_dir() and disk.is_abandoned(path):
            found.append((path, _size(path)))
            shutil.rmtree(path, ignore_errors=True)
    return found


def _locked_folder(place: Path) -> tuple[Path, int]:
    """A folder that has its name only once its lock is held, so that none without a holder is somebody's."""
    making = place / f"{_MAKING}{secrets.token_hex(8)}"
    os.mkdir(making)
    fd = disk.hold(making / "lock")
    path = place / making.name.replace(_MAKING, _NAME)
    os.rename(making, path)
    return path, fd


def _size(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_size
    return total
