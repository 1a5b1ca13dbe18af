"""Columns of texts that are times: every layout gives what the slow reader gives, cell by cell, bad cells too."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.reference import times as slow
from traitcore import EventLog, InputError

Texts = list[str | None]
LAYOUTS: dict[str, Callable[[Texts], Any]] = {
    "list": list,
    "tuple": tuple,
    "object": lambda texts: np.array(texts, dtype=object),
    "masked": lambda texts: np.ma.MaskedArray(np.array([t or "" for t in texts]), [t is None for t in texts]),
    "U": lambda texts: np.array([t or "" for t in texts]),
    "S": lambda texts: np.array([(t or "").encode() for t in texts]),
}
with suppress(ImportError):
    import pandas as pd

    LAYOUTS |= {
        f"pandas {dtype}": lambda texts, dtype=dtype: pd.Series(texts, dtype=dtype)  # type: ignore[misc]
        for dtype in ("object", "str", "string[python]", "category")
    }
    LAYOUTS["pandas object with NaN"] = lambda texts: pd.Series(
        [np.nan if t is None else t for t in texts], dtype=object
    )
    LAYOUTS["pandas Index"] = lambda texts: pd.Index(texts, dtype=object)
    # A category that no row has takes no part: neither its fraction nor its fault.
    LAYOUTS["pandas category, more of them"] = lambda texts: pd.Series(
        pd.Categorical(texts, categories=["0.5", "never a time", *dict.fromkeys(t for t in texts if t is not None)])
        if not {"0.5", "never a time"} & set(texts) else texts
    )
with suppress(ImportError):
    import polars as pl

    LAYOUTS |= {
        "polars String": lambda texts: pl.Series(texts, dtype=pl.String),
        "polars Categorical": lambda texts: pl.Series(texts, dtype=pl.Categorical),
        "polars chunks": lambda texts: pl.concat(
            [pl.Series(texts[:3], dtype=pl.String), pl.Series(texts[3:], dtype=pl.String)], rechunk=False
        ),
    }
with suppress(ImportError):
    import pyarrow as pa

    LAYOUTS |= {
        f"arrow {kind}": lambda texts, kind=kind: pa.array(texts, type=kind)  # type: ignore[misc]
        for kind in (pa.string(), pa.large_string(), pa.string_view())
    }
    LAYOUTS["arrow dictionary"] = lambda texts: pa.array(texts, type=pa.string()).dictionary_encode()
    LAYOUTS["arrow slice"] = lambda texts: pa.array(["x", *texts, "y"], type=pa.string()).slice(1, len(texts))
    LAYOUTS["arrow chunks"] = lambda texts: pa.chunked_array(
        [texts[:2], texts[2:]], type=pa.string()
    )
    for dtype in ("string[pyarrow]", pd.ArrowDtype(pa.string()), pd.ArrowDtype(pa.large_string())):
        LAYOUTS[f"pandas {dtype}"] = lambda texts, dtype=dtype: pd.Series(texts, dtype=dtype)  # type: ignore[misc]

moments = st.datetimes(datetime(1970, 1, 2), datetime(2260, 12, 30))
zones = st.sampled_from(["", "Z", "+02:00", "-0530", " UTC", " +01:00", "+09", "z", "+01:30:15"])


@st.composite
def iso_texts(draw: Any) -> str:
    """Dates and times in all forms of ISO 8601, and some that are near to them."""
    moment: datetime = draw(moments)
    year, week, day = moment.isocalendar()
    date = draw(st.sampled_from([f"{moment:%Y-%m-%d}"] * 3 + [
        f"{moment:%Y%m%d}", f"{year}-W{week:02}-{day}", f"{year}W{week:02}{day}", f"{year}-W{week:02}",
        f"{year}W{week:02}", f"{moment:%Y%m-%d}", f"{year}-W{week:02}{day}",
    ]))
    clock = draw(st.sampled_from(["", "%H", "%H:%M", "%H:%M:%S", "%H%M", "%H%M%S", "%H:%M%S"]))
    if not clock:
        return str(date)
    digits = draw(st.text("0123456789", max_size=9)) if "%S" in clock else ""
    between = draw(st.sampled_from("TTT  t_é"))
    point = draw(st.sampled_from(".,"))
    return f"{date}{between}{moment.strftime(clock)}{point + digits if digits else ''}{draw(zones)}"


def numbers_of(scale: int) -> st.SearchStrategy[str]:
    seconds = st.integers(631_152_000, 4_102_444_799)
    return seconds.map(lambda s: str(s * scale)) | seconds.map(lambda s: f"{s * scale}.25") | seconds.map(
        lambda s: f"{s // 10**9}.{s % 10**9:09}E+{9 + len(str(scale)) - 1:02}"
    )


BAD: list[str | None] = [
    None, "", " ", "\t", "n/a", "NA", "2015-02-30", "2015-13-01", "-5", "-1.5", "9" * 20, "1e3", "1e400", "1e-3",
    "1.5e1",
    "2015-05-03T24:30", "0.5", "12", "nan", "+1", "2015/05/03", "20150503", "2015-W54-1", "2016-W53-1", "2015-05-03x12",
    "１２", "3000-01-01", "1969-12-31", "9999-12-31T23:59:59-01:00", "2015-05-03T12:30:00+02:75", "99999999999",
    "2015-05-03 12:30:00 CET", "x" * 100,
]
FORMATS = ["%d/%m/%Y %H:%M", "%m/%d/%y %I:%M:%S %p", "%d.%m.%Y", "%Y%m%d%H%M%S"]


@st.composite
def columns(draw: Any) -> tuple[Texts, dict[str, Any]]:
    """(texts, options): most of one kind, with bad cells strewn in."""
    kind = draw(st.sampled_from(["iso", "numbers", "format", "mixed"]))
    options: dict[str, Any] = {}
    if kind == "format":
        form = draw(st.sampled_from(FORMATS))
        options["timestamp_format"] = form
        cell: st.SearchStrategy[str | None] = st.datetimes(
            datetime(1970, 1, 2), datetime(2060, 1, 1)).map(lambda m: m.strftime(form))
    elif kind == "numbers":
        unit = draw(st.sampled_from(list(slow.PER_SECOND)))
        cell = numbers_of(slow.PER_SECOND[unit])
        options["timestamp_unit"] = draw(st.sampled_from([None, unit]))
    else:
        cell = iso_texts() if kind == "iso" else iso_texts() | numbers_of(1)
        options["timestamp_unit"] = draw(st.sampled_from([None, "iso"]))
    pool = draw(st.lists(cell, min_size=1, max_size=8))
    texts = draw(st.lists(st.sampled_from(pool * 4 + [draw(st.sampled_from(BAD)), draw(st.sampled_from(BAD))]),
                          min_size=1, max_size=25))
    options["null"] = draw(st.sampled_from([None, "NA", ["NA", "n/a", "12"]]))
    return texts, options


def table_of(column: Any) -> Any:
    """The column in the frame of its own library, so that it is read as that frame is."""
    items = np.zeros(len(column), dtype=np.int64)
    library = type(column).__module__.split(".")[0]
    if library == "polars":
        return pl.DataFrame({"t": column, "i": items})
    if library == "pyarrow":
        return pa.table({"t": column, "i": items})
    return {"t": column, "i": items}


def read(data: Any, options: dict[str, Any], bad: str) -> EventLog:
    return EventLog.from_columns(data, user=None, action=None, timestamp="t", item="i", on_bad_rows=bad, **options)


@pytest.mark.parametrize("layout", list(LAYOUTS))
@settings(max_examples=60)
@given(given_column=columns())
def test_every_layout_equals_the_slow_reader(layout: str, given_column: tuple[Texts, dict[str, Any]]) -> None:
    texts, options = given_column
    assume(layout != "S" or all(t is None or t.isascii() for t in texts))  # other bytes can't be held
    null = options["null"]
    how = {"unit": options.get("timestamp_unit"), "form": options.get("timestamp_format"),
           "nulls": {null} if isinstance(null, str) else set(null or ())}
    data = table_of(LAYOUTS[layout](texts))
    for bad in ("raise", "set_aside"):
        try:
            us, aside = slow.read_times("t", texts, **how, set_aside=bad == "set_aside")
        except slow.Refused as refused:
            place = "" if refused.row is None else f"columns, row {refused.row}: "
            with pytest.raises(InputError, match=re.escape(place + refused.words)):
                read(data, options, bad)
            continue
        log = read(data, options, bad)
        assert log.timestamp_us is not None
        assert log.report is not None
        assert log.timestamp_us.tolist() == us
        found = {reason: (rows.count, rows.first) for reason, rows in log.report.set_aside.items()}
        assert found == {reason: (len(rows), tuple(rows[:5])) for reason, rows in aside.items()}


@settings(max_examples=300)
@given(iso_texts())
def test_what_is_read_of_iso_8601_equals_the_slow_reader(text: str) -> None:
    _, expected = slow.read_cell(text, "iso", None, set())
    try:
        log = read({"t": [text], "i": [1]}, {"timestamp_unit": "iso"}, "raise")
    except InputError:
        assert expected is None or expected < 0
    else:
        assert log.timestamp_us is not None
        assert log.timestamp_us.tolist() == [expected]


def test_a_zone_counts_in_all_forms_of_a_date() -> None:
    at = datetime(2024, 1, 5, 12, 33, 1, tzinfo=timezone(timedelta(hours=2)))
    us = int(at.astimezone(UTC).timestamp()) * 10**6
    for text in ("2024-01-05T12:33:01+02:00", "20240105T123301+0200", "2024-W01-5T12:33:01+02", "2024W015T123301+0200"):
        log = read({"t": [text], "i": [1]}, {}, "raise")
        assert log.timestamp_us is not None
        assert log.timestamp_us.tolist() == [us]


def test_texts_in_many_buffers_are_read_in_one_pass() -> None:
    """polars keeps long texts in hundreds of buffers: a pass for each took minutes where one takes a second."""
    polars = pytest.importorskip("polars")
    times = np.arange(600_000).astype("datetime64[s]").astype(str)
    column = polars.concat([polars.Series(part) for part in np.array_split(times, 300)], rechunk=True)
    log = read(polars.DataFrame({"t": column, "i": np.zeros(len(times), int)}), {}, "raise")
    assert log.timestamp_us is not None
    assert (log.timestamp_us == np.arange(600_000) * 10**6).all()
