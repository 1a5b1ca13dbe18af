"""Large files go past the page cache where the system can; whatever it refuses, the bytes are the same."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcore.serving import disk

BLOCK = 4096


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LARGE", 1)
    monkeypatch.setattr(disk, "_BUFFER", BLOCK)


def chunks_of(*sizes: int) -> list[bytes]:
    rng = np.random.default_rng(sum(sizes))
    return [rng.bytes(size) for size in sizes]


def check(path: Path, chunks: list[bytes]) -> None:
    sha, size = disk.write_file(path, chunks)
    whole = b"".join(chunks)
    assert path.read_bytes() == whole
    assert (sha, size) == (hashlib.sha256(whole).hexdigest(), len(whole))


@pytest.mark.parametrize("sizes", [
    (1,), (BLOCK - 1,), (BLOCK,), (BLOCK + 1,), (128, 3 * BLOCK), (128, 3 * BLOCK - 128), (1, 0, 2 * BLOCK, 7),
    (128, disk.CHUNK + 5),
])  # fmt: skip
def test_any_size_and_any_cut(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    check(tmp_path / "file", chunks_of(*sizes))


def test_a_system_that_knows_no_direct_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = os.open, []

    def open_(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        asked.append(bool(flags & disk._DIRECT))
        if asked[-1]:
            os.close(real(path, flags & ~disk._DIRECT, *args, **kwargs))  # it makes the file, then says no
            raise OSError(errno.EINVAL, "Invalid argument", str(path))
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(disk, "_DIRECT", disk._DIRECT or 1 << 30)
    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(disk, "_end_direct", lambda fd: None)
    check(tmp_path / "file", chunks_of(128, 5 * BLOCK))
    assert asked[:2] == [True, False]


@pytest.mark.parametrize("answer", ["refused", "half"])
def test_a_block_that_the_disk_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    real, lengths = os.write, []

    def write(fd: int, data: Any) -> int:
        lengths.append(len(data))
        if len(lengths) == 2:  # the second block
            if answer == "refused":
                raise OSError(errno.EINVAL, "Invalid argument")
            return real(fd, data[: BLOCK // 2])
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    check(tmp_path / "file", chunks_of(128, 4 * BLOCK))
    assert lengths[:3] == [BLOCK, BLOCK, BLOCK if answer == "refused" else BLOCK // 2]


def test_a_full_disk_is_told_and_the_file_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    real = os.close
    monkeypatch.setattr(os, "close", lambda fd: (closed.append(fd), real(fd))[1])

    def write(fd: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        disk.write_file(tmp_path / "file", chunks_of(128, 4 * BLOCK))
    assert len(closed) == 1


def test_an_existing_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(FileExistsError):
        disk.write_file(tmp_path / "file", chunks_of(2 * BLOCK))
    assert (tmp_path / "file").read_bytes() == b"kept"
