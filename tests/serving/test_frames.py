"""A table as pandas and Arrow see it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcore import EmbeddingTable, TableError, TableStore

IDS: list[Any] = [["a", "ü'日本\0", "", "bb"], [5, -6, 2**62, 0]]


@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("published", [False, True])
def test_arrow(tmp_path: Path, ids: Any, published: bool) -> None:
    pa = pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    t = EmbeddingTable(ids, rng.normal(size=(4, 3)), context_vectors=rng.normal(size=(4, 3)))
    if published:
        TableStore(tmp_path).publish(t, "t")
        t = TableStore(tmp_path).open("t")
    for found in (t.to_arrow(), pa.table(t)):
        assert found.column_names == ["id", "vector", "context_vector"]
        assert found["id"].to_pylist() == ids
        for name, side in (("vector", t.vectors), ("context_vector", t.context_vectors)):
            assert found.schema.field(name).type == pa.list_(pa.float32(), 3)
            np.testing.assert_array_equal(np.array(found[name].to_pylist(), dtype=np.float32), side)
    again = EmbeddingTable(found["id"], t.vectors, context_vectors=t.context_vectors)
    assert again.fingerprint == t.fingerprint == again.subset(found["id"]).fingerprint
    del t
    assert found["id"].to_pylist() == ids  # the memory lives as long as what is made of it
    assert EmbeddingTable(ids, np.ones((4, 1))).to_arrow().column_names == ["id", "vector"]
    assert EmbeddingTable([], np.zeros((0, 2))).to_arrow().num_rows == 0
    with pytest.raises(ValueError, match="at least one dimension"):
        EmbeddingTable(ids, np.zeros((4, 0))).to_arrow()


@pytest.mark.parametrize("ids", IDS)
def test_pandas(ids: Any) -> None:
    pytest.importorskip("pandas")
    t = EmbeddingTable(ids, np.random.default_rng(0).normal(size=(4, 3)))
    frame = t.to_pandas()
    assert frame.index.tolist() == ids
    assert frame.index.name == "id"
    assert (frame.dtypes == np.float32).all()
    np.testing.assert_array_equal(frame.to_numpy(), t.vectors)
    frame.iloc[0, 0] = 7.0
    assert t.vectors[0, 0] != 7.0
    back = EmbeddingTable(frame.index, frame.to_numpy())
    assert back.ids.tolist() == ids
    assert EmbeddingTable([], np.zeros((0, 2))).to_pandas().shape == (0, 2)


def test_damaged_offsets_are_not_followed(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    store = TableStore(tmp_path)
    store.publish(EmbeddingTable(["aa", "b", "cc"], np.eye(3)), "t")
    path = next(tmp_path.rglob("ids_offsets.npy"))
    raw = bytearray(path.read_bytes())
    raw[-16:-8] = (1 << 40).to_bytes(8, "little")
    path.write_bytes(raw)
    with pytest.raises(TableError, match="is damaged"):
        store.open("t").to_arrow()


@pytest.mark.parametrize(("module", "call"), [("pyarrow", "to_arrow"), ("pandas", "to_pandas")])
def test_without_the_library(monkeypatch: pytest.MonkeyPatch, module: str, call: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match="pip install"):
        getattr(EmbeddingTable(["a"], [[1.0]]), call)()


@pytest.mark.parametrize("ids", IDS)
def test_the_stream_says_whose_it_is(tmp_path: Path, ids: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    t = EmbeddingTable(ids, np.random.default_rng(0).normal(size=(4, 3)))
    assert pa.table(t).schema.metadata == {b"traitcore.fingerprint": t.fingerprint.encode()}
    TableStore(tmp_path).publish(t, "t")
    labels = pa.table(TableStore(tmp_path).open("t")).schema.metadata
    assert (labels[b"traitcore.table"], labels[b"traitcore.version"]) == (b"t", b"v000001")
    assert labels[b"traitcore.fingerprint"].decode() == t.fingerprint


@pytest.mark.parametrize("ids", IDS)
def test_back_from_arrow(ids: Any) -> None:
    pa, pl, duckdb = (pytest.importorskip(name) for name in ("pyarrow", "polars", "duckdb"))
    rng = np.random.default_rng(0)
    t = EmbeddingTable(ids, rng.normal(size=(4, 3)), context_vectors=rng.normal(size=(4, 3)))
    lists = pa.list_(pa.float64())
    as_lists = t.to_arrow().set_column(1, "vector", t.to_arrow()["vector"].cast(lists))
    with duckdb.connect() as con:
        relation = con.sql("SELECT * FROM t")
        chunks = pa.concat_tables([t.to_arrow()[:1], t.to_arrow()[1:]])
        for data in (t, t.to_arrow(), pl.DataFrame(t), relation, as_lists, chunks):
            assert EmbeddingTable.from_arrow(data).fingerprint == t.fingerprint
    part = EmbeddingTable.from_arrow(t.to_arrow()[1:3])  # a slice: offsets
    assert part.fingerprint == t.subset(ids[1:3]).fingerprint
    named = t.to_arrow().rename_columns(["key", "embedding", "other"])
    found = EmbeddingTable.from_arrow(named, id="key", vector="embedding")
    assert found.context_vectors is None
    np.testing.assert_array_equal(found.vectors, t.vectors)


def test_what_is_no_table_in_arrow() -> None:
    pa = pytest.importorskip("pyarrow")
    ids = pa.array(["a", "b"])
    for columns, problem in (
        ({"key": ids, "vector": [[1.0], [2.0]]}, "'id' parameter"),
        ({"id": ids, "v": [[1.0], [2.0]]}, "'vector' parameter"),
        ({"id": ids, "vector": [1.0, 2.0]}, "lists of floats"),
        ({"id": ids, "vector": [[1.0], [2.0, 3.0]]}, r"one length \(1 in row 0\).*2 in row 1"),
        ({"id": ids, "vector": [[1.0], None]}, "without nulls"),
        ({"id": ids, "vector": [[1.0], [None]]}, "without nulls"),
        ({"id": pa.array(["a", None]), "vector": [[1.0], [2.0]]}, "ids"),
        ({"id": ids, "vector": [[1.0], [float("nan")]]}, "vectors"),
    ):
        with pytest.raises((ValueError, TypeError), match=problem):
            EmbeddingTable.from_arrow(pa.table(columns))
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        EmbeddingTable.from_arrow({"id": ["a"], "vector": [[1.0]]})
