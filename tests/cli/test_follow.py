"""`traitcore follow`: traits after each event, from a file or standard input, without a refit."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcore.cli import main
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
    for line in ("line 2 left out: no item", "line 3 left out: no user", "line 4 left out: 2 fields"):
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
        lines = iter([HEAD + "\n", "a,2026-01-01,view,prod_0001\n"])

        def readline(self) -> str:
            try:
                return next(self.lines)
            except StopIteration:
                raise KeyboardInterrupt from None

    monkeypatch.setattr(sys, "stdin", Typed())
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
    assert "no column 'who'" in refused(new, "--store", store, "--user", "who")
    assert "No such file" in refused(str(shop / "none.csv"), "--store", store)
    assert "-k must be at least 1" in refused(new, "--store", store, "-k", "0")
    followed(capsys, new, "--store", store, "--save")
    again = ["fit", str(shop / "events.csv"), "--store", store, *FAST, "--seed", "3", "--force", "a test"]
    assert main(again) == 0
    assert "--history LOG starts again" in refused(new, "--store", store)
    sessions = str(shop / "sessions")
    assert main(["fit", str(shop / "events.csv"), "--store", sessions, "--customers", "sessions", *FAST]) == 0
    assert "holds sessions, not users" in refused(new, "--store", sessions)
