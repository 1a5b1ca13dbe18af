"""Tables as files: pyarrow, DuckDB and NumPy read what is written; what a format can't hold is refused."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcore.serving import export
from traitcore.serving.store import TableStore
from traitcore.serving.table import EmbeddingTable


def table(n: int = 50, d: int = 7) -> EmbeddingTable:
    rng = np.random.default_rng(0)
    v = (rng.normal(size=(n, d)) * 10.0 ** rng.integers(-30, 30, (n, d))).astype(np.float32)
    return EmbeddingTable([f"prod_{i}_ü" for i in range(n)], v, context_vectors=v[::-1].copy())


def test_numpy(tmp_path: Path) -> None:
    t = table()
    export.write_numpy(t, tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz", allow_pickle=False) as found:
        assert found["ids"].tolist() == t.ids.tolist()
        np.testing.assert_array_equal(found["vectors"], t.vectors)
        np.testing.assert_array_equal(found["context_vectors"], t.context_vectors)
    export.write_numpy(EmbeddingTable([3, 1], np.eye(2)), tmp_path / "i.npz")
    with np.load(tmp_path / "i.npz", allow_pickle=False) as found:
        assert found["ids"].dtype == np.int64
    for ids in (["tail\0", "b"], ["x" * (1 << 28), "b"]):
        with pytest.raises(ValueError, match="fixed-width"):
            export.write_numpy(EmbeddingTable(ids, np.eye(2)), tmp_path / "bad.npz")


@pytest.mark.parametrize("ids", [["a", "ü'日本\0", ""], [5, -6, 2**62]])
def test_parquet(tmp_path: Path, ids: Any) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rng = np.random.default_rng(0)
    t = EmbeddingTable(ids, rng.normal(size=(3, 5)), context_vectors=rng.normal(size=(3, 5)))
    path = tmp_path / "it's.parquet"
    export.write_parquet(t, path, version="v'1")
    found = parquet.read_table(path)
    assert found.schema.names == ["id", "version", "vector", "context_vector"]
    for name, side in (("vector", t.vectors), ("context_vector", t.context_vectors)):
        assert found.schema.field(name).type == pa.list_(pa.float32(), 5)
        np.testing.assert_array_equal(fixed_size_rows(found[name]), side)
    assert found["id"].to_pylist() == ids
    assert found["version"].to_pylist() == ["v'1"] * 3
    export.write_parquet(EmbeddingTable(ids, np.ones((3, 1))), path)
    assert parquet.read_table(path).column_names == ["id", "version", "vector"]
    assert parquet.read_table(path)["version"].to_pylist() == [""] * 3
    assert [p.name for p in tmp_path.iterdir()] == ["it's.parquet"]


def fixed_size_rows(column: Any) -> np.ndarray:
    return np.concatenate([c.flatten().to_numpy().reshape(-1, c.type.list_size) for c in column.chunks])


@pytest.mark.parametrize(("group_bytes", "rows"), [(32 << 20, 40), (4 * 7 * 13, 13), (1, 1)])
def test_parquet_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_bytes: int, rows: int) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(export, "_GROUP_ROWS", 40)
    monkeypatch.setattr(export, "_GROUP_BYTES", group_bytes)
    t = table(101, 7)
    export.write_parquet(t, tmp_path / "t.parquet")
    written = parquet.read_metadata(tmp_path / "t.parquet")
    assert [written.row_group(i).num_rows for i in range(written.num_row_groups - 1)] == [rows] * ((101 - 1) // rows)
    found = parquet.read_table(tmp_path / "t.parquet")
    assert found["id"].to_pylist() == t.ids.tolist()
    np.testing.assert_array_equal(fixed_size_rows(found["vector"]), t.vectors)


def test_parquet_of_published_and_of_empty_tables(tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    store = TableStore(tmp_path / "store")
    store.publish(table(), "items")
    t = store.open("items")
    export.write_parquet(t, tmp_path / "t.parquet")
    found = parquet.read_table(tmp_path / "t.parquet")
    assert set(found["version"].to_pylist()) == {t.version}
    np.testing.assert_array_equal(fixed_size_rows(found["context_vector"]), t.context_vectors)
    export.write_parquet(EmbeddingTable([], np.zeros((0, 3))), tmp_path / "t.parquet")
    empty = parquet.read_table(tmp_path / "t.parquet")
    assert empty.num_rows == 0
    assert empty.schema.field("vector").type == pa.list_(pa.float32(), 3)
    with pytest.raises(ValueError, match="at least one dimension"):
        export.write_parquet(EmbeddingTable(["a"], np.zeros((1, 0))), tmp_path / "none.parquet")
    assert not (tmp_path / "none.parquet").exists()


def test_duckdb_reads_the_parquet_too(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    t = table()
    export.write_parquet(t, tmp_path / "t.parquet", version="v1")
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT id, version, vector FROM read_parquet(?)", [str(tmp_path / "t.parquet")])
        ids, versions, vectors = zip(*rows.fetchall())
    assert (list(ids), set(versions)) == (t.ids.tolist(), {"v1"})
    np.testing.assert_array_equal(np.array(vectors, dtype=np.float32), t.vectors)


@pytest.mark.parametrize("module", ["pyarrow", "pyarrow.parquet"])
def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"traitcore\[io\]"):
        export.write_parquet(table(), tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.npz"
    export.write_numpy(table(3), path)
    before = path.read_bytes()

    def broken(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", broken)
    with pytest.raises(OSError, match="No space"):
        export.write_numpy(table(4), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.npz"]


def test_features_for_feature_stores(tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    at = datetime(2026, 11, 29, 8, 30, tzinfo=timezone(timedelta(hours=2)))
    t = EmbeddingTable(["ann", "bob"], [[0.7, 0.3], [0.1, 0.9]], metadata={"traits": [{}, {}]})
    export.write_features(t, tmp_path / "f.parquet", timestamp=at)
    found = parquet.read_table(tmp_path / "f.parquet")
    assert found.column_names == ["customer_id", "event_timestamp", "trait_0", "trait_1"]
    assert found.schema.field("event_timestamp").type == pa.timestamp("us", tz="UTC")
    assert found["event_timestamp"].to_pylist() == [at.astimezone(UTC)] * 2
    assert found.schema.field("trait_1").type == pa.float32()
    np.testing.assert_array_equal(found["trait_1"].to_numpy(), t.vectors[:, 1])
    assert found.schema.metadata[b"traitcore.fingerprint"].decode() == t.fingerprint
    export.write_features(EmbeddingTable([3], np.ones((1, 1))), tmp_path / "f.parquet", timestamp=at, entity="item_id")
    assert parquet.read_table(tmp_path / "f.parquet").column_names == ["item_id", "event_timestamp", "v0"]
    for entity in ("trait_0", "event_timestamp", ""):
        with pytest.raises(ValueError, match="'entity' parameter of write_features"):
            export.write_features(t, tmp_path / "g.parquet", timestamp=at, entity=entity)
    with pytest.raises(TypeError, match="a datetime with a time zone"):
        export.write_features(t, tmp_path / "g.parquet", timestamp=at.replace(tzinfo=None))
