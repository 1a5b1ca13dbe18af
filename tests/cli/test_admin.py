"""store, index and export."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.command_line import FAST, answer, refused, said
from traitcore.serving.hub_folder import read_folder
from traitcore.serving.index import open_index
from traitcore.serving.store import TableStore
from traitcore.serving.word2vec import read_word2vec
from traitcore.shop.shop import open_shop


def test_store_commands(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log, store = str(folder / "events.csv"), str(tmp_path / "store")
    for _ in range(3):
        said(capsys, "fit", log, "--store", store, *FAST)
    listed = answer(capsys, "store", "list", "--store", store)["tables"]
    assert [(i["name"], i["version"], i["is_latest"]) for i in listed if i["name"] == "items"] == [
        ("items", "v000001", False), ("items", "v000002", False), ("items", "v000003", True),
    ]
    assert "v000003  latest" in said(capsys, "store", "list", "--store", store)
    assert said(capsys, "store", "verify", "--store", store).count("all files are as published") == 3
    assert "r000003 (tokens v000003, items v000003, customers v000003) belongs together" in refused(
        capsys, "store", "rollback", "items", "--store", store
    )
    assert answer(capsys, "store", "rollback", "--store", store) == {
        "release": "r000002", "tables": {"tokens": "v000002", "items": "v000002", "customers": "v000002"},
    }
    assert "r000002  latest  r000001" in said(capsys, "store", "list", "--store", store)
    assert answer(capsys, "store", "prune", "--keep", "1", "--store", store) == {
        "customers": ["v000001"], "items": ["v000001"], "tokens": ["v000001"],
    }
    assert answer(capsys, "traits", "--store", store)["customers"] > 100  # the version rolled back to, with its tokens
    vectors = next((tmp_path / "store" / "items" / "v000002").glob("vectors.npy"))
    damaged = bytearray(vectors.read_bytes())
    damaged[-1] ^= 1
    vectors.chmod(0o644)
    vectors.write_bytes(damaged)
    assert "vectors.npy is damaged" in refused(capsys, "store", "verify", "--store", store)


def test_an_index_beside_a_table(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    store = str(tmp_path / "store")
    shutil.copytree(folder / "store", store)
    items, tokens = TableStore(store).open("items"), TableStore(store).open("tokens")
    text = said(capsys, "index", "items", "--store", store)
    path = TableStore(store).index_path("items", str(items.version), "hnsw")
    info = open_index(path, items).info
    assert info.fingerprint == items.fingerprint
    assert f"recall@10 {info.recall_at_10:.3f}" in text
    assert str(path) in text
    found = answer(capsys, "index", "tokens", "--links", "8", "--ef-search", "30", "--as", "small", "--store", store)
    assert (found["links"], found["ef_search"], found["n_rows"]) == (8, 30, len(tokens))
    assert found["recall_at_10"] > 0.8
    # An exact index must answer as none does; one of another table is refused.
    assert answer(capsys, "index", "items", "--kind", "exact", "--store", store)["recall_at_10"] == 1.0
    ask = ("similar", "prod_0012", "-k", "4", "--store", store)
    exact, plain = answer(capsys, *ask, "--index", "exact"), answer(capsys, *ask)
    assert [f["token"] for f in exact["found"]] == [f["token"] for f in plain["found"]]
    approximate = answer(capsys, *ask, "--index", "hnsw")["found"]
    assert [f["token"] for f in approximate] == [t for t, _ in open_index(path, items).most_similar("prod_0012", 4)]
    assert "an index is never overwritten; --as" in refused(capsys, "index", "items", "--store", store)
    assert "no index 'none' of items" in refused(capsys, *ask, "--index", "none")
    assert "leave out --next" in refused(capsys, *ask, "--index", "hnsw", "--next", code=2)
    shutil.copytree(path.parent / "exact", TableStore(store).index_path("tokens", str(tokens.version), "other"))
    token = str(tokens.ids[0])
    assert "was built over" in refused(capsys, "similar", token, "--index", "other", "--store", store)


def test_an_index_needs_its_extra(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert "traitcore[ann]" in refused(capsys, "index", "items", "--store", str(folder / "store"))
    assert not (folder / "store" / "items" / ".indexes").exists()


def test_a_table_is_exported(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    store = str(folder / "store")
    items = TableStore(store).open("items")
    read: dict[str, Any] = {
        "csv": lambda p: np.loadtxt(p, delimiter=",", skiprows=1, usecols=range(1, 17), dtype=np.float32),
        "npy": np.load,
        "word2vec": lambda p: read_word2vec(p).vectors,
        "parquet": lambda p: np.stack(parquet.read_table(p)["vector"].to_numpy()),
        "safetensors": lambda p: np.frombuffer(
            p.read_bytes()[8 + int.from_bytes(p.read_bytes()[:8], "little"):], np.float32
        )[: items.vectors.size].reshape(items.vectors.shape),
        "huggingface": lambda p: read_folder(p).vectors,
        "features": lambda p: np.stack(list(map(np.asarray, parquet.read_table(p).columns[2:])), axis=1),
    }
    for kind, reader in read.items():
        out = tmp_path / f"items.{kind}"
        found = answer(capsys, "export", "items", "--to", kind, "--out", str(out), "--store", store)
        assert found["rows"] == len(items)
        np.testing.assert_array_equal(reader(out), items.vectors)
    assert json.loads((tmp_path / "items.ids.json").read_text()) == items.ids.tolist()
    header = (tmp_path / "items.safetensors").read_bytes()
    header = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])
    assert json.loads(header["__metadata__"]["ids"]) == items.ids.tolist()
    out = str(tmp_path / "x")
    assert "items v000001" in said(capsys, "export", "items", "--to", "csv", "--out", out, "--store", store)


def test_a_damaged_latest_table_can_be_repaired(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log, store = str(folder / "events.csv"), str(tmp_path / "store")
    for _ in range(2):
        said(capsys, "fit", log, "--store", store, *FAST)
    manifest = tmp_path / "store" / "items" / "v000002" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-100])
    assert "`traitcore store repair --store" in refused(capsys, "fit", log, "--store", store, *FAST)
    found = answer(capsys, "store", "repair", "--store", store)
    assert found == {"customers": {"was": "v000002", "now": "v000001"}, "items": {"was": "v000002", "now": "v000001"},
                     "tokens": {"was": "v000002", "now": "v000002"}}
    record = json.loads((tmp_path / "store" / "items" / "repairs.jsonl").read_text())
    assert (record["from"], record["to"]) == ("v000002", "v000001")
    assert "is damaged" in record["reason"]
    said(capsys, "fit", log, "--store", store, *FAST)
    assert "items: v000003 is whole" in said(capsys, "store", "repair", "--store", store)
    for version in (tmp_path / "store" / "tokens").glob("v*"):
        (version / "vectors.npy").unlink()
    assert "no version is whole" in said(capsys, "store", "repair", "tokens", "--store", store)
    assert not (tmp_path / "store" / "tokens" / "LATEST").exists()


def test_lists_of_customers_are_exported(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import csv

    store, out = str(folder / "store"), tmp_path / "list.csv"
    customers = TableStore(store).open("customers")
    how = ("--to", "csv", "--out", str(out), "--store", store)

    def rows() -> list[dict[str, str]]:
        with open(out, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    said(capsys, "export", "profiles", *how)
    assert [row["customer"] for row in rows()] == customers.ids.tolist()
    assert answer(capsys, "export", "segments", "--min-share", ".9", *how)["rows"] == len(customers)
    assert {row["name"] for row in rows() if row["trait"] == "-1"} == {"mixed"}
    said(capsys, "export", "campaign", "--trait", "1", "--min-share", ".4", "--not-bought", "prod_0012", *how)
    asked = open_shop(store).campaign(1, min_share=0.4, not_bought="prod_0012")["customer"].tolist()
    assert [row["customer"] for row in rows()] == asked
    assert 0 < len(asked) < len(customers)
    for wrong in (
        ["campaign"], ["segments", "--trait", "1"], ["profiles", "--min-share", ".5"], ["items", "--trait", "1"],
        ["segments", "--not-bought", "x"],
    ):
        refused(capsys, "export", *wrong, *how, code=2)
    refused(capsys, "export", "profiles", "--to", "npy", "--store", store, code=2)
    refused(capsys, "export", "items", "--to", "xlsx", "--store", store, code=2)
