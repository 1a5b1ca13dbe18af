"""EmbeddingTable: ids, neighbours, subsets, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import serving as slow
from traitcore.serving.table import EmbeddingTable


def table(n: int = 30, d: int = 6, *, ints: bool = False) -> EmbeddingTable:
    rng = np.random.default_rng(1)
    ids: Any = np.arange(100, 100 + n) if ints else [f"i{i}" for i in range(n)]
    return EmbeddingTable(
        ids, rng.normal(size=(n, d)), context_vectors=rng.normal(size=(n, d)),
        arrays={"counts": np.arange(n), "loadings": np.zeros((2, 3))}, metadata={"method": "test"},
    )


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("against", ["vectors", "context_vectors"])
def test_most_similar(metric: str, against: str) -> None:
    t = table()
    side = getattr(t, against)
    found = t.most_similar("i4", 5, metric=metric, against=against, exclude=["i7", "unknown"])
    rows, scores = slow.top_k(t.vectors[4:5], side, 5, metric=metric, exclude=[[4, 7]])
    assert [one for one, _ in found] == [f"i{r}" for r in rows[0]]
    np.testing.assert_allclose([score for _, score in found], scores[0], atol=1e-5)
    batch_rows, batch_scores = t.most_similar_batch(["i4", "i9"], 5, metric=metric, against=against)
    alone = t.most_similar("i9", 5, metric=metric, against=against)
    assert [(t.ids[r], s) for r, s in zip(batch_rows[1], batch_scores[1])] == alone  # one by one is the batch
    by_vector = t.most_similar(t["i4"], 40, metric="cosine")
    assert by_vector[0][0] == "i4"
    assert len(by_vector) == 30


def test_similarity() -> None:
    t = EmbeddingTable(["x", "y", "zero"], [[3.0, 4.0], [4.0, 3.0], [0.0, 0.0]])
    assert t.similarity("x", "y") == pytest.approx(24 / 25)
    np.testing.assert_allclose(t.similarities(["x", "x"], ["x", "zero"]), [1.0, 0.0], atol=1e-7)
    with pytest.raises(ValueError, match="as many ids"):
        t.similarities(["x"], ["x", "y"])


def test_subset_and_normalized() -> None:
    t = table()
    part = t.subset(["i7", "i2"])
    assert part.ids.tolist() == ["i7", "i2"]
    np.testing.assert_array_equal(part.vectors, t.vectors[[7, 2]])
    np.testing.assert_array_equal(part.arrays["counts"], [7, 2])
    assert part.arrays["loadings"].shape == (2, 3)
    assert part.metadata == t.metadata
    unit = t.normalized()
    np.testing.assert_allclose(np.linalg.norm(unit.vectors, axis=1), 1.0, rtol=1e-6)
    assert EmbeddingTable(["z"], [[0.0]]).normalized().vectors.tolist() == [[0.0]]
    assert len(t.subset([])) == 0


@given(ids=st.lists(st.text(max_size=6), unique=True, max_size=20), asked=st.text(max_size=6))
def test_look_up_of_any_text(ids: list[str], asked: str) -> None:
    t = EmbeddingTable(ids, np.zeros((len(ids), 1)))
    assert t.ids.tolist() == ids
    assert (asked in t) == (asked in ids)
    assert t.rows(ids).tolist() == list(range(len(ids)))
    assert [t._ids[i] for i in range(len(ids))] == ids


@given(ids=st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=20), asked=st.integers())
def test_look_up_of_any_int(ids: list[int], asked: int) -> None:
    t = EmbeddingTable(ids, np.zeros((len(ids), 1)))
    assert t.ids.tolist() == ids
    assert (asked in t) == (asked in ids)
    assert str(asked) not in t
    assert t.rows(np.array(ids, dtype=np.int64)).tolist() == list(range(len(ids)))
    assert t.rows(np.array([2**64 - 1], dtype=np.uint64), missing="mark").tolist() == [-1]


def test_ints_and_strings_are_different_ids() -> None:
    strings, ints = EmbeddingTable(["1"], [[1.0]]), EmbeddingTable([1], [[1.0]])
    assert 1 not in strings
    assert "1" not in ints
    assert True not in ints
    assert strings.fingerprint != ints.fingerprint
    with pytest.raises(KeyError, match="kind int64: 1 is there"):
        ints.row("1")
    with pytest.raises(KeyError, match="kind string: '1' is there"):
        strings.rows([1])


def test_fingerprint_follows_ids_order_and_numbers() -> None:
    t = table()
    assert t.fingerprint == table().fingerprint
    rng = np.random.default_rng(1)
    v, c = rng.normal(size=(30, 6)), rng.normal(size=(30, 6))
    names = [f"i{i}" for i in range(30)]
    assert EmbeddingTable(names, v, context_vectors=c).fingerprint == t.fingerprint
    different = [
        t.subset(t.ids[::-1]), t.subset(t.ids[:-1]), EmbeddingTable(names, v),
        EmbeddingTable(names, c, context_vectors=v),
        EmbeddingTable(["i0i1", "", *names[2:]], v, context_vectors=c),
    ]
    assert len({t.fingerprint, *(other.fingerprint for other in different)}) == 1 + len(different)


def test_copied_arrays_are_independent_of_the_callers() -> None:
    vectors = np.ones((2, 2), dtype=np.float32)
    t = EmbeddingTable(["a", "b"], vectors)
    with pytest.raises(ValueError, match="read-only"):
        t.vectors[0, 0] = 2.0
    with pytest.raises(TypeError):
        t.arrays["x"] = vectors  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        t.ids[0] = "c"


@pytest.mark.parametrize("layout", ["transposed", "strided", "float64", "byteswapped", "readonly", "list"])
def test_layouts(layout: str) -> None:
    base = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    value: Any = {
        "transposed": np.asfortranarray(base), "strided": np.repeat(base, 2, axis=1)[:, ::2],
        "float64": base.astype(float),
        "byteswapped": base.astype(base.dtype.newbyteorder()), "readonly": base, "list": base.tolist(),
    }[layout]
    if layout == "readonly":
        value.flags.writeable = False
    t = EmbeddingTable([1, 2, 3], value)
    assert t.vectors.flags.c_contiguous
    np.testing.assert_array_equal(t.vectors, base)


@pytest.mark.parametrize(
    ("args", "kwargs", "error"),
    [
        ((["a", "a"], np.eye(2)), {}, ValueError), (([1, 1], np.eye(2)), {}, ValueError),
        ((["a", 1], np.eye(2)), {}, TypeError), (([1, "a"], np.eye(2)), {}, TypeError),
        (([True, False], np.eye(2)), {}, TypeError), (([b"a", b"b"], np.eye(2)), {}, TypeError),
        (([1.0, 2.0], np.eye(2)), {}, TypeError), (("ab", np.eye(2)), {}, TypeError), ((7, np.eye(2)), {}, TypeError),
        ((["\ud800", "b"], np.eye(2)), {}, ValueError), (([2**63, 0], np.eye(2)), {}, ValueError),
        (([[1, 2]], np.eye(2)), {}, TypeError), ((np.array([[1, 2]]), np.eye(2)), {}, ValueError),
        ((["a"], np.eye(2)), {}, ValueError), ((["a", "b"], [[np.nan], [0.0]]), {}, ValueError),
        ((["a", "b"], np.eye(2)), {"context_vectors": np.eye(3)}, ValueError),
        ((["a", "b"], np.eye(2)), {"arrays": {"vectors": np.eye(2)}}, ValueError),
        ((["a", "b"], np.eye(2)), {"arrays": {"a/b": np.eye(2)}}, ValueError),
        ((["a", "b"], np.eye(2)), {"arrays": {"x": np.array(["s"])}}, TypeError),
        ((["a", "b"], np.eye(2)), {"arrays": {"Counts": np.eye(2), "counts": np.eye(2)}}, ValueError),
        ((["a", "b"], np.eye(2)), {"metadata": {"f": float("nan")}}, ValueError),
        ((["a", "b"], np.eye(2)), {"metadata": {"f": object()}}, TypeError),
        ((["a", "b"], np.eye(2)), {"metadata": [1]}, TypeError),
    ],
)
def test_bad_tables(args: Any, kwargs: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="parameter of EmbeddingTable"):
        EmbeddingTable(*args, **kwargs)


def test_bad_queries() -> None:
    t = EmbeddingTable(["a", "b"], np.eye(2))
    for call, error in (
        (lambda: t.most_similar("a", 0), ValueError), (lambda: t.most_similar("z"), KeyError),
        (lambda: t.most_similar("a", against="context_vectors"), ValueError), (lambda: t["z"], KeyError),
        (lambda: t.most_similar("a", against="sideways"), ValueError), (lambda: t.subset(["z"]), KeyError),
        (lambda: t.most_similar([1.0, 2.0, 3.0]), ValueError), (lambda: t.rows(["z"]), KeyError),
    ):
        with pytest.raises(error):
            call()
    assert EmbeddingTable([], np.zeros((0, 3))).most_similar([0.0, 0.0, 0.0]) == []


def test_metadata_equals_what_is_read_back() -> None:
    given_ = {"k": np.int64(3), "v": np.array([1.0]), "nested": {"t": (1, 2)}}
    t = EmbeddingTable(["a"], [[1.0]], metadata=given_)
    assert t.metadata == {"k": 3, "v": [1.0], "nested": {"t": [1, 2]}}
    given_["nested"]["t"] = "changed"  # type: ignore[index]
    assert t.metadata["nested"] == {"t": [1, 2]}


def test_masked_ids_are_refused() -> None:
    masked = np.ma.array([5, 6], mask=[False, True])
    with pytest.raises(ValueError, match="without masked places"):
        EmbeddingTable([5, 6], np.eye(2)).rows(masked)
    assert EmbeddingTable(np.ma.array([5, 6]), np.eye(2)).ids.tolist() == [5, 6]
