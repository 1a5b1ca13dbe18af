"""Timestamps: units told by size, ISO 8601 against Python's parser, numbers against Python's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
)  # fmt: skip
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
)  # fmt: skip
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
