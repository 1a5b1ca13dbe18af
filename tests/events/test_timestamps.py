"""Timestamps: units told by size, ISO 8601 against Python's parser, numbers against Python's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitcore import EventLog, InputError, LiveCustomers, Sequences, customer_vectors
from traitcore.events import timestamps


def spans(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    encoded = [t.encode() for t in texts]
    ends = np.cumsum([0] + [len(e) for e in encoded])
    return np.frombuffer(bytearray(b"".join(encoded)), dtype=np.uint8), ends[:-1], ends[1:]


def parse(texts: list[str], iso: bool) -> list[float | None]:
    values, status = timestamps.parse_spans(*spans(texts), iso)
    return [v if s == timestamps.FINE else None for v, s in zip(values.tolist(), status.tolist())]


moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
zones = st.none() | st.just(UTC) | st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m)))


@settings(max_examples=300)
@given(moments, zones, st.sampled_from("T "), st.sampled_from(["auto", "minutes", "seconds", "milliseconds"]))
def test_iso_8601_equals_python(moment: datetime, zone: timezone | None, between: str, detail: str) -> None:
    text = moment.replace(tzinfo=zone).isoformat(between, detail)
    expected = timestamps.datetime_to_us(datetime.fromisoformat(text))
    short = text.replace("+00:00", "Z")
    assert parse([text, short], True) == [expected, expected]


@given(st.text(st.sampled_from("0123456789-:T Z+.,W"), max_size=25))
def test_what_is_no_iso_time_is_refused_as_by_python(text: str) -> None:
    try:
        moment = datetime.fromisoformat(text)
        expected = timestamps.datetime_to_us(moment)
    except (ValueError, OverflowError):
        expected = None
    assert parse([text], True) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2015-05-03T03:25:10Z", 1_430_623_510_000_000), ("2015-05-03 03:25:10.5", 1_430_623_510_500_000),
        ("2015-05-03T05:25:10+02:00", 1_430_623_510_000_000), ("2015-05-03T05:25:10+0200", 1_430_623_510_000_000),
        ("2015-05-03", 1_430_611_200_000_000), ("20150503", 1_430_611_200_000_000),
        ("2016-02-29", 1_456_704_000_000_000),
        ("2015-02-29", None), ("2015-13-01", None), ("2015-05-03T24:30", None), ("yesterday", None), ("", None),
        ("2015-05-03T03:25:10.1234567Z", 1_430_623_510_123_456), ("2015-05-03T03:25:10Zjunk", None),
    ],
)
def test_iso_8601_by_hand(text: str, expected: int | None) -> None:
    assert parse([text], True) == [expected]


@given(st.lists(st.integers(-(10**18) + 1, 10**18 - 1), min_size=1))
def test_whole_numbers(numbers: list[int]) -> None:
    assert parse([str(n) for n in numbers], False) == numbers


@given(st.decimals(-(10**12), 10**12, places=6))
def test_fractions_are_exact_to_a_microsecond(number: object) -> None:
    (value,) = parse([f"{number}"], False)
    assert value == pytest.approx(float(str(number)), abs=2e-4, rel=1e-15)


def test_numbers_in_other_forms() -> None:
    good = [" 12 ", "1.5e3", "0.25", "-0.25", ".5", "7."]
    bad = ["1_000", "0x10", "nan", "inf", "1 2", "+1", "--1", "1-", "", " ", "9" * 19]
    assert parse(good + bad, False) == [12, 1500, 0.25, -0.25, 0.5, 7, *[None] * 11]


@pytest.mark.parametrize(
    ("value", "unit"),
    [(0, "s"), (1_430_623_510, "s"), (10**11 - 1, "s"), (10**11, "ms"), (1_430_623_510_000, "ms"), (10**14, "us"),
     (1_430_623_510_000_000, "us"), (10**17, "ns"), (1_430_623_510_000_000_000, "ns")],
)
def test_unit_by_size(value: int, unit: str) -> None:
    assert timestamps.detect_unit(np.array([value])) == unit


def test_unit_of_most_rows_wins() -> None:
    assert timestamps.detect_unit(np.array([1_430_623_510_000] * 2 + [1_430_623_510])) == "ms"
    assert timestamps.detect_unit(np.array([-5, 3, 10**13])) == "s"
    assert timestamps.detect_unit(np.zeros(0)) == "s"


@pytest.mark.parametrize("unit", timestamps.UNITS)
def test_units_agree_on_a_moment(unit: str) -> None:
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    assert timestamps.integers_to_us(np.array([1_430_623_510 * scale]), unit).tolist() == [1_430_623_510_000_000]
    assert timestamps.floats_to_us(np.array([1_430_623_510.0 * scale]), unit).tolist() == [1_430_623_510_000_000]


@given(st.lists(st.integers(0, timestamps.LATEST_US - 1), min_size=1))
def test_format_is_read_back(us: list[int]) -> None:
    assert parse(timestamps.format_us(np.array(us)).tolist(), True) == us


# -- what is no time, or none that fits --------------------------------------------------------------------------------

PER_UNIT = {"W": 604_800_000_000, "D": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 10**6, "ms": 1000}
NAT = np.iinfo(np.int64).min
FIRST_US, STOP_US = -62_135_596_800_000_000, 253_402_300_800_000_000  # years 1 and 10000


@given(
    st.lists(st.integers(NAT, 2**63 - 1) | st.integers(-(10**12), 10**12), min_size=1),
    st.sampled_from(list(PER_UNIT)), st.sampled_from([1, 7]),
)
def test_datetimes_of_any_unit_equal_python_and_never_wrap(values: list[int], unit: str, step: int) -> None:
    times = np.array(values, dtype=np.int64).view(f"datetime64[{step}{unit}]")
    for value, got in zip(values, timestamps.datetimes_to_us(times).tolist()):
        exact = value * step * PER_UNIT[unit]
        if value == NAT:
            assert got == NAT
        elif FIRST_US <= exact < STOP_US:
            assert got == exact
        else:
            assert not FIRST_US <= got < STOP_US


@pytest.mark.parametrize("unit", ["Y", "M"])
def test_far_years_and_months_are_out_of_range(unit: str) -> None:
    far = np.array([2**62, -(2**62), 10**11, 8030 * (12 if unit == "M" else 1)]).view(f"datetime64[{unit}]")
    got = timestamps.datetimes_to_us(far)
    assert ((got < FIRST_US) | (got >= STOP_US)).all()
    near = np.array(["2020", "1999"], dtype=f"datetime64[{unit}]")
    assert timestamps.datetimes_to_us(near).tolist() == [1_577_836_800_000_000, 915_148_800_000_000]


@pytest.mark.parametrize("kind", ["D", "h", "W", "Y", "object", "list"])
def test_far_dates_of_a_column_are_bad_rows(kind: str) -> None:
    far = ["400000", "2020"] if kind == "Y" else ["400000-01-01", "2020-01-02"]
    if kind in ("object", "list"):
        dates = [np.datetime64(text) for text in far]
        column = dates if kind == "list" else np.array(dates, dtype=object)
    else:
        column = np.array(far, dtype="datetime64[D]" if kind != "Y" else "datetime64[Y]").astype(f"datetime64[{kind}]")
    data = {"timestamp": column, "item_id": [1, 2]}
    with pytest.raises(InputError, match="after the year 9999"):
        EventLog.from_columns(data, user=None, action=None)
    log = EventLog.from_columns(data, user=None, action=None, on_bad_rows="set_aside")
    assert log.timestamp_us is not None
    assert len(log) == 1
    assert 0 < log.timestamp_us[0] < STOP_US


@pytest.mark.parametrize(
    "column",
    [
        [np.datetime64("NaT"), np.datetime64("2020-01-01")],
        np.array([np.datetime64("NaT"), datetime(2020, 1, 1)], dtype=object),
        np.array(["NaT", "2020-01-01"], dtype="datetime64[s]"), np.array(["NaT", "2020-01-01"], dtype="datetime64[D]"),
        np.array(["NaT", "2020"], dtype="datetime64[Y]"),
    ],
)
def test_nat_in_a_column_is_null(column: Any) -> None:
    data = {"timestamp": column, "item_id": [1, 2]}
    with pytest.raises(InputError, match="is null"):
        EventLog.from_columns(data, user=None, action=None)
    log = EventLog.from_columns(data, user=None, action=None, on_bad_rows="set_aside")
    assert log.timestamp_us is not None
    assert log.timestamp_us.tolist() == [1_577_836_800_000_000]


def test_an_integer_column_with_nat_is_a_bad_row() -> None:
    data = {"timestamp": np.array([NAT, 10**9]), "item_id": [1, 2]}
    with pytest.raises(InputError, match="before 1970"):
        EventLog.from_columns(data, user=None, action=None)


LIVE = LiveCustomers(np.eye(2, dtype=np.float32), method="recency", half_life_days=1.0)
ENTRIES = {
    "EventLog": lambda times: EventLog(np.zeros(2, np.int32), np.array([5]), timestamp_us=times),
    "Sequences": lambda times: Sequences(np.array([0, 1]), np.array([0, 2]), timestamps_us=times),
    "LiveCustomers": lambda times: LIVE.update_batch(["a", "b"], [0, 1], timestamps_us=times),
}


@pytest.mark.parametrize("entry", list(ENTRIES))
@pytest.mark.parametrize("odd", [NAT, NAT + 1, 2**63 - 1, 2**62, -(2**62)])
def test_no_time_that_arithmetic_would_wrap_comes_in(entry: str, odd: int) -> None:
    what = "NaT" if odd == NAT else str(odd)
    for times in (np.array([5, odd]), [5, odd]):
        with pytest.raises(ValueError, match=rf"timestamps?_us' parameter of {entry} must be microseconds .*{what}"):
            ENTRIES[entry](times)
    assert len(LIVE) == 0
    with pytest.raises(TypeError, match="int64"):
        ENTRIES[entry](np.array(["NaT", "2020-01-01"], dtype="datetime64[us]"))


def test_the_widest_times_there_are_pool_to_finite_vectors() -> None:
    times = np.array([-(2**62) + 1, 2**62 - 1])
    pooled = customer_vectors(
        Sequences(np.array([0, 1]), np.array([0, 2]), timestamps_us=times), np.eye(2), method="recency",
        half_life_days=1e7,
    )
    assert np.isfinite(pooled.vectors).all()
    live = LiveCustomers(np.eye(2), method="recency", half_life_days=1e7)
    live.update_batch(["a", "a"], [0, 1], timestamps_us=times)
    np.testing.assert_allclose(live.vector("a"), pooled.vectors[0], rtol=1e-5)


@pytest.mark.parametrize("days", [1e300, 1e9])
def test_a_half_life_beyond_all_times_is_refused(days: float) -> None:
    with pytest.raises(ValueError, match=r"'half_life_days' parameter of LiveCustomers .* \(0, 5\.3"):
        LiveCustomers(np.eye(2), method="recency", half_life_days=days)
