"""Bytes that the first version wrote open for ever; a newer format is refused with a sentence: docs/formats.md.

(Tables by themselves: test_store.py.)
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traitcore as tc
from traitcore.serving import manifest
from traitcore.serving.hub_folder import read_folder

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
FINGERPRINT = "e335afc14ddcc1c505bccf43dcbdce485c8d0f6cbddd7c4317f7b0d93cf7883e"


@pytest.fixture
def store(tmp_path: Path) -> tc.TableStore:
    shutil.copytree(GOLDEN / "release_v1" / "tables", tmp_path / "store")
    return tc.TableStore(tmp_path / "store")


def check_items(items: tc.EmbeddingTable) -> None:
    assert items.ids.tolist() == ["a", "ü", "bb"]
    np.testing.assert_array_equal(items.vectors, np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32))
    assert items.context_vectors is not None
    np.testing.assert_array_equal(items.context_vectors, np.eye(3)[:, :2])
    assert items.arrays["counts"].tolist() == [3, 2, 1]
    assert items.metadata["kind"] == "items"
    assert items.fingerprint == FINGERPRINT


def test_a_release_of_format_1(store: tc.TableStore) -> None:
    releases = store.releases.list()
    assert [(r.name, r.is_latest, r.parent, r.error) for r in releases] == [
        ("r000001", False, None, None), ("r000002", True, "r000001", None),
    ]
    opened = store.releases.open("r000001")
    check_items(opened["items"])
    assert opened["customers"].ids.tolist() == [7, -9]
    record = store.releases.describe()
    assert (record["seed"], record["report"]["status"], record["input_fingerprint"]) == (1, "pass", "ab")
    assert store.releases.rollback().name == "r000001"
    assert store.releases.publish({"items": opened["items"]}).name == "r000003"


def test_an_index_of_format_1(store: tc.TableStore) -> None:
    items = store.open("items", "v000001")
    index = tc.open_index(store.index_path("items", "v000001", "exact"), items)
    assert index.most_similar("a", 1)[0][0] == "ü"
    assert index.fingerprint == FINGERPRINT


def test_a_folder_of_format_1() -> None:
    check_items(read_folder(GOLDEN / "hub_v1"))


def with_format_2(path: Path, **changes: Any) -> None:
    """The same file, its checksum right, as a later version might write it."""
    fields = {k: v for k, v in json.loads(path.read_bytes()).items() if k != "checksum"}
    path.write_bytes(manifest.encode(fields | {"format": 2} | changes))


def test_a_newer_format_is_refused_and_nothing_changes(store: tc.TableStore) -> None:
    root = store.root
    with_format_2(root / "items" / "v000002" / "manifest.json", library_version="9.1.0")
    said = r"has format 2, written by traitcore 9\.1\.0; this traitcore reads format 1"
    with pytest.raises(tc.TableError, match=said):
        store.open("items")
    infos = {(i.name, i.version): i for i in store.list()}
    assert "format 2" in str(infos["items", "v000002"].error)
    before = sorted((p, p.read_bytes()) for p in root.rglob("*") if p.is_file())
    with_format_2(root / ".releases" / "r000002.json")
    assert "format 2" in str(store.releases.list()[1].error)
    index = store.index_path("items", "v000001", "exact")
    with_format_2(index / "index.json")
    with pytest.raises(tc.TableError, match=r"index\.json has format 2; this traitcore reads format 1"):
        tc.open_index(index, store.open("items", "v000001"))
    left = [(p, raw) for p, raw in before if p.name not in ("r000002.json", "index.json")]
    assert all(p.read_bytes() == raw for p, raw in left)


def test_fields_that_a_reader_does_not_know_are_no_new_format(store: tc.TableStore) -> None:
    path = store.root / "items" / "v000002" / "manifest.json"
    fields = {k: v for k, v in json.loads(path.read_bytes()).items() if k != "checksum"}
    path.write_bytes(manifest.encode(fields | {"colour": "red"}))
    check_items(store.open("items", verify=True))


def test_the_way_out_of_a_damaged_latest(store: tc.TableStore) -> None:
    """As docs/formats.md says: repair, or the previous release."""
    path = store.root / "items" / "v000002" / "vectors.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(tc.TableError, match="sha256 is not the manifest's"):
        store.verify("items")
    assert store.repair("items", by="me") == ("v000002", "v000001")
    assert store.open("items", verify=True).version == "v000001"
    assert path.exists()
    assert store.releases.rollback("r000001").is_latest
