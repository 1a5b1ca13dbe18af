"""Sessions and vocabulary on Spark are those of one machine, for any partitions; faults are one sentence."""

from __future__ import annotations

import inspect
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import traitcore as tc
from traitcore import spark as ts
from traitcore._errors import InputError
from traitcore.spark import engine, wire

from .conftest import QUIET, on_spark

pytestmark = pytest.mark.filterwarnings(*QUIET)
RULES: dict[str, Any] = {"max_events_per_session": 40, "merge_repeats": True, "drop_duplicates": True, "seed": 3}


@pytest.fixture(scope="module")
def shop() -> pd.DataFrame:
    """Events in no order, with ids of texts."""
    frame = pd.DataFrame(tc.simulate_events(n_users=60, n_items=40, n_traits=3, seed=1).log.to_columns())
    return frame.drop(columns="item_text").sample(frac=1.0, random_state=0)


@pytest.fixture(scope="module")
def numbers(shop: pd.DataFrame) -> pd.DataFrame:
    """The same with ids and times as numbers, many of these equal, a column of sessions, no actions."""
    frame = pd.DataFrame({
        "who": shop["user_id"].str[5:].astype(np.int32), "what": shop["item_id"].str[5:].astype(np.int64) * 3,
        "at": shop["timestamp"].astype("datetime64[s]").astype("int64") // 600 * 600,
    })
    return frame.assign(visit=frame["who"] * 50 + frame["at"] % 7)


def single(frame: pd.DataFrame, split: dict[str, Any], tokens: dict[str, Any], **columns: Any) -> Any:
    log = tc.EventLog.from_columns(frame, **columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sessions = tc.split_sessions(log, **split)
    return log, sessions, tc.tokenize(sessions, **tokens)


def assert_same(got: ts.SparkCorpus, expected: Any) -> None:
    log, sessions, corpus = expected
    here, there = got.collect().sequences, corpus.sequences
    for name in ("tokens", "offsets", "timestamps_us"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name), err_msg=name)
    assert here.owner_ids is not None
    if there.owner is not None:  # one machine's owners are all users, Spark's those that have sequences
        np.testing.assert_array_equal(here.owner_ids[here.owners()], there.owner_ids[there.owner])
    for name in ("item_ids", "token_item", "token_action", "counts", "document_frequencies"):
        one, other = getattr(got.vocabulary, name), getattr(corpus.vocabulary, name)
        np.testing.assert_array_equal(one, other, err_msg=name)
        assert one.dtype == other.dtype
    assert got.vocabulary.actions == corpus.vocabulary.actions
    assert got.vocabulary.n_documents == corpus.vocabulary.n_documents
    assert (got.session_report, got.report) == (sessions.report, corpus.report)
    assert (got.log_report.rows_read, got.log_report.rows_kept) == (log.report.rows_read, log.report.rows_kept)


def nothing_is_kept(spark: Any) -> bool:
    """Whether Spark's memory holds no frame of ours."""
    return bool(spark._jsparkSession.sharedState().cacheManager().isEmpty())


def test_the_options_that_one_machine_has_too_are_the_same() -> None:
    """Their defaults and types, so that a change there can't be forgotten here; min_length is `split_sessions`'."""
    ours = inspect.signature(ts.sessions).parameters
    shared = 0
    for function, own in (
        (tc.EventLog.from_columns, {"data", "item_text", "id_types", "null"}),
        (tc.split_sessions, {"log", "workers", "progress"}), (tc.tokenize, {"sessions", "min_length", "workers"}),
    ):
        for name, theirs in inspect.signature(function).parameters.items():
            if name not in own:
                assert (ours[name].default, ours[name].annotation) == (theirs.default, theirs.annotation), name
                shared += 1
    assert shared == len(ours) - len(("df", "vocabulary", "partitions", "path"))


@pytest.mark.parametrize("partitions", [1, 7, 50])
def test_a_log_of_texts_is_that_of_one_machine(spark: Any, shop: pd.DataFrame, partitions: int) -> None:
    expected = single(shop, RULES, {"min_count": 5})
    got = ts.sessions(on_spark(spark, shop), min_count=5, partitions=partitions, **RULES)
    assert_same(got, expected)
    if partitions == 7:
        rows = got.sequences().orderBy("user", "session").collect()
        corpus = expected[2]
        assert [row["tokens"] for row in rows] == corpus.vocabulary.decode(corpus.sequences)
        assert rows[1]["session"] == 1
    got.unpersist()


def test_numbers_epoch_times_and_items_alone(spark: Any, numbers: pd.DataFrame) -> None:
    columns = {"user": "who", "timestamp": "at", "item": "what", "action": None}
    expected = single(numbers, {"ties": "content", "gap_seconds": 900}, {"min_count": 3}, **columns)
    frame = on_spark(spark, numbers)
    with pytest.warns(tc.events.session_report.TiedEventsWarning, match=r"\(order=\.\.\.\)\.$") as caught:
        got = ts.sessions(frame, ties="content", gap_seconds=900, min_count=3, **columns)
    assert "ties='row'" not in f"{caught[0].message} {got.session_report}"  # which Spark refuses
    assert_same(got, expected)
    assert got.log_report.timestamp_unit == "s"
    assert got.log_report.timestamp_unit_detected
    got.unpersist()


def test_sessions_that_the_log_has_with_and_without_users(spark: Any, numbers: pd.DataFrame, tmp_path: Path) -> None:
    columns: dict[str, Any] = {"timestamp": "at", "item": "what", "action": None, "session": "visit"}
    for user in ("who", None):
        expected = single(numbers, {}, {}, user=user, **columns)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = ts.sessions(on_spark(spark, numbers), user=user, path=str(tmp_path / str(user)), **columns)
        assert_same(got, expected)
        assert (tmp_path / str(user) / "sequences").is_dir()


def test_an_older_vocabulary_numbers_new_sequences(spark: Any, shop: pd.DataFrame) -> None:
    old = single(shop[shop["item_id"] < "prod_0030"], {}, {})[2].vocabulary
    got = ts.sessions(on_spark(spark, shop), vocabulary=old, partitions=3)
    assert got.vocabulary is old
    corpus = single(shop, {}, {})[2]
    known = old.rows_from(corpus.vocabulary)[corpus.sequences.tokens]
    np.testing.assert_array_equal(got.collect().sequences.tokens, known[known >= 0])
    assert got.report.events_rare == (known < 0).sum() > 0
    got.unpersist()
    with pytest.raises(InputError, match=r"No token is left of [\d,]+ events: the vocabulary has none of them"):
        ts.sessions(spark.createDataFrame(shop[shop["item_id"] >= "prod_0030"]), vocabulary=old)
    assert nothing_is_kept(spark)


def test_bad_rows_are_counted_by_reason_or_refused(spark: Any, shop: pd.DataFrame) -> None:
    bad = shop.head(400).astype({"timestamp": str}).reset_index(drop=True)
    bad.loc[3, "user_id"], bad.loc[5, "item_id"], bad.loc[8, "timestamp"] = None, "", "soon"
    # Spark takes pandas' missing text for "NaN".
    frame = spark.createDataFrame(bad.astype(object).where(bad.notna(), None))
    got = ts.sessions(frame, timestamp_unit="iso", on_bad_rows="set_aside", partitions=3)
    assert {reason: aside.count for reason, aside in got.log_report.set_aside.items()} == {
        "column 'user_id' is null": 1, "column 'item_id' is null": 1, "column 'timestamp' is not an ISO 8601 time": 1,
    }
    assert_same(got, single(bad, {}, {}, timestamp_unit="iso", on_bad_rows="set_aside"))
    got.unpersist()
    with pytest.raises(InputError, match=r"3 of 400 rows of the DataFrame are bad \(column .*user_id.* is null: 1"):
        ts.sessions(frame, timestamp_unit="iso", partitions=2)
    assert nothing_is_kept(spark)


def test_wrong_columns_and_types_are_one_sentence(spark: Any, shop: pd.DataFrame, numbers: pd.DataFrame) -> None:
    frame = on_spark(spark, shop)
    odd = frame.withColumn("half", frame["item_id"].isNull().cast("double")).withColumn("text", frame["user_id"])
    for options, said in (
        ({"user": "customer"}, "Column 'customer', wanted as user, is missing.*has: 'user_id', "),
        ({"item": "half"}, "Column 'half', wanted as item, must hold integers or strings.*double: cast it first"),
        ({"timestamp": "text"}, "Column 'text' holds text: say how its times are written, by timestamp_unit"),
        ({"timestamp": "half"}, "Most numbers of column 'half' are no epoch times of the years 1990 to 2099"),
        ({"action": None, "tokens": "action_item"}, "The DataFrame has no actions: pass tokens='item'"),
        ({"user": None}, "The DataFrame has neither users nor sessions"),
        ({"min_count": 10**6}, "No token is left: all are rarer than min_count=1000000"),
        ({"min_length": 500}, "No session is left: .* were removed by one rule"),
        ({"action_map": dict.fromkeys(shop["action"].unique())}, "No token is left: the actions of all events"),
    ):
        with pytest.raises(InputError, match=said):
            ts.sessions(odd, **options)
    assert nothing_is_kept(spark)
    with pytest.raises(InputError, match="The DataFrame has no event to learn from: it has no rows"):
        ts.sessions(frame.where("user_id = 'nobody'"))
    with pytest.raises(ValueError, match=r"'ties' parameter of traitcore\.spark\.sessions must be 'shuffle' or 'con"):
        ts.sessions(frame, ties="row")
    with pytest.raises(TypeError, match=r"'df' parameter of traitcore\.spark\.sessions must be a Spark DataFrame"):
        ts.sessions(shop)
    with pytest.raises(TypeError, match=r"'gap_seconds' parameter of traitcore\.spark\.sessions must be a number"):
        ts.sessions(frame, gap_seconds="1h")


def test_an_ancient_pyspark_and_a_worker_with_another_version(
    spark: Any, shop: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyspark

    frame = on_spark(spark, shop.head(50))
    with monkeypatch.context() as patch:
        patch.setattr(pyspark, "__version__", "3.3.2")
        with pytest.raises(ImportError, match=r"needs pyspark 3.5 or newer. Found 3.3.2: pip install 'traitcore"):
            ts.sessions(frame)
    monkeypatch.setattr(wire, "__version__", "9.9.9")
    with pytest.raises(RuntimeError, match=r"Versions must be equal everywhere: traitcore 9\.9\.9 is on the dr"):
        ts.sessions(frame, partitions=2)


def test_a_worker_that_is_killed_changes_nothing(
    spark: Any, shop: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fatal(name: str, schema: Any, options: Any) -> Callable[[Iterator[Any]], Iterator[Any]]:
        """The task, but the first worker that has read a batch of it is killed."""
        run, marker, kill = wire.task(name, schema, options), str(tmp_path / name), signal.SIGKILL

        def fatal_run(batches: Iterator[Any]) -> Iterator[Any]:
            first = next(batches, None)
            if first is None:
                return
            if not os.path.exists(marker):
                open(marker, "w").close()
                os.kill(os.getpid(), kill)
            yield from run(chain([first], batches))

        return fatal_run

    monkeypatch.setattr(engine, "task", fatal)
    got = ts.sessions(on_spark(spark, shop), min_count=5, partitions=2, **RULES)
    assert_same(got, single(shop, RULES, {"min_count": 5}))
    counts = ts.count_cooccurrences(got)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "count_pairs", "encode", "merge_pairs", "pack", "sessions", "token_counts"
    ]
    assert counts is not None
    assert counts.sum() == tc.count_cooccurrences(got.collect().sequences, n_items=len(got.vocabulary)).sum()
    got.unpersist()
