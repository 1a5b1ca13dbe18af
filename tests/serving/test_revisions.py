"""Revisions: all or nothing, at every step of a crash; releases, the latest and other tables follow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcore import EmbeddingTable, TableError, TableStore, build_index
from traitcore import _disk as disk
from traitcore.serving import revisions


def people(*ids: str) -> EmbeddingTable:
    return EmbeddingTable(list(ids), np.arange(2.0 * len(ids)).reshape(-1, 2) + 1, metadata={"kind": "customers"})


ITEMS = EmbeddingTable(["cup", "mug"], np.eye(2))


def without_ann(table: EmbeddingTable) -> EmbeddingTable | None:
    if table.name != "customers" or "ann" not in table:
        return None
    return table.subset([one for one in table if one != "ann"])


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    made = TableStore(tmp_path)
    for ids in (["ann", "bob"], ["bob"], ["bob", "cid", "ann"]):
        made.releases.publish({"items": ITEMS, "customers": people(*ids)}, seed=7, report={"status": "pass"})
    return made


def check_without_ann(store: TableStore) -> None:
    """Nobody reads ann anywhere; releases are whole and can be rolled back to."""
    assert b"ann" not in b"".join(p.read_bytes() for p in store.root.rglob("*") if p.is_file())
    assert not (store.releases._folder / revisions.JOURNAL).exists()
    releases = store.releases.list()
    assert [dict(r.tables or {})["customers"] for r in releases] == ["v000001.r1", "v000002", "v000003.r1"]
    assert not any(r.missing or r.error for r in releases)
    assert releases[-1].is_latest
    for release in releases:
        opened = store.releases.open(release.name)
        assert opened["customers"].fingerprint == (release.fingerprints or {})["customers"]
        assert opened["customers"].metadata["versions"] == {"items": opened["items"].version}
    assert [i.version for i in store.list("customers")] == ["v000001.r1", "v000002", "v000003.r1"]
    left = {p.name for p in (store.root / "customers").iterdir() if p.name.startswith(".")}
    # The lock of a workspace outlives a death that is only played.
    assert left <= {".lock", ".indexes"} | {name for name in left if name.startswith(disk.Workspace.PREFIX)}


def test_every_version_is_revised(store: TableStore) -> None:
    before = store.describe("customers", "v000003")
    opened = store.open("customers")
    build_index(opened).save(store.index_path("customers", "v000003", "exact"))
    moves = revisions.revise(store, without_ann, reason="asked")
    assert moves == {"customers": {"v000001": "v000001.r1", "v000003": "v000003.r1"}}
    check_without_ann(store)
    assert "ann" in opened  # a reader keeps what it has opened
    assert not store.index_path("customers", "v000003", "exact").exists()
    now = store.describe("customers")
    for key in ("seed", "report", "sequence", "created_utc", "input_fingerprint"):
        assert now[key] == before[key], key
    assert now["revises"] == "v000003"
    assert now["revised"][0]["reason"] == "asked"
    assert store.open("customers")["cid"].tolist() == opened["cid"].tolist()
    assert revisions.revise(store, without_ann, reason="again") == {}
    store.releases.rollback("r000001")
    assert store.open("customers").ids.tolist() == ["bob"]
    assert store.publish(people("dan"), "customers") == "v000004"


def test_a_second_revision(store: TableStore) -> None:
    revisions.revise(store, without_ann, reason="one")
    moves = revisions.revise(store, lambda t: t.subset(["cid"]) if "cid" in t else None, reason="two")
    assert moves == {"customers": {"v000003.r1": "v000003.r2"}}
    assert [one["reason"] for one in store.describe("customers")["revised"]] == ["one", "two"]
    assert store.open("customers").ids.tolist() == ["cid"]


def test_tables_made_with_a_revised_one_follow(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    store.releases.publish({"customers": people("ann", "bob"), "segments": ITEMS})
    moves = revisions.revise(store, without_ann, reason="asked")
    assert moves == {"customers": {"v000001": "v000001.r1"}, "segments": {"v000001": "v000001.r1"}}
    assert store.open("segments").metadata["versions"] == {"customers": "v000001.r1"}
    assert store.releases.get().is_latest


def test_the_parent_of_a_version_may_be_revised(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    for ids in (["ann", "bob"], ["bob"]):
        store.publish(people(*ids), "customers")
    revisions.revise(store, without_ann, reason="asked")
    assert store.describe("customers")["parent"] == "v000001"
    assert store.rollback("customers") == "v000001.r1"
    assert store.open("customers").ids.tolist() == ["bob"]


STEPS = ("write_file", "replace_file", "sync_directory")


@pytest.mark.parametrize("step", [0, 3, 9, 14, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 29, 32, 99])
def test_a_crash_anywhere_is_all_or_nothing(store: TableStore, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The process dies before its n-th call that changes the disk; the next revision, or any writer, goes on."""
    calls = 0

    class Died(BaseException):
        pass

    def dying(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > step:
                raise Died
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patched:
        for name in STEPS:
            patched.setattr(disk, name, dying(getattr(disk, name)))
        patched.setattr(os, "rename", dying(os.rename))
        patched.setattr(os, "unlink", dying(os.unlink))
        try:
            revisions.revise(store, without_ann, reason="asked")
            finished = True
        except Died:
            finished = False
    # A reader sees the old tables or the new ones, each whole.
    for release in store.releases.list():
        if release.missing or release.error:  # between a release's record and the removal; never the latest
            assert (store.releases._folder / revisions.JOURNAL).exists()
    assert len(store.open("customers", verify=True)) in (2, 3)
    if not finished:
        revisions.revise(store, without_ann, reason="asked")
    check_without_ann(store)


def test_any_writer_completes_what_a_crash_cut_short(store: TableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(revisions, "complete", lambda store: None)
        revisions.revise(store, without_ann, reason="asked")
    assert (store.releases._folder / revisions.JOURNAL).exists()
    store.releases.rollback("r000003")
    check_without_ann(store)


def test_a_damaged_version_stops_all(store: TableStore) -> None:
    path = store.root / "customers" / "v000001" / "vectors.npy"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"x")
    with pytest.raises(TableError, match=r"vectors\.npy is damaged"):
        revisions.revise(store, without_ann, reason="asked")
    path.write_bytes(good)
    manifest = path.with_name("manifest.json")
    manifest.write_text(json.dumps({}))
    with pytest.raises(TableError, match="can't be told what this version holds"):
        revisions.revise(store, without_ann, reason="asked")
    assert [i.version for i in store.list("customers")] == ["v000001", "v000002", "v000003"]
