"""Large files go past the page cache where the system can; whatever it refuses, the bytes are the same."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcore import TableError
from traitcore import _disk as disk

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
    (128, (8 << 20) + 5),
])
def test_any_size_and_any_cut(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    check(tmp_path / "file", chunks_of(*sizes))


def test_a_system_without_direct_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_full_disk_is_an_error_and_the_file_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    real = os.close

    def close(fd: int) -> None:
        closed.append(fd)
        real(fd)

    monkeypatch.setattr(os, "close", close)

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


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, 2 * BLOCK, 3 * BLOCK + 1, 9 * BLOCK + 77])
def test_hashing_past_the_cache(tmp_path: Path, size: int) -> None:
    content = chunks_of(size)[0]
    (tmp_path / "file").write_bytes(content)
    with disk.Folder(tmp_path) as folder:
        assert folder.sha256("file", size) == hashlib.sha256(content).hexdigest()
        with pytest.raises(TableError, match="bytes where its manifest says"):
            folder.sha256("file", size + 1)


@pytest.mark.parametrize("answer", ["refused", "short", "no such flag"])
def test_hashing_where_the_system_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    content = chunks_of(7 * BLOCK)[0]
    (tmp_path / "file").write_bytes(content)
    real, calls = getattr(os, "preadv", None), []

    def preadv(fd: int, buffers: Any, offset: int) -> int:
        calls.append(offset)
        if offset < 3 * BLOCK:
            return real(fd, buffers, offset)  # type: ignore[misc,no-any-return]
        if answer == "refused":
            raise OSError(errno.EINVAL, "Invalid argument")
        return 10

    if answer == "no such flag":
        monkeypatch.setattr(disk, "_DIRECT", 0)
    monkeypatch.setattr(os, "preadv", preadv, raising=False)
    with disk.Folder(tmp_path) as folder:
        assert folder.sha256("file", 7 * BLOCK) == hashlib.sha256(content).hexdigest()
    assert answer != "no such flag" or not calls


def test_a_bad_sector_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(bytes(7 * BLOCK))

    def fails(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(disk, "_hash_past_the_cache", fails)
    with disk.Folder(tmp_path) as folder, pytest.raises(TableError, match="file can't be read: Input/output error"):
        folder.sha256("file", 7 * BLOCK)
