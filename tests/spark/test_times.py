"""Times of events are the DataFrame's instants, whatever the zones of Spark's session and of the process, and Arrow."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from traitcore import spark as ts
from traitcore._errors import InputError
from traitcore.events.session_report import TiedEventsWarning

from .conftest import QUIET

pytestmark = pytest.mark.filterwarnings(*QUIET)
# Clocks of New York go forward on 9 March (there is no 2:30) and back on 2 November (1:30 comes twice) of 2025.
WALL = pd.DatetimeIndex(
    [f"2025-{month:02d}-{day:02d} {hour:02d}:30:00.000001" for month, day in ((3, 9), (7, 1), (11, 2))
     for hour in (1, 2, 5, 6, 7, 23)]
)
ARROW = "spark.sql.execution.arrow.pyspark.enabled"


@pytest.fixture(params=[("America/New_York", "Asia/Kolkata"), ("Asia/Kolkata", "America/New_York")], ids="-".join)
def session(request: pytest.FixtureRequest, spark: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Spark in one zone, this process in another."""
    before = {name: spark.conf.get(name) for name in ("spark.sql.session.timeZone", ARROW)}
    spark.conf.set("spark.sql.session.timeZone", request.param[0])
    monkeypatch.setenv("TZ", request.param[1])
    time.tzset()
    yield spark
    monkeypatch.undo()
    time.tzset()
    for name, value in before.items():
        spark.conf.set(name, value)


def found(frame: Any, **options: Any) -> dict[str, list[int]]:
    """Times of the events of each user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TiedEventsWarning)
        corpus = ts.sessions(
            frame, user="user", timestamp="at", item="item", action=None, gap_seconds=None, min_length=1, partitions=2,
            **options,
        )
    sequences = corpus.collect().sequences
    corpus.unpersist()
    assert sequences.owner_ids is not None
    assert sequences.timestamps_us is not None
    ends = np.split(sequences.timestamps_us, sequences.offsets[1:-1])
    return {str(sequences.owner_ids[owner]): times.tolist() for owner, times in zip(sequences.owners(), ends)}


def microseconds(times: pd.DatetimeIndex) -> list[int]:
    return times.as_unit("us").astype("int64").tolist()


def made(spark: Any, times: dict[str, Any], kind: str) -> Any:
    """A DataFrame of these times by user, made with and without Arrow, as a column of Spark's type `kind`."""
    parts = []
    for arrow in ("true", "false"):
        spark.conf.set(ARROW, arrow)
        for user, at in times.items():
            frame = pd.DataFrame({"user": f"{user}, Arrow {arrow}", "at": at, "item": "a"})
            parts.append(spark.createDataFrame(frame, f"user string, at {kind}, item string"))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.union(part)
    return whole.coalesce(1)


def test_times_are_the_instants_that_spark_has(session: Any) -> None:
    aware = {zone: WALL.tz_localize("UTC").tz_convert(zone) for zone in ("UTC", "Asia/Kolkata", "America/New_York")}
    there = WALL[WALL.hour != 2]
    frame = made(session, {"naive": there, **aware}, "timestamp")
    instants: dict[str, list[int]] = {}
    for user, at in frame.selectExpr("user", "unix_micros(at)").collect():
        instants.setdefault(user, []).append(at)
    got = found(frame)
    assert got == {user: sorted(times) for user, times in instants.items()}
    for zone in aware:  # Spark itself loses one of two equal times of the clock without Arrow
        assert got[f"{zone}, Arrow true"] == microseconds(WALL)
    assert got["naive, Arrow true"] != microseconds(there)


def test_times_without_a_zone_days_and_texts_are_utc(session: Any) -> None:
    assert set(map(tuple, found(made(session, {"": WALL}, "timestamp_ntz")).values())) == {tuple(microseconds(WALL))}
    days = WALL.normalize()
    assert set(map(tuple, found(made(session, {"": days.date}, "date")).values())) == {tuple(microseconds(days))}
    texts = {"plain": WALL.strftime("%Y-%m-%d %H:%M:%S.%f"), "Z": WALL.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
             "away": (WALL + timedelta(hours=5)).strftime("%Y-%m-%d %H:%M:%S.%f+05:00")}
    got = found(made(session, texts, "string"), timestamp_unit="iso")
    assert len(got) == 6
    assert set(map(tuple, got.values())) == {tuple(microseconds(WALL))}
    written = {"": WALL.strftime("%d/%m/%Y %H:%M:%S.%f")}
    got = found(made(session, written, "string"), timestamp_format="%d/%m/%Y %H:%M:%S.%f")
    assert set(map(tuple, got.values())) == {tuple(microseconds(WALL))}


def test_numbers_that_are_not_times_are_nulls(spark: Any) -> None:
    frame = spark.range(8).selectExpr(
        "'u' user", "'a' item", "double(if(id < 5, 'NaN', 1.7e9 + id)) at"
    )
    assert found(frame, on_bad_rows="set_aside") == {"u": [1_700_000_000_000_000 + 10**6 * i for i in (5, 6, 7)]}
    with pytest.raises(InputError, match=r"5 of 8 rows of the DataFrame are bad \(column 'at' is null: 5\)"):
        found(frame)
