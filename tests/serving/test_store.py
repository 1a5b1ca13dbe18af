"""TableStore against a dictionary, races, names, and the bytes of format 1."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from traitcore import TableError
from traitcore.serving import store as store_module
from traitcore.serving.store import TableStore, VersionExistsError
from traitcore.serving.table import EmbeddingTable

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


def table(fill: float = 1.0, n: int = 3) -> EmbeddingTable:
    return EmbeddingTable([f"item {i}" for i in range(n)], np.full((n, 2), fill, np.float32), metadata={"fill": fill})


class StoreMachine(RuleBasedStateMachine):
    """The store does what a dictionary of versions would, and readers keep what they opened."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.store = TableStore(self.folder.name)
        self.content: dict[str, float] = {}
        self.order: list[str] = []
        self.parent: dict[str, str | None] = {}
        self.latest = ""
        self.held: list[tuple[EmbeddingTable, float]] = []
        self.fill = 0.0

    @rule(version=st.sampled_from([None, None, None, "blue", "green", "Blue", "v000003"]))
    def publish(self, version: str | None) -> None:
        self.fill += 1.0
        taken = {v.lower() for v in self.content}
        if version is not None and version.lower() in taken:
            with pytest.raises(VersionExistsError):
                self.store.publish(table(self.fill), "items", version)
            return
        published = self.store.publish(table(self.fill), "items", version)
        assert published not in self.content
        assert version in (None, published)
        self.content[published], self.parent[published] = self.fill, self.latest or None
        self.order.append(published)
        self.latest = published

    @precondition(lambda self: self.order)
    @rule(data=st.data())
    def rollback(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from([None, *self.order]))
        target = version or self.parent[self.latest]
        if target is None or target not in self.content:
            with pytest.raises(TableError):
                self.store.rollback("items", version)
            return
        assert self.store.rollback("items", version) == target
        self.latest = target

    @precondition(lambda self: self.order)
    @rule(keep=st.integers(1, 4))
    def prune(self, keep: int) -> None:
        gone = [v for v in self.order[: max(0, len(self.order) - keep)] if v != self.latest]
        assert self.store.prune("items", keep=keep) == gone
        self.order = [v for v in self.order if v not in gone]
        for version in gone:
            del self.content[version]

    @precondition(lambda self: self.order)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(self.order))
        self.held = [*self.held[-3:], (self.store.open("items", version), self.content[version])]

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "store") or not self.order:
            return
        infos = self.store.list("items")
        assert [info.version for info in infos] == self.order
        assert [info.version for info in infos if info.is_latest] == [self.latest]
        assert float(self.store.open("items").vectors[0, 0]) == self.content[self.latest]
        for version in self.order:
            opened = self.store.open("items", version, verify=True)
            assert (opened.vectors == self.content[version]).all()
            assert opened.metadata == {"fill": self.content[version]}
        for opened, fill in self.held:
            assert (opened.vectors == fill).all()
            assert opened.ids.tolist() == ["item 0", "item 1", "item 2"]
            assert opened.metadata == {"fill": fill}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.held.clear()
            self.folder.cleanup()


StoreMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestStoreMachine = StoreMachine.TestCase


@pytest.mark.parametrize(
    "ids",
    [
        ["plain", "ünïcode", "日本語", "🛒", "", " ", "a\nb", "nul\0inside", "tail\0", "x" * 1_000_000],
        [0, 1, -1, 2**63 - 1, -(2**63)],
        ["1", "01", "-1", "1.0"],
        np.array([3, 1, 2], dtype=np.uint8),
        np.array(["a", "bb"]),
        [],
    ],
    ids=["strings", "ints", "digits", "uint8", "U", "empty"],
)
def test_ids_come_back_as_they_were(tmp_path: Path, ids: Any) -> None:
    store, wanted = TableStore(tmp_path), list(ids)
    made = EmbeddingTable(ids, np.arange(2.0 * len(wanted)).reshape(-1, 2))
    store.publish(made, "items")
    opened = store.open("items", verify=True)
    assert opened.ids.tolist() == [v.item() if isinstance(v, np.generic) else v for v in wanted]
    assert [opened.row(one) for one in wanted] == list(range(len(wanted)))
    assert opened.fingerprint == made.fingerprint
    other = [int(v) if isinstance(v, str) and v.lstrip("-").isdecimal() else str(v) for v in wanted]
    assert not any(one in opened for one in other if type(one) is not type(opened.ids.tolist()[0]))


@pytest.mark.parametrize("folder", sorted(GOLDEN.glob("v1_*")), ids=lambda p: p.name)
def test_golden_bytes_of_format_1_open(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    store = TableStore(folder / "tables")
    opened = store.open("items", verify=True)
    assert opened.ids.tolist() == expected["ids"]
    np.testing.assert_array_equal(opened.vectors, np.array(expected["vectors"], dtype=np.float32))
    assert opened.metadata == expected["metadata"]
    for name, values in expected["arrays"].items():
        np.testing.assert_array_equal(opened.arrays[name], values)
    described = store.describe("items")
    for key, value in expected["manifest"].items():
        assert described[key] == value
    assert opened.fingerprint == expected["fingerprint"]
    # Today's writer makes the same table of it: same files, same fingerprint.
    again = EmbeddingTable(opened.ids, opened.vectors, context_vectors=opened.context_vectors)
    assert again.fingerprint == expected["fingerprint"]


def test_golden_bytes_are_there() -> None:
    assert {p.name for p in GOLDEN.glob("v1_*")} == {"v1_int64", "v1_string"}


def test_manifest_says_where_a_version_came_from(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    first = store.publish(table(1.0), "items")
    report = {"status": "warn", "reasons": ["few items"]}
    second = store.publish(
        table(2.0), "items", report=report, parameters={"window": np.int64(5)}, seed=7, input_fingerprint="abc"
    )
    found = store.describe("items")
    assert (found["version"], found["parent"], found["sequence"]) == (second, first, 2)
    assert (found["parameters"], found["seed"], found["input_fingerprint"]) == ({"window": 5}, 7, "abc")
    assert found["report"] == report
    assert found["forced"] is None
    assert found["files"]["vectors.npy"]["shape"] == (3, 2)
    assert store.list("items")[1].status == "warn"
    assert [info.name for info in store.list()] == ["items", "items"]


def test_a_failing_report_needs_someone_and_a_reason(tmp_path: Path) -> None:
    store, failing = TableStore(tmp_path), {"status": "fail", "reasons": ["overlap 3%"]}
    with pytest.raises(TableError, match="overlap 3%"):
        store.publish(table(), "items", report=failing)
    assert not (tmp_path / "items").exists()
    for kwargs in ({"forced_by": "ada"}, {"force_reason": "new season"}, {"forced_by": "ada", "force_reason": " "}):
        with pytest.raises(ValueError, match="force"):
            store.publish(table(), "items", report=failing, **kwargs)  # type: ignore[arg-type]
    store.publish(table(), "items", report=failing, forced_by="ada", force_reason="new season")
    assert store.describe("items")["forced"] == {"by": "ada", "reason": "new season"}
    assert store.list("items")[0].forced_by == "ada"
    with pytest.raises(ValueError, match="status"):
        store.publish(table(), "items", report={"status": "fine"})


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "a/b", "/abs", "../up", "a\\b", ".hidden", "-x", "a\0b", "a\n", "ä", "LATEST", "latest", "CON",
     "nul.txt", "x" * 128, "end."],
)
def test_names_that_are_no_plain_names(tmp_path: Path, name: str) -> None:
    store = TableStore(tmp_path / "store")
    with pytest.raises(ValueError, match="'name' parameter"):
        store.publish(table(), name)
    with pytest.raises(ValueError, match="'version' parameter"):
        store.publish(table(), "items", name or "a/")
    with pytest.raises(ValueError, match="'name' parameter"):
        store.open(name)
    assert not (tmp_path / "store").exists()
    with pytest.raises(TypeError):
        store.open(7)  # type: ignore[arg-type]


def test_names_that_differ_by_case_only(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    store.publish(table(), "items", "Blue")
    with pytest.raises(TableError, match="differs from it by case"):
        store.publish(table(), "Items")
    with pytest.raises(VersionExistsError, match="differs from it by case"):
        store.publish(table(), "items", "blue")


def test_symbolic_links_are_refused(tmp_path: Path) -> None:
    elsewhere = TableStore(tmp_path / "elsewhere")
    elsewhere.publish(table(), "items")
    store = TableStore(tmp_path / "store")
    store.publish(table(), "mine")
    (tmp_path / "store" / "linked").symlink_to(tmp_path / "elsewhere" / "items")
    for call in (lambda: store.open("linked"), lambda: store.publish(table(), "linked"), lambda: store.list("linked")):
        with pytest.raises(TableError, match="symbolic link"):
            call()
    (tmp_path / "store" / "mine" / "v9").symlink_to(tmp_path / "elsewhere" / "items" / "v000001")
    with pytest.raises(TableError):
        store.open("mine", "v9")
    (tmp_path / "store" / "mine" / "LATEST").unlink()
    (tmp_path / "store" / "mine" / "LATEST").symlink_to(tmp_path / "elsewhere" / "items" / "LATEST")
    with pytest.raises(TableError, match="LATEST"):
        store.open("mine")
    (tmp_path / "root").symlink_to(tmp_path / "elsewhere")  # the root itself is the user's choice
    assert len(TableStore(tmp_path / "root").open("items")) == 3


def test_two_publishers_of_one_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have written all their files; one renames first, the other is refused."""
    store, meet = TableStore(tmp_path), threading.Barrier(2)
    real = store_module.write_arrays

    def both_written(*args: Any) -> Any:
        entries = real(*args)
        meet.wait(timeout=30)
        return entries

    monkeypatch.setattr(store_module, "write_arrays", both_written)
    outcomes: list[Any] = []

    def publish(fill: float) -> None:
        try:
            outcomes.append(store.publish(table(fill), "items"))
        except VersionExistsError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=publish, args=(float(i),)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lost = [o for o in outcomes if isinstance(o, VersionExistsError)]
    assert len(lost) == 1
    assert "published already" in str(lost[0])
    assert [info.version for info in store.list("items")] == ["v000001"]
    store.verify("items")
    assert sorted(os.listdir(tmp_path / "items")) == [".lock", "LATEST", "v000001"]


def test_readers_while_publishers_work(tmp_path: Path) -> None:
    """Small twin of benchmarks/soak.py: every table a reader sees is whole."""
    store, stop, problems = TableStore(tmp_path), threading.Event(), []
    store.publish(table(0.0), "items")

    def read() -> None:
        while not stop.is_set():
            try:
                opened = store.open("items", verify=True)
                if not (opened.vectors == opened.metadata["fill"]).all():
                    problems.append("torn")
            except Exception as error:
                problems.append(repr(error))

    def publish(seed: int) -> None:
        for i in range(15):
            try:
                store.publish(table(100.0 * seed + i), "items")
                store.prune("items", keep=2)
            except VersionExistsError:
                pass
            except Exception as error:
                problems.append(repr(error))

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [threading.Thread(target=publish, args=(seed,)) for seed in (1, 2)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert problems == []


def test_clock_that_goes_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TableStore(tmp_path)
    first = store.publish(table(1.0), "items")

    class Past(store_module.datetime):  # type: ignore[misc]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls(1999, 1, 1, tzinfo=tz)

    monkeypatch.setattr(store_module, "datetime", Past)
    second = store.publish(table(2.0), "items")
    assert store.describe("items")["created_utc"].startswith("1999")
    assert [info.version for info in store.list("items")] == [first, second]
    assert store.prune("items", keep=1) == [first]
    assert store.open("items").version == second


def test_a_directory_that_can_only_be_read(tmp_path: Path) -> None:
    store = TableStore(tmp_path / "store")
    store.publish(table(), "items")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    store.open("items", verify=True).most_similar("item 0")
    store.list()
    store.verify("items")
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before  # reading writes nothing at all
    if os.geteuid() == 0:
        return  # root may write anywhere; EROFS at every operation is in test_store_crash
    for folder in (tmp_path / "store" / "items", tmp_path / "store"):
        folder.chmod(0o555)
    try:
        assert len(store.open("items")) == 3
        with pytest.raises(TableError, match="not published"):
            store.publish(table(), "items")
        with pytest.raises(TableError, match="not published"):
            store.publish(table(), "other")
    finally:
        for folder in (tmp_path / "store", tmp_path / "store" / "items"):
            folder.chmod(0o755)


def test_full_disk_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TableStore(tmp_path)
    store.publish(table(1.0), "items")
    before = sorted(os.listdir(tmp_path / "items"))
    real = os.write

    def full(fd: int, data: Any) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(TableError, match="No space left"):
        store.publish(table(2.0), "items")
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:7]))  # short writes are finished
    store.publish(table(3.0), "items")
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path / "items")) == sorted([*before, "v000002"])
    assert float(store.open("items", verify=True).vectors[0, 0]) == 3.0


def test_large_tables_are_written_by_two_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = EmbeddingTable(range(50), np.ones((50, 9), np.float32), context_vectors=np.zeros((50, 9), np.float32))
    store = TableStore(tmp_path)
    store.publish(big, "items")
    monkeypatch.setattr(store_module.disk, "LARGE", 100)
    store.publish(big, "items")
    one, two = (store.describe("items", version) for version in ("v000001", "v000002"))
    assert list(one["files"].items()) == list(two["files"].items())
    assert one["fingerprint"] == two["fingerprint"]
    real = store_module.disk.write_file
    for broken in ("vectors.npy", "ids.npy"):  # of the one thread, of the other

        def fails(path: Path, chunks: Any, broken: str = broken) -> Any:
            if path.name == broken:
                raise OSError(28, os.strerror(28))
            return real(path, chunks)

        monkeypatch.setattr(store_module.disk, "write_file", fails)
        with pytest.raises(TableError, match="No space left"):
            store.publish(big, "items")
    assert sorted(os.listdir(tmp_path / "items")) == [".lock", "LATEST", "v000001", "v000002"]


def test_opening_reads_a_few_pages_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 100_000
    store = TableStore(tmp_path)
    ids = [f"prod_{i:07d}" for i in range(n)]
    store.publish(EmbeddingTable(ids, rng.normal(size=(n, 64)).astype(np.float32)), "items")
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        opened = store.open("items")
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.005
    assert opened._ids._strings is None  # nothing decoded
    assert opened["prod_0000007"].shape == (64,)
    with pytest.raises(ValueError, match="read-only"):
        opened.vectors[0, 0] = 1.0


def test_what_is_not_there(tmp_path: Path) -> None:
    store = TableStore(tmp_path / "nowhere")
    assert store.list() == []
    calls = [
        lambda: store.open("items"), lambda: store.list("items"), lambda: store.rollback("items"),
        lambda: store.prune("items", keep=1), lambda: store.verify("items"), lambda: store.describe("items"),
    ]
    for call in calls:
        with pytest.raises(TableError, match="no table 'items'"):
            call()
    store.publish(table(), "items")
    with pytest.raises(TableError, match="no version 'v7'"):
        store.open("items", "v7")
    with pytest.raises(TableError, match="no parent"):
        store.rollback("items")
    with pytest.raises(ValueError, match="keep"):
        store.prune("items", keep=0)
    with pytest.raises(TypeError, match="EmbeddingTable"):
        store.publish(np.eye(3), "items")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="path"):
        TableStore(7)  # type: ignore[arg-type]


def test_damaged_versions_are_listed_and_kept(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    for fill in range(4):
        store.publish(table(float(fill)), "items")
    (tmp_path / "items" / "v000002" / "manifest.json").write_bytes(b"{}")
    infos = {info.version: info for info in store.list("items")}
    assert "checksum" in str(infos["v000002"].error)
    assert store.prune("items", keep=1) == ["v000001", "v000003"]
    assert (tmp_path / "items" / "v000002").is_dir()
    with pytest.raises(TableError, match=r"manifest\.json"):
        store.rollback("items", "v000002")
    assert store.publish(table(9.0), "items") == "v000005"


def test_pruning_removes_the_indexes_of_a_version(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    for fill in range(2):
        version = store.publish(table(float(fill)), "items")
        store.index_path("items", version, "exact").mkdir(parents=True)
    store.prune("items", keep=1)
    assert not store.index_path("items", "v000001", "exact").exists()
    assert store.index_path("items", "v000002", "exact").exists()
