"""A table as a hub's folder: whole there and back, and nothing half written or mixed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from traitcore import EmbeddingTable, TableError, TableStore
from traitcore.serving.hub_folder import read_folder, write_folder


def table() -> EmbeddingTable:
    rng = np.random.default_rng(0)
    return EmbeddingTable(
        ["a", "ü", "bb"], rng.normal(size=(3, 4)), context_vectors=rng.normal(size=(3, 4)),
        arrays={"counts": np.array([3, 2, 1])}, metadata={"kind": "items", "texts": ["A", None, "日本"]},
    )


def test_there_and_back(tmp_path: Path) -> None:
    store = TableStore(tmp_path / "store")
    store.publish(table(), "items")
    made = store.open("items")
    write_folder(made, tmp_path / "hub")
    assert {p.name for p in (tmp_path / "hub").iterdir()} == {"config.json", "model.safetensors", "README.md"}
    found = read_folder(tmp_path / "hub")
    assert found.fingerprint == made.fingerprint
    assert found.metadata == made.metadata
    np.testing.assert_array_equal(found.arrays["counts"], made.arrays["counts"])
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    assert (config["table"], config["version"], config["fingerprint"]) == ("items", "v000001", made.fingerprint)
    card = (tmp_path / "hub" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: traitcore\n")
    assert made.fingerprint in card
    write_folder(EmbeddingTable([1], [[2.0]]), tmp_path / "other", card="# Ours\n")
    assert (tmp_path / "other" / "README.md").read_text() == "# Ours\n"


def test_refusals(tmp_path: Path) -> None:
    write_folder(table(), tmp_path / "hub")
    with pytest.raises(TableError, match="never overwritten"):
        write_folder(table(), tmp_path / "hub")
    write_folder(EmbeddingTable(["a", "ü", "bb"], np.ones((3, 4))), tmp_path / "other")
    config = tmp_path / "hub" / "config.json"
    good = config.read_bytes()
    (tmp_path / "other" / "model.safetensors").replace(tmp_path / "hub" / "model.safetensors")
    with pytest.raises(TableError, match="fingerprints differ"):
        read_folder(tmp_path / "hub")
    for content, problem in (
        (b"[]", "not the folder of a traitcore table"), (b"{", "not JSON"),
        (good.replace(b'"traitcore"', b'"transformers"'), "not the folder"),
        (good.replace(b'"format": 1', b'"format": 2'), r"format 2, written by traitcore .*reads format 1"),
    ):
        config.write_bytes(content)
        with pytest.raises(TableError, match=problem):
            read_folder(tmp_path / "hub")
    config.unlink()
    with pytest.raises(TableError, match="can't be read"):
        read_folder(tmp_path / "hub")


def test_nothing_is_left_of_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("traitcore.serving.hub_folder.write_safetensors", broken)
    with pytest.raises(TableError, match="No space"):
        write_folder(table(), tmp_path / "hub")
    assert list(tmp_path.iterdir()) == []
