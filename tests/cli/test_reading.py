"""Options of reading, and errors that speak of flags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.command_line import FAST, answer, refused
from traitcore.cli import main
from traitcore.serving.store import TableStore


def test_reading_options_reach_the_log_and_the_items(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = (folder / "events.csv").read_text().splitlines()[1:]
    rows = [line.split(",")[:4] for line in lines]
    named = "kund\u00e9"
    text = "".join(f"{u.replace('cust', named)};{t.replace('T', ' ')[:-1]} UTC;{a};{i}\n" for u, t, a, i in rows)
    (tmp_path / "log.txt").write_bytes(text.encode("latin-1"))
    text = "sku;titel;preis\nprod_0001;Caf\u00e9;12,50\nprod_0002;Tee;3\n"
    (tmp_path / "items.txt").write_bytes(text.encode("latin-1"))
    log, store = str(tmp_path / "log.txt"), str(tmp_path / "store")
    how = ("--delimiter", ";", "--no-header", "--columns", "who,when,what,item_id", "--encoding", "latin-1",
           "--user", "who", "--timestamp", "when", "--action", "what", "--decimal", ",",
           "--items", str(tmp_path / "items.txt"), "--items-columns", "item_id=sku,text=titel,price=preis")
    found = answer(capsys, "fit", log, "--store", store, *FAST, *how)
    assert (found["log"]["rows_kept"], found["log"]["timestamp_unit"]) == (len(rows), "iso")
    assert str(TableStore(store).open("customers").ids[0]).startswith("kund\u00e9")
    items = TableStore(store).open("items")
    assert items.metadata["texts"][items.row("prod_0001")] == "Caf\u00e9"
    message = refused(capsys, "fit", log, "--store", store, *FAST, *how[:-1], "item_id=code")
    assert "'code', wanted as item, is missing" in message
    assert message.endswith("--items-columns item_id=NAME gives another name.\n")
    assert "--items-columns must be like" in refused(capsys, "fit", log, "--store", store, *how[:-1], "sku")


def test_notes_and_errors_of_reading_speak_of_flags(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, store = tmp_path / "log.csv", str(tmp_path / "store")
    head = "user_id,timestamp,action,item_id\n"
    rows = "".join(f"{'NA' if i % 9 == 0 else i % 5},{1_500_000_000 + 60 * i},view,{i % 3}\n" for i in range(90))
    path.write_text(head + rows)
    assert main(["fit", str(path), "--store", store, *FAST, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "traitcore: note: log.csv: column 'user_id' is 'NA' in 10 rows" in err
    assert "--null NA makes them rows without one" in err
    assert "10 rows" in json.loads(out)["log"]["notes"][0]
    found = answer(capsys, "fit", str(path), "--store", store + "2", *FAST, "--null", "NA", "--set-aside")
    assert found["log"]["rows_kept"] == 80
    for content, how, words in (
        (head + "1,20191001,view,2\n", (), "--timestamp-format %Y%m%d reads dates; --timestamp-unit s"),
        (head + ",1500000000,view,2\n", (), "(--set-aside leaves such rows out"),
        (head.encode() + b"caf\xe9,1500000000,view,2\n", (), "--encoding latin-1, say, reads text"),
        (head, ("--where", "1 +"), "--where '1 +' can't be evaluated"),
        (head.replace(",", ";"), (), "--delimiter ';' says so"),
        (head, ("--rejects", str(path)), "--rejects must be another file"),
        (head, ("--no-header",), "--no-header needs --columns"),
        (head, ("--encoding", "klingon"), "--encoding must be the name of a text encoding"),
    ):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        message = refused(capsys, "fit", str(path), "--store", store, *FAST, *how)
        assert words in message
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert "must not be empty" in refused(capsys, "fit", "", "--store", store)


def test_a_missing_column_says_which_options_help(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log, store = tmp_path / "log.csv", str(tmp_path / "store")
    log.write_text("user_id,timestamp,item_id\n" + "".join(f"u{i},{i},a\n" for i in range(9)), encoding="utf-8")
    for command in (["fit"], ["evaluate"]):
        where = ["--store", store] if command == ["fit"] else []
        message = refused(capsys, *command, str(log), *where)
        assert "column 'action', wanted as action, is missing. There are: 'user_id', 'timestamp', 'item_id'." in message
        assert "--action NAME gives another name; --action - if there is none; --action-value buy" in message
        assert "--user - if there is none." in refused(capsys, *command, str(log), *where, "--user", "who")
        message = refused(capsys, *command, str(log), *where, "--action", "-", "--item", "sku")
        assert message.endswith("--item NAME gives another name.\n")
    message = refused(capsys, "follow", str(log), "--store", str(folder / "store"), "--quiet")
    assert "column 'action', wanted as action, is missing" in message
    assert message.endswith("--action NAME gives another name; --action-value buy if every event is a buy.\n")
    rows = "".join(f"u{i % 5},{1_500_000_000 + i * 60},{'abc'[i % 3]}\n" for i in range(90))
    log.write_text("user_id,timestamp,item_id\n" + rows, encoding="utf-8")
    for number, how in enumerate((["--action-value", "buy"], ["--action", "-"])):  # what was said works
        done = answer(capsys, "fit", str(log), *how, "--store", f"{store}{number}", "--customers", "none", *FAST)
        assert done["tokens"] == 3
