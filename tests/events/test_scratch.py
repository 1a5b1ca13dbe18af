"""Scratch folders: gone at any end, and those of dead runs removed by the next."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path

import pytest

from traitcore import _disk as disk
from traitcore.events.array_files import new_folder
from traitcore.events.scratch import ScratchWarning, scratch_folder


@pytest.mark.parametrize("error", [None, ValueError("x"), KeyboardInterrupt()])
def test_it_is_gone_at_any_end(tmp_path: Path, error: BaseException | None) -> None:
    seen = []

    def work() -> None:
        with scratch_folder(tmp_path / "new" / "place") as folder:
            seen.append(folder)
            (folder / "file").write_bytes(b"12345")
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    assert not seen[0].exists()
    assert os.listdir(tmp_path / "new" / "place") == []


def test_only_folders_of_dead_runs_are_removed(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as live:
        dead, fd = disk.make_locked(tmp_path, "traitcore-scratch-")
        (dead / "file").write_bytes(b"x" * 2_000_000)
        os.close(fd)  # as the system does when a process dies
        (tmp_path / "traitcore-scratch-file").write_text("somebody's")
        with pytest.warns(ScratchWarning, match=f"left {dead} \\(2 MiB\\)"), scratch_folder(tmp_path):
            assert live.exists()
        assert not dead.exists()
        assert (tmp_path / "traitcore-scratch-file").exists()


def test_a_full_disk_says_what_was_written_and_what_was_free(tmp_path: Path) -> None:
    def work() -> None:
        with scratch_folder(tmp_path) as folder:
            (folder / "file").write_bytes(b"x" * 1_000_000)
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="the disk is full: 1 MiB of scratch") as raised:
        work()
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), new_folder(tmp_path / "a"):
        raise ValueError("x")
    with new_folder(tmp_path / "a") as folder:
        (folder / "file").write_text("whole")
        assert not (tmp_path / "a").exists()
    assert sorted(os.listdir(tmp_path / "a")) == ["file"]
    with pytest.raises(FileExistsError), new_folder(tmp_path / "a"):
        pass
    _, fd = disk.make_locked(tmp_path, ".b-")
    os.close(fd)
    with pytest.warns(ScratchWarning), new_folder(tmp_path / "b"):
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with new_folder(tmp_path / "c"):
            pass
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]
