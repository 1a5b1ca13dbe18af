"""read_events: CSV against Python's csv module, round trips, every kind of bad file, Parquet."""

from __future__ import annotations

import builtins
import codecs
import csv
import errno
import gzip
import io
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import events as reference
from traitcore import EventLog, InputError, read_events
from traitcore.events.csv_records import record_blocks
from traitcore.events.csv_source import LineEnds

LINES = """user_id,timestamp,action,item_id
u1,1430623510,view,6768
u1,1430623535,cart,6768
u2,1430623644,view,26268
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes text or bytes to a file and gives its path."""

    def to(content: str | bytes, name: str = "log.csv") -> Path:
        path = tmp_path / name
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return to


ids = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=8)


@given(
    st.lists(st.tuples(ids, st.integers(0, 4 * 10**15), st.sampled_from(["view", "buy", 'a,"b"']), ids), min_size=1),
    st.booleans(),
)
def test_csv_to_log_to_csv(tmp_path_factory: Any, rows: Any, packed: bool) -> None:
    path = tmp_path_factory.mktemp("csv") / "log.csv"
    columns = dict(zip(("user_id", "timestamp", "action", "item_id"), map(list, zip(*rows))))
    log = EventLog.from_columns(columns, timestamp_unit="us", null=())
    log.to_csv(path)
    text = path.read_bytes().decode()
    if packed:
        path = path.with_suffix(".csv.gz")
        path.write_bytes(gzip.compress(text.encode()))
    again = read_events(path, id_types="str", null=())
    for name, column in log.to_columns().items():
        assert column.tolist() == again.to_columns()[name].tolist()
    again.to_csv(path.with_name("again.csv"))
    assert path.with_name("again.csv").read_bytes().decode() == text


def test_the_plain_case(write: Any) -> None:
    log = read_events(write(LINES))
    assert log.user_ids.tolist() == ["u1", "u2"]
    assert log.item_ids.tolist() == [6768, 26268]
    assert log.actions == ("view", "cart")
    assert log.timestamp_us.tolist() == [1430623510000000, 1430623535000000, 1430623644000000]
    assert log.report.as_dict() | {"source": ""} == {
        "source": "", "rows_read": 3, "rows_kept": 3, "set_aside": {}, "timestamp_unit": "s",
        "timestamp_unit_detected": True, "id_types": {"user": "str", "item": "int"}, "place": "line", "notes": (),
    }
    assert "timestamps: s (detected)" in str(log.report)


@pytest.mark.parametrize(
    "content",
    [
        LINES.encode("utf-8-sig"), LINES.replace("\n", "\r\n").encode(), LINES.replace("\n", "\r").encode(),
        LINES.replace("\n", "\n\n").encode(), LINES.rstrip("\n").encode(),
        LINES.replace("view", '"view"').replace("user_id", '"user_id"').encode(),
    ],
    ids=["BOM", "CRLF", "CR", "blank lines", "no last newline", "quotes"],
)
def test_the_same_log_written_otherwise(write: Any, content: bytes) -> None:
    expected, log = read_events(write(LINES, "plain.csv")), read_events(write(content))
    for name, column in expected.to_columns().items():
        assert column.tolist() == log.to_columns()[name].tolist()


def test_gzip_columns_and_delimiter(write: Any) -> None:
    text = LINES.replace(",", "\t").replace("user_id", "who").replace("item_id", "what")
    path = write(text, "log.tsv.gz")
    log = read_events(path, delimiter="\t", user="who", item="what", action=None, action_value="buy")
    assert log.actions == ("buy",)
    assert log.action.tolist() == [0, 0, 0]


def test_ids_keep_every_difference(write: Any) -> None:
    odd = ["1", "01", "a", "A", "nul\0l", "new\nline", "😀", 'quo"te', "com,ma", " 1", "é", "e\u0301"]
    rows = "".join('"' + i.replace('"', '""') + f'",{n}\n' for n, i in enumerate(odd))
    log = read_events(write("user_id,item_id\n" + rows), timestamp=None, action=None)
    assert log.to_columns()["user_id"].tolist() == odd
    assert log.user_ids.tolist() == sorted(odd)


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (["1", "-2", "0"], "int"), (["1", "01"], "str"), (["1", "+1"], "str"), (["1", "1.0"], "str"),
        (["1.0", "2.00"], "int"), (["1.0", "2"], "int"), (["1.0", "2.5"], "str"),
        (["1", "-0"], "str"), ([str(2**63 - 1)], "int"), ([str(2**63)], "str"), (["1", "a"], "str"),
    ],
)
def test_ids_are_ints_only_if_all_are_written_so(write: Any, ids: list[str], kind: str) -> None:
    log = read_events(write("item_id\n" + "\n".join(ids)), user=None, timestamp=None, action=None)
    assert log.report.id_types["item"] == kind
    shown = [i.partition(".")[0] for i in ids] if kind == "int" else ids
    assert [str(i) for i in log.to_columns()["item_id"].tolist()] == shown


def test_int_ids_asked_for(write: Any) -> None:
    path = write("item_id\n1\nx7\n2\n")
    with pytest.raises(InputError, match=r"log.csv, line 3: column 'item_id' is not an integer. Got 'x7'"):
        read_events(path, user=None, timestamp=None, action=None, id_types="int")
    log = read_events(path, user=None, timestamp=None, action=None, id_types={"item": "int"}, on_bad_rows="set_aside")
    assert log.item_ids.tolist() == [1, 2]


def bad(line: str | bytes, header: bytes = b"user_id,timestamp,action,item_id\nu1,1430623510,view,6768\n") -> bytes:
    return header + (line.encode() if isinstance(line, str) else line) + b"\nu2,1430623644,view,26268\n"


BAD_ROWS = {
    "null user": (bad(",1430623535,cart,6768"), "column 'user_id' is null"),
    "null item": (bad("u1,1430623535,cart,"), "column 'item_id' is null"),
    "null action": (bad("u1,1430623535,,1"), "column 'action' is null"),
    "null time": (bad("u1,,cart,1"), "column 'timestamp' is null"),
    "text for time": (bad("u1,yesterday,cart,1"), "column 'timestamp' is neither a number nor"),
    "ISO among epochs": (
        bad("u1,2015-05-03T03:25:10,cart,1"), "column 'timestamp' holds times, where most rows hold numbers",
    ),
    "milliseconds among seconds": (bad("u1,1430623535000,cart,1"), "column 'timestamp' is not in s, the unit of most"),
    "negative": (bad("u1,-5,cart,1"), "column 'timestamp' is before 1970"),
    "year 50000": (bad("u1,50000-01-01,cart,1"), "column 'timestamp' is neither a number nor"),
    "too few fields": (bad("u1,1430623535,cart"), "the row doesn't have 4 fields"),
    "too many fields": (bad("u1,1430623535,cart,1,2"), "the row doesn't have 4 fields"),
    "invalid UTF-8": (bad(b"u\xff1,1430623535,cart,1"), "the row is not valid UTF-8"),
    "UTF-8 cut short": (bad(b"u1,1430623535,cart,\xe2\x82"), "the row is not valid UTF-8"),
    "epoch among ISO": (
        bad("u1,1430623535,cart,1", b"user_id,timestamp,action,item_id\nu1,2015-05-03,view,6768\n").replace(
            b"1430623644", b"2015-05-03T03:25:10Z"
        ),
        "column 'timestamp' holds numbers, where most rows hold times",
    ),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_refused_by_line_or_set_aside(write: Any, tmp_path: Path, case: str) -> None:
    content, reason = BAD_ROWS[case]
    path = write(content)
    with pytest.raises(InputError) as caught:
        read_events(path)
    assert str(caught.value).startswith(f"log.csv, line 3: {reason}")
    rejects = tmp_path / "rejects.csv"
    log = read_events(path, on_bad_rows="set_aside", rejects=rejects)
    assert log.to_columns()["user_id"].tolist() == ["u1", "u2"]
    assert len(log.item_ids) == 2  # ids of bad rows are gone
    (found,) = log.report.set_aside
    assert found.startswith(reason)
    assert log.report.set_aside[found].first == (3,)
    assert (log.report.rows_read, log.report.rows_kept, log.report.rows_set_aside) == (3, 2, 1)
    header, row = reference.read_csv(rejects.read_text(encoding="utf-8"))
    assert header == ["file", "line or row", "reason", "record"]
    assert row == ["log.csv", "3", found, content.split(b"\n")[2].decode("utf-8", "backslashreplace")]


def test_a_bad_first_row_does_not_decide_how_times_are_read(write: Any) -> None:
    for good in ("1430623510", "2015-05-03T03:25:10Z"):
        text = "item_id,timestamp\na,nan\n" + f"b,{good}\n" * 3
        log = read_events(write(text), user=None, action=None, on_bad_rows="set_aside")
        assert set(log.timestamp_us.tolist()) == {1430623510000000}
        assert log.report.rows_set_aside == 1


def test_a_year_50000_is_refused_whatever_unit_is_given(write: Any) -> None:
    with pytest.raises(InputError, match="after the year 9999"):
        read_events(write(bad("u1,1515683000000,cart,1")), timestamp_unit="s")


def test_a_given_unit_is_kept_to(write: Any) -> None:
    log = read_events(write(LINES), timestamp_unit="ms")
    assert log.timestamp_us[0] == 1430623510 * 1000
    with pytest.raises(InputError, match="is not an ISO 8601 time"):
        read_events(write(LINES), timestamp_unit="iso")


BAD_FILES = {
    "empty": (b"", "log.csv is empty: it has no header"),
    "blank": (b"\n\n", "log.csv is empty: it has no header"),
    "header only": (LINES.split("\n")[0].encode(), "log.csv has no rows"),
    "missing column": (b"user,timestamp,action,item_id\n", "'user_id', wanted as user, is missing. There are: 'user'"),
    "column twice": (b"user_id,user_id,timestamp,action,item_id\n", "'user_id', wanted as user, is there more than"),
    "open quote": (LINES.encode() + b'"u3,1,view,1\n', "line 5: a quote is opened here and never closed"),
    "gzip by another name": (gzip.compress(LINES.encode()), "begins as Parquet, gzip"),
    "Parquet by another name": (b"PAR1xxxx", "begins as Parquet, gzip"),
    "header not UTF-8": (b"user_id,caf\xe9\n", "the header is not valid UTF-8"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file(write: Any, case: str) -> None:
    content, words = BAD_FILES[case]
    with pytest.raises(InputError, match=words):
        read_events(write(content), on_bad_rows="set_aside")


def test_a_gzip_cut_short(tmp_path: Path) -> None:
    whole = gzip.compress(LINES.encode() * 1000, mtime=0)
    path = tmp_path / "log.csv.gz"
    for content, words in ((whole[:-20], "cut short"), (b"no gzip", "damaged"), (whole[:5], "damaged|cut short")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            read_events(path)


def test_a_line_longer_than_a_block(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with open(path, "wb") as file:
        file.write(b"item_id\n")
        file.truncate(100 << 20)  # 100 MB of NULs, a hole on disk
    with pytest.raises(InputError, match="line 2: the record is longer than 8 MiB"):
        read_events(path, user=None, timestamp=None, action=None)


def test_all_rows_bad(write: Any) -> None:
    with pytest.raises(InputError, match=r"all 2 rows were set aside \(2: column 'user_id' is null\)"):
        read_events(write("user_id,item_id\n,1\n,2\n"), timestamp=None, action=None, on_bad_rows="set_aside")


def test_first_lines_of_a_reason_are_kept(write: Any) -> None:
    text = "user_id,item_id\n" + "a,1\n,2\n" * 9
    log = read_events(write(text), timestamp=None, action=None, on_bad_rows="set_aside")
    aside = log.report.set_aside["column 'user_id' is null"]
    assert (aside.count, aside.first) == (9, (3, 5, 7, 9, 11))
    assert "set aside 9: column 'user_id' is null (line 3, 5, 7, 9, 11, ...)" in str(log.report)


def test_lines_count_newlines_in_quotes_and_blank_lines(write: Any) -> None:
    with pytest.raises(InputError, match="line 6: column 'user_id' is null"):
        read_events(write('user_id,item_id\n"a\nb",1\n\nc,2\n,3\n'), timestamp=None, action=None)


def test_progress_ends_at_the_size_of_the_file(write: Any) -> None:
    seen: list[Any] = []
    path = write(LINES, "log.csv.gz")
    read_events(path, progress=lambda *call: seen.append(call))
    assert seen[-1] == ("read", os.path.getsize(path), os.path.getsize(path))


@pytest.mark.parametrize("kind", ["log", "rejects"])
def test_a_full_disk_leaves_nothing_half_written(write: Any, tmp_path: Path, monkeypatch: Any, kind: str) -> None:
    path, target = write(bad(",1,view,1")), tmp_path / "out.csv"
    log = read_events(path, on_bad_rows="set_aside")
    target.write_text("what was there before")
    real = builtins.open

    class Full(io.TextIOWrapper):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        return Full(real(file, "wb")) if mode == "w" else real(file, mode, *args, **more)

    monkeypatch.setattr(builtins, "open", full)
    with pytest.raises(OSError, match="No space left"):
        log.to_csv(target) if kind == "log" else read_events(path, on_bad_rows="set_aside", rejects=target)
    monkeypatch.undo()
    assert target.read_text() == "what was there before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.csv", "out.csv"]


def test_rejects_appear_only_with_the_log(write: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_events(write("user_id,item_id\n,1\n"), timestamp=None, action=None, on_bad_rows="set_aside",
                    rejects=tmp_path / "r.csv")
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"delimiter": ""}, ValueError, "'delimiter'"),
        ({"delimiter": "\n"}, ValueError, "'delimiter'"),
        ({"delimiter": "abcde"}, ValueError, "'delimiter'"),
        ({"delimiter": '"'}, ValueError, "'delimiter'"),
        ({"quote": "ab"}, ValueError, "'quote'"),
        ({"encoding": "klingon"}, ValueError, "'encoding'"),
        ({"encoding": "hex"}, ValueError, "'encoding'"),
        ({"decimal": "x"}, ValueError, "'decimal'"),
        ({"format": "xml"}, ValueError, "'format'"),
        ({"columns": "abc"}, TypeError, "'columns'"),
        ({"columns": ["a", "a"]}, ValueError, "'columns'"),
        ({"null": 3}, TypeError, "'null'"),
        ({"timestamp_unit": "h"}, ValueError, "'timestamp_unit'"),
        ({"on_bad_rows": "drop"}, ValueError, "'on_bad_rows'"),
        ({"rejects": "r.csv"}, ValueError, "'rejects'"),
        ({"where": "no such"}, InputError, "where='no such' can't be evaluated"),
        ({"id_types": "float"}, ValueError, "'id_types'"),
        ({"id_types": {"shoe": "int"}}, ValueError, "'id_types'"),
        ({"action_value": "buy"}, ValueError, "'action_value'"),
        ({"action": None, "action_value": ""}, TypeError, "'action_value'"),
        ({"item": None}, TypeError, "'item'"),
        ({"user": 3}, TypeError, "'user'"),
    ],
)
def test_bad_parameters(write: Any, options: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        read_events(write(LINES), **options)


def test_no_such_file(tmp_path: Path) -> None:
    for name in ("no.csv", "no.csv.gz", "no.parquet"):
        with pytest.raises(FileNotFoundError):
            read_events(tmp_path / name)
    with pytest.raises(InputError, match="has no file of a log"):
        read_events(tmp_path)


# Parquet


@pytest.fixture
def parquet(tmp_path: Path) -> Any:
    duckdb = pytest.importorskip("duckdb")

    def to(query: str, name: str = "log.parquet") -> Path:
        path = tmp_path / name
        with duckdb.connect() as connection:
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
        return path

    return to


SHOP = """SELECT * FROM (VALUES
    ('C1', 17850.0, TIMESTAMP '2010-12-01 08:26:00', '85123A', 'HOLDER'),
    ('2', NULL, TIMESTAMP '2010-12-01 08:28:00', '71053', NULL),
    ('3', 13047.0, TIMESTAMP '2010-12-01 08:34:00', '85123A', 'HOLDER '),
    ('4', 13047.0, TIMESTAMP '2010-12-01 08:34:00', '85123A', 'lantern')
) t(InvoiceNo, CustomerID, InvoiceDate, StockCode, Description)"""
ROLES = {
    "user": "CustomerID", "timestamp": "InvoiceDate", "item": "StockCode", "item_text": "Description",
    "action": "CASE WHEN InvoiceNo LIKE 'C%' THEN 'remove' ELSE 'buy' END",
}


def test_parquet_with_expressions(parquet: Any, tmp_path: Path) -> None:
    seen: list[Any] = []
    log = read_events(parquet(SHOP), **ROLES, on_bad_rows="set_aside", progress=lambda *c: seen.append(c))
    assert log.user_ids.tolist() == [13047, 17850]
    assert log.item_ids.tolist() == ["85123A"]
    assert log.item_texts.tolist() == ["HOLDER"]
    assert [log.actions[a] for a in log.action] == ["remove", "buy", "buy"]
    assert log.to_columns()["timestamp"][0] == np.datetime64("2010-12-01T08:26:00")
    assert log.report.set_aside["column 'CustomerID' is null"].first == (1,)
    assert seen[-1][1] == seen[-1][2] == os.path.getsize(tmp_path / "log.parquet")
    with pytest.raises(InputError, match="row 1: column 'CustomerID' is null"):
        read_events(parquet(SHOP), **ROLES)


def test_parquet_where_and_globs(parquet: Any) -> None:
    path = parquet(SHOP, "a.parquet")
    parquet(SHOP, "b.parquet")
    assert len(read_events(path, **ROLES, where="CustomerID IS NOT NULL")) == 3
    assert len(read_events(path.with_name("*.parquet"), **ROLES, where="CustomerID IS NOT NULL")) == 6
    with pytest.raises(InputError, match="no rows"):
        read_events(path, **ROLES, where="CustomerID = 1")


def test_parquet_of_many_batches_keeps_its_order(parquet: Any) -> None:
    n = 300_000
    path = parquet(f"SELECT 'u' || (i % 7) AS u, i AS t, i % 1000 AS item_id FROM range({n}) r(i)")
    log = read_events(path, user="u", timestamp="t", action=None, timestamp_unit="s")
    assert log.timestamp_us.tolist() == [i * 10**6 for i in range(n)]
    assert log.user.tolist() == [i % 7 for i in range(n)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT [1, 2] AS item_id", "nested"),
        ("SELECT {'a': 1} AS item_id", "nested"),
        ("SELECT true AS item_id", "booleans"),
        ("SELECT 'x'::BLOB AS item_id", "bytes"),
        ("SELECT 1.5::DOUBLE AS item_id", "not an integer"),
        ("SELECT 1 AS other", "'item_id', wanted as item, is missing.*There are: 'other'"),
        ("SELECT 1 AS item_id WHERE false", "no rows"),
    ],
)
def test_parquet_of_unfit_types(parquet: Any, query: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_events(parquet(query), user=None, timestamp=None, action=None)


def test_parquet_cut_short(parquet: Any) -> None:
    path = parquet(SHOP)
    whole = path.read_bytes()
    for content in (whole[:-30], whole[:100], b"", b"PAR1", whole[:60] + b"\0" * 60 + whole[120:]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"log\.parquet"):
            read_events(path, **ROLES, on_bad_rows="set_aside")


def test_without_duckdb_it_is_named(parquet: Any, monkeypatch: Any) -> None:
    path = parquet(SHOP)
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    with pytest.raises(ImportError, match="pip install duckdb"):
        read_events(path)


@settings(max_examples=200)
@given(
    st.text(st.sampled_from('ab,"\n \u00e9'), max_size=40), st.sampled_from([",", "::"]),
    st.sampled_from(["\n", "\r\n"]), st.sampled_from([b"", codecs.BOM_UTF8]),
)
def test_places_of_records_equal_those_of_the_csv_module(
    tmp_path_factory: pytest.TempPathFactory, text: str, delimiter: str, end: str, mark: bytes
) -> None:
    def read(text: str) -> Any:
        return csv.reader(io.StringIO(text.replace(delimiter, "\x1f"), newline=""), delimiter="\x1f")

    text = text.replace(",", delimiter).replace("\n", end)
    path = tmp_path_factory.mktemp("records") / "log.csv"
    path.write_bytes(mark + text.encode())
    blocks = record_blocks(str(path), delimiter, '"', carriage_returns=False, skip_blank=True)
    starts, ends, lines = (np.concatenate(part).tolist() for part in zip(*blocks))
    found = [next(read(path.read_bytes()[a:z].decode())) for a, z in zip(starts, ends)]
    expected, line = [], 1
    for record in (reader := read(text)):
        expected += [(record, line)] if record else []
        line = reader.line_num + 1
    assert list(zip(found, lines)) == expected


@given(st.lists(st.sampled_from(["a", '"', ",", "::", "\r", "\n", "\r\n"]), max_size=12), st.data())
def test_line_ends_change_outside_quotes_alone(marks: list[str], data: Any) -> None:
    delimiter = data.draw(st.sampled_from([",", "::"]))
    text, ends, got = "".join(marks), LineEnds(delimiter.encode(), b'"'), b""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    for start, stop in pairwise([0, *cuts, len(text)]):
        got += ends.replaced(text[start:stop].encode())
    got += ends.replaced(b"", last=True)
    # A quote opens at the start of a field, and within quotes closes, unless doubled.
    fields = rf'((?:^|(?<=[\r\n])|(?<={delimiter}))"(?:[^"]|"")*"?)|\r\n|\r'
    assert got.decode() == re.sub(fields, lambda found: found[1] or "\n", text)
