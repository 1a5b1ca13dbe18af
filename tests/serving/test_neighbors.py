"""Exact neighbours: the native pass equals the slow twin for every metric, mask, cut and instruction set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tests.reference import serving as slow
from traitcore import TableError, _core, build_index, open_index, top_k
from traitcore.serving import neighbors
from traitcore.serving import recall as recall_module
from traitcore.serving.table import EmbeddingTable

METRICS = ("cosine", "dot", "euclidean")


@pytest.fixture(params=_core.simd_levels())
def level(request: pytest.FixtureRequest) -> Any:
    _core.set_simd_level(request.param)
    yield request.param
    _core.set_simd_level(None)


@given(
    m=st.integers(0, 40), n=st.integers(0, 90), d=st.integers(1, 19), k=st.integers(1, 12),
    metric=st.sampled_from(METRICS), seed=st.integers(0, 999), coarse=st.booleans(), masked=st.booleans(),
    excluding=st.booleans(), workers=st.sampled_from([1, 2, 7]),
)
def test_equals_the_slow_twin(
    m: int, n: int, d: int, k: int, metric: str, seed: int, coarse: bool, masked: bool, excluding: bool, workers: int
) -> None:
    rng = np.random.default_rng(seed)
    # Coarse values give exact scores (powers of two) and many ties; the rest negative and positive reals.
    draw = (lambda shape: rng.integers(-1, 2, shape).astype(np.float32)) if coarse else (
        lambda shape: rng.normal(size=shape).astype(np.float32)
    )
    q, v = draw((m, d)), draw((n, d))
    mask = rng.random(n) < 0.7 if masked else None
    exclude = [rng.integers(0, n, rng.integers(0, 4)) for _ in range(m)] if excluding and n else None
    rows, scores = top_k(q, v, k, metric=metric, mask=mask, exclude=exclude, workers=workers)
    want_rows, want_scores = slow.top_k(q, v, k, metric=metric, mask=mask, exclude=exclude)
    np.testing.assert_allclose(scores, want_scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(rows >= 0, want_rows >= 0)
    if coarse and metric == "dot":
        np.testing.assert_array_equal(rows, want_rows)  # exact scores: ties by row


@pytest.mark.parametrize("metric", METRICS)
def test_one_query_many_times_finds_what_it_found_at_first(metric: str) -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(900, 20)) * 10.0 ** rng.integers(-30, 18, (900, 1))).astype(np.float32)
    vectors[::7] = vectors[0]  # ties
    searcher = neighbors.Searcher(vectors, metric, check=neighbors.Checks("top_k"))
    for call in range(2 * neighbors._CODES_PAY):
        query = rng.normal(size=(1, 20)) * 10.0 ** rng.integers(-20, 20)
        how = {"mask": rng.random(900) < 0.8, "exclude": [rng.integers(0, 900, 5).tolist() * 2]} if call % 2 else {}
        rows, scores = searcher.search(query, 10, **how)
        want_rows, want_scores = top_k(query, vectors, 10, metric=metric, **how)
        np.testing.assert_array_equal(rows, want_rows)
        np.testing.assert_array_equal(scores, want_scores)
    assert (searcher._codes is None) == (metric == "euclidean")


POINTS = ("near", "offset", "clouds", "lattice", "permuted", "huge", "denormal", "row scales", "scales", "collinear")


def points(kind: str, rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """(n, d) float32 on which sums of products in float32 resolve little or nothing."""
    normal = rng.normal(size=(n, d))
    size = 10.0 ** rng.integers(0, 9)
    if kind == "offset":  # coordinates in metres, degrees, timestamps
        normal = rng.normal(size=d) * size + normal * 10.0 ** rng.integers(-3, 3)
    elif kind == "clouds":
        normal = (rng.normal(size=(5, d)) * size)[rng.integers(0, 5, n)] + normal
    elif kind == "lattice":  # ties in plenty
        normal = np.round(size) + rng.integers(-2, 3, (n, d))
    elif kind == "permuted":  # one gap in any order and with any signs: ties that only exact sums see
        gap = np.float32(normal[0]) if n else normal
        normal = np.array([rng.permutation(gap) * rng.choice([-1, 1], d) for _ in range(n)]).reshape(n, d)
    elif kind == "huge":
        normal = np.clip(normal * 10.0 ** rng.integers(18, 39), -3.4e38, 3.4e38)
    elif kind == "denormal":
        normal = rng.integers(-9, 10, (n, d)) * 2.0 ** rng.integers(-149, -120)
    elif kind == "row scales":
        normal = np.clip(normal * 10.0 ** rng.uniform(-44, 38, (n, 1)), -3.4e38, 3.4e38)
    elif kind == "scales":
        normal = np.clip(normal * 10.0 ** rng.uniform(-44, 38, (n, d)), -3.4e38, 3.4e38)
    elif kind == "collinear":
        normal = 3e5 + np.cumsum(np.full((n, d), 0.03), axis=0)
    out = normal.astype(np.float32)
    out[n // 2 : n // 2 + n // 5] = out[: n // 5]  # duplicates
    out[n - n // 9 :] = 0.0
    return out


@settings(max_examples=150)
@given(
    m=st.integers(1, 5), n=st.integers(0, 60), d=st.integers(1, 11), k=st.integers(1, 12),
    table=st.sampled_from(POINTS), asked=st.sampled_from((None, *POINTS)), seed=st.integers(0, 999),
    masked=st.booleans(), batch=st.sampled_from([1, 20]),
)
def test_distances_are_exact_at_any_scale(
    m: int, n: int, d: int, k: int, table: str, asked: str | None, seed: int, masked: bool, batch: int
) -> None:
    rng = np.random.default_rng(seed)
    v = points(table, rng, n, d)
    q = v[rng.integers(0, n, m)] if asked is None and n else points(asked or table, rng, m, d)
    mask = rng.random(n) < 0.7 if masked else None
    exclude = [rng.integers(0, n, 2) if n else np.zeros(0, np.int64) for _ in range(m)] if masked else None
    want_rows, want_scores = slow.nearest(q, v, k, mask=mask, exclude=exclude)
    try:
        for level in _core.simd_levels():
            _core.set_simd_level(level)
            rows, scores = top_k(
                np.tile(q, (batch, 1)), v, k, metric="euclidean", mask=mask, exclude=exclude and exclude * batch
            )
            np.testing.assert_array_equal(rows, np.tile(want_rows, (batch, 1)))
            with np.errstate(over="ignore"):
                want = np.tile(want_scores, (batch, 1)).astype(np.float32)
            np.testing.assert_allclose(scores, want, rtol=2e-7, atol=2e-45)
            filled = np.where(np.isnan(scores), np.inf, scores)
            np.testing.assert_array_equal(np.sort(filled, axis=1), filled)
    finally:
        _core.set_simd_level(None)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(1, 1009, 64), (7, 1000, 37), (33, 499, 128), (70, 13, 5), (97, 2000, 16)])
def test_every_instruction_set(level: str, metric: str, shape: tuple[int, int, int]) -> None:
    m, n, d = shape
    rng = np.random.default_rng(m)
    q, v = rng.normal(size=(m, d)).astype(np.float32), rng.normal(size=(n, d)).astype(np.float32)
    rows, scores = top_k(q, v, 10, metric=metric)
    exact = {"dot": q @ v.T, "cosine": (q @ v.T) / np.linalg.norm(q, axis=1)[:, None] / np.linalg.norm(v, axis=1)}
    full = exact.get(metric, -np.linalg.norm(q[:, None].astype(float) - v, axis=2))
    best = -np.sort(-full, axis=1)[:, :10]
    np.testing.assert_allclose(scores, -best if metric == "euclidean" else best, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(full, rows, axis=1), best, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("metric", [*METRICS, "far"])
def test_no_cut_changes_a_byte(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "_THREADS_PAY", 0)  # else a single query would not meet a second thread
    rng = np.random.default_rng(0)
    v = rng.normal(size=(50_021, 24)).astype(np.float32)
    if metric == "far":  # float32 products resolve nothing here
        metric, v = "euclidean", v + np.float32(3000)
    v[1000:1100] = v[0]  # ties across any cut of the rows
    q = np.concatenate([v[:3], rng.normal(size=(67, 24)).astype(np.float32) + v[0]])
    rows, scores = top_k(q, v, 120, metric=metric)
    for workers in (2, 3, 7):
        again = top_k(q, v, 120, metric=metric, workers=workers)
        assert again[0].tobytes() == rows.tobytes()
        assert again[1].tobytes() == scores.tobytes()
    for i in (0, 1, 40, 69):
        one = top_k(q[i : i + 1], v, 120, metric=metric, workers=2)
        assert one[0].tobytes() == rows[i : i + 1].tobytes()
        assert one[1].tobytes() == scores[i : i + 1].tobytes()
    tied = [row for row in rows[0].tolist() if row == 0 or 1000 <= row < 1100]
    assert tied == [0, *range(1000, 1100)]


def test_scores_that_rise_and_fall_with_the_rows() -> None:
    up = np.arange(5000, dtype=np.float32)[:, None]
    assert top_k([[1.0]], up, 3, metric="dot")[0].tolist() == [[4999, 4998, 4997]]
    assert top_k([[1.0]], up[::-1], 3, metric="dot")[0].tolist() == [[0, 1, 2]]
    assert top_k([[1.0]], np.zeros((100, 1)), 3)[0].tolist() == [[0, 1, 2]]  # all alike: by row
    assert top_k([[-1.0]], -up - 1e30, 2, metric="dot")[0].shape == (1, 2)


def test_neighbours_nearer_than_the_expansion_resolves() -> None:
    """Distances are measured anew: |q|^2 - 2 q.v + |v|^2 in float32 would give 0 or worse for all of these."""
    v = (1000.0 + np.arange(6)[:, None] * np.array([[1e-3, 0.0]])).astype(np.float32)
    rows, scores = top_k(v[:1], v, 6, metric="euclidean")
    assert sorted(rows[0].tolist()) == list(range(6))
    np.testing.assert_array_equal(np.sort(scores[0]), scores[0])
    np.testing.assert_allclose(scores[0][np.argsort(rows[0])], np.abs(v[:, 0].astype(float) - v[0, 0]), rtol=1e-6)


@pytest.mark.parametrize("level", _core.simd_levels(), indirect=True)
@pytest.mark.parametrize("kind", ["offset", "clouds", "near", "row scales", "collinear"])
@pytest.mark.parametrize("m", [1, 3, 40])
def test_thousands_of_rows_far_from_the_origin(level: str, kind: str, m: int) -> None:
    """Enough rows for the tiles to give up products for differences."""
    rng = np.random.default_rng(m)
    for d in (2, 19):
        v = points(kind, rng, 3000, d)
        q = v[rng.integers(0, 3000, m)]
        rows, scores = top_k(q, v, 10, metric="euclidean")
        for one, row, score in zip(q, rows, scores):
            exact = ((v.astype(np.longdouble) - one) ** 2).sum(axis=1)
            assert len(set(row.tolist())) == 10
            np.testing.assert_allclose(exact[row].astype(float), np.sort(exact)[:10].astype(float), rtol=1e-14)
            np.testing.assert_allclose(score, np.sqrt(exact[row]).astype(float), rtol=1e-7, atol=1e-45)


def test_places_in_metres_by_every_function() -> None:
    """Points of a city in UTM metres: float32 products gave rows at 87 m where there are some at 4 m."""
    rng = np.random.default_rng(0)
    v = (np.array([452_000.0, 5_411_000.0]) + rng.normal(size=(3000, 2)) * 800).astype(np.float32)
    distance = np.sqrt(((v[:, None, :].astype(float) - v[7]) ** 2).sum(axis=2))[:, 0]
    distance[7] = np.inf
    nearest = np.sort(distance)[:10]
    table = EmbeddingTable(list(range(3000)), v)
    for found in (
        table.most_similar(7, 10, metric="euclidean"), table.most_similar(v[7], 11, metric="euclidean")[1:],
        build_index(table, metric="euclidean").most_similar(7, 10),
    ):
        np.testing.assert_allclose(distance[[one for one, _ in found]], nearest)
        np.testing.assert_allclose([score for _, score in found], nearest, rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_tables_and_batches_without_rows(metric: str) -> None:
    for workers in (1, 2):
        rows, scores = top_k(np.ones((3, 4)), np.zeros((0, 4)), 5, metric=metric, workers=workers)
        assert rows.tolist() == [[-1] * 5] * 3
        assert scores.shape == (3, 5)
        assert np.isnan(scores).all()
        assert top_k(np.zeros((0, 4)), np.ones((3, 4)), 5, metric=metric, workers=workers)[0].shape == (0, 5)
    assert EmbeddingTable([], np.zeros((0, 4))).most_similar(np.ones(4), metric=metric) == []
    rows, scores = top_k(np.zeros((1, 4)), np.zeros((3, 4)), 5, metric=metric)  # zeros are rows like any
    assert rows.tolist() == [[0, 1, 2, -1, -1]]
    assert scores[0, :3].tolist() == [0, 0, 0]


@given(
    seed=st.integers(0, 999), a=st.integers(-149, 125), b=st.integers(-149, 125), d=st.integers(1, 20),
    m=st.sampled_from([1, 20]),
)
def test_cosines_at_any_scale(seed: int, a: int, b: int, d: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    powers = np.where(rng.random((50, 1)) < 0.5, a, b)  # rows of two scales in one table
    v = np.ldexp(np.clip(rng.normal(size=(50, d)), -3, 3), powers).astype(np.float32)
    q = np.ldexp(np.clip(rng.normal(size=(m, d)), -3, 3), a).astype(np.float32)
    v[::7] = 0.0
    rows, scores = top_k(q, v, 50)
    want = slow.top_k(q, v, 50)[1]
    np.testing.assert_allclose(scores, want, atol=1e-5)
    for one, row, score in zip(q, rows, scores):
        assert sorted(row.tolist()) == list(range(50))
        again = slow.top_k(one[None], v[row], 50)[1][0]
        np.testing.assert_allclose(score, again, atol=1e-5)
    assert (scores[rows % 7 == 0] == 0.0).all()


@pytest.mark.parametrize("level", _core.simd_levels(), indirect=True)
@pytest.mark.parametrize("scale", [1e-44, 1e-40, 1e-25, 1.0, 1e20, 1e38])
@pytest.mark.parametrize("other", [1e-40, 1.0, 1e20, 1e38])
def test_products_beyond_float32_keep_their_order(level: str, scale: float, other: float) -> None:
    rng = np.random.default_rng(1)
    v, q = (np.round(rng.normal(size=s), 1) for s in ((40, 3), (20, 3)))
    v, q = (v * scale).astype(np.float32), (q * other).astype(np.float32)
    rows, scores = top_k(q, v, 40, metric="dot")
    exact = q.astype(float) @ v.T.astype(float)
    for i in range(20):
        assert sorted(rows[i].tolist()) == list(range(40))  # none is lost as inf - inf
        listed = exact[i, rows[i]]
        assert (np.diff(listed) <= 1e-5 * np.abs(exact).max()).all()
    listed = np.take_along_axis(exact, rows, axis=1)
    resolved = np.abs(listed) > 0.01 * np.abs(exact).max()  # sums that don't cancel
    with np.errstate(over="ignore"):
        want = listed.astype(np.float32)
    np.testing.assert_allclose(scores[resolved], want[resolved], rtol=1e-5, atol=2e-45)


def test_exclusions_in_every_form() -> None:
    v = np.eye(5, dtype=np.float32) + 0.1
    lists = [[0, 1], [], [4]]
    want = top_k(v[:3], v, 5, exclude=lists)
    padded = np.array([[0, 1], [-1, -1], [4, -1]])
    stored = sparse.csr_array((np.ones(3), ([0, 0, 2], [1, 0, 4])), shape=(3, 5))
    zeros = sparse.csr_array((np.array([1, 1, 0, 0, 1]), ([0, 0, 0, 1, 2], [1, 0, 3, 2, 4])), shape=(3, 5))
    for form in (padded, stored, zeros, stored.astype(bool), [np.array(x, dtype=np.int64) for x in lists]):
        assert top_k(v[:3], v, 5, exclude=form)[0].tolist() == want[0].tolist()
    assert want[0][0].tolist()[3:] == [-1, -1]
    assert top_k(v[:1], v, 1, exclude=np.array([[0]]))[0][0, 0] != 0


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"k": 0}, ValueError), ({"k": 1.5}, TypeError), ({"metric": "manhattan"}, ValueError),
        ({"mask": np.ones(4, bool)}, ValueError), ({"mask": np.ones(5)}, TypeError), ({"exclude": [[9]]}, ValueError),
        ({"exclude": [[0], [1]]}, ValueError), ({"exclude": "ab"}, TypeError),
        ({"exclude": np.array([[7]])}, ValueError),
        ({"exclude": sparse.csr_array((2, 5))}, ValueError), ({"queries": np.zeros((1, 3))}, ValueError),
        ({"queries": [[np.nan, 0.0]]}, ValueError), ({"vectors": np.full((5, 2), np.inf)}, ValueError),
        ({"workers": 0}, ValueError),
    ],
)
def test_bad_calls(kwargs: dict[str, Any], error: type[Exception]) -> None:
    call = {"queries": np.zeros((1, 2)), "vectors": np.zeros((5, 2)), "k": 1} | kwargs
    with pytest.raises(error, match="parameter of top_k"):
        top_k(call.pop("queries"), call.pop("vectors"), call.pop("k"), **call)


def items(n: int = 600, d: int = 12, seed: int = 0) -> EmbeddingTable:
    rng = np.random.default_rng(seed)
    return EmbeddingTable([f"i{i}" for i in range(n)], rng.normal(size=(n, d)), context_vectors=rng.normal(size=(n, d)))


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
@pytest.mark.parametrize("metric", METRICS)
def test_index_saved_and_opened(tmp_path: Any, kind: str, metric: str) -> None:
    if kind == "hnsw":
        pytest.importorskip("faiss")
    table = items()
    built = build_index(table, kind=kind, metric=metric, sample=100)
    assert built.info.recall_at_10 > 0.9
    built.save(tmp_path / "index")
    opened = open_index(tmp_path / "index", table)
    assert opened.info == built.info
    q = table.vectors[:20]
    np.testing.assert_array_equal(opened.search(q, 5)[0], built.search(q, 5)[0])
    exact_rows, exact_scores = top_k(q, table.vectors, 5, metric=metric)
    rows, scores = opened.search(q, 5)
    same = rows == exact_rows
    assert same.mean() > 0.9
    np.testing.assert_allclose(scores[same], exact_scores[same], atol=2e-3)
    exact = table.most_similar("i3", 3, metric=metric)
    assert [one for one, _ in opened.most_similar("i3", 3)] == [one for one, _ in exact]
    assert opened.search(q, 700)[0].shape == (20, 700)
    with pytest.raises(TableError, match="exists"):
        built.save(tmp_path / "index")
    assert [p.name for p in tmp_path.iterdir()] == ["index"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("alike", ["copies", "zeros", "parallel"])
def test_recall_counts_rows_as_near_not_the_same_rows(metric: str, alike: str) -> None:
    """Which of several equal rows an index gives is no fault of it; a row that is farther is."""
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    v = rng.normal(size=(40, 8))[rng.integers(0, 40, 1000)]
    if alike == "zeros":
        v = np.where(rng.random((1000, 1)) < 0.4, 0.0, rng.normal(size=(1000, 8)))
    elif alike == "parallel":
        v = v * 2.0 ** rng.integers(0, 2, (1000, 1))
    table = EmbeddingTable(list(range(1000)), v)
    built = build_index(table, kind="hnsw", metric=metric, ef_search=300, sample=200)
    # Ties by score: what the index lists, measured here, against the best there is.
    exact = top_k(table.vectors, table.vectors, 10, metric=metric)[1]
    found = built.search(table.vectors, 10)[1]
    share = np.isclose(found, exact[:, 9:], rtol=1e-4, atol=1e-5) | (
        found < exact[:, 9:] if metric == "euclidean" else found > exact[:, 9:]
    )
    assert built.info.recall_at_10 == pytest.approx(share.mean(), abs=0.02)
    if alike == "copies":
        assert built.info.recall_at_10 == 1.0


@pytest.mark.parametrize("metric", METRICS)
def test_recall_of_a_poor_answer_is_low(metric: str) -> None:
    rng = np.random.default_rng(0)
    v = rng.normal(size=(500, 8)).astype(np.float32)
    exact = top_k(v[:50], v, 20, metric=metric)[0]
    assert recall_module._recall(v[:50], v, exact[:, :10], exact[:, :10], metric) == 1.0
    assert recall_module._recall(v[:50], v, exact[:, :10], exact[:, 5:15], metric) == 0.5
    assert recall_module._recall(v[:50], v, exact[:, :10], np.full((50, 10), -1), metric) == 0.0
    repeated = np.repeat(exact[:, :1], 10, axis=1)  # one row ten times is one answer
    assert recall_module._recall(v[:50], v, exact[:, :10], repeated, metric) == 0.1


def test_an_index_behind_its_table_never_opens(tmp_path: Any) -> None:
    from traitcore import TableStore

    table, store = items(), TableStore(tmp_path / "store")
    store.publish(table, "items")
    first = store.open("items")
    path = store.index_path("items", "v000001", "exact")
    build_index(first).save(path)
    open_index(path, first)
    store.publish(table, "items")  # the same numbers again: another version all the same
    moved = table.vectors.copy()
    moved[5, 5] += 1e-3
    for other in (
        store.open("items"), table.subset(table.ids[::-1]), table.subset(table.ids[:-1]),
        EmbeddingTable([f"j{i}" for i in range(len(table))], table.vectors, context_vectors=table.context_vectors),
        EmbeddingTable(table.ids, moved, context_vectors=table.context_vectors),
    ):
        with pytest.raises(TableError, match="was built over"):
            open_index(path, other)
    with pytest.raises(TableError, match="can't be opened"):
        open_index(tmp_path / "nothing", first)


def test_damaged_index_files(tmp_path: Any) -> None:
    pytest.importorskip("faiss")
    table = items(100)
    build_index(table, kind="hnsw").save(tmp_path / "index")
    rng = np.random.default_rng(0)
    for file in sorted((tmp_path / "index").iterdir()):
        content = file.read_bytes()
        for place in rng.integers(0, len(content), 60):
            damaged = bytearray(content)
            damaged[place] ^= int(rng.integers(1, 256))
            for bad in (bytes(damaged), content[:place]):
                file.write_bytes(bad)
                with pytest.raises(TableError, match="index"):
                    open_index(tmp_path / "index", table)
        file.write_bytes(content)
    open_index(tmp_path / "index", table)


def test_without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"traitcore\[ann\]"):
        build_index(items(50), kind="hnsw")
