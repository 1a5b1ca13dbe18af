"""Rows: a sequence that prints as a table, and becomes dicts and frames."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

from traitcore._looks import Rows, html_table, show


@dataclass(frozen=True)
class Cup:
    name: str
    price: float | None
    colours: tuple[str, ...] = ()


CUPS = Rows(Cup, [Cup("a <b>", 1.5, ("red", "blue")), Cup("mug", 12.25)], title="cups", note="that is all")


def test_a_sequence_of_records() -> None:
    assert len(CUPS) == 2
    assert CUPS[1].name == "mug"
    assert [cup.name for cup in CUPS[:1]] == ["a <b>"]
    assert Rows(Cup, list(CUPS)) == CUPS
    assert CUPS.to_dicts()[1] == {"name": "mug", "price": 12.25, "colours": ()}
    assert hash(CUPS) == hash(Rows(Cup, list(CUPS)))


def test_looks() -> None:
    assert repr(CUPS).splitlines() == [
        "cups", "name   price  colours", "a <b>  1.500  red, blue", "mug     12.2", "that is all",
    ]
    page = CUPS._repr_html_()
    assert "a &lt;b&gt;" in page
    assert "<caption>cups</caption>" in page
    assert page.endswith("<p>that is all</p>")
    assert "price" not in repr(Rows(Cup, [Cup("a", None)]))  # a column without a value
    assert repr(Rows(Cup, [])).splitlines() == ["name  price  colours"]
    many = Rows(Cup, [Cup(str(i), 1.0) for i in range(100)])
    assert repr(many).splitlines()[-1] == "... 40 more"
    assert html_table([], ("a",)) == "<table><thead><tr><th>a</th></tr></thead><tbody></tbody></table>"
    assert show(("a", "b")) == "a, b"


@pytest.mark.parametrize(("imported", "made"), [("", "pandas"), ("polars", "polars"), ("pandas", "pandas")])
def test_a_frame_of_the_library_that_is_there(imported: str, made: str) -> None:
    code = f"import {imported or 'sys'}; from tests.test_looks import CUPS; print(type(CUPS.to_frame()).__module__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().split(".")[0] == made


def test_no_frame_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="to_frame needs pandas or polars"):
        CUPS.to_frame()
