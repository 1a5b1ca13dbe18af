"""Releases: several tables published, rolled back and pruned together, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcore import EmbeddingTable, GuardrailError, TableError, TableStore
from traitcore import _disk as disk
from traitcore.serving.releases import FOLDER

ALL = ("tokens", "items", "customers")


def tables(fill: float) -> dict[str, EmbeddingTable]:
    return {
        name: EmbeddingTable(["a", "b"], np.full((2, 3), fill, np.float32), metadata={"fill": fill}) for name in ALL
    }


def store_of(folder: Path, n: int) -> TableStore:
    store = TableStore(folder)
    for fill in range(1, n + 1):
        store.releases.publish(tables(float(fill)))
    return store


def latest(store: TableStore) -> dict[str, str | None]:
    return {name: store.open(name).version for name in ALL}


def test_a_release_says_how_it_was_made(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    run = {"stages": [{"seconds": 1.5}]}
    made = {"parameters": {"window": 5}, "seed": 3, "input_fingerprint": "f" * 64, "run": run}
    first = store.releases.publish(tables(1.0), report={"status": "warn", "reasons": ["few"]}, **made)
    assert (first.name, first.parent, first.is_latest, first.status) == ("r000001", None, True, "warn")
    assert first.tables == dict.fromkeys(ALL, "v000001")
    assert first.fingerprints == {name: store.open(name).fingerprint for name in ALL}
    record = store.releases.describe()
    assert {key: record[key] for key in made} == made
    assert record["library_version"] == first.library_version != ""
    assert store.open("customers").metadata["versions"] == {"tokens": "v000001", "items": "v000001"}
    assert store.describe("items")["input_fingerprint"] == "f" * 64
    second = store.releases.publish(tables(2.0))
    assert (second.name, second.parent) == ("r000002", "r000001")
    assert [(r.name, r.is_latest) for r in store.releases.list()] == [("r000001", False), ("r000002", True)]
    assert {n: t.metadata["fill"] for n, t in store.releases.open("r000001").items()} == dict.fromkeys(ALL, 1.0)


def test_rollback_moves_all_tables(tmp_path: Path) -> None:
    store = store_of(tmp_path, 3)
    assert store.releases.rollback().name == "r000002"
    assert latest(store) == dict.fromkeys(ALL, "v000002")
    assert store.releases.rollback("r000003").is_latest
    assert latest(store) == dict.fromkeys(ALL, "v000003")
    store.releases.rollback("r000001")
    with pytest.raises(TableError, match="no parent"):
        store.releases.rollback()
    assert store.releases.publish(tables(4.0)).parent == "r000001"


@pytest.mark.parametrize("victim", ALL)
def test_a_damaged_table_stops_the_rollback_of_all(tmp_path: Path, victim: str) -> None:
    store = store_of(tmp_path, 2)
    path = tmp_path / victim / "v000001" / "vectors.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(TableError, match=f"{victim}.*damaged"):
        store.releases.rollback()
    assert latest(store) == dict.fromkeys(ALL, "v000002")


def test_one_table_of_a_release_is_not_moved_alone(tmp_path: Path) -> None:
    store = store_of(tmp_path, 2)
    with pytest.raises(TableError, match=r"r000002 \(tokens v000002, .*, customers v000002\) belongs together"):
        store.rollback("items")
    store.publish(tables(5.0)["items"], "live")  # a table of no release
    store.publish(tables(6.0)["items"], "live")
    assert store.rollback("live") == "v000001"


def test_a_mix_of_releases_is_named_and_left_by_naming_one(tmp_path: Path) -> None:
    store = store_of(tmp_path, 2)
    store.publish(tables(9.0)["items"], "items")  # items alone: now of no release
    assert store.releases.latest() is None
    with pytest.raises(TableError, match=r"not of one release .*customers v000002, items v000003, tokens v000002"):
        store.releases.rollback()
    assert store.releases.rollback("r000002").is_latest


def test_a_failed_verdict_or_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path, 1)
    with pytest.raises(GuardrailError, match="too few") as caught:
        store.releases.publish(tables(2.0), report={"status": "fail", "reasons": ["too few"]})
    assert caught.value.report["status"] == "fail"
    real, calls = disk.replace_file, []

    def full(path: Path, content: bytes) -> None:
        calls.append(path.name)
        if calls.count("LATEST") == 2 and path.name == "LATEST" and len(calls) < 6:
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(disk, "replace_file", full)
    with pytest.raises(TableError, match="No space left"):
        store.releases.publish(tables(2.0))
    monkeypatch.undo()
    assert calls.count("LATEST") > 2  # the first was moved, and moved back
    assert latest(store) == dict.fromkeys(ALL, "v000001")
    assert [r.name for r in store.releases.list()] == ["r000001"]


def test_a_move_that_a_crash_cut_short_is_completed_by_the_next_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path, 1)
    real = disk.replace_file

    def killed(path: Path, content: bytes) -> None:
        if path.parent.name == "customers":
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(disk, "replace_file", killed)
    with pytest.raises(KeyboardInterrupt):
        store.releases.publish(tables(2.0))
    monkeypatch.undo()
    assert (tmp_path / FOLDER / "MOVE").exists()
    assert store.open("customers").metadata["versions"]["items"] == "v000001"  # readers never mix
    third = store.releases.publish(tables(3.0))
    assert third.parent == "r000002"
    assert latest(store) == dict.fromkeys(ALL, "v000003")
    assert not (tmp_path / FOLDER / "MOVE").exists()


def test_prune_keeps_what_a_kept_version_names(tmp_path: Path) -> None:
    store = store_of(tmp_path, 3)
    store.releases.rollback("r000002")
    assert store.prune("items", keep=1) == []  # every customers' version names one of them
    assert store.releases.prune(keep=1) == {name: ["v000001"] for name in ALL}
    assert [r.name for r in store.releases.list()] == ["r000002", "r000003"]
    for name in ALL:
        assert [(i.version, i.is_latest) for i in store.list(name)] == [("v000002", True), ("v000003", False)]
    assert store.prune("customers", keep=1) == []  # v000002 is the latest, v000003 the newest
    store.releases.rollback("r000003")
    assert store.prune("customers", keep=1) == ["v000002"]
    assert store.prune("items", keep=1) == ["v000002"]
    missing = {release.name: release.missing for release in store.releases.list()}
    assert missing == {"r000002": ("items", "customers"), "r000003": ()}
    with pytest.raises(TableError, match="r000002 is incomplete, items v000002, customers v000002 was pruned"):
        store.releases.rollback("r000002")


def test_a_damaged_record_is_listed(tmp_path: Path) -> None:
    store = store_of(tmp_path, 2)
    (tmp_path / FOLDER / "r000001.json").write_bytes(b"{}")
    assert "checksum" in str(store.releases.list()[0].error)
    with pytest.raises(TableError, match="checksum"):
        store.releases.rollback()
    assert store.releases.publish(tables(3.0)).name == "r000003"


@pytest.mark.parametrize("bad", [None, {}, [], tables(1.0)["items"]])
def test_bad_arguments(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(TypeError, match="tables"):
        TableStore(tmp_path).releases.publish(bad)
    with pytest.raises(TableError, match="no release 'r9'"):
        TableStore(tmp_path).releases.get("r9")
    with pytest.raises(ValueError, match="keep"):
        TableStore(tmp_path).releases.prune(keep=0)
