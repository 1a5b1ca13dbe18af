"""A corpus prepared on disk equals that made in memory, to the last byte: for any buckets, files, ids and row order."""

from __future__ import annotations

import csv
import dataclasses
import errno
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitcore import InputError, PreparedCorpus, TableError, read_events, split_sessions, tokenize
from traitcore._validate import Checks
from traitcore.events import array_files, buckets, disk_parts, partition, prepared
from traitcore.events.action_names import DEFAULT_ACTION_MAP
from traitcore.events.log_plan import plan_files
from traitcore.events.log_report import InputWarning
from traitcore.events.prepared import Preparing, prepare_files
from traitcore.events.readers import LogFiles
from traitcore.events.session_report import TiedEventsWarning
from traitcore.events.sessions import GAP_SECONDS, SessionRules

MEMORY = 2 << 30
RULES: dict[str, Any] = {
    "gap_seconds": GAP_SECONDS, "min_length": 2, "max_events_per_session": 9, "max_events_per_minute": None,
    "max_events_per_day": 20, "merge_repeats": False, "drop_duplicates": False, "ties": "shuffle", "seed": 3,
}


def in_memory(path: Any, min_count: int, min_length: int, rules: dict[str, Any], reading: dict[str, Any]) -> Any:
    """(log, sessions, corpus) by the functions for logs in memory, and the notes; or the error."""
    log = read_events(path, **reading)
    sessions = split_sessions(log, **rules)
    return log, sessions, tokenize(sessions, min_count=min_count, min_length=min_length)


def on_disk(
    path: Any, out: Path, n_buckets: int, min_count: int, min_length: int, rules: dict[str, Any],
    reading: dict[str, Any],
) -> PreparedCorpus:
    asked = LogFiles.checked(Checks("prepare_log"), path, **reading)
    how = Preparing(
        SessionRules.checked(**rules, workers=1), "auto", DEFAULT_ACTION_MAP, min_count, min_length, {},
    )
    return prepare_files(asked, out, how, memory=MEMORY, scratch=out.parent, progress=None, n_buckets=n_buckets)


def assert_the_same(
    path: Any, tmp: Path, *, n_buckets: int = 7, min_count: int = 1, min_length: int = 1,
    rules: dict[str, Any] | None = None, **reading: Any,
) -> PreparedCorpus | None:
    """Prepare both ways; the arrays are equal to the last byte, the reports are equal, or the errors are."""
    rules = RULES | (rules or {})
    tmp.mkdir(exist_ok=True, parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        warnings.simplefilter("ignore", TiedEventsWarning)
        refused = ""
        try:
            log, sessions, corpus = in_memory(path, min_count, min_length, rules, reading)
        except InputError as error:
            refused = str(error).split(" Got ")[0]
        if refused:
            with pytest.raises(InputError) as raised:
                on_disk(path, tmp / "out", n_buckets, min_count, min_length, rules, reading)
            assert str(raised.value).split(" Got ")[0] == refused
            assert os.listdir(tmp) == []
            return None
        found = on_disk(path, tmp / "out", n_buckets, min_count, min_length, rules, reading)
    for name in ("tokens", "offsets", "owner", "timestamps_us", "owner_ids"):
        wanted, got = getattr(corpus.sequences, name), getattr(found.sequences, name)
        assert (wanted is None) == (got is None), name
        if wanted is not None:
            assert wanted.dtype == got.dtype
            assert wanted.tolist() == got.tolist(), name
    arrays = found.vocabulary.to_arrays()
    for name, array in corpus.vocabulary.to_arrays().items():
        assert array.dtype == arrays[name].dtype
        assert array.tolist() == arrays[name].tolist(), name
    assert found.log_report == log.report
    assert found.session_report == sessions.report
    assert found.token_report == corpus.report
    assert os.listdir(tmp) == ["out"]
    return found


def write_files(tmp: Path, rows: list[dict[str, Any]], cuts: list[int], header: list[str]) -> list[Path]:
    """CSV files of the rows, cut there; an empty file among them is only a header."""
    tmp.mkdir(exist_ok=True, parents=True)
    paths = []
    for number, (a, z) in enumerate(zip([0, *cuts], [*cuts, len(rows)])):
        paths.append(tmp / f"part{number}.csv")
        with open(paths[-1], "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, header if number % 2 == 0 else header[::-1])  # another order of columns
            writer.writeheader()
            writer.writerows(rows[a:z])
    return paths


HEADER = ["user_id", "timestamp", "action", "item_id"]
integers = st.integers(-3, 12).map(str)
texts = st.sampled_from(["ann", "bob", "Zoë", "zz", "ж", "a b", "\U0001f600", "NA"])
some_ids = st.sampled_from([integers, texts, integers | texts, integers.map(lambda one: one + ".0"),
                            integers | st.just("99.0"), st.sampled_from([str(2**63), "1", "-1"])])


@st.composite
def logs(draw: Any) -> tuple[list[dict[str, Any]], list[int]]:
    users, items = draw(some_ids), draw(some_ids)
    actions = st.sampled_from(["view", "cart", "buy", "other"])
    rows = draw(st.lists(st.tuples(users, st.integers(0, 9000), actions, items), min_size=1, max_size=50))
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    return [dict(zip(HEADER, (u, 1_500_000_000 + t, a, i))) for u, t, a, i in rows], cuts


@settings(max_examples=15)
@given(
    logs(), st.sampled_from([1, 2, 7, 64]), st.integers(1, 3), st.integers(1, 3), st.randoms(use_true_random=False),
    st.sampled_from(["shuffle", "content", "row"]), st.sampled_from([4, 100]),
)
def test_any_log_any_files_any_buckets(
    tmp_path_factory: Any, log: Any, n_buckets: int, min_count: int, min_length: int, random: Any, ties: str,
    window: int,
) -> None:
    rows, cuts = log
    tmp = tmp_path_factory.mktemp("prepared")
    paths = write_files(tmp / "log", rows, cuts, HEADER)
    rules = {"ties": ties, "merge_repeats": random.random() < 0.3, "min_length": random.randint(1, 3),
             "max_events_per_minute": random.choice([None, 3])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_WINDOW", window)  # so that a short log is written in several pieces
        patch.setattr(disk_parts, "_JOINED_AT_ONCE", 5)
        patch.setattr(disk_parts, "_MOST_PAIRS", random.choice([0, 1 << 22]))
        assert_the_same(paths, tmp / "work", n_buckets=n_buckets, min_count=min_count, min_length=min_length,
                        rules=rules)
        if ties != "row":
            random.shuffle(rows)
            again = write_files(tmp / "shuffled", rows, [], HEADER)
            assert_the_same(again, tmp / "again", n_buckets=n_buckets, min_count=min_count, rules=rules)


def shop(n: int, seed: int = 0) -> dict[str, Any]:
    """n rows; customer 5 has half of them, some have one."""
    rng = np.random.default_rng(seed)
    user = np.where(rng.random(n) < 0.5, 5, rng.integers(0, max(2, n // 4), n))
    return {"user_id": user, "timestamp": 1_600_000_000 + np.sort(rng.integers(0, 40 * n, n)),
            "action": rng.choice(["view", "buy"], n), "item_id": rng.integers(0, 30, n),
            "session": rng.integers(0, n // 5, n), "position": rng.integers(0, 1000, n),
            "text": rng.choice(["red cup", "red cup ", "mug", ""], n)}


def parquet(path: Path, columns: dict[str, Any]) -> Path:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(exist_ok=True, parents=True)
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("n_buckets", [1, 7, 64])
@pytest.mark.parametrize("kind", ["int", "str"])
def test_parquet_of_ids_of_every_type(tmp_path: Path, n_buckets: int, kind: str) -> None:
    columns = shop(800)
    if kind == "str":
        columns |= {name: [f"{name}-{one}" for one in columns[name].tolist()] for name in ("user_id", "item_id")}
    path = parquet(tmp_path / "log" / "a.parquet", columns)
    rules = {"max_events_per_session": None, "max_events_per_day": None}
    assert_the_same(path, tmp_path / "work", n_buckets=n_buckets, min_count=3, rules=rules, item_text="text")


def test_integers_that_turn_into_texts(tmp_path: Path) -> None:
    """Ids beyond int64 in the second file; what is on disk by then were integers."""
    first, second = shop(200), shop(200, seed=1)
    second["user_id"] = np.array([2**64 - 1 if one % 3 == 0 else one for one in second["user_id"].tolist()], np.uint64)
    parquet(tmp_path / "log" / "a.parquet", first)
    parquet(tmp_path / "log" / "b.parquet", second)
    found = assert_the_same(tmp_path / "log", tmp_path / "work")
    assert found is not None
    assert found.sequences.owner_ids is not None
    assert str(2**64 - 1) in found.sequences.owner_ids.tolist()


ODD = ["12e2", "5e2", "1E03", "1e+2", "0x12", "1_00", "+12", "007", "-0", "12.", "1e1", " 12"]


@pytest.mark.parametrize("odd", ODD)  # many have as many characters as the number that they look like
@pytest.mark.parametrize("role", ["user_id", "item_id"])
def test_ids_that_look_like_numbers_are_themselves(tmp_path: Path, role: str, odd: str) -> None:
    rows = [{"user_id": k % 7, "timestamp": 1_500_000_000 + k, "action": "view", "item_id": k % 5} for k in range(60)]
    for k, row in enumerate(rows):
        row[role] = odd if k % 9 == 0 else "1200" if k % 9 == 1 else row[role]
    paths = write_files(tmp_path / "log", rows, [20, 40], HEADER)
    found = assert_the_same(paths, tmp_path / "work", min_count=1)
    assert found is not None
    known = found.sequences.owner_ids if role == "user_id" else found.vocabulary.item_ids
    assert known is not None
    assert {odd, "1200"} <= {str(one) for one in known.tolist()}


@pytest.mark.parametrize("reading", [
    {"session": "session"}, {"session": "session", "user": None}, {"session": "session", "timestamp": None},
    {"session": "session", "user": None, "timestamp": None, "order": "position"}, {"order": "position"},
    {"action": None}, {"action": None, "action_value": "buy"}, {"where": "item_id > 3"}, {"timestamp": None},
    {"id_types": "str"},
], ids=str)
def test_other_columns(tmp_path: Path, reading: dict[str, Any]) -> None:
    path = parquet(tmp_path / "log" / "a.parquet", shop(300))
    rules: dict[str, Any] = {"max_events_per_session": None, "max_events_per_day": None}
    if "timestamp" in reading and "session" not in reading:
        rules["gap_seconds"] = None
    assert_the_same(path, tmp_path / "work", rules=rules, **reading)


@pytest.mark.parametrize("aside", ["raise", "set_aside"])
@pytest.mark.parametrize("times", [
    ["1500000000", "1500000100", "2017-07-14T02:45:00", "x", ""],  # numbers, a time among them
    ["2017-07-14T02:40:00", "2017-07-14T02:45:00", "1500000000", "1500000000", "2017-07-14", "2017-07-15"],
    ["1500000000", "1500000000", "1500000100000", "1500000200000", "1500000300000"],  # most are milliseconds
    ["1500000000", "1500000060", "77", "1500000100.5"], ["1", "2", "3"],
], ids=str)
def test_times_that_are_decided_at_the_end(tmp_path: Path, times: list[str], aside: str) -> None:
    """What the first rows say of the times is wrong: the log is read again."""
    rows = [dict(zip(HEADER, ("u", one, "view", str(k)))) for k, one in enumerate(times)]
    rows.append({**rows[0], "item_id": ""})
    paths = write_files(tmp_path / "log", rows, [1, 1, 3], HEADER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_WINDOW", 1)
        assert_the_same(paths, tmp_path / "work", n_buckets=2, on_bad_rows=aside, rules={"gap_seconds": 1e9})


def test_a_bucket_larger_than_the_memory_is_split_again(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(prepared, "plan_files", lambda asked, memory: dataclasses.replace(
        plan_files(asked, memory), most_rows=50))
    seen: list[int] = []
    split = buckets.Buckets.split
    monkeypatch.setattr(buckets.Buckets, "split", lambda self, *a: seen.append(a[1]) or split(self, *a))
    path = parquet(tmp_path / "log" / "a.parquet", shop(1000))
    assert_the_same(path, tmp_path / "work", n_buckets=1, rules={"max_events_per_session": None})
    assert len(seen) > 1  # the whole, and the part with the customer of half of all events, who can't be split


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: Any) -> None:
    path = parquet(tmp_path / "log" / "a.parquet", shop(100))
    add = partition.PartitionBuilder.add

    def add_and_touch(self: Any, *args: Any, **options: Any) -> None:
        add(self, *args, **options)
        os.utime(path, ns=(1, 1))

    monkeypatch.setattr(partition.PartitionBuilder, "add", add_and_touch)
    with pytest.raises(InputError, match=r"a\.parquet changed while it was read"):
        on_disk(path, tmp_path / "out", 3, 1, 1, RULES, {})
    assert os.listdir(tmp_path) == ["log"]


def test_files_whose_ids_are_of_other_types_are_both_named(tmp_path: Path) -> None:
    parquet(tmp_path / "log" / "a.parquet", shop(100))
    columns = shop(100)
    columns["user_id"] = [f"u{one}" for one in columns["user_id"]]
    parquet(tmp_path / "log" / "b.parquet", columns)
    def by_buckets() -> Any:
        return on_disk(tmp_path / "log", tmp_path / "o", 3, 1, 1, RULES, {})

    for read in (lambda: read_events(tmp_path / "log"), by_buckets):
        with pytest.raises(InputError, match=r"b\.parquet: column 'user_id' .* Got integers in a\.parquet, then"):
            read()


def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    path = parquet(tmp_path / "log" / "a.parquet", shop(300))
    for owner, name in ((buckets.Buckets, "append"), (array_files.ArrayFile, "write")):
        with monkeypatch.context() as patch:
            def full(*_: Any) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            patch.setattr(owner, name, full)
            with pytest.raises(OSError, match=r"the disk is full: .* Nothing was published"):
                on_disk(path, tmp_path / "out", 3, 1, 1, RULES, {})
        assert os.listdir(tmp_path) == ["log"]


def test_ctrl_c_leaves_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    path = parquet(tmp_path / "log" / "a.parquet", shop(300))

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(disk_parts, "split_bucket", stopped)
    with pytest.raises(KeyboardInterrupt):
        on_disk(path, tmp_path / "out", 3, 1, 1, RULES, {})
    assert os.listdir(tmp_path) == ["log"]


def test_a_damaged_corpus_does_not_open(tmp_path: Path) -> None:
    path = parquet(tmp_path / "log" / "a.parquet", shop(300))
    found = on_disk(path, tmp_path / "out", 3, 1, 1, RULES, {})
    assert repr(found.sequences) in repr(PreparedCorpus.open(tmp_path / "out", verify=True).sequences)
    with pytest.raises(FileExistsError, match="name a new folder"):
        on_disk(path, tmp_path / "out", 3, 1, 1, RULES, {})
    tokens = tmp_path / "out" / "sequences" / "tokens.npy"
    raw = bytearray(tokens.read_bytes())
    raw[-4] ^= 1
    tokens.write_bytes(raw)
    with pytest.raises(TableError, match="sha256"):
        PreparedCorpus.open(tmp_path / "out", verify=True)
    tokens.write_bytes(raw[:-4])
    with pytest.raises(TableError, match="bytes where its manifest says"):
        PreparedCorpus.open(tmp_path / "out")
    (tmp_path / "out" / "manifest.json").write_text(json.dumps({"kind": "traitcore corpus"}))
    with pytest.raises(TableError, match="checksum"):
        PreparedCorpus.open(tmp_path / "out")
    with pytest.raises(TableError, match=r"no manifest\.json"):
        PreparedCorpus.open(tmp_path)
