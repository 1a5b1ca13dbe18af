"""read_events: dialects, encodings, archives, folders, pipes, JSON, Excel; names that are names; ids and nulls."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import sys
import threading
import warnings
import zipfile
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from traitcore import EventLog, InputError, read_events
from traitcore.events.log_report import InputWarning

TEXT = """user_id,timestamp,action,item_id
ann,1430623510,view,6768
"b,\u00f6b",1430623535,cart,6768
ann,1430623644,view,"26
268"
"""
BARE: dict[str, Any] = {"timestamp": None, "action": None}


def same(log: EventLog) -> None:
    """Is it the log of TEXT?"""
    expected = EventLog.from_columns({
        "user_id": ["ann", "b,\u00f6b", "ann"], "timestamp": [1430623510, 1430623535, 1430623644],
        "action": ["view", "cart", "view"], "item_id": ["6768", "6768", "26\n268"],
    })
    for name, column in expected.to_columns().items():
        assert column.tolist() == log.to_columns()[name].tolist()


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# -- dialects and encodings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [";", "\t", "|", "::", "|~|", "\u00a7", " "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_delimiter_and_line_end(tmp_path: Path, delimiter: str, end: str) -> None:
    rows = list(csv.reader(io.StringIO(TEXT, newline="")))
    lines = [delimiter.join('"' + field.replace('"', '""') + '"' for field in row) for row in rows]
    same(read_events(put(tmp_path, "log.csv", end.join(lines) + end), delimiter=delimiter))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7"])
def test_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = put(tmp_path, "log.csv", TEXT.encode(encoding))
    same(read_events(path, encoding=encoding))
    if encoding in ("utf-16", "utf-32", "utf-8-sig"):  # they begin with a byte order mark
        same(read_events(path))
    elif encoding in ("latin-1", "cp1252"):
        with pytest.raises(InputError, match=r"log.csv, line 3: the row is not valid UTF-8. encoding='latin-1'"):
            read_events(path)
        log = read_events(path, on_bad_rows="set_aside")
        assert not any("xf6" in user for user in log.user_ids.tolist())
    with pytest.raises(InputError, match=r"log.csv is not text in ascii"):
        read_events(put(tmp_path, "log.csv", TEXT), encoding="ascii")


def test_a_log_in_another_encoding_is_refused_as_a_whole(tmp_path: Path) -> None:
    path = put(tmp_path, "log.csv", b"user_id,item_id\n" + b"caf\xe9,1\n" * 100_001)
    with pytest.raises(InputError, match=r"not UTF-8 in more than 100,000 places. encoding='latin-1'"):
        read_events(path, **BARE, on_bad_rows="set_aside")


def test_without_a_header_and_without_quotes(tmp_path: Path) -> None:
    path = put(tmp_path, "log.dat", '1::5"::7\n"2::6::8\n')
    log = read_events(path, columns=["user_id", "item_id", "r"], delimiter="::", quote=None, **BARE)
    assert log.user_ids.tolist() == ['"2', "1"]
    assert log.item_ids.tolist() == ['5"', "6"]
    with pytest.raises(InputError, match="line 1: the row doesn't have 2 fields, as there are names of columns"):
        read_events(path, columns=["user_id", "item_id"], delimiter="::", quote=None, **BARE)


def test_decimal_commas(tmp_path: Path) -> None:
    path = put(tmp_path, "log.csv", "t;item_id\n1500000000,5;1\n1500000001,25;2\n")
    how: dict[str, Any] = {"delimiter": ";", "timestamp": "t", "user": None, "action": None}
    assert read_events(path, decimal=",", **how).timestamp_us.tolist() == [1500000000500000, 1500000001250000]
    with pytest.raises(InputError, match="neither a number"):
        read_events(path, **how)


def test_mixed_line_ends_keep_every_row(tmp_path: Path) -> None:
    path = put(tmp_path, "log.csv", 'user_id,item_id\r\na,1\nb,2\r"c\r\nd",3\r\n,4\n')
    log = read_events(path, **BARE, on_bad_rows="set_aside")
    assert log.to_columns()["user_id"].tolist() == ["a", "b", "c\r\nd"]  # in quotes as it was
    assert log.report.set_aside["column 'user_id' is null"].first == (6,)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("inside", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("more", ["", "\n", "\r\n", "\r"])
@pytest.mark.parametrize("header", [True, False])
def test_a_quoted_line_break_in_the_first_record(
    tmp_path: Path, end: str, inside: str, more: str, header: bool
) -> None:
    text = f'"a{inside}b",1{end}c,2{more or end}d,3{end}'
    names: dict[str, Any] = {} if header else {"columns": ["user_id", "item_id"]}
    path = put(tmp_path, "log.csv", f"user_id,item_id{end}{text}" if header else text)
    log = read_events(path, **BARE, **names)
    assert log.to_columns()["user_id"].tolist() == [f"a{inside}b", "c", "d"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blank_lines_before_the_header(tmp_path: Path, end: str) -> None:
    text = end.join(["", "", "user_id,item_id", "a,1", "", ",2", ""])
    for start in ("", "\ufeff"):
        log = read_events(put(tmp_path, "log.csv", start + text), **BARE, on_bad_rows="set_aside")
        assert log.to_columns()["user_id"].tolist() == ["a"]
        assert log.report.rows_read == 2
        assert log.report.set_aside["column 'user_id' is null"].first == (6,)


def test_inch_marks_and_doubled_quotes(tmp_path: Path) -> None:
    path = put(tmp_path, "log.csv", 'user_id,item_id\na,5" screen\nb,"7"" screen"\n\nc,\n')
    log = read_events(path, **BARE, on_bad_rows="set_aside")
    assert log.to_columns()["item_id"].tolist() == ['5" screen', '7" screen']
    assert log.report.set_aside["column 'item_id' is null"].first == (5,)


@pytest.mark.parametrize("where", [3, 30_000, 59_990])
def test_an_open_quote_is_refused_wherever_it_is(tmp_path: Path, where: int) -> None:
    lines = [f"u{i},{i}" for i in range(60_000)]
    lines[where] = '"' + lines[where]
    path = put(tmp_path, "log.csv", "user_id,item_id\n" + "\n".join(lines) + "\n")
    for how in ("raise", "set_aside"):
        with pytest.raises(InputError, match=f"log.csv, line {where + 2}: a quote is opened here and never closed"):
            read_events(path, **BARE, on_bad_rows=how)


def test_a_long_field_of_many_lines_is_read(tmp_path: Path) -> None:
    text = "user_id,item_id\n" + "a,1\n" * 900_000 + '"' + "b,2\n" * 500_000 + '",3\nc,4\n'
    log = read_events(put(tmp_path, "log.csv", text), **BARE)
    assert len(log) == 900_002


def test_torn_rows_are_counted_by_the_million(tmp_path: Path) -> None:
    path = put(tmp_path, "log.csv", "user_id,item_id\n" + "a\n" * 1_000_000 + "b,5\n" + "c,1,2\n")
    log = read_events(path, **BARE, on_bad_rows="set_aside")
    (aside,) = log.report.set_aside.values()
    assert (len(log), aside.count, aside.first) == (1, 1_000_001, (2, 3, 4, 5, 6))


# -- where the bytes come from ---------------------------------------------------------------------------------------


def packed(content: bytes) -> dict[str, bytes]:
    zstandard = pytest.importorskip("zstandard")
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log.csv", content)
    return {"log.csv.gz": gzip.compress(content), "log.csv.bz2": bz2.compress(content),
            "log.csv.xz": lzma.compress(content), "log.zip": box.getvalue(),
            "log.csv.zst": zstandard.ZstdCompressor(write_checksum=True).compress(content)}


def test_archives_whole_in_parts_and_damaged(tmp_path: Path) -> None:
    noise = "\n".join(f"u{v},1430623510,view,i{v}" for v in np.random.default_rng(0).integers(0, 2**60, 20_000))
    for name, content in packed((TEXT + noise).encode()).items():
        path = put(tmp_path, name, content)
        assert len(read_events(path)) == 20_003
        middle = len(content) // 2
        changed = content[:middle] + b"\0\0\0\0" + content[middle + 4 :]
        for damaged in (content[:-20], content[:middle], content[:40], changed):
            path.write_bytes(damaged)
            with pytest.raises(InputError, match=r"damaged or|has no header"):
                read_events(path, on_bad_rows="set_aside")
        if not name.endswith(".zip"):
            path.write_bytes(content + packed(b"\nlast,1430623510,view,5\n")[name])
            assert len(read_events(path)) == 20_004


def test_an_archive_of_several_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "logs.zip", "w") as archive:
        archive.writestr("a/x.csv", TEXT)
        archive.writestr("b.jsonl", '{"user_id": "z", "timestamp": 1430623510, "action": "buy", "item_id": ""}\n')
    log = read_events(tmp_path / "logs.zip", on_bad_rows="set_aside")
    assert len(log) == 3
    assert log.report.set_aside["column 'item_id' is null"].files == ("logs.zip/b.jsonl",)


def test_folders_patterns_lists_and_partitions(tmp_path: Path) -> None:
    for day, action in (("2019-10-01", "buy"), ("2019-10-02", "view")):
        put(tmp_path, f"logs/action={action}/day={day}/part.csv", f"user_id,item_id\n{action},7\n")
    put(tmp_path, "logs/_SUCCESS", "")
    put(tmp_path, "logs/.hidden.csv", "nonsense")
    for path in (tmp_path / "logs", tmp_path / "logs" / "**" / "*.csv", sorted((tmp_path / "logs").rglob("part.csv"))):
        log = read_events(path, timestamp="day")
        assert log.to_columns()["user_id"].tolist() == ["buy", "view"]
        assert [log.actions[a] for a in log.action] == ["buy", "view"]
        assert log.to_columns()["timestamp"].astype("M8[D]").astype(str).tolist() == ["2019-10-01", "2019-10-02"]
    assert len(read_events(tmp_path / "logs", timestamp="day", where="action = 'buy'")) == 1
    with pytest.raises(InputError, match=r"part.csv: column 'sku', wanted as item, is missing"):
        read_events(tmp_path / "logs", **BARE, item="sku")
    put(tmp_path, "logs/z.csv", "user_id,item_id\n,1\n")
    with pytest.raises(InputError, match=r"z.csv, line 2: column 'user_id' is null"):
        read_events(tmp_path / "logs", **BARE)


def test_standard_input_and_named_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(TEXT.encode())))
    same(read_events("-"))
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(TEXT.encode()))
    writer.start()
    same(read_events(pipe))
    writer.join()


def test_home_and_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path, "log.csv", TEXT)
    same(read_events("~/log.csv"))
    with pytest.raises(InputError, match="must not be empty"):
        read_events("")
    with pytest.raises(TypeError, match="'path'"):
        read_events([])


def test_rejects_never_replace_what_is_read(tmp_path: Path) -> None:
    path = put(tmp_path, "log.csv", TEXT)
    (tmp_path / "link.csv").symlink_to(path)
    for rejects in (path, tmp_path / "link.csv", tmp_path / "." / "log.csv"):
        with pytest.raises(ValueError, match="'rejects' parameter of read_events must be another file"):
            read_events(path, on_bad_rows="set_aside", rejects=rejects)
    assert path.read_text() == TEXT


# -- JSON and Excel -------------------------------------------------------------------------------------------------


RECORDS: list[Any] = [
    {"who": {"id": 1}, "t": "2019-10-01 00:00:00 UTC", "a.b": "x",
     "list": [{"i": 5, "n": {"k": "p"}}, {"i": 6, "n": {"k": "q"}}]},
    {"who": {"id": 2}, "t": "2019-10-01T00:00:01+02:00", "a.b": "y", "list": []},
    {"who": {"id": 123456789012345678901}, "t": "2019-10-01", "a.b": "z", "list": [{"i": 7, "n": {"k": "r"}}]},
]
PATHS: dict[str, Any] = {
    "user": "who.id", "timestamp": "t", "action": "a.b", "item": "list[].i", "item_text": "list[].n.k",
}


@pytest.mark.parametrize("form", ["lines", "array"])
def test_json_by_path(tmp_path: Path, form: str) -> None:
    text = json.dumps(RECORDS) if form == "array" else "\n".join(map(json.dumps, RECORDS))
    log = read_events(put(tmp_path, "log.json", text), **PATHS)
    assert log.user_ids.tolist() == ["1", "123456789012345678901"]
    assert log.item_ids.tolist() == [5, 6, 7]
    assert log.actions == ("x", "z")
    assert log.item_texts.tolist() == ["p", "q", "r"]
    (aside,) = log.report.set_aside.values()
    assert (aside.count, aside.first) == (1, (2,) if form == "lines" else (1,))


def test_bad_json_is_named_by_line(tmp_path: Path) -> None:
    lines = [json.dumps(record) for record in RECORDS]
    text = "\n".join([lines[0], "{not json", "", '"a text"', *lines[1:], '{"who": {"id": 3}}'])
    path = put(tmp_path, "log.jsonl", text)
    log = read_events(path, **PATHS, on_bad_rows="set_aside", rejects=tmp_path / "r.csv")
    assert len(log) == 3
    assert {reason: aside.first for reason, aside in log.report.set_aside.items()} == {
        "the record is not JSON": (2,), "the record's list of events is empty or missing": (4, 5, 7),
    }
    with open(tmp_path / "r.csv", newline="") as file:
        assert [row[1] for row in csv.reader(file)] == ["line or row", "2", "4", "5", "7"]
    with pytest.raises(InputError, match=r"log.jsonl, line 2: the record is not JSON"):
        read_events(path, **PATHS)
    with pytest.raises(InputError, match=r"line 1: column 'who' is a JSON object or list"):
        read_events(put(tmp_path, "ids.jsonl", lines[0]), **PATHS | {"user": "who"})
    with pytest.raises(InputError, match=r"'nobody.id', wanted as user, is missing\. There are: 'who', 't', 'a\.b'"):
        read_events(path, **PATHS | {"user": "nobody.id"})
    assert len(read_events(path, **PATHS, where="\"a.b\" = 'x'", on_bad_rows="set_aside")) == 2


def test_nested_parquet_by_path(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "log.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"""COPY (
            SELECT {{'id': 5}} AS who, [{{'i': 'a', 'q': 1}}, {{'i': 'b', 'q': 2}}] AS list, 'x' AS a
            UNION ALL SELECT {{'id': 6}}, [], 'y') TO '{path}' (FORMAT parquet)""")
    log = read_events(path, user="who.id", item="list[].i", action="a", timestamp=None)
    assert log.to_columns()["item_id"].tolist() == ["a", "b"]
    assert log.user_ids.tolist() == [5]
    assert log.report.rows_set_aside == 1


def test_excel_sheets(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("python_calamine")
    book = openpyxl.Workbook()
    first, second = book.active, book.create_sheet("more")
    for sheet, rows in ((first, [(17850.0, "2010-12-01 08:26", "a"), (None, "x", "b")]),
                        (second, [(13047, "2010-12-01 08:27", 71053)])):
        for row in [("user_id", "timestamp", "item_id"), *rows]:
            sheet.append(row)
    path = tmp_path / "log.xlsx"
    book.save(path)
    log = read_events(path, action=None, on_bad_rows="set_aside")
    assert log.user_ids.tolist() == [13047, 17850]
    assert log.item_ids.tolist() == ["71053", "a"]
    assert log.report.set_aside["column 'user_id' is null"].first == (3,)
    assert len(read_events(path, action=None, sheet="more")) == 1
    with pytest.raises(InputError, match=r"has no sheet 'none'\. There are: 'Sheet', 'more'"):
        read_events(path, sheet="none")
    second["A1"] = "customer"
    book.save(path)
    with pytest.raises(InputError, match="sheet 'more' has other columns than 'Sheet'"):
        read_events(path, action=None, on_bad_rows="set_aside")


# -- names, ids, nulls ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_a_columns_name_is_never_sql(tmp_path: Path, form: str) -> None:
    import duckdb

    names = ["0", "user-id", "Customer ID", "order", "select", "user", "id", 'quo"te', "count(*)", "r"]
    path = tmp_path / f"log.{form}"
    if form == "json":
        path.write_text(json.dumps({name: f"v{k}" for k, name in enumerate(names)}) + "\n")
    else:
        columns = ", ".join(f"'v{k}' AS " + '"' + name.replace('"', '""') + '"' for k, name in enumerate(names))
        with duckdb.connect() as connection:
            how = "csv, HEADER" if form == "csv" else form
            connection.execute(f"COPY (SELECT {columns}) TO '{path}' (FORMAT {how})")
    for k, name in enumerate(names):
        log = read_events(path, user=name, item="id", **BARE)
        assert log.user_ids.tolist() == [f"v{k}"]
    for constant in ("1", "'x'", "5 + 5"):
        with pytest.raises(InputError, match="wanted as user, is missing"):
            read_events(path, user=constant, item="id", **BARE)
    for bad in ("x) FROM range(3); DROP TABLE y; --", "1; SELECT 2", "(SELECT 1"):
        with pytest.raises(InputError, match=r"is no SQL expression|names no column"):
            read_events(path, user=bad, item="id", **BARE)


def test_sql_over_a_csv(tmp_path: Path) -> None:
    path = put(tmp_path, "log.csv", TEXT + ",1430623650,view,5\nshort,1\n")
    log = read_events(path, user="upper(user_id)", action="CASE WHEN action = 'view' THEN 'look' ELSE action END",
                      where="item_id <> '26\n268'", on_bad_rows="set_aside")
    assert log.user_ids.tolist() == ["ANN", "B,\u00d6B"]
    assert log.actions == ("cart", "look")
    assert (log.report.rows_read, log.report.rows_kept) == (4, 2)
    assert {aside.first for aside in log.report.set_aside.values()} == {(6,), (7,)}
    with pytest.raises(InputError, match=r"log.csv: Conversion Error"):
        read_events(path, user="action::INT", on_bad_rows="set_aside")


def test_a_similar_name_and_another_delimiter_are_hinted(tmp_path: Path) -> None:
    path = put(tmp_path, "log.csv", "user_id;item_id\n1;2\n")
    with pytest.raises(InputError, match="If ';' separates the fields, delimiter=';' says so"):
        read_events(path, **BARE)
    with pytest.raises(InputError, match="Is it 'item_id'"):
        read_events(path, delimiter=";", item="itemid", **BARE)


def test_words_for_no_value_are_noted_or_nulls(tmp_path: Path) -> None:
    path = put(tmp_path, "log.csv", "user_id,item_id\nNA,1\n2,3\nNA,4\n")
    with pytest.warns(InputWarning, match=r"'user_id' is 'NA' in 2 rows, taken as a user of that name; null='NA'"):
        log = read_events(path, **BARE)
    assert log.user_ids.tolist() == ["2", "NA"]
    assert "note: column 'user_id' is 'NA' in 2 rows" in str(log.report)
    log = read_events(path, **BARE, null=["NA", r"\\N"], on_bad_rows="set_aside")
    assert log.user_ids.tolist() == [2]
    assert log.report.set_aside["column 'user_id' is null"].first == (2, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_events(path, **BARE, null=()).user_ids.tolist() == ["2", "NA"]
        columns = {"user_id": ["NA", "a"], "item_id": [1, 2]}
        frame = EventLog.from_columns(columns, **BARE, null="NA", on_bad_rows="set_aside")
    assert frame.user_ids.tolist() == ["a"]


def test_one_stray_id_among_integers_is_noted_with_its_line(tmp_path: Path) -> None:
    path = put(tmp_path, "log.csv", "user_id,item_id\n" + "".join(f"{i},1\n" for i in range(30)) + "x7,1\n5,1\n")
    with pytest.warns(InputWarning, match="text for 1 of its 31 ids.*the first is 'x7' in line 32; id_types='int'"):
        log = read_events(path, **BARE)
    assert log.user_ids.dtype == object
    log = read_events(path, **BARE, id_types="int", on_bad_rows="set_aside")
    assert log.user_ids.tolist() == list(range(30))


BIG = [2**63, 2**63 + 1, 5]


def test_integers_beyond_int64_are_exact_texts(tmp_path: Path) -> None:
    expected = sorted(map(str, BIG))
    columns: list[Any] = [BIG, np.array(BIG, dtype=np.uint64), np.array(BIG, dtype=object)]
    pandas, polars, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    columns += [pandas.Series(np.array(BIG, dtype=np.uint64)).astype("UInt64"), pa.array(BIG, pa.uint64()),
                polars.Series(BIG, dtype=polars.UInt64),
                pa.array([Decimal(v) for v in BIG], pa.decimal128(38, 0)),
                pa.chunked_array([[5], BIG[:2]], pa.uint64())]
    for column in columns:
        log = EventLog.from_columns({"item_id": column}, user=None, **BARE)
        assert log.item_ids.tolist() == expected, type(column)
    whole = pa.array([Decimal("7.00"), None, Decimal("9007199254740993.00")], pa.decimal128(38, 2))
    log = EventLog.from_columns({"item_id": whole}, user=None, **BARE, on_bad_rows="set_aside")
    assert log.item_ids.tolist() == [7, 9007199254740993]
    import duckdb

    path = tmp_path / "log.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT i + 9223372036854775000 AS item_id FROM (SELECT range::UBIGINT AS i FROM "
                           f"range(300000))) TO '{path}' (FORMAT parquet)")
    log = read_events(path, user=None, **BARE)
    assert len(log.item_ids) == 300_000
    assert str(9223372036854775000 + 299_999) in set(log.item_ids.tolist())


def test_lazy_frames_and_relations() -> None:
    polars = pytest.importorskip("polars")
    import duckdb

    columns = {"user_id": ["a", "b"], "item_id": [1, 2], "unused": [[1], [2]]}
    lazy = polars.LazyFrame(columns).filter(polars.col("item_id") > 1)
    assert EventLog.from_columns(lazy, **BARE).user_ids.tolist() == ["b"]
    with pytest.raises(InputError, match="'sku', wanted as item, is missing"):
        EventLog.from_columns(lazy, item="sku", **BARE)
    with duckdb.connect() as connection:
        relation = connection.sql("SELECT 'a' AS user_id, 18446744073709551615::UBIGINT AS item_id")
        assert EventLog.from_columns(relation, **BARE).item_ids.tolist() == ["18446744073709551615"]
