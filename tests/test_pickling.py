"""Objects between processes: pickle, cloudpickle, joblib, copy and deepcopy give what was there, or say why not."""

from __future__ import annotations

import copy
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import traitcore as tc
from tests.test_estimators import ESTIMATORS, fit
from traitcore import EmbeddingTable, LiveCustomers, TableError, TableStore, build_index
from traitcore.serving.index import Index
from traitcore.serving.live_traits import TraitBasis


def through_joblib(value: Any, tmp_path: Path) -> Any:
    """As joblib hands large arguments to its workers: arrays become read-only memory maps."""
    joblib = pytest.importorskip("joblib")
    joblib.dump(value, tmp_path / "sent")
    return joblib.load(tmp_path / "sent", mmap_mode="r")


def through_cloudpickle(value: Any, _: Path) -> Any:
    return pickle.loads(pytest.importorskip("cloudpickle").dumps(value))


def with_buffers(value: Any, _: Path) -> Any:
    """Protocol 5 with buffers out of band, which arrive read-only."""
    buffers: list[Any] = []
    raw = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(raw, buffers=[bytes(one) for one in buffers])


WAYS: dict[str, Callable[[Any, Path], Any]] = {
    "pickle2": lambda value, _: pickle.loads(pickle.dumps(value, protocol=2)),
    "pickle5": lambda value, _: pickle.loads(pickle.dumps(value, protocol=5)),
    "buffers": with_buffers, "joblib": through_joblib, "cloudpickle": through_cloudpickle,
    "copy": lambda value, _: copy.copy(value), "deepcopy": lambda value, _: copy.deepcopy(value),
}
way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def assert_same(a: Any, b: Any, path: str = "") -> None:
    """Equal in type and content, all the way down."""
    if isinstance(a, np.ndarray):
        assert isinstance(b, np.ndarray), path
        assert a.dtype == b.dtype, path
        np.testing.assert_array_equal(a, b, err_msg=path)
        return
    assert type(a) is type(b), path
    if sparse.issparse(a):
        assert_same(vars(a), vars(b), path)
    elif isinstance(a, dict):
        assert list(a) == list(b), path
        for key in a:
            assert_same(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b)):
            assert_same(x, y, f"{path}[{i}]")
    elif type(a).__module__.startswith("traitcore") and not isinstance(a, type):
        slots = [name for cls in type(a).__mro__ for name in getattr(cls, "__slots__", ()) if hasattr(a, name)]
        assert slots or vars(a) or not vars(b), path
        for name in [*slots, *getattr(a, "__dict__", {})]:
            if not isinstance(getattr(a, name), type(threading.Lock())):
                assert_same(getattr(a, name), getattr(b, name), f"{path}.{name}")
    elif isinstance(a, np.random.Generator):
        assert a.bit_generator.state == b.bit_generator.state, path
    else:
        assert a == b or (a != a and b != b), path


def things() -> dict[str, Callable[[], Any]]:
    """One of each public object that a worker may be sent, in memory."""
    simulated = tc.simulate_events(n_users=60, n_items=20, n_traits=3, seed=3)
    sessions = tc.split_sessions(simulated.log)
    corpus = tc.tokenize(sessions, min_count=2)
    n = len(corpus.vocabulary)
    counts = tc.count_cooccurrences(corpus.sequences, n_items=n, window=2)
    x, vectors = np.random.default_rng(0).random((12, 6)), np.eye(n, 4, dtype=np.float32)
    return {
        "simulated": lambda: simulated, "EventLog": lambda: simulated.log, "sessions": lambda: sessions,
        "corpus": lambda: corpus, "Sequences": lambda: corpus.sequences, "Vocabulary": lambda: corpus.vocabulary,
        "TableStore": lambda: TableStore("store"), "counts": lambda: counts,
        "svd": lambda: tc.randomized_svd(counts.astype(np.float64), 3, random_state=0),
        "nmf": lambda: tc.factorize_nonnegative(x, 3, random_state=0),
        "semi_nmf": lambda: tc.factorize_semi_nonnegative(x - 0.5, 2),
        "partial": lambda: tc.NMF(2, random_state=0).partial_fit(x).partial_fit(x),
        "WeightSolver": lambda: tc.WeightSolver(x),
        "graph": lambda: tc.build_item_graph(counts),
        "walks": lambda: tc.WalkCorpus(tc.graph_from_matrix(counts), n_walks=2, walk_length=5),
        "TraitBasis": lambda: TraitBasis.of(
            tc.TraitModel(3, method="counts", random_state=0).fit(corpus.sequences, corpus.vocabulary)
        ),
        "attention": lambda: tc.AttentionPooling(epochs=1).fit(corpus.sequences, vectors, vectors),
        **{cls.__name__: lambda cls=cls: fit(cls()) for cls in ESTIMATORS if cls is not tc.AttentionPooling},
    }


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return {name: make() for name, make in things().items()}


@way
def test_public_objects_arrive_as_they_were(made: dict[str, Any], tmp_path: Path, way: Any) -> None:
    for name, value in made.items():
        assert_same(value, way(value, tmp_path), name)


# -- tables ------------------------------------------------------------------------------------------------------------


def table(*, ints: bool = False, seed: int = 0) -> EmbeddingTable:
    rng = np.random.default_rng(seed)
    ids: Any = np.arange(30) * 7 if ints else [f"i{i}ü" for i in range(30)]
    return EmbeddingTable(
        ids, rng.normal(size=(30, 4)), context_vectors=rng.normal(size=(30, 4)),
        arrays={"counts": np.arange(30), "loadings": np.ones((2, 3))}, metadata={"method": {"name": "test"}},
    )


def opened(tmp_path: Path, content: EmbeddingTable | None = None) -> EmbeddingTable:
    store = TableStore(tmp_path / "store")
    store.publish(table() if content is None else content, "items")
    return store.open("items")


def assert_same_table(a: EmbeddingTable, b: EmbeddingTable) -> None:
    assert b.fingerprint == a.fingerprint
    assert (b.name, b.version, b.id_kind, b.metadata) == (a.name, a.version, a.id_kind, a.metadata)
    assert b.ids.tolist() == a.ids.tolist()
    assert_same(dict(a.arrays), dict(b.arrays))
    np.testing.assert_array_equal(b.context_vectors, a.context_vectors)
    one = a.ids[3]
    assert b.most_similar(one) == a.most_similar(one)
    assert b.row(one) == 3
    for array in (b.vectors, b.context_vectors, *b.arrays.values()):
        assert not array.flags.writeable
        assert type(array) is np.ndarray
    with pytest.raises(TypeError):
        b.arrays["more"] = b.vectors  # type: ignore[index]


@way
@pytest.mark.parametrize("ints", [False, True])
def test_tables_in_memory(tmp_path: Path, way: Any, ints: bool) -> None:
    t = table(ints=ints)
    assert_same_table(t, way(t, tmp_path))
    t.most_similar(t.ids[0])  # with look-ups and norms prepared
    t.fingerprint  # noqa: B018
    assert_same_table(t, way(t, tmp_path))
    assert_same_table(t.subset(t.ids[5:]), way(t.subset(t.ids[5:]), tmp_path))
    assert_same_table(t.normalized(), way(t.normalized(), tmp_path))


@way
@pytest.mark.parametrize("ints", [False, True])
def test_opened_tables(tmp_path: Path, way: Any, ints: bool) -> None:
    t = opened(tmp_path, table(ints=ints))
    sent = way(t, tmp_path)
    assert_same_table(t, sent)
    assert_same_table(t, way(sent, tmp_path))  # and on from there
    part = t.subset(t.ids[2:9])  # made of the mapped one, in memory
    assert_same_table(part, way(part, tmp_path))
    assert_same_table(t.normalized(), way(t.normalized(), tmp_path))


def test_an_opened_table_travels_as_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = TableStore("store")  # a relative path
    store.publish(EmbeddingTable(np.arange(5000), np.ones((5000, 64))), "items")
    sent = pickle.dumps(store.open("items"))
    assert len(sent) < 1000
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store_of_worker = pickle.loads(sent)
    assert store_of_worker.version == "v000001"
    TableStore(tmp_path / "store").publish(table(), "items")  # a later version changes nothing
    assert_same(store_of_worker.vectors, pickle.loads(sent).vectors)


@pytest.mark.parametrize("change", ["gone", "pruned", "vectors", "ids", "arrays", "metadata", "a file"])
def test_other_content_on_arrival_is_refused(tmp_path: Path, change: str) -> None:
    t = opened(tmp_path)
    sent, kept = pickle.dumps(t), t.vectors.copy()
    root = tmp_path / "store"
    if change == "a file":
        (root / "items" / "v000001" / "vectors.npy").unlink()
    elif change == "pruned":
        TableStore(root).publish(t, "items")
        TableStore(root).prune("items", keep=1)
    else:
        shutil.rmtree(root)
    parts: dict[str, Any] = {"ids": t.ids, "vectors": kept, "arrays": dict(table().arrays), "metadata": t.metadata}
    parts |= {
        "vectors": {"vectors": kept + 1}, "ids": {"ids": t.ids[::-1]}, "metadata": {"metadata": {"method": "other"}},
        "arrays": {"arrays": {"counts": np.arange(30)[::-1]}},
    }.get(change, {})
    if change in ("vectors", "ids", "arrays", "metadata"):
        opened(tmp_path, EmbeddingTable(**parts, context_vectors=table().context_vectors))
    match = "holds other content" if change in ("vectors", "ids", "arrays", "metadata") else "can't be opened here"
    with pytest.raises(TableError, match=rf"items@v000001 was pickled as its path in .*store.* {match}"):
        pickle.loads(sent)
    assert_same(copy.copy(t).vectors, kept)  # what is open stays, and so do its copies
    assert_same(copy.deepcopy(t).vectors, kept)


def test_copies_are_apart() -> None:
    mine = np.ones((2, 2), dtype=np.float32)
    t = EmbeddingTable(["a", "b"], mine, metadata={"deep": {"down": 1}})
    twin = copy.deepcopy(t)
    mine[0] = 5.0  # the table shares the caller's array
    t.metadata["deep"]["down"] = 2
    assert twin.vectors[0].tolist() == [1.0, 1.0]
    assert twin.metadata == {"deep": {"down": 1}}
    both = copy.deepcopy([t, t])
    assert both[0] is both[1]


def test_opened_metadata_is_copied_deeply(tmp_path: Path) -> None:
    t = opened(tmp_path)
    twin = copy.deepcopy(t)
    t.metadata["method"]["name"] = "changed"
    assert twin.metadata == {"method": {"name": "test"}}


# -- what rests on a table ---------------------------------------------------------------------------------------------


@way
@pytest.mark.parametrize("kind", ["exact", "hnsw"])
@pytest.mark.parametrize("published", [False, True])
def test_indexes(tmp_path: Path, way: Any, kind: str, published: bool) -> None:
    if kind == "hnsw":
        pytest.importorskip("faiss")
    t = opened(tmp_path) if published else table()
    index = build_index(t, kind=kind, metric="euclidean")
    wanted = index.search(t.vectors, 4)
    sent: Index = way(index, tmp_path)
    assert_same(wanted, sent.search(t.vectors, 4))
    assert sent.info == index.info
    assert sent.fingerprint == sent.table.fingerprint
    assert sent.most_similar("i3ü", 5, exclude="i4ü") == index.most_similar("i3ü", 5, exclude="i4ü")


def live(items: Any, **options: Any) -> LiveCustomers:
    found = LiveCustomers(items, **options)
    rng = np.random.default_rng(5)
    tokens = rng.integers(0, 30, 200)
    named = tokens if isinstance(items, np.ndarray) else items.ids[tokens]
    found.update_batch(rng.integers(0, 40, 200), named, timestamps_us=np.arange(200) * 10**10)
    return found


@way
@pytest.mark.parametrize("items", ["rows", "table", "opened"])
@pytest.mark.parametrize("options", [
    {}, {"method": "recency", "half_life_days": 3.0}, {"max_customers": 20},
    {"components": np.random.default_rng(2).random((3, 4))},
    {"traits": TraitBasis(np.ones(30, np.float32), np.random.default_rng(3).random((30, 2)).astype(np.float32),
                          np.array([[1.0, 0.2], [0.1, 1.0]]))},
], ids=["mean", "recency", "bounded", "components", "traits"])
def test_live_customers_go_on_by_themselves(tmp_path: Path, way: Any, items: str, options: Any) -> None:
    """The copy holds the state of the moment, and neither sees the other's later events."""
    source: Any = opened(tmp_path) if items == "opened" else table()
    source = source.vectors if items == "rows" else source
    here, alone = live(source, **options), live(source, **options)
    there: LiveCustomers = way(here, tmp_path)
    token: Any = 4 if items == "rows" else "i4ü"

    def state(one: LiveCustomers) -> Any:
        snapshot = one.snapshot()
        return snapshot.ids.tolist(), snapshot.vectors.copy(), {k: v.copy() for k, v in snapshot.arrays.items()}

    assert_same(state(alone), state(there))
    before = state(here)
    for customer in (1, 999, 1000):  # known, and new ones
        for one in (alone, there):
            one.update(customer, token, timestamp_us=10**13)
    assert_same(state(alone), state(there))
    assert_same(before, state(here))
    assert there.n_evicted == alone.n_evicted
    if "traits" in options or "components" in options:
        assert_same(alone.traits(999), there.traits(999))


def test_a_live_state_is_taken_at_one_moment() -> None:
    """Pickled while other threads add events: mass and sums belong together."""
    here = LiveCustomers(np.ones((3, 2), dtype=np.float32))
    stop = threading.Event()

    def add() -> None:
        while not stop.is_set():
            here.update_batch(np.arange(50), np.zeros(50, dtype=np.int64))

    thread = threading.Thread(target=add)
    thread.start()
    try:
        for _ in range(30):
            there = pickle.loads(pickle.dumps(here))
            snapshot = there.snapshot()
            np.testing.assert_array_equal(snapshot.arrays["sums"][:, 0], snapshot.arrays["mass"])
    finally:
        stop.set()
        thread.join()


def test_a_process_of_its_own_answers_alike(tmp_path: Path) -> None:
    t = opened(tmp_path)
    index, customers = build_index(t), live(t)
    (tmp_path / "sent").write_bytes(pickle.dumps((t, index, customers)))
    code = (
        "import pickle, sys; t, index, customers = pickle.load(open(sys.argv[1], 'rb'));"
        "print(t.most_similar('i3ü', 2), index.most_similar('i3ü', 2), customers.vector(7).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", code, tmp_path / "sent"],
        capture_output=True, text=True, check=True, encoding="utf-8",
    )
    expected = (t.most_similar("i3ü", 2), index.most_similar("i3ü", 2), customers.vector(7).tolist())
    assert done.stdout.strip() == " ".join(map(str, expected))
