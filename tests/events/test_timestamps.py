"""Timestamps: plausible units, formats, ISO 8601 against Python's parser, numbers against Python's."""

from __future__ import annotations

import re
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
    values, status = (timestamps.parse_times if iso else timestamps.parse_numbers)(*spans(texts))
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
    plain = text.strip(" ")
    if parse([text], True) != [None] and re.search(r"\d +[-+Z]", plain):  # Python refuses such a blank
        plain = re.sub(r" +(?=[-+Z])", "", plain)
    try:
        moment = datetime.fromisoformat(plain)
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
        ("2015-05-03 03:25:10 UTC", 1_430_623_510_000_000), (" 2015-05-03 05:25:10 +02:00\t", 1_430_623_510_000_000),
        ("2015-05-03 03:25:10 GMT", 1_430_623_510_000_000), ("2015-05-03 03:25:10 CET", None), ("2015/05/03", None),
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
    bad = ["1_000", "0x10", "nan", "inf", "1 2", "+1", "--1", "1-", "", " ", "9" * 20]
    assert parse(good + bad, False) == [12, 1500, 0.25, -0.25, 0.5, 7, *[None] * 11]
    assert parse([str(2**63 - 1)], False) == [2**63 - 1]
    values, status = timestamps.parse_numbers(*spans(["1,5", "1.5"]), ",")
    assert values.tolist()[0] == 1.5
    assert status.tolist() == [timestamps.FINE, timestamps.WRONG]


def log_of(times: Any, **how: Any) -> EventLog:
    return EventLog.from_columns({"t": times, "i": np.zeros(len(times), int)}, user=None, action=None, timestamp="t",
                                 item="i", **how)


@pytest.mark.parametrize("scale", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("year", [1990, 2026, 2099])
def test_a_unit_in_which_the_times_are_plausible_is_detected(scale: int, year: int) -> None:
    seconds = int(datetime(year, 6, 1, tzinfo=UTC).timestamp())
    for kind in (int, float, str):
        log = log_of([kind(seconds * scale)] * 2)
        assert log.timestamp_us.tolist() == [seconds * 10**6] * 2  # type: ignore[union-attr]
        assert log.report.timestamp_unit_detected  # type: ignore[union-attr]
        assert log.report.timestamp_unit == {1: "s", 10**3: "ms", 10**6: "us", 10**9: "ns"}[scale]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("value", "words"),
    [(20191001, "timestamp_format='%Y%m%d' reads dates"), (20191001123000, "timestamp_format='%Y%m%d%H%M%S'"),
     (0, "is 1970-01-01. timestamp_unit='s'"), (711, "timestamp_unit='s'"), (43831, "timestamp_unit='s'"),
     (2**62, "is no date"), (5_000_000_000, "is 2128-06-11")],
)
def test_numbers_that_are_no_plausible_times_are_refused(value: int, words: str) -> None:
    for times in ([value] * 9, [str(value)] * 9, [1_430_623_510] * 3 + [value] * 4):
        for how in ("raise", "set_aside"):
            with pytest.raises(InputError, match=re.escape(words)):
                log_of(times, on_bad_rows=how)
    if value < 10**10:
        assert log_of([value], timestamp_unit="s").timestamp_us.tolist() == [value * 10**6]  # type: ignore[union-attr]


def test_the_unit_is_that_of_the_whole_column() -> None:
    times = np.array([1_430_623_510] * 300_000 + [1_430_623_510_000] * 400_000)
    log = log_of(times, on_bad_rows="set_aside")
    assert log.report.timestamp_unit == "ms"  # type: ignore[union-attr]
    assert len(log) == 400_000
    (aside,) = log.report.set_aside.values()  # type: ignore[union-attr]
    assert (aside.count, aside.first) == (300_000, (0, 1, 2, 3, 4))
    with pytest.raises(InputError, match="row 0: column 't' is not in ms, the unit of most rows"):
        log_of(times)


def test_whether_texts_are_numbers_is_decided_on_the_whole_column() -> None:
    texts = ["1430623510"] * 3 + ["2015-05-03"] * 4
    log = log_of(texts, on_bad_rows="set_aside")
    assert len(log) == 4
    assert list(log.report.set_aside) == ["column 't' holds numbers, where most rows hold times"]  # type: ignore[union-attr]
    log = log_of(texts[:5], on_bad_rows="set_aside")
    assert set(log.timestamp_us.tolist()) == {1_430_623_510_000_000}  # type: ignore[union-attr]


def test_nanoseconds_are_exact() -> None:
    odd = 1_571_234_567_123_456_789
    for times in ([odd], [str(odd)], np.array([odd]), np.array([odd]).view("M8[ns]")):
        assert log_of(times).timestamp_us.tolist() == [odd // 1000]  # type: ignore[union-attr]


FORMATS = ["%d/%m/%Y %H:%M", "%m/%d/%y %I:%M:%S %p", "%d.%m.%Y", "%Y/%m/%d %H:%M:%S.%f", "%b %d %Y %H:%M:%S %z",
           "%A, %d %B %Y", "%Y%m%d%H%M%S", "100%% %Y-%m-%d"]


@settings(max_examples=200)
@given(st.datetimes(datetime(1970, 1, 2), datetime(2068, 12, 30), timezones=st.just(UTC)), st.sampled_from(FORMATS))
def test_formats_equal_strptime(moment: datetime, form: str) -> None:
    text = moment.strftime(form)
    expected = timestamps.datetime_to_us(datetime.strptime(text, form))
    us, status = timestamps.parse_times(*spans([text, f" {text} "]), form)
    assert status.tolist() == [timestamps.FINE] * 2
    assert us.tolist() == [expected] * 2


@given(st.text(st.sampled_from("0123456789/: APMam"), max_size=20), st.sampled_from(FORMATS[:3]))
def test_what_does_not_fit_a_format_is_refused_as_by_strptime(text: str, form: str) -> None:
    plain = text.strip(" ")
    try:
        expected = timestamps.datetime_to_us(datetime.strptime(plain, form))
    except (ValueError, OverflowError):
        expected = None
    us, status = timestamps.parse_times(*spans([text]), form)
    # Python takes any number of blanks for one of the format's; here each stands for itself.
    if not (status[0] == timestamps.WRONG and " " in plain):
        assert (us[0] if status[0] == timestamps.FINE else None) == expected


@pytest.mark.parametrize("form", ["%Q %d %m %Y", "%H:%M", "%Y", "", "%Y-%m-%d %", "%m/%d"])
def test_formats_that_give_no_date_are_refused(form: str) -> None:
    with pytest.raises(ValueError, match="'timestamp_format'"):
        log_of(["x"], timestamp_format=form)


def test_a_format_is_kept_to() -> None:
    log = log_of(["1/12/2010 8:26", "2010-12-01", "NA", ""], timestamp_format="%d/%m/%Y %H:%M", null="NA",
                 on_bad_rows="set_aside")
    assert log.timestamp_us.tolist() == [1_291_191_960_000_000]  # type: ignore[union-attr]
    reasons = {reason: aside.first for reason, aside in log.report.set_aside.items()}  # type: ignore[union-attr]
    assert reasons == {"column 't' is null": (2, 3), "column 't' is not a time written as '%d/%m/%Y %H:%M'": (1,)}
    with pytest.raises(ValueError, match=r"'timestamp_unit' parameter of EventLog\.from_columns must be None"):
        log_of(["x"], timestamp_format="%d/%m/%Y", timestamp_unit="s")
    with pytest.raises(InputError, match=r"must hold text as '%Y-%m-%d'\. Got numbers"):
        log_of([5], timestamp_format="%Y-%m-%d")


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
