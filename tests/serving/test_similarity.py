"""Similarity queries: gensim's KeyedVectors answers the same, ids are ids of either kind, filters hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import serving as slow
from traitcore.serving.table import EmbeddingTable

N, D = 40, 5


def table(*, ints: bool = False, n: int = N, d: int = D, seed: int = 3) -> EmbeddingTable:
    rng = np.random.default_rng(seed)
    ids: Any = rng.permutation(n) if ints else [f"i{i}" for i in range(n)]  # ints that look like rows, and are not
    return EmbeddingTable(ids, rng.normal(size=(n, d)), context_vectors=rng.normal(size=(n, d)))


def keyed(t: EmbeddingTable) -> Any:
    found = pytest.importorskip("gensim.models").KeyedVectors(t.dimension)
    found.add_vectors([str(one) for one in t.ids.tolist()], t.vectors)
    return found


def same(found: list[tuple[Any, float]], theirs: list[tuple[str, float]]) -> None:
    assert [str(one) for one, _ in found] == [one for one, _ in theirs]
    np.testing.assert_allclose([s for _, s in found], [s for _, s in theirs], atol=1e-6)


@pytest.mark.parametrize("ints", [False, True])
def test_every_method_equals_gensims(ints: bool) -> None:
    t = table(ints=ints)
    kv, ids = keyed(t), t.ids.tolist()
    a, b, c, e = ids[4], ids[9], ids[22], ids[0]
    as_theirs = [str(one) for one in (a, b, c, e)]
    same(t.most_similar(a, 7), kv.most_similar(str(a), topn=7))
    same(t.most_similar([a, b], 7), kv.most_similar(as_theirs[:2], topn=7))
    same(t.most_similar(positive=a, negative=b), kv.most_similar(positive=str(a), negative=str(b)))
    same(t.most_similar(positive=[a, b], negative=[c], k=9), kv.most_similar(as_theirs[:2], as_theirs[2:3], topn=9))
    same(t.most_similar(a, 9, positive=[b], negative=[c, e]), kv.most_similar(as_theirs[:2], as_theirs[2:], topn=9))
    same(t.most_similar(negative=[a, b]), kv.most_similar(negative=as_theirs[:2]))
    weighed = [(a, 0.5), b, (c, -2)]
    same(t.most_similar(positive=weighed), kv.most_similar([(str(a), 0.5), str(b), (str(c), -2)]))
    same(t.most_similar(positive=[t[a], b]), kv.most_similar([kv[str(a)], str(b)]))
    same(t.most_similar(t[a] + t[b], N), kv.most_similar(kv[str(a)] + kv[str(b)], topn=N))
    np.testing.assert_allclose(t.distances(a), kv.distances(str(a)), atol=1e-6)
    np.testing.assert_allclose(t.distances(a, [b, c]), kv.distances(str(a), as_theirs[1:3]), atol=1e-6)
    np.testing.assert_allclose(t.distances(t[a] * 2, [b, c]), kv.distances(kv[str(a)] * 2, as_theirs[1:3]), atol=1e-6)
    for one in ids:
        assert t.rank(a, one) == kv.rank(str(a), str(one))
        assert [str(x) for x in t.closer_than(a, one)] == kv.closer_than(str(a), str(one))
    for start in range(0, 30, 3):
        some = ids[start : start + 5]
        assert str(t.doesnt_match(some)) == kv.doesnt_match([str(one) for one in some])
        rest = ids[start + 3 : start + 9]
        theirs = kv.n_similarity([str(one) for one in some], [str(one) for one in rest])
        assert t.n_similarity(some, rest) == pytest.approx(theirs, abs=1e-6)
    assert t.similarity(a, b) == pytest.approx(float(kv.similarity(str(a), str(b))), abs=1e-6)
    np.testing.assert_array_equal(t[[b, a]], kv[[str(b), str(a)]])
    assert list(t) == ids
    assert len(t) == len(kv)
    assert a in t


def test_the_analogy_of_the_textbook() -> None:
    vectors = [[1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [-1, 0, 0]]
    t = EmbeddingTable(["king", "man", "woman", "queen", "far"], vectors)
    for metric in ("cosine", "dot", "euclidean"):
        assert t.most_similar(positive=["king", "woman"], negative=["man"], k=1, metric=metric)[0][0] == "queen"
    found = t.most_similar(positive=["man", "woman"], metric="euclidean")  # their midpoint (0, .5, .5)
    assert dict(found)["king"] == pytest.approx(np.sqrt(1.5), rel=1e-6)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_ids_are_never_a_vector_nor_rows(d: int) -> None:
    """As many ids as there are dimensions, ints that are also row numbers: all are ids."""
    rng = np.random.default_rng(d)
    v = rng.normal(size=(6, d))
    for ids in ([5, 4, 3, 2, 1, 0], ["5", "4", "3", "2", "1", "0"]):
        t = EmbeddingTable(ids, v)
        some = ids[:d]
        for form in (list, tuple, np.array):
            found = t.most_similar(form(some), 6)
            assert {one for one, _ in found} == set(ids[d:])
            assert found == t.most_similar(positive=some, k=6)
            np.testing.assert_array_equal(t[form(some)], t.vectors[:d])
            assert t.most_similar(ids[0], exclude=form(some)) == t.most_similar(ids[0], exclude=some)
        assert [one for one, _ in t.most_similar(t[ids[0]], 1)] == [ids[0]] or d == 1  # a vector of floats is one
        assert len(t.most_similar(t[ids[0]].tolist(), 6)) == 6
    ints = EmbeddingTable([50, 40, 30, 20, 10, 7], v)
    pair = ints.most_similar((50, 0.5), 6)  # an id and its weight, also where d is 2
    assert pair == ints.most_similar(positive=[(50, 0.5)], k=6)
    assert {one for one, _ in pair} == {40, 30, 20, 10, 7}
    for row in (0, 5):
        for ask in (lambda row=row: ints[row], lambda row=row: ints[[row]], lambda row=row: ints.most_similar([row])):
            with pytest.raises(KeyError):
                ask()
    with pytest.raises(KeyError, match="A vector is given as floats"):
        ints.most_similar(np.arange(d))  # ints are ids, also in an array as long as a vector


def test_one_string_is_not_split_into_letters() -> None:
    t = EmbeddingTable(["a", "b", "bb", "c"], [[1.0, 0], [0.9, 0.1], [0.8, 0.3], [0.5, 0.5]])
    assert [one for one, _ in t.most_similar("a", exclude="bb")] == ["b", "c"]
    assert [one for one, _ in t.most_similar("a", allowed="bb")] == ["bb"]
    assert t.rows("bb").tolist() == [2]
    assert t.subset("bb").ids.tolist() == ["bb"]
    rows, _ = t.most_similar_batch("bb", 3, exclude="b")
    assert t.ids[rows].tolist()[0][:2] == ["a", "c"]
    assert rows[0, 2] == -1
    np.testing.assert_array_equal(t[["bb", "a"]], t.vectors[[2, 0]])
    assert t["bb"].shape == (2,)
    ints = EmbeddingTable([3, 33], [[1.0, 0], [0.9, 0.1]])
    assert ints.most_similar(3, exclude=33) == []
    assert ints.rows(33).tolist() == [1]


@given(
    metric=st.sampled_from(["cosine", "dot", "euclidean"]), against=st.sampled_from(["vectors", "context_vectors"]),
    ints=st.booleans(), k=st.integers(1, 15), seed=st.integers(0, 999), m=st.integers(0, 5), per_query=st.booleans(),
    form=st.sampled_from(["mask", "ids", "none"]),
)
def test_exclude_and_allowed(
    metric: str, against: str, ints: bool, k: int, seed: int, m: int, per_query: bool, form: str
) -> None:
    rng = np.random.default_rng(seed)
    t = table(ints=ints, n=12, seed=seed)
    own = rng.choice(12, m)
    banned = [rng.choice(12, rng.integers(0, 6)).tolist() for _ in range(m)]
    if not per_query:
        banned = [banned[0] if banned else []] * m
    exclude: Any = [t.ids[one].tolist() for one in banned] if per_query else t.ids[banned[0]].tolist() if m else []
    mask = rng.random(12) < 0.6
    allowed = {"mask": mask, "ids": t.ids[mask].tolist(), "none": None}[form]
    rows, scores = t.most_similar_batch(
        t.ids[own], k, metric=metric, against=against, exclude=exclude, allowed=allowed
    )
    out = [[*mine, int(row)] for mine, row in zip(banned, own)]
    expected = slow.top_k(
        t.vectors[own], getattr(t, against), k, metric=metric, exclude=out, mask=None if form == "none" else mask
    )
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_allclose(scores, expected[1], atol=1e-5)
    for i, row in enumerate(own):
        found = t.most_similar(
            t.ids[row], k, metric=metric, against=against, exclude=t.ids[banned[i]].tolist(), allowed=allowed
        )
        assert [one for one, _ in found] == t.ids[[r for r in rows[i] if r >= 0]].tolist()


def test_forms_of_filters() -> None:
    pandas, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    for ints in (False, True):
        t = table(ints=ints)
        some = t.ids[3:9]
        unknown: Any = 10**6 if ints else "unknown"
        wanted = t.most_similar(t.ids[0], 50, exclude=some.tolist())
        mask = np.ones(N, dtype=bool)
        mask[3:9] = False
        for form in (tuple, set, frozenset, iter, pandas.Series, pandas.Index, pa.array, lambda v: dict.fromkeys(v)):
            values = [*some.tolist(), unknown]
            assert t.most_similar(t.ids[0], 50, exclude=form(values)) == wanted
            rest = [one for one in t.ids.tolist() if one not in set(some.tolist())]
            assert t.most_similar(t.ids[0], 50, allowed=form([*rest, unknown])) == wanted
        for masks in (mask, mask.tolist(), pandas.Series(mask), pandas.Series(mask, dtype="boolean"), pa.array(mask)):
            assert t.most_similar(t.ids[0], 50, allowed=masks) == wanted
        assert t.most_similar(t.ids[0], allowed=[]) == []
        assert t.most_similar(t.ids[0], allowed=~(mask | True)) == []


def test_refusals_name_the_parameter() -> None:
    t, ints = table(), table(ints=True)
    with pytest.raises(ValueError, match="'positive' parameter"):
        t.most_similar()
    with pytest.raises(ValueError, match="'positive' parameter"):
        t.most_similar([])
    for token in ("x", ["i1", "x"], [1, 2], np.array(["x"]), 3):
        with pytest.raises(KeyError, match="no row for"):
            t.most_similar(token)
    with pytest.raises(KeyError, match=r"'5'.*5 is there"):
        ints.most_similar(positive=["5"])
    for parameter, options in {
        "token": {"token": np.ones(3)}, "positive": {"positive": [0.5, 0.5]}, "negative": {"negative": [np.ones(4)]},
        "allowed": {"token": "i1", "allowed": np.ones(3, dtype=bool)}, "k": {"token": "i1", "k": 0},
        "metric": {"token": "i1", "metric": "taxi"}, "against": {"token": "i1", "against": "sides"},
    }.items():
        with pytest.raises(ValueError, match=f"'{parameter}' parameter of EmbeddingTable"):
            t.most_similar(**options)
    gaps = [True] * (N - 1) + [None]
    for parameter, options in {
        "exclude": {"exclude": np.ones(N, dtype=bool)}, "allowed": {"allowed": np.ones(N)},
        "positive": {"positive": {}}, "negative": {"negative": [b"i1"]},
    }.items():
        with pytest.raises((TypeError, ValueError), match=f"'{parameter}' parameter of EmbeddingTable"):
            t.most_similar(**{"token": None if parameter == "positive" else "i1", **options})
    with pytest.raises(TypeError, match="without gaps"):
        t.most_similar("i1", allowed=gaps)
    with pytest.raises(ValueError, match="3 lists of ids"):
        t.most_similar_batch(["i1", "i2", "i3"], exclude=[["i1"], ["i2"]])
    for bad in (3.5, None, b"i1"):
        with pytest.raises(TypeError, match="'exclude' parameter"):
            t.most_similar("i1", exclude=bad)
    for ask in (lambda: t.doesnt_match([]), lambda: t.n_similarity([], "i1"), lambda: t.n_similarity("i1", [])):
        with pytest.raises(ValueError, match="at least one id"):
            ask()
    for ask in (lambda: t.rank("i1", "x"), lambda: t.closer_than("x", "i1"), lambda: t.doesnt_match(["i1", "x"])):
        with pytest.raises(KeyError, match="no row for 'x'"):
            ask()
    for index in (slice(0, 2), None, 1.0, np.array([True] * N), np.array([[1, 2]])):
        with pytest.raises((KeyError, ValueError, TypeError)):
            t[index]


def test_equal_and_zero_and_huge_vectors() -> None:
    """Rows equal to b are not closer than b, whatever their place; zero rows are at distance 1; no norm overflows."""
    rng = np.random.default_rng(0)
    v = rng.normal(size=(203, 37)).astype(np.float32)
    v[5:200:3] = v[5]
    v[201] = 0.0
    t = EmbeddingTable(np.arange(203), v)
    assert not set(t.closer_than(0, 5)) & set(range(5, 200, 3))
    assert t.rank(0, 8) == t.rank(0, 5) == t.rank(0, 197)
    assert t.distances(0)[201] == 1.0
    assert t.distances(201).tolist() == [1.0] * 203
    wide = EmbeddingTable(["big", "small", "other"], [[3e38, 3e38], [1e-44, 1e-44], [1.0, -1.0]])
    np.testing.assert_allclose(wide.distances("big"), [0, 0, 1], atol=1e-6)
    assert wide.doesnt_match(["big", "small", "other"]) == "other"
    assert wide.rank("big", "other") == 2
    assert EmbeddingTable([], np.zeros((0, 3))).distances([1.0, 0, 0]).shape == (0,)
