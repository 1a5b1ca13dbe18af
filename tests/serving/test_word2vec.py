"""word2vec's formats: gensim reads what is written and the reverse; what a format can't hold is refused."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traitcore as tc
from traitcore import InputError
from traitcore.serving.table import EmbeddingTable


def table(n: int = 50, d: int = 7) -> EmbeddingTable:
    rng = np.random.default_rng(0)
    v = (rng.normal(size=(n, d)) * 10.0 ** rng.integers(-30, 30, (n, d))).astype(np.float32)
    return EmbeddingTable([f"prod_{i}_ü" for i in range(n)], v, context_vectors=v[::-1].copy())


@pytest.mark.parametrize("binary", [False, True])
def test_word2vec_through_gensim(tmp_path: Path, binary: bool) -> None:
    models = pytest.importorskip("gensim.models")
    t, path = table(), tmp_path / "vectors"
    tc.write_word2vec(t, path)
    keyed = models.KeyedVectors.load_word2vec_format(str(path))
    assert keyed.index_to_key == t.ids.tolist()
    np.testing.assert_array_equal(keyed.vectors, t.vectors)
    keyed.save_word2vec_format(str(tmp_path / "theirs"), binary=binary)
    back = tc.read_word2vec(tmp_path / "theirs", binary=binary)
    assert back.ids.tolist() == t.ids.tolist()
    np.testing.assert_allclose(back.vectors, t.vectors, rtol=1e-6)
    np.testing.assert_array_equal(tc.from_gensim(keyed).vectors, t.vectors)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["theirs", "vectors"]


def test_gensim_models_bring_counts_and_context() -> None:
    models = pytest.importorskip("gensim.models")
    model = models.Word2Vec([["a", "b", "c"]] * 20, vector_size=5, min_count=1, sg=1, negative=2, seed=1, workers=1)
    t = tc.from_gensim(model)
    assert t.ids.tolist() == model.wv.index_to_key
    np.testing.assert_array_equal(t.context_vectors, model.syn1neg)
    assert t.arrays["counts"].tolist() == [20, 20, 20]
    with pytest.raises(TypeError, match="gensim"):
        tc.from_gensim(np.eye(2))


def test_word2vec_text_round_trip(tmp_path: Path) -> None:
    t = table()
    tc.write_word2vec(t, tmp_path / "v")
    tc.write_word2vec(t, tmp_path / "c", context=True)
    np.testing.assert_array_equal(tc.read_word2vec(tmp_path / "v").vectors, t.vectors)
    np.testing.assert_array_equal(tc.read_word2vec(tmp_path / "c").vectors, t.context_vectors)
    tc.write_word2vec(EmbeddingTable([5, -6], np.eye(2)), tmp_path / "ints")
    assert tc.read_word2vec(tmp_path / "ints").ids.tolist() == ["5", "-6"]


@pytest.mark.parametrize("bad", ["", "two words", "tab\t", "line\n", "nbsp\u00a0"])
def test_word2vec_refuses_ids_it_would_break(tmp_path: Path, bad: str) -> None:
    with pytest.raises(ValueError, match="white space"):
        tc.write_word2vec(EmbeddingTable(["ok", bad], np.eye(2)), tmp_path / "v")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="no context"):
        tc.write_word2vec(EmbeddingTable(["ok"], [[1.0]]), tmp_path / "v", context=True)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "line 1"), (b"two 2\n", "line 1"), (b"2\na 1\n", "line 1"), (b"999999999999 64\na 1 2\n", "don't fit"),
        (b"1 999999999999\na 1 2\n", "don't fit"), (b"2 2\na 1 2\nb 1\n", "line 3"), (b"2 2\na 1 2\nb 1 x\n", "line 3"),
        (b"1 2\na 1 2\nb 3 4\n", "more follows"), (b"2 2\na 1 2\na 3 4\n", "twice"), (b"1 2\na 1 nan\n", "finite"),
        (b"1 2\n\xff 1 2\n", "line 2"),
    ],
)
def test_bad_word2vec_files(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(InputError, match=match):
        tc.read_word2vec(tmp_path / "v")


@pytest.mark.parametrize("content", [b"2 2\n", b"1 2\na \x00\x00", b"1 2\nabcdefghijk", b"1 2\n\xff " + b"\0" * 8,
                                     b"1 2\na " + b"\0" * 8 + b"xx"])
def test_bad_binary_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(InputError):
        tc.read_word2vec(tmp_path / "v", binary=True)




@pytest.mark.parametrize("name", ["v.txt.gz", "v"])
@pytest.mark.parametrize("binary", [False, True])
def test_every_form_through_gensim_and_back(tmp_path: Path, name: str, binary: bool) -> None:
    models = pytest.importorskip("gensim.models")
    t, path = table(), tmp_path / name
    tc.write_word2vec(t, path, binary=binary)
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
    theirs = models.KeyedVectors.load_word2vec_format(str(path), binary=binary)
    assert theirs.index_to_key == t.ids.tolist()
    np.testing.assert_array_equal(theirs.vectors, t.vectors)
    back = tc.read_word2vec(path, binary=binary)
    assert back.fingerprint == EmbeddingTable(t.ids, t.vectors).fingerprint
    theirs.save_word2vec_format(str(tmp_path / f"their_{name}"), binary=binary)
    returned = tc.read_word2vec(tmp_path / f"their_{name}", binary=binary)
    np.testing.assert_allclose(returned.vectors, t.vectors, rtol=1e-6)
    again = tmp_path / "again"
    again.mkdir()
    tc.write_word2vec(t, again / name, binary=binary)
    assert (again / name).read_bytes() == path.read_bytes()  # no time and no path inside


@pytest.mark.parametrize("limit", [1, 7, 50, 51, None])
def test_limit_and_files_without_a_header(tmp_path: Path, limit: int | None) -> None:
    models = pytest.importorskip("gensim.models")
    t = table()
    for header in (True, False):
        for binary in (False, True) if header else (False,):
            path = tmp_path / "v.gz"
            tc.write_word2vec(t, path, header=header, binary=binary)
            found = tc.read_word2vec(path, header=header, binary=binary, limit=limit)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # gensim leaves a file without a header open
                theirs = models.KeyedVectors.load_word2vec_format(
                    str(path), binary=binary, no_header=not header, limit=limit
                )
            assert found.ids.tolist() == theirs.index_to_key == t.ids.tolist()[:limit]
            np.testing.assert_array_equal(found.vectors, theirs.vectors)


def test_a_header_is_required_for_binary_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'header' parameter"):
        tc.read_word2vec(tmp_path / "v", binary=True, header=False)
    with pytest.raises(ValueError, match="'header' parameter"):
        tc.write_word2vec(table(), tmp_path / "v", binary=True, header=False)
    tc.write_word2vec(table(), tmp_path / "v", header=False)
    with pytest.raises(InputError, match="header=False"):
        tc.read_word2vec(tmp_path / "v")
    for bad in (0, -1, 1.0, True):
        with pytest.raises((ValueError, TypeError), match="'limit' parameter"):
            tc.read_word2vec(tmp_path / "v", limit=bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"a 1 2\nb 1\n", "line 2.* found 2 fields"), (b"a 1 2\nat name 1 2\n", "line 2.* an id with a space"),
        (b"a 1 2\nb 3 4\na 5 6\n", "line 3: the id 'a' is there twice, first at .* line 1"), (b"a\n", "line 1"),
        (b"a 1 2\n 1 2\n", "line 2: its id is empty"), (b"a 1 2\nb inf 2\n", "line 2.*'b' is not finite"),
        (b"a 1 2\nb 1 1e39\n", "line 2.*'b' is not finite"), (b"a 1 2\n\xff 1 2\n", "line 2: its id is not UTF-8"),
        (b"a 1 2\n\nb 1 2\n", "line 2"), (b"a\t1\t2\n", "line 1"),
    ],
)
def test_bad_files_without_a_header(tmp_path: Path, content: bytes, match: str) -> None:
    for name, raw in (("v", content), ("v.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(InputError, match=match):
            tc.read_word2vec(tmp_path / name, header=False)
    (tmp_path / "h").write_bytes(b"%d 2\n" % content.count(b"\n") + content)
    with pytest.raises(InputError):
        tc.read_word2vec(tmp_path / "h")


def test_a_binary_row_that_repeats_an_id_names_both(tmp_path: Path) -> None:
    row = b"a " + np.ones(2, "<f4").tobytes()
    (tmp_path / "v").write_bytes(b"2 2\n" + row + row)
    with pytest.raises(InputError, match=r"row 2: the id 'a' is there twice, first at .* row 1"):
        tc.read_word2vec(tmp_path / "v", binary=True)


@given(cut=st.integers(0, 400), place=st.integers(0, 400), to=st.integers(0, 255))
def test_damaged_archives(tmp_path_factory: Any, cut: int, place: int, to: int) -> None:
    folder = tmp_path_factory.getbasetemp() / "word2vec-damage"
    folder.mkdir(exist_ok=True)
    good = table(9, 3)
    tc.write_word2vec(good, folder / "v.gz")
    raw = bytearray((folder / "v.gz").read_bytes())
    raw[10 + place % (len(raw) - 10)] ^= to or 1
    for bad in (bytes(raw), (folder / "v.gz").read_bytes()[: cut % len(raw)]):
        (folder / "bad.gz").write_bytes(bad)
        with pytest.raises(InputError):
            tc.read_word2vec(folder / "bad.gz")


@given(
    n=st.integers(0, 12), d=st.integers(1, 4), binary=st.booleans(), header=st.booleans(),
    zipped=st.booleans(), seed=st.integers(0, 99),
)
def test_round_trip(
    tmp_path_factory: Any, n: int, d: int, binary: bool, header: bool, zipped: bool, seed: int
) -> None:
    header = header or binary
    rng = np.random.default_rng(seed)
    v = rng.integers(0, 2**31, (n, d)).astype(np.uint32).view(np.float32)
    v = np.where(np.isfinite(v), v, np.float32(0.0))
    names = [f"{c}{i}" for i, c in zip(range(n), ["5 ", "ü", "'", '"', ",", "日", "\x00", "-", "[", "é", "0", "#"])]
    names = [one.replace(" ", "_") for one in names]
    path = tmp_path_factory.getbasetemp() / ("r.gz" if zipped else "r")
    tc.write_word2vec(EmbeddingTable(names, v), path, binary=binary, header=header)
    back = tc.read_word2vec(path, binary=binary, header=header)
    assert back.ids.tolist() == names
    np.testing.assert_array_equal(back.vectors, v if n or header else np.zeros((0, 0)))


def test_int_keys_of_gensim_stay_ints() -> None:
    models = pytest.importorskip("gensim.models")
    keyed = models.KeyedVectors(3)
    keyed.add_vectors([5, 70, 900], np.eye(3, dtype=np.float32))
    t = tc.from_gensim(keyed)
    assert t.id_kind == "int64"
    assert t.ids.tolist() == [5, 70, 900]
    keyed.add_vectors(["5"], np.ones((1, 3), dtype=np.float32))
    with pytest.raises(TypeError, match="'ids' parameter"):
        tc.from_gensim(keyed)
    with pytest.raises(TypeError, match="'ids' parameter"):
        tc.from_gensim(models.KeyedVectors(3, count=2))  # rows without keys
