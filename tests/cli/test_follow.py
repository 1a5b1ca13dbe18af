"""`traitcore follow`: traits after each event, from a file or standard input, without a refit."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from traitcore.cli import main
from traitcore.events import followed as followed_rows
from traitcore.events.followed import FollowedRow, follow_rows
from traitcore.events.reading import Reading
from traitcore.serving.store import TableStore

FAST = ("--n-traits", "3", "--vector-size", "8", "--epochs", "2", "--quiet")
HEAD = "user_id,timestamp,action,item_id"


@pytest.fixture
def shop(fitted: Path, tmp_path: Path) -> Path:
    """A folder of its own with the log and the fitted tables."""
    shutil.copytree(fitted, tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("follow")
    assert main(["simulate", str(folder / "events.csv"), "--users", "120", "--items", "40", "--traits", "3"]) == 0
    assert main(["fit", str(folder / "events.csv"), "--store", str(folder / "store"), *FAST]) == 0
    return folder


def events(folder: Path, *rows: str, name: str = "new.csv") -> str:
    path = folder / name
    path.write_text("\n".join([HEAD, *rows]) + "\n", encoding="utf-8")
    return str(path)


def followed(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[list[dict[str, Any]], str]:
    capsys.readouterr()
    assert main(["follow", *argv, "--json"]) == 0
    out, err = capsys.readouterr()
    return [json.loads(line) for line in out.splitlines()], err


def shares(answer: dict[str, Any], k: int = 3) -> list[float]:
    found = [0.0] * k
    for trait in answer["traits"]:
        found[trait["trait"]] = trait["share"]
    return found


def test_each_event_updates_the_traits_of_the_fit(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = TableStore(shop / "store")
    customers, tokens = store.open("customers"), store.open("tokens")
    one = str(customers.ids[5])
    action, item = str(tokens.ids[0]).split("_", 1)
    new = events(shop, f"{one},2026-01-01,{ {'buy': 'purchase', 'cart': 'add_cart'}.get(action, action) },{item}")
    rows, err = followed(capsys, new, "--history", str(shop / "events.csv"), "--store", str(store.root))
    assert len(rows) == 1
    assert rows[0]["customer"] == one
    assert rows[0]["token"] == str(tokens.ids[0])
    assert rows[0]["known"]
    before = customers.vectors[5]
    for trait in rows[0]["traits"]:
        assert trait["share"] - trait["change"] == pytest.approx(before[trait["trait"]], abs=1e-4)
    assert sum(abs(t["change"]) for t in rows[0]["traits"]) > 1e-4
    assert "1 events followed, 0 lines left out; 120 customers known" in err


def test_saved_and_restored(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (shop / "events.csv").read_text(encoding="utf-8").splitlines()[1:41]
    rows = [",".join(line.split(",")[:4]) for line in lines]
    store = ("--store", str(shop / "store"))
    at_once, err = followed(capsys, events(shop, *rows), *store)
    assert "customers start without events" in err
    first, err = followed(capsys, events(shop, *rows[:25]), *store, "--save")
    assert "saved as live v000001" in err
    second, err = followed(capsys, events(shop, *rows[25:]), *store, "--quiet")
    assert err == ""
    assert [a["token"] for a in first + second] == [a["token"] for a in at_once]
    for got, want in zip(first + second, at_once):
        np.testing.assert_allclose(shares(got), shares(want), atol=1e-5)
    assert len(TableStore(shop / "store").list("live")) == 1


def test_rows_that_are_no_events(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = events(shop, "a,2026-01-01,view,", ",2026-01-01,view,prod_0001", "a,2026", "", "a,2026-01-01,view,no_such",
                 "a,2026-01-01,view,prod_0001")
    rows, err = followed(capsys, new, "--store", str(shop / "store"))
    assert [row["known"] for row in rows] == [False, True]
    assert rows[0]["traits"] == []
    assert rows[0]["token"] == "view_no_such"
    for line in ("line 2 left out: no item", "line 3 left out: no user",
                 "line 4 left out: the row doesn't have 4 fields"):
        assert line in err
    assert "2 events followed, 3 lines left out; 1 customers known" in err


def test_text_output(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = events(shop, "a,2026-01-01,view,no_such", "a,2026-01-01,view,prod_0001")
    capsys.readouterr()
    assert main(["follow", new, "--store", str(shop / "store"), "--quiet", "-k", "1"]) == 0
    unknown, known = capsys.readouterr().out.splitlines()
    assert unknown == "a  view_no_such  not in the tables, nothing changed"
    assert known.startswith("a  view_prod_0001  trait ")
    assert known.count("%") == 1


def test_standard_input_until_interrupted(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Typed:
        parts = iter([HEAD.encode() + b"\na,2026-0", b"1-01,view,prod_0001\n", b"a,20"])

        def read1(self, n: int) -> bytes:
            try:
                return next(self.parts)
            except StopIteration:
                raise KeyboardInterrupt from None

        read = read1

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Typed()))
    rows, err = followed(capsys, "-", "--store", str(shop / "store"), "--save")
    assert [row["token"] for row in rows] == ["view_prod_0001"]
    assert "1 customers known; saved as live v000001" in err


def test_what_cannot_be_followed(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, new = str(shop / "store"), events(shop, "a,2026-01-01,view,prod_0001")

    def refused(*argv: str) -> str:
        capsys.readouterr()
        assert main(["follow", *argv, "--quiet"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        return err

    assert "There is no store" in refused(new, "--store", str(shop / "none"))
    assert "column 'who', wanted as user, is missing" in refused(new, "--store", store, "--user", "who")
    assert "no file" in refused(str(shop / "none.csv"), "--store", store)
    assert "-k must be at least 1" in refused(new, "--store", store, "-k", "0")
    followed(capsys, new, "--store", store, "--save")
    again = ["fit", str(shop / "events.csv"), "--store", store, *FAST, "--seed", "3", "--force", "a test"]
    assert main(again) == 0
    assert "--history LOG starts again" in refused(new, "--store", store)
    sessions = str(shop / "sessions")
    assert main(["fit", str(shop / "events.csv"), "--store", sessions, "--customers", "sessions", *FAST]) == 0
    assert "holds sessions, not users" in refused(new, "--store", sessions)


def test_every_reading_option_holds(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, path = str(shop / "store"), shop / "new.txt"
    path.write_bytes("prod_0001;ca\u00fee;purchase;x\nprod_0002;b;bought;x\nprod_0003;NA;purchase;x\n".encode("latin-1"))
    how = ("--delimiter", ";", "--columns", "what,who,did,not", "--encoding", "latin-1", "--user", "who", "--item",
           "what", "--action", "did", "--null", "NA", "--map-action", "bought=view")
    rows, err = followed(capsys, str(path), "--store", store, *how)
    assert [row["customer"] for row in rows] == ["ca\u00fee", "b"]
    assert [row["token"] for row in rows] == ["buy_prod_0001", "view_prod_0002"]
    assert "line 3 left out: no user" in err
    rows, _ = followed(capsys, str(path), "--store", store, *how, "--where", "who = 'b'")
    assert [row["customer"] for row in rows] == ["b"]
    rows, _ = followed(capsys, str(path), "--store", store, *how, "--item", "substr(what, 1, 8) || '2'")
    assert rows[0]["token"] == "buy_prod_0002"
    lines = [{"u": {"id": "a"}, "do": "view", "of": ["prod_0001", "prod_0002"]},
             {"u": {"id": "b"}, "do": "view", "of": []}]
    json_path = shop / "new.jsonl"
    json_path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "{broken\n")
    rows, err = followed(capsys, str(json_path), "--store", store, "--user", "u.id", "--item", "of[]", "--action", "do")
    assert [row["token"] for row in rows] == ["view_prod_0001", "view_prod_0002"]
    assert "line 3 left out: the record is not JSON" in err

    class Typed:  # each line is a batch of its own
        line = json.dumps(lines[0]).encode() + b"\n"
        parts = iter([line, b'{"other": 1}\n', line, b""])

        def read1(self, n: int) -> bytes:
            return next(self.parts)

        read = read1

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Typed()))
    how = ("--format", "json", "--user", "u.id", "--item", "of[]", "--action", "do")
    rows, err = followed(capsys, "-", "--store", store, *how)
    assert len(rows) == 4
    assert "line 2 left out: no user" in err


def test_bad_lines_go_to_the_rejects_and_the_rest_is_followed(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, rejects = shop / "new.csv", shop / "bad.csv"
    good = b"a,2026-01-01,view,prod_0001\n"
    path.write_bytes(
        HEAD.encode() + b"\n" + good + b"a\xff,1,view,prod_0001\n" + b'"x"y,1,view,prod_0001\n' + good + b"a,1\n\n"
        + b'"multi\nline",1,view,prod_0001\n' + b"a,2,view,\n" + good + b'"open,1,view,x\n' + good
    )
    rows, err = followed(capsys, str(path), "--store", str(shop / "store"), "--rejects", str(rejects))
    assert [row["customer"] for row in rows] == ["a", "a", "multi\nline", "a", "a"]
    assert "5 events followed, 5 lines left out" in err
    found = [line.split(",")[1] for line in rejects.read_text().splitlines()[1:]]
    assert found == ["3", "4", "6", "10", "12"]


def test_an_integer_is_written_one_way(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, store = shop / "ints.csv", str(shop / "ints")
    rng = np.random.default_rng(0)
    rows = [f"{u},{1_700_000_000 + u * 999 + i * 60},{x}"
            for u in range(1, 41) for i, x in enumerate(rng.integers(0, 9, 8).tolist())]
    log.write_text("\n".join(["user_id,timestamp,item_id", *rows]) + "\n")
    assert main(["fit", str(log), "--action", "-", "--store", store, *FAST]) == 0
    new = shop / "new.csv"
    new.write_text("user_id,timestamp,item_id\n1_2,0,3\n12.0,0,3\n +12,0,3\n12,0,0_3\n")
    found, err = followed(capsys, str(new), "--action", "-", "--store", store)
    assert [(row["customer"], row["known"]) for row in found] == [(12, True), (12, False)]
    assert "line 2 left out: customer '1_2' is not an integer" in err
    for command in (["customer", "1_2"], ["recommend", "1_2"], ["recommend", "12", "--deny", "0_3"],
                    ["similar", "0_3"]):
        assert main([*command, "--store", store]) == 1
    assert main(["customer", "12.0", "--store", store]) == 0


def growing(shop: Path, *how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "traitcore", "follow", str(shop / "new.csv"), "--wait", "--store",
               str(shop / "store"), "--save", "--json", *how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_growing_file_is_followed_and_saved_at_the_end(shop: Path, end: int) -> None:
    path = shop / "new.csv"
    path.write_text(f"{HEAD}\na,2026-01-01,view,prod_0001\na,2026-01-01,vi")
    with growing(shop) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["token"] == "view_prod_0001"
        with open(path, "a") as file:
            file.write("ew,prod_0002\n")
        assert json.loads(process.stdout.readline())["token"] == "view_prod_0002"
        path.unlink()  # rotated
        path.write_text(f"{HEAD}\nb,2026-01-01,view,prod_0003\n")
        assert json.loads(process.stdout.readline())["token"] == "view_prod_0003"
        process.send_signal(end)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert "3 events followed, 0 lines left out; 2 customers known; saved as live v000001" in err


def test_options_without_effect_are_refused(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = events(shop, "a,2026-01-01,view,prod_0001")
    for how, words in (
        (("--session", "s"), "--session is used with --history only"),
        (("--timestamp-unit", "s"), "--timestamp-unit is used with --history only"),
        (("--rejects", new), "--rejects must be another file"), (("--no-header",), "--no-header needs --columns"),
    ):
        assert main(["follow", new, "--store", str(shop / "store"), *how]) == 1
        assert words in capsys.readouterr().err
    assert main(["follow", "-", "--wait", "--store", str(shop / "store")]) == 1
    assert "--wait is for files" in capsys.readouterr().err


NAMES = {"user": "user_id", "item": "item_id"}


def of_stream(content: str, **how: Any) -> list[FollowedRow]:
    stream = io.BytesIO(content.encode())
    return list(follow_rows(["-"], NAMES, how.pop("where", None), Reading(**how), wait=False, stream=stream))


@pytest.mark.parametrize("at", [0, 700, 2_999])
def test_a_quote_that_is_never_closed_spoils_its_line_only(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it take a reading, or a search for the records' ends, for each line behind it."""
    lines = [f"u{i},{i}" for i in range(3_000)]
    lines[at] = '"' + lines[at]
    calls = {"reading": 0, "searching": 0}
    rows, ends = followed_rows._Batches._rows, followed_rows._Batches._record_ends

    def counted(name: str, work: Any) -> Any:
        def call(*args: Any) -> Any:
            calls[name] += 1
            return work(*args)

        return call

    monkeypatch.setattr(followed_rows._Batches, "_rows", counted("reading", rows))
    monkeypatch.setattr(followed_rows._Batches, "_record_ends", counted("searching", ends))
    found = of_stream("user_id,item_id\n" + "\n".join(lines) + "\n")
    assert [row.place for row in found] == list(range(2, 3_002))
    assert [row.place for row in found if row.fault] == [at + 2]
    assert found[at].fault == "a quote is opened here and never closed"
    assert found[at].record == lines[at]
    assert calls["reading"] < 40
    assert calls["searching"] < 40


def test_a_record_of_several_lines_beside_one_that_spoils_the_batch() -> None:
    content = 'user_id,item_id\na,1\n"b\nb",2\nc,x\nd,4\n'
    found = of_stream(content, where="item_id::INT > 0")
    assert [(row.place, row.texts.get("user"), bool(row.fault)) for row in found] == [
        (2, "a", False), (3, "b\nb", False), (5, None, True), (6, "d", False),
    ]


def test_a_header_of_several_lines_after_a_byte_order_mark() -> None:
    content = '\ufeff"user_id","item_id","more\nwords"\na,1,z\n'
    assert [(row.place, row.texts["user"]) for row in of_stream(content)] == [(3, "a")]
