"""The publisher dies, or the disk fails, at every file operation: no half version, none lost, the next works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from traitcore.serving.store import TableStore
from traitcore.serving.table import EmbeddingTable

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked child")
ROOT = Path(__file__).parents[2]


def strike(folder: Path, action: str, mode: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.data.store_faults", str(folder), action, mode],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where the system has such a place: nothing here depends on the disk, and syncing it is slow."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


# Killed before operation n + 1 is killed after n, and kill_half is kill_before but for writes: these three see all.
@pytest.mark.parametrize(("action", "mode"), [
    ("publish_first", "kill_half"), ("publish_next", "kill_half"), ("publish_next", "kill_after"),
    ("publish_first", "EROFS"), ("publish_next", "ENOSPC"), ("publish_large", "kill_half"), ("publish_large", "ENOSPC"),
    ("publish_large", "EINVAL"),
])
def test_a_publisher_fails_at_every_operation(folder: Path, action: str, mode: str) -> None:
    found = strike(folder, action, mode)
    assert found["problems"] == []
    assert int(str(found["operations"])) > 50  # all of them were seen: arrays, manifest, renames, locks


@pytest.mark.parametrize(("action", "mode"), [
    ("rollback", "kill_half"), ("rollback", "ENOSPC"), ("prune", "kill_half"), ("prune", "ENOSPC"),
    ("release_first", "kill_half"), ("release_next", "kill_half"), ("release_next", "ENOSPC"),
    ("release_rollback", "kill_half"), ("release_rollback", "ENOSPC"), ("release_prune", "kill_half"),
])
def test_moving_versions_fails_at_every_operation(folder: Path, action: str, mode: str) -> None:
    found = strike(folder, action, mode)
    assert found["problems"] == []
    assert int(str(found["operations"])) > 12


def test_everything_is_synced_before_the_rename_that_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[tuple[str, str]] = []
    path_of: dict[int, str] = {}
    real_open, real_sync = os.open, os.fsync

    def open_(path: object, flags: int, *args: object, **kwargs: object) -> int:
        fd = real_open(path, flags, *args, **kwargs)  # type: ignore[arg-type]
        path_of[fd] = str(path)
        if flags & os.O_EXCL:
            log.append(("written", str(path)))
        return fd

    def sync(fd: int) -> None:
        real_sync(fd)
        log.append(("synced", path_of[fd]))

    def renamed(real):  # type: ignore[no-untyped-def]
        def call(source: object, target: object, **kwargs: object) -> None:
            log.append(("renamed", str(source)))
            real(source, target, **kwargs)

        return call

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", renamed(os.rename))
    monkeypatch.setattr(os, "replace", renamed(os.replace))
    store = TableStore(tmp_path / "store")
    store.publish(EmbeddingTable([1, 2], [[1.0], [2.0]], context_vectors=[[1.0], [2.0]]), "items")
    monkeypatch.undo()
    shown = [i for i, (what, _) in enumerate(log) if what == "renamed"]
    assert len(shown) == 2  # the version, then LATEST
    version_folder = log[shown[0]][1]
    written = [path for what, path in log[: shown[0]] if what == "written"]
    assert {Path(p).name for p in written} >= {"vectors.npy", "context_vectors.npy", "ids.npy", "manifest.json"}
    for path in [*written, version_folder]:
        assert ("synced", path) in log[: shown[0]], path
    assert ("synced", str(tmp_path / "store" / "items")) in log[shown[0] : shown[1]]
    assert ("synced", log[shown[1]][1]) in log[shown[0] : shown[1]]
    assert ("synced", str(tmp_path / "store" / "items")) in log[shown[1] :]
