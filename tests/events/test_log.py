"""EventLog from every kind of column, and what it refuses."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import events as reference
from traitcore import EventLog, InputError, read_events
from traitcore.events import arrow
from traitcore.events.ids import IntegerCoder, TextCoder, code_integers

COLUMNS: dict[str, list[Any]] = {
    "user_id": ["b", "a", "b"],
    "timestamp": [1430623510, 1430623535, 1430623644],
    "action": ["buy", "view", "view"],
    "item_id": [30, 10, 20],
}
US = [t * 10**6 for t in COLUMNS["timestamp"]]


def check(log: EventLog) -> None:
    assert log.user_ids.tolist() == ["a", "b"]
    assert log.user.tolist() == [1, 0, 1]
    assert log.item_ids.tolist() == [10, 20, 30]
    assert log.item.tolist() == [2, 0, 1]
    assert log.actions == ("view", "buy")
    assert log.action.tolist() == [1, 0, 0]
    assert log.timestamp_us.tolist() == US


def arrays(**changes: Any) -> dict[str, Any]:
    texts = ("user_id", "action")
    return {name: np.array(v, dtype=object if name in texts else None) for name, v in COLUMNS.items()} | changes


MAPPINGS = {
    "lists": COLUMNS,
    "tuples": {k: tuple(v) for k, v in COLUMNS.items()},
    "objects": arrays(),
    "fixed-width strings": {k: np.array(v) for k, v in COLUMNS.items()},
    "bytes": arrays(user_id=np.array(COLUMNS["user_id"], dtype="S3"), action=np.array(COLUMNS["action"], dtype="S")),
    "numpy strings": arrays(user_id=np.array(COLUMNS["user_id"], dtype=np.dtypes.StringDType()))
    if hasattr(np.dtypes, "StringDType") else arrays(),
    "small ints": arrays(item_id=np.array([30, 10, 20], dtype=np.int8)),
    "unsigned ints": arrays(item_id=np.array([30, 10, 20], dtype=np.uint64)),
    "whole floats": arrays(item_id=np.array([30.0, 10.0, 20.0])),
    "int objects": arrays(item_id=np.array([30, np.int64(10), 20], dtype=object)),
    "byte-swapped": arrays(item_id=np.array([30, 10, 20], ">i8"), timestamp=np.array(COLUMNS["timestamp"], ">u4")),
    "strided": arrays(item_id=np.array([30, 0, 10, 0, 20, 0])[::2]),
    "reversed": arrays(item_id=np.array([20, 10, 30])[::-1]),
    "float seconds": arrays(timestamp=np.array(COLUMNS["timestamp"], dtype=np.float64)),
    "milliseconds": arrays(timestamp=np.array(US) // 1000),
    "nanoseconds": arrays(timestamp=np.array(US) * 1000),
    "datetime64[ns]": arrays(timestamp=np.array(US, dtype="M8[us]").astype("M8[ns]")),
    "datetime64[s]": arrays(timestamp=np.array(US, dtype="M8[us]").astype("M8[s]")),
    "datetime64[10ms]": arrays(timestamp=np.array(US, dtype="M8[us]").astype("M8[10ms]")),
    "datetimes": arrays(timestamp=[dt.datetime.fromtimestamp(t, dt.UTC) for t in COLUMNS["timestamp"]]),
    "naive datetimes": arrays(timestamp=np.array(US, dtype="M8[us]").astype(object)),
    "numpy datetimes in a list": arrays(timestamp=[np.datetime64(t, "s") for t in COLUMNS["timestamp"]]),
    "ISO texts": arrays(timestamp=["2015-05-03T03:25:10Z", "2015-05-03T03:25:35Z", "2015-05-03T03:27:24Z"]),
    "number texts": arrays(timestamp=[str(t) for t in COLUMNS["timestamp"]]),
    "masked": arrays(item_id=np.ma.array([30, 10, 20])),
}


@pytest.mark.parametrize("kind", MAPPINGS)
def test_from_a_mapping_of(kind: str) -> None:
    data = MAPPINGS[kind]
    for column in data.values():
        if isinstance(column, np.ndarray):
            column.flags.writeable = False
    before = {k: list(v) for k, v in data.items()}
    check(EventLog.from_columns(data))
    assert {k: list(v) for k, v in data.items()} == before


def pandas_frame(**dtypes: Any) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(COLUMNS).astype(dtypes)


def test_from_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    check(EventLog.from_columns(pandas_frame()))
    check(EventLog.from_columns(pandas_frame(user_id="category", action="category", item_id="Int64")))
    check(EventLog.from_columns(pandas_frame(user_id=object, action="string", item_id="float64")))
    check(EventLog.from_columns(dict(pandas_frame())))
    frame = pandas_frame()
    frame["timestamp"] = pandas.to_datetime(frame["timestamp"], unit="s")
    check(EventLog.from_columns(frame))
    frame["timestamp"] = frame["timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    check(EventLog.from_columns(frame))
    check(EventLog.from_columns(frame.set_axis([9, 9, 9])))


@pytest.mark.parametrize(
    ("column", "dtype"), [("user_id", "category"), ("user_id", object), ("item_id", "Int64"), ("item_id", "float64")]
)
def test_nulls_of_pandas(column: str, dtype: Any) -> None:
    frame = pandas_frame(**{column: dtype})
    frame.loc[1, column] = None
    with pytest.raises(InputError, match=f"row 1: column '{column}' is null"):
        EventLog.from_columns(frame)
    log = EventLog.from_columns(frame, on_bad_rows="set_aside")
    assert log.report.rows_kept == 2
    assert log.to_columns()[column].tolist() == [COLUMNS[column][0], COLUMNS[column][2]]


def test_nat_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas_frame()
    frame["timestamp"] = pandas.to_datetime(frame["timestamp"], unit="s")
    frame.loc[2, "timestamp"] = pandas.NaT
    with pytest.raises(InputError, match="row 2: column 'timestamp' is null"):
        EventLog.from_columns(frame)
    mixed = arrays(timestamp=np.array([pandas.NaT, *COLUMNS["timestamp"][1:]], dtype=object))
    with pytest.raises(InputError, match="row 0: column 'timestamp' is null"):
        EventLog.from_columns(mixed)


def test_from_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({**COLUMNS, "unused": [[1], [2], [3]]})
    check(EventLog.from_columns(frame))
    check(EventLog.from_columns(polars.concat([frame[:1], frame[1:]], rechunk=False)))
    check(EventLog.from_columns(frame.with_columns(polars.col("user_id").cast(polars.Categorical))))
    check(EventLog.from_columns(frame.with_columns((polars.col("timestamp") * 1000).cast(polars.Datetime("ms")))))
    check(EventLog.from_columns({name: frame[name] for name in COLUMNS}))
    long = frame.with_columns(polars.lit("a string that is longer than twelve bytes").alias("text"))
    log = EventLog.from_columns(long, item_text="text")
    assert log.item_texts.tolist() == ["a string that is longer than twelve bytes"] * 3


def arrow_tables() -> dict[str, Any]:
    pa = pytest.importorskip("pyarrow")
    plain = pa.table(COLUMNS)
    as_type = lambda name, kind: plain.set_column(  # noqa: E731
        plain.column_names.index(name), name, plain[name].cast(kind)
    )
    dictionary = plain.set_column(0, "user_id", plain["user_id"].dictionary_encode())
    padded = pa.concat_tables([plain.slice(2), plain, plain]).combine_chunks()
    us = pa.array(US)
    return {
        "plain": plain,
        "chunks": pa.concat_tables([plain.slice(0, 1), plain.slice(1, 0), plain.slice(1)]),
        "sliced": padded.slice(1, 3),
        "large strings": as_type("user_id", pa.large_string()),
        "string views": as_type("user_id", pa.string_view()),
        "dictionary": dictionary,
        "int8": as_type("item_id", pa.int8()),
        "uint32": as_type("item_id", pa.uint32()),
        "float": as_type("item_id", pa.float32()),
        "decimal": plain.set_column(3, "item_id", pa.array([30, 10, 20], pa.int64()).cast(pa.decimal128(21, 2))),
        "reader": pa.RecordBatchReader.from_batches(plain.schema, plain.to_batches()),
        **{
            f"timestamp {unit}": plain.set_column(1, "timestamp", us.cast(pa.timestamp("us")).cast(pa.timestamp(unit)))
            for unit in ("s", "ms", "us", "ns")
        },
        "timestamp with a zone": plain.set_column(1, "timestamp", us.cast(pa.timestamp("us", "Asia/Tokyo"))),
        "a mapping of arrays": {name: plain[name].combine_chunks() for name in COLUMNS},
        "a mapping of chunked arrays": {name: plain[name] for name in COLUMNS},
    }


def test_from_arrow() -> None:
    for kind, table in arrow_tables().items():
        try:
            check(EventLog.from_columns(table))
        except Exception as error:
            raise AssertionError(kind) from error


def test_nulls_and_unfit_types_of_arrow() -> None:
    pa = pytest.importorskip("pyarrow")
    plain = pa.table(COLUMNS)
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        for values in (["b", None, "b"], ["a name longer than twelve", None, "b"]):
            table = plain.set_column(0, "user_id", pa.array(values, kind))
            log = EventLog.from_columns(table, on_bad_rows="set_aside")
            assert log.to_columns()["user_id"].tolist() == [values[0], "b"]
            assert log.report.set_aside["column 'user_id' is null"].first == (1,)
    for array in (
        pa.array(["b", None, "b"]).dictionary_encode(), pa.array([7, None, 7]), pa.array([7.0, None, float("nan")]),
        pa.array([None, None, None]), pa.DictionaryArray.from_arrays([0, 1, 0], ["b", None]),
    ):
        with pytest.raises(InputError, match=r"row [01]: column 'user_id' is null"):
            EventLog.from_columns(plain.set_column(0, "user_id", array))
    for array, words in (
        (pa.array([[1], [2], [3]]), "nested"), (pa.array([True, False, True]), "booleans"),
        (pa.array([b"x", b"y", b"z"]), "bytes"), (pa.array([{"a": 1}] * 3), "nested"),
    ):
        with pytest.raises(InputError, match=words):
            EventLog.from_columns(plain.set_column(0, "user_id", array))
    with pytest.raises(InputError, match=r"is missing\. There are: 'user_id', 'timestamp'"):
        EventLog.from_columns(plain, item="sku")
    with pytest.raises(InputError, match="no rows"):
        EventLog.from_columns(plain.slice(0, 0))
    with pytest.raises(InputError, match="A table is expected"):
        list(arrow.read_stream(plain["user_id"], {"user": "user_id"}))


def test_dates_of_arrow() -> None:
    pa = pytest.importorskip("pyarrow")
    days = pa.array([dt.date(2015, 5, 3)] * 3)
    for kind in (pa.date32(), pa.date64()):
        log = EventLog.from_columns(pa.table(COLUMNS).set_column(1, "timestamp", days.cast(kind)))
        assert set(log.timestamp_us.tolist()) == {1430611200000000}


UNFIT = {
    "ints and strings": ({"user_id": [1, "1", 2]}, "of one type.*Got '1' .str. in row 1"),
    "bools": ({"user_id": [True, False, True]}, r"Got True .bool. in row 0"),
    "a bool array": ({"user_id": np.array([True, False, True])}, "Got dtype bool"),
    "lists": ({"user_id": [[1], [2], [3]]}, r"Got \[1\] .list. in row 0"),
    "fractions": ({"user_id": [1.5, 2.0, 3.0]}, "row 0: column 'user_id' is not an integer or a string. Got 1.5"),
    "infinity": ({"timestamp": [np.inf, 1.43e9, 1.44e9]}, "row 0: column 'timestamp'"),
    "complex": ({"user_id": np.zeros(3, complex)}, "Got dtype complex128"),
    "two dimensions": ({"user_id": np.zeros((3, 2), int)}, "one dimension"),
    "lengths": ({"user_id": ["a"]}, "one length"),
    "a scalar": ({"user_id": 5}, "1-D array or list"),
    "one string": ({"user_id": "abc"}, "1-D array or list"),
    "datetimes as ids": ({"user_id": np.zeros(3, "M8[s]")}, "must hold user ids"),
    "empty strings": ({"user_id": ["a", "", "b"]}, "row 1: column 'user_id' is null"),
    "empty fixed-width strings": ({"user_id": np.array(["a", "", "b"])}, "row 1: column 'user_id' is null"),
    "None": ({"user_id": ["a", None, "b"]}, "row 1: column 'user_id' is null"),
    "NaN": ({"item_id": [1.0, np.nan, 2.0]}, "row 1: column 'item_id' is null"),
    "masked": ({"item_id": np.ma.array([1, 2, 3], mask=[0, 0, 1])}, "row 2: column 'item_id' is null"),
    "masked strings": ({"item_id": np.ma.array(["a", "b", "c"], mask=[0, 1, 0])}, "row 1: column 'item_id' is null"),
    "a lone surrogate": ({"user_id": ["a", "\udc80", "b"]}, "row 1: column 'user_id' is not valid UTF-8"),
    "invalid UTF-8": ({"user_id": np.array([b"a", b"\xff", b"b"])}, "row 1: column 'user_id' is not valid UTF-8"),
    "a time before 1970": ({"timestamp": np.array([-1, 1, 2], "M8[s]")}, "row 0: column 'timestamp' is before 1970"),
    "a time after 9999": ({"timestamp": np.array([1, 2, 10**12], "M8[s]")}, "row 2: .*after the year 9999"),
    "NaT": ({"timestamp": np.array([1, 2, "NaT"], "M8[s]")}, "row 2: column 'timestamp' is null"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_refused(case: str) -> None:
    changes, words = UNFIT[case]
    with pytest.raises(InputError, match=words):
        EventLog.from_columns({**COLUMNS, **changes})


def test_a_missing_column_says_what_to_do(tmp_path: Path) -> None:
    bare = {name: values for name, values in COLUMNS.items() if name != "action"}
    makers: list[Any] = [lambda **how: EventLog.from_columns(bare, **how)]
    path = tmp_path / "log.csv"
    rows = zip(*(np.asarray(values).tolist() for values in bare.values()))
    path.write_text("\n".join(",".join(map(str, row)) for row in [tuple(bare), *rows]), encoding="utf-8")
    makers.append(lambda **how: read_events(path, **how))
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        pass
    else:
        makers.append(lambda **how: EventLog.from_columns(pa.table(bare), **how))
        parquet.write_table(pa.table(bare), tmp_path / "log.parquet")
        makers.append(lambda **how: read_events(tmp_path / "log.parquet", **how))
    for make in makers:
        with pytest.raises(InputError, match="'action', wanted as action") as caught:
            make()
        advice = "action='NAME' names another one; action=None says that there is none; action=None, action_value='buy'"
        assert f"{advice} that every event is a buy." in str(caught.value)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
        assert make(action=None).actions == ()  # what was said works
        assert make(action=None, action_value="buy").actions == ("buy",)
        with pytest.raises(InputError, match="user='NAME' names another one; user=None says that there is none"):
            make(action=None, user="who")
        with pytest.raises(InputError, match="wanted as item") as caught:
            make(action=None, item="sku")
        assert str(caught.value).endswith("item='NAME' names another one.")
    with pytest.raises(ValueError, match="action=None says that there is none"):
        EventLog.from_columns(bare, action_value="buy")


def test_refused_parameters() -> None:
    with pytest.raises(InputError, match=r"Column 'sku', wanted as item, is missing\. There are: 'user_id'"):
        EventLog.from_columns(COLUMNS, item="sku")
    with pytest.raises(InputError, match="no rows"):
        EventLog.from_columns({name: [] for name in COLUMNS})
    with pytest.raises(TypeError, match="mapping of columns or a table"):
        EventLog.from_columns(5)
    with pytest.raises(TypeError, match=r"'item' parameter of EventLog\.from_columns"):
        EventLog.from_columns(COLUMNS, item=None)
    with pytest.raises(ValueError, match="codes in"):
        EventLog(item=np.array([0, 5]), item_ids=np.array([1, 2]))
    with pytest.raises(InputError, match="must hold ISO 8601 text"):
        EventLog.from_columns(COLUMNS, timestamp_unit="iso")
    many = {"action": [str(i) for i in range(40_000)], "item_id": np.arange(40_000)}
    with pytest.raises(InputError, match="too many for actions"):
        EventLog.from_columns(many, user=None, timestamp=None)


def test_one_and_text_one_are_different_ids() -> None:
    ints = EventLog.from_columns({"item_id": [1, 2]}, user=None, timestamp=None, action=None)
    texts = EventLog.from_columns({"item_id": ["1", "2"]}, user=None, timestamp=None, action=None)
    assert ints.item_ids.tolist() == [1, 2]
    assert texts.item_ids.tolist() == ["1", "2"]
    made = EventLog.from_columns({"item_id": [1, 10, 2]}, user=None, timestamp=None, action=None, id_types="str")
    assert made.item_ids.tolist() == ["1", "10", "2"]
    assert made.item.tolist() == [0, 1, 2]
    made = EventLog.from_columns({"item_id": ["1", "10"]}, user=None, timestamp=None, action=None, id_types="int")
    assert made.item_ids.tolist() == [1, 10]


def test_the_most_frequent_item_text_is_kept() -> None:
    log = EventLog.from_columns(
        {"item_id": [1, 1, 1, 2, 2, 3, 3], "text": ["b", "a", "b ", "d", "c", None, " "]},
        user=None, timestamp=None, action=None, item_text="text",
    )
    assert log.item_texts.tolist() == ["b", "c", ""]


def test_take_and_to_columns() -> None:
    log = EventLog.from_columns(COLUMNS)
    part = log.take([2, 0])
    assert part.to_columns()["item_id"].tolist() == [20, 30]
    assert part.to_columns()["timestamp"].tolist() == np.array(US, "M8[us]")[[2, 0]].tolist()
    assert len(log.take(np.array([True, False, False]))) == 1
    with pytest.raises(TypeError, match="'rows'"):
        log.take([0.5])
    with pytest.raises(ValueError, match="read-only"):
        log.item[0] = 1


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 5), min_size=1))
def test_codes_of_integers_equal_the_slow_twin(values: list[int | None]) -> None:
    valid = np.array([v is not None for v in values])
    codes, ids = code_integers(np.array([v or 0 for v in values], dtype=np.int64), valid)
    assert (codes.tolist(), ids.tolist()) == reference.code_ids(values)


def test_coders_grow() -> None:
    values = np.random.default_rng(0).integers(-(2**62), 2**62, 20_011)
    coder, texts = IntegerCoder(), TextCoder()
    codes = np.concatenate([coder.code(values[:7]), coder.code(values[7:]), coder.code(values)])
    assert coder.ids()[codes].tolist() == values.tolist() * 2
    words = [f"{v}é{'x' * (v % 90)}" for v in values.tolist()]
    encoded = [w.encode() for w in words]
    ends = np.cumsum([0] + [len(e) for e in encoded])
    buffer = np.frombuffer(bytearray(b"".join(encoded)), dtype=np.uint8)
    codes = texts.code(buffer, ends[:-1], ends[1:])
    assert [texts.texts[c] for c in codes] == words
    assert texts.code(buffer, ends[:-1][::-1], ends[1:][::-1]).tolist() == codes[::-1].tolist()


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read_end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    EventLog.from_columns({"user_id": [1, 1], "item_id": [7, 8]}, timestamp=None, action=None).to_csv(pipe)
    text = os.read(read_end, 1000).decode()
    os.close(read_end)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert text.splitlines() == ["user_id,item_id", "1,7", "1,8"]
