"""safetensors files: the format's own reader reads what is written, and damage is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcore import EmbeddingTable, TableError, TableStore
from traitcore.serving import tensors
from traitcore.serving.tensors import read_safetensors, write_safetensors

IDS: list[Any] = [["a", "ü'日本\0", "", "bb"], [5, -6, 2**62, 0]]


def table(ids: Any = IDS[0]) -> EmbeddingTable:
    rng = np.random.default_rng(0)
    arrays = {"counts": np.arange(4), "flags": np.array([True, False, True, True]), "half": np.ones((2, 3), np.float16),
              "one": np.array(7.5), "none": np.zeros((0, 2), np.int32)}
    return EmbeddingTable(ids, rng.normal(size=(4, 3)), context_vectors=rng.normal(size=(4, 3)), arrays=arrays)


@pytest.mark.parametrize("ids", IDS)
def test_there_and_back(tmp_path: Path, ids: Any) -> None:
    made, path = table(ids), tmp_path / "t.safetensors"
    write_safetensors(made, path, arrays=True)
    found = read_safetensors(path)
    assert found.fingerprint == made.fingerprint
    assert found.ids.tolist() == ids
    assert dict(found.arrays).keys() == made.arrays.keys()
    for name, array in made.arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)
    write_safetensors(made, path)
    assert not read_safetensors(path).arrays
    assert [p.name for p in tmp_path.iterdir()] == ["t.safetensors"]
    empty = EmbeddingTable([], np.zeros((0, 2)))
    write_safetensors(empty, path)
    assert read_safetensors(path).fingerprint == empty.fingerprint


@pytest.mark.parametrize("ids", IDS)
def test_the_formats_own_reader(tmp_path: Path, ids: Any) -> None:
    safetensors = pytest.importorskip("safetensors")
    store = TableStore(tmp_path / "store")
    store.publish(table(ids), "items")
    made = store.open("items")
    write_safetensors(made, tmp_path / "t", arrays=True)
    with safetensors.safe_open(tmp_path / "t", "np") as file:
        labels = file.metadata()
        np.testing.assert_array_equal(file.get_tensor("vectors"), made.vectors)
        np.testing.assert_array_equal(file.get_tensor("context_vectors"), made.context_vectors)
        np.testing.assert_array_equal(file.get_tensor("array.half"), made.arrays["half"])
        found = json.loads(labels["ids"]) if made.id_kind == "string" else file.get_tensor("ids").tolist()
    assert found == ids
    assert labels["traitcore.fingerprint"] == made.fingerprint
    assert (labels["traitcore.table"], labels["traitcore.version"]) == ("items", "v000001")


def test_every_damaged_byte_of_the_header_and_every_cut_is_an_error_or_harmless(tmp_path: Path) -> None:
    made, path = EmbeddingTable([3, 1], np.eye(2)), tmp_path / "t"
    write_safetensors(made, path)
    raw = path.read_bytes()
    for at in range(len(raw)):
        for new in (raw[:at], raw[:at] + bytes([raw[at] ^ 0x11]) + raw[at + 1 :]):
            path.write_bytes(new)
            try:
                found = read_safetensors(path)
            except TableError:
                continue
            assert found.fingerprint == made.fingerprint  # a letter of "format", say


def floats(shape: Any, start: int = 0, stop: int = 16, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    "entry",
    [
        floats([2, 2], 0, 17), floats([2, 2], 0, 16, "F64"), floats([2, 4], 0, 16, "BF16"), floats([-2, -2], 0, 16),
        floats([2, 2], 16, 32), floats(4, 0, 16), floats([2.0, 2], 0, 16), floats([2**40, 2**40], 0, 16), 7, None,
    ],
)
def test_headers_that_lie(tmp_path: Path, entry: Any) -> None:
    header = json.dumps({"__metadata__": {"ids": '["a", "b"]'}, "vectors": entry}).encode()
    path = tmp_path / "t"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(TableError, match="damaged"):
        read_safetensors(path)


def test_what_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "t"
    for header, problem in (
        ({"weights": floats([4])}, "no ids"),
        ({"__metadata__": {"ids": "[1]"}, "w": floats([4])}, "no tensor 'vectors'"),
        ({"__metadata__": {"ids": '["a"]'}, "vectors": floats([2, 2])}, "2"),
        ({"__metadata__": {"ids": '["a", "a"]'}, "vectors": floats([2, 2])}, "twice"),
    ):
        raw = json.dumps(header).encode()
        path.write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(16))
        with pytest.raises(TableError, match=problem):
            read_safetensors(path)
    with pytest.raises(TableError, match="can't be read"):
        read_safetensors(tmp_path / "none")


def test_ids_beyond_the_header_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "_MAX_HEADER", 400)
    with pytest.raises(ValueError, match="Parquet has no such limit"):
        write_safetensors(EmbeddingTable(["x" * 400], [[1.0]]), tmp_path / "t")
    assert list(tmp_path.iterdir()) == []
