"""Damaged files: every one opens right or raises TableError that names the file. No crash, no wrong content."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from traitcore import TableError
from traitcore import _npy as npy
from traitcore.serving import manifest
from traitcore.serving.store import TableStore
from traitcore.serving.table import EmbeddingTable

KINDS = ("string", "int64")


def make(kind: str) -> EmbeddingTable:
    rng = np.random.default_rng(5)
    ids = ["a", "ü", "", "prod_4", "5"] if kind == "string" else [5, -1, 2**62, 0, 7]
    return EmbeddingTable(
        ids, rng.normal(size=(5, 3)), context_vectors=rng.normal(size=(5, 3)),
        arrays={"counts": np.arange(5)}, metadata={"method": "test", "traits": ["x", "y"]},
    )


@pytest.fixture(params=KINDS)
def published(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[TableStore, Path, EmbeddingTable]:
    store, table = TableStore(tmp_path), make(request.param)
    store.publish(table, "items")
    return store, tmp_path / "items" / "v000001", table


def same(a: EmbeddingTable, b: EmbeddingTable) -> bool:
    return (
        a.ids.tolist() == b.ids.tolist()
        and a.vectors.tobytes() == b.vectors.tobytes()
        and a.context_vectors.tobytes() == b.context_vectors.tobytes()  # type: ignore[union-attr]
        and a.arrays["counts"].tobytes() == b.arrays["counts"].tobytes()
        and a.metadata == b.metadata
    )


def opens_right_or_says_why(store: TableStore, file: Path, table: EmbeddingTable, *, verify: bool) -> bool:
    """True when it opened, with the right content; False for a TableError that names the file."""
    try:
        opened = store.open("items", verify=verify)
    except TableError as error:
        if file.name in str(error):
            return False
        raise
    assert same(opened, table)
    return True


def test_every_truncation_of_every_file(published: tuple[TableStore, Path, EmbeddingTable]) -> None:
    store, folder, table = published
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        for length in range(len(content)):
            file.write_bytes(content[:length])
            assert not opens_right_or_says_why(store, file, table, verify=False), (file, length)
        file.write_bytes(content + b"\0")
        assert not opens_right_or_says_why(store, file, table, verify=False)
        file.write_bytes(content)
    assert same(store.open("items", verify=True), table)


def test_every_byte_of_the_manifest_flipped(published: tuple[TableStore, Path, EmbeddingTable]) -> None:
    store, folder, table = published
    file = folder / "manifest.json"
    content = bytearray(file.read_bytes())
    rng = np.random.default_rng(0)
    for place, flip in enumerate(rng.integers(1, 256, len(content))):
        content[place] ^= flip
        file.write_bytes(content)
        assert not opens_right_or_says_why(store, file, table, verify=False), place
        content[place] ^= flip
    file.write_bytes(content)
    assert same(store.open("items"), table)


def test_every_byte_of_the_headers_flipped(published: tuple[TableStore, Path, EmbeddingTable]) -> None:
    store, folder, table = published
    rng = np.random.default_rng(1)
    for file in sorted(folder.glob("*.npy")):
        content = bytearray(file.read_bytes())
        length = 10 + int.from_bytes(content[8:10], "little")
        assert length % 64 == 0
        for place, flip in enumerate(rng.integers(1, 256, length)):
            content[place] ^= flip
            file.write_bytes(content)
            assert not opens_right_or_says_why(store, file, table, verify=False), (file, place)
            content[place] ^= flip
        file.write_bytes(content)


def test_random_flips_of_data_never_pass_verification(published: tuple[TableStore, Path, EmbeddingTable]) -> None:
    """A hundredth of what the soak script does; unverified, a changed number may be read, but nothing breaks."""
    store, folder, _ = published
    rng = np.random.default_rng(2)
    files = [*sorted(folder.glob("*.npy")), folder / "metadata.json"]
    for _ in range(400):
        file = files[rng.integers(len(files))]
        content = bytearray(file.read_bytes())
        start = 0 if file.suffix == ".json" else 10 + int.from_bytes(content[8:10], "little")
        place = int(rng.integers(start, len(content)))
        kept = content[place]
        content[place] ^= int(rng.integers(1, 256))
        file.write_bytes(content)
        with pytest.raises(TableError, match=file.name.replace(".", r"\.")):
            store.open("items", verify=True)
        with pytest.raises(TableError, match=file.name.replace(".", r"\.")):
            store.verify("items")
        opened = store.open("items")
        try:
            opened.most_similar(opened.ids[0], 3)
            assert isinstance(opened.metadata, dict)
        except (TableError, KeyError):
            pass
        content[place] = kept
        file.write_bytes(content)


def test_latest_damaged(published: tuple[TableStore, Path, EmbeddingTable]) -> None:
    store, folder, table = published
    latest = folder.parent / "LATEST"
    for content in (b"", b"\n", b"../evil\n", b"\xff\xfe\n", b"v000001\0\n", b"x" * 300, b"nowhere\n", b"v000001 \n"):
        latest.write_bytes(content)
        with pytest.raises(TableError):
            store.open("items")
        assert same(store.open("items", "v000001"), table)
    latest.write_bytes(b"v000001")  # written by hand, without the newline
    assert same(store.open("items"), table)


def test_missing_files_are_named(published: tuple[TableStore, Path, EmbeddingTable]) -> None:
    store, folder, table = published
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        file.unlink()
        assert not opens_right_or_says_why(store, file, table, verify=False)
        with pytest.raises(TableError, match=file.name.replace(".", r"\.")):
            store.verify("items")
        file.write_bytes(content)


def test_what_is_not_a_regular_file(published: tuple[TableStore, Path, EmbeddingTable], tmp_path: Path) -> None:
    store, folder, table = published
    for name in ("vectors.npy", "manifest.json"):
        file, aside = folder / name, tmp_path / "aside"
        shutil.copy(file, aside)
        content = file.read_bytes()
        makers = [lambda f=file, a=aside: f.symlink_to(a), lambda f=file: f.mkdir()]
        if hasattr(os, "mkfifo"):
            makers.append(lambda f=file: os.mkfifo(f))
        for make_it in makers:
            file.unlink()
            make_it()
            assert not opens_right_or_says_why(store, file, table, verify=True)
            file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
            file.write_bytes(content)
    assert same(store.open("items", verify=True), table)


@pytest.mark.parametrize(
    "change",
    [
        {"n_rows": 2**50}, {"n_rows": -1}, {"n_rows": "5"}, {"n_rows": 4}, {"dimension": 2**62}, {"dimension": 3.0},
        {"id_kind": "object"}, {"format": 2}, {"kind": "other"}, {"files": {}}, {"files": None}, {"name": "other"},
        {"version": "v9"}, {"sequence": None},
    ],
)
def test_forged_manifests(published: tuple[TableStore, Path, EmbeddingTable], change: dict[str, object]) -> None:
    """A good checksum over a bad manifest: refused before anything of the size it claims is allocated."""
    store, folder, _ = published
    fields = json.loads((folder / "manifest.json").read_bytes())
    del fields["checksum"]
    (folder / "manifest.json").write_bytes(manifest.encode(fields | change))
    tracemalloc.start()
    with pytest.raises(TableError, match=r"manifest\.json"):
        store.open("items")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [2**40, 2**40]}, {"shape": [-5, 3]}, {"shape": [5, 3, 1]}, {"shape": [5.0, 3]}, {"shape": "53"},
        {"dtype": "|O"}, {"dtype": "<f8"}, {"dtype": "object"}, {"dtype": ["<f4"]}, {"size": -1}, {"size": 2**61},
        {"sha256": "00"}, {"size": 188.0}, {"shape": [True, 3]},
    ],
)
def test_forged_file_entries(published: tuple[TableStore, Path, EmbeddingTable], entry: dict[str, object]) -> None:
    store, folder, _ = published
    fields = json.loads((folder / "manifest.json").read_bytes())
    del fields["checksum"]
    fields["files"]["vectors.npy"] |= entry
    (folder / "manifest.json").write_bytes(manifest.encode(fields))
    with pytest.raises(TableError, match=r"manifest\.json|vectors\.npy"):
        store.open("items")


def test_forged_file_names(published: tuple[TableStore, Path, EmbeddingTable]) -> None:
    store, folder, _ = published
    fields = json.loads((folder / "manifest.json").read_bytes())
    del fields["checksum"]
    for name in ("../../evil.npy", "/etc/passwd", "array_../x.npy", "array_.npy", "pickle.pkl", "array_ids\n.npy"):
        forged = json.loads(json.dumps(fields))
        forged["files"][name] = forged["files"]["vectors.npy"]
        (folder / "manifest.json").write_bytes(manifest.encode(forged))
        with pytest.raises(TableError, match="not a file of a table"):
            store.open("items")


def test_deep_and_huge_json(published: tuple[TableStore, Path, EmbeddingTable]) -> None:
    store, folder, _ = published
    file = folder / "manifest.json"
    for body in (b'"a": ' + b"[" * 200_000 + b"}", b'"a": ' + b"9" * 10_000 + b"}", b"{}", b"nothing"):
        import hashlib

        head = b'{\n "checksum": "' + hashlib.sha256(body).hexdigest().encode() + b'",\n'
        file.write_bytes(head + body)
        with pytest.raises(TableError, match=r"manifest\.json"):
            store.open("items")
    with open(file, "wb") as huge:
        huge.truncate(manifest.MAX_BYTES + 1)
    with pytest.raises(TableError, match="more than"):
        store.open("items")


def test_damaged_text_of_ids_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    store.publish(EmbeddingTable(["ab", "ü", "c"], np.eye(3)), "items")
    folder = tmp_path / "items" / "v000001"
    head = len(npy.header("|u1", (5,)))
    data = bytearray((folder / "ids_data.npy").read_bytes())
    data[head + 3] = 0x20  # the second byte of ü
    (folder / "ids_data.npy").write_bytes(data)
    with pytest.raises(TableError, match="UTF-8"):
        store.open("items").ids  # noqa: B018
    data[head + 2 : head + 5] = b"ab!"
    (folder / "ids_data.npy").write_bytes(data)
    offsets = bytearray((folder / "ids_offsets.npy").read_bytes())
    offsets[-16:-8] = (99).to_bytes(8, "little")
    (folder / "ids_offsets.npy").write_bytes(offsets)
    opened = store.open("items")
    for read in (lambda: opened.ids, lambda: opened._ids[1], lambda: opened.row("ab")):
        with pytest.raises(TableError, match="ids_offsets"):
            read()
    offsets[-16:-8] = (2).to_bytes(8, "little")
    offsets[-8:] = (5).to_bytes(8, "little")
    (folder / "ids_offsets.npy").write_bytes(offsets)
    data[head : head + 5] = b"ababx"
    (folder / "ids_data.npy").write_bytes(data)
    assert store.open("items").ids.tolist() == ["ab", "", "abx"]
