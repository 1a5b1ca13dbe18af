"""prepare_log and plan_log; a fit from a prepared corpus publishes the bytes that a fit from memory does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traitcore as tc
from traitcore.events import scratch
from traitcore.pipeline.prepare import memory_bytes

LEARN: dict[str, Any] = {"method": "ppmi", "vector_size": 8, "n_traits": 3, "trait_method": "counts"}


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("log") / "events.csv"
    tc.simulate_events(n_users=120, n_items=40, n_traits=3, seed=0).log.to_csv(path)
    return path


@pytest.mark.parametrize("options", [{}, {"customers": "sessions"}, {"method": "item2vec", "epochs": 2}], ids=str)
def test_a_fit_of_a_prepared_corpus_is_that_of_the_log(log_file: Path, tmp_path: Path, options: Any) -> None:
    options = LEARN | options
    wanted = tc.fit_pipeline(tc.read_events(log_file, item_text="item_text"), **options)
    corpus = tc.prepare_log(log_file, tmp_path / "corpus", scratch=tmp_path, item_text="item_text",
                            **{name: value for name, value in options.items() if name == "customers"})
    got = tc.fit_pipeline(corpus, **options)
    for name in ("tokens", "items", "customers"):
        one, other = getattr(wanted, name), getattr(got, name)
        assert one.fingerprint == other.fingerprint
        # What never became a session is reported only of a log in memory.
        assert {array for array in one.arrays if not array.startswith("left_out")} == set(other.arrays)
        for array in other.arrays:
            assert one.arrays[array].tobytes() == other.arrays[array].tobytes(), array
        assert {**one.metadata, "coverage": None} == {**other.metadata, "coverage": None}
    assert [stage.report for stage in wanted.stages[:2]] == [stage.report for stage in got.stages[:2]]


def test_a_prepared_corpus_is_published(log_file: Path, tmp_path: Path) -> None:
    corpus = tc.prepare_log(log_file, tmp_path / "corpus", scratch=tmp_path, min_count=3)
    result = tc.fit_pipeline(corpus, store=tmp_path / "store", **LEARN)
    assert result.config.min_count == 3
    assert set(result.published) == {"tokens", "items", "customers"}
    with pytest.raises(tc.InputError, match="prepared with min_count=3"):
        tc.fit_pipeline(corpus, min_count=5)


def test_given_sessions_as_customers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {"session": rng.integers(0, 40, 400), "timestamp": np.arange(400) * 5000 + 1_500_000_000,
               "item_id": rng.integers(0, 20, 400)}
    path = tmp_path / "log.csv"
    rows = [f"{s},{t},{i}" for s, t, i in zip(*(one.tolist() for one in columns.values()))]
    path.write_text("\n".join(["session,timestamp,item_id", *rows]) + "\n")
    reading: dict[str, Any] = {"user": None, "session": "session", "action": None}
    wanted = tc.fit_pipeline(tc.read_events(path, **reading), customers="sessions", min_count=1, **LEARN)
    corpus = tc.prepare_log(path, tmp_path / "corpus", customers="sessions", min_count=1, **reading)
    got = tc.fit_pipeline(corpus, **LEARN)
    assert wanted.customers is not None
    assert got.customers is not None
    assert wanted.customers.fingerprint == got.customers.fingerprint


def test_the_plan_and_what_it_refuses(log_file: Path, tmp_path: Path, monkeypatch: Any) -> None:
    plan = tc.plan_log(log_file, memory="1GB")
    assert abs(plan.events / len(tc.read_events(log_file)) - 1) < 0.1
    assert "1 buckets" in str(plan)
    with pytest.raises(tc.InputError, match=r"memory must be at least \d+ MB"):
        tc.prepare_log(log_file, tmp_path / "corpus", memory="100MB")
    monkeypatch.setattr("shutil.disk_usage", lambda path: os.terminal_size((0, 0)) and type("U", (), {"free": 10})())
    with pytest.raises(tc.InputError, match="GiB free; this log needs about"):
        tc.prepare_log(log_file, tmp_path / "corpus", scratch=tmp_path)
    assert os.listdir(tmp_path) == []


def test_memory_is_read_as_people_write_it() -> None:
    assert memory_bytes("2GB") == memory_bytes("2 GiB") == memory_bytes("2g") == memory_bytes(2 << 30) == 2 << 30
    assert memory_bytes("1.5M") == 3 << 19
    for wrong in ("2 apples", "", "-1GB"):
        with pytest.raises(ValueError, match="'memory' parameter of prepare_log"):
            memory_bytes(wrong)


def test_an_unknown_option_is_refused(log_file: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="colour"):
        tc.prepare_log(log_file, tmp_path / "corpus", colour="red")


def test_a_day_that_is_added_makes_the_counts_of_the_whole(tmp_path: Path) -> None:
    log = tc.simulate_events(n_users=150, n_items=60, n_traits=3, seed=0).log
    assert log.timestamp_us is not None
    order = np.argsort(log.timestamp_us, kind="stable")
    times = log.timestamp_us[order]
    quiet = int(np.argmax(np.diff(times)))  # no session goes on past this pause
    assert times[quiet + 1] - times[quiet] > 1800 * 10**6
    for name, rows in (("all", order), ("past", order[: quiet + 1]), ("day", order[quiet + 1 :])):
        log.take(rows).to_csv(tmp_path / f"{name}.csv")
    options: dict[str, Any] = {"min_count": 1, "max_events_per_day": None, "scratch": tmp_path}
    whole = tc.prepare_log(tmp_path / "all.csv", tmp_path / "all", **options)
    past = tc.prepare_log(tmp_path / "past.csv", tmp_path / "past", **options)
    day = tc.prepare_log(tmp_path / "day.csv", tmp_path / "day", after=past, **options)
    assert tc.PreparedCorpus.open(tmp_path / "day", verify=True).vocabulary.tokens.tolist() == (
        day.vocabulary.tokens.tolist())
    merged = tc.merge_counts([
        tc.count_cooccurrences(past.sequences, n_items=len(past.vocabulary)),
        tc.count_cooccurrences(day.sequences, n_items=len(day.vocabulary)),
    ])
    rows = day.vocabulary.rows_from(whole.vocabulary)
    assert sorted(rows.tolist()) == list(range(len(day.vocabulary)))
    counts = tc.count_cooccurrences(whole.sequences, n_items=len(whole.vocabulary))
    assert (merged.toarray()[np.ix_(rows, rows)] == counts.toarray()).all()
    assert day.vocabulary.counts[rows].tolist() == whole.vocabulary.counts.tolist()


def test_a_killed_run_is_named_and_cleared_by_the_next(log_file: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time; import traitcore as tc; from traitcore.events import disk_parts\n"
        "disk_parts.split_bucket = lambda *a: print('begun', flush=True) or time.sleep(60)\n"
        f"tc.prepare_log({str(log_file)!r}, {str(tmp_path / 'corpus')!r}, scratch={str(tmp_path)!r})\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        left = sorted(os.listdir(tmp_path))
        assert len(left) == 2  # scratch, and the folder that the corpus is made in
        process.kill()
    time.sleep(0.05)
    assert sorted(os.listdir(tmp_path)) == left
    with pytest.warns(scratch.ScratchWarning, match="A run was killed and left") as warned:
        tc.prepare_log(log_file, tmp_path / "corpus", scratch=tmp_path)
    assert all(sum(name in str(one.message) for one in warned) == 1 for name in left)
    assert os.listdir(tmp_path) == ["corpus"]
