"""Kill or fail a process at each file operation of the store. Run as a script: a process of its own may fork freely.

    python -m tests.data.store_faults FOLDER ACTION MODE

ACTION is publish_first, publish_next, publish_large (by blocks past the page cache), rollback, prune, release_first,
release_next, release_rollback or release_prune; MODE is kill_before, kill_after, kill_half (a write is cut in two) or
an errno name such as ENOSPC. Operation 1, 2, 3, ... is hit, each in a fresh store and process, until the action runs to
its end unhit. Prints {"operations": n, "problems": [...]} as JSON.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from traitcore import TableError
from traitcore import _disk as disk
from traitcore.serving.releases import FOLDER, Releases
from traitcore.serving.store import TableStore
from traitcore.serving.table import EmbeddingTable

OPERATIONS = ("open", "write", "fsync", "close", "rename", "replace", "mkdir", "unlink", "rmdir", "listdir", "lstat")
NAME = "items"


def table(fill: float, width: int = 4) -> EmbeddingTable:
    return EmbeddingTable(["a", "ü", ""], np.full((3, width), fill, np.float32), metadata={"fill": fill})


def tables(fill: float) -> dict[str, EmbeddingTable]:
    return {NAME: table(fill), "customers": table(fill, 3)}


class Fault:
    """Counts the operations of this process and strikes at the chosen one."""

    def __init__(self, strike_at: int, mode: str) -> None:
        self.count, self.strike_at, self.mode = 0, strike_at, mode
        self.log: list[tuple[str, Any]] = []

    def install(self) -> None:
        for name in OPERATIONS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        fcntl.flock = self._wrapped("flock", fcntl.flock)

    def install_under_lock(self) -> None:
        """Count from the moment that a writer of releases takes their lock."""
        real = Releases._locked

        def locked(releases: Releases) -> contextlib.AbstractContextManager[None]:
            self.install()
            return real(releases)

        Releases._locked = locked  # type: ignore[assignment, method-assign]

    def _wrapped(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            self.log.append((name, args[0] if args else None))
            if self.count != self.strike_at:
                return original(*args, **kwargs)
            if self.mode == "kill_half" and name == "write":
                with contextlib.suppress(OSError):  # half a block may be less than the disk takes at once
                    original(args[0], args[1][: len(args[1]) // 2])
            elif self.mode == "kill_after":
                original(*args, **kwargs)
            elif not self.mode.startswith("kill"):
                if name == "close":  # closing frees the descriptor whatever it says
                    original(*args, **kwargs)
                code = getattr(errno, self.mode)
                raise OSError(code, os.strerror(code), str(args[0]) if args else None)
            os.kill(os.getpid(), signal.SIGKILL)

        return call


def prepare(root: Path, action: str) -> TableStore:
    store = TableStore(root)
    for fill in range({"publish_first": 0, "publish_next": 1, "publish_large": 1, "release_first": 0}.get(action, 3)):
        if action.startswith("release"):
            store.releases.publish(tables(float(fill)))
        else:
            store.publish(table(float(fill)), NAME)
    return store


def act(store: TableStore, action: str) -> None:
    if action == "rollback":
        store.rollback(NAME)
    elif action == "release_rollback":
        store.releases.rollback()
    elif action == "release_prune":
        store.releases.prune(keep=1)
    elif action.startswith("release"):
        store.releases.publish(tables(9.0))
    elif action == "prune":
        store.prune(NAME, keep=1)
    elif action == "publish_large":
        disk.LARGE, disk._BUFFER = 1, 4096  # in a child of its own
        store.publish(table(9.0, 1000), NAME)
    else:
        store.publish(table(9.0), NAME)


def run_hit(store: TableStore, action: str, strike_at: int, mode: str) -> int:
    """0: it ended unhit. 1: killed. 2: the error came out as TableError. 3: hit, but it ended well. 4: all else."""
    child = os.fork()
    if child == 0:
        fault, code = Fault(strike_at, mode), 4
        try:
            if action.startswith("release"):  # single tables have actions of their own
                fault.install_under_lock()
            else:
                fault.install()
            act(store, action)
            code = 3 if fault.count >= strike_at else 0
        except TableError:
            code = 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return 1 if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def check(store: TableStore, action: str, before: set[str], outcome: int) -> list[str]:
    """What is wrong with the store now; nothing may be."""
    problems = []
    infos = store.list(NAME) if (store.root / NAME).is_dir() else []
    versions = {info.version for info in infos}
    for info in infos:
        if info.error is not None:
            problems.append(f"{info.version} can't be read: {info.error}")
        else:
            store.verify(NAME, info.version)
            opened = store.open(NAME, info.version)
            if not (opened.vectors == opened.metadata["fill"]).all() or opened.ids.tolist() != ["a", "ü", ""]:
                problems.append(f"{info.version} has other content")
    if not action.endswith("prune") and not before <= versions:
        problems.append(f"lost {before - versions}")
    if before and not any(info.is_latest for info in infos):
        problems.append("LATEST points nowhere")
    if outcome == 4:
        problems.append("an error other than TableError came out")
    if action.startswith("release"):
        problems += check_releases(store, action)
    fresh = (store.releases.publish(tables(11.0)).tables or {})[NAME] if action.startswith("release") else (
        store.publish(table(11.0), NAME)
    )
    if float(store.open(NAME).vectors[0, 0]) != 11.0 or store.open(NAME).version != fresh:
        problems.append("the next publish is not the latest")
    left = [entry for entry in os.listdir(store.root / NAME) if entry.startswith(".") and entry != ".lock"]
    if left:
        problems.append(f"leftovers after the next publish: {left}")
    return problems


def check_releases(store: TableStore, action: str) -> list[str]:
    """What is wrong with the releases, before and after the next one is published."""
    problems = [str(release.error) for release in store.releases.list() if release.error is not None]
    fresh = store.releases.publish(tables(10.0))
    if not fresh.is_latest or (fresh.parent is None and action != "release_first"):
        problems.append(f"the next release is {fresh}, after {fresh.parent}")
    if fresh.parent is not None:
        parent = store.releases.get(fresh.parent)
        fills = {name: opened.metadata["fill"] for name, opened in store.releases.open(parent.name).items()}
        if len(set(fills.values())) != 1:
            problems.append(f"a release of several runs: {fills}")
        store.releases.rollback()
        if not store.releases.get(parent.name).is_latest:
            problems.append("the release before it can't be made the latest")
    left = [entry for entry in os.listdir(store.root / FOLDER) if entry != ".lock" and not entry.endswith(".json")]
    if left:
        problems.append(f"leftovers among the releases: {left}")
    return problems


def main(folder: str, action: str, mode: str) -> None:
    problems, strike_at, hit = [], 0, True
    while hit:
        strike_at += 1
        root = Path(folder) / f"{action}-{mode}-{strike_at}"
        store = prepare(root, action)
        before = {info.version for info in store.list(NAME)} if (root / NAME).is_dir() else set()
        outcome = run_hit(store, action, strike_at, mode)
        hit = outcome != 0
        try:
            found = check(store, action, before, outcome)
        except Exception as error:  # whatever it is, it is the finding
            found = [repr(error)]
        problems += [f"operation {strike_at}: {problem}" for problem in found]
        shutil.rmtree(root, ignore_errors=True)
    print(json.dumps({"operations": strike_at - 1, "problems": problems}))


if __name__ == "__main__":
    main(*sys.argv[1:])
