"""Tables and JSON on a terminal."""

from __future__ import annotations

import io
import json

import numpy as np

from traitcore.cli.render import cut, plain, show, table, width_of, write_json
from traitcore.pipeline import PipelineConfig


def test_tables_are_aligned() -> None:
    text = table([("a", 1.5, 10_000), ("bbb", None, 3)], ("name", "score", "n"))
    assert text.splitlines() == ["name  score       n", "a     1.500  10,000", "bbb       -       3"]
    assert table([], ("a", "b")) == "a  b"


def test_wide_characters_and_long_texts() -> None:
    assert width_of("日本") == 4
    assert width_of("é") == 1
    assert cut("日本語", 5) == "日本…"
    lines = table([("日本", "x"), ("ab", "y")], ("id", "t")).splitlines()
    assert len({width_of(line) for line in lines}) == 1
    narrow = table([("token", "a very long description of it")], ("token", "description"), width=20)
    assert all(width_of(line) <= 20 for line in narrow.splitlines())
    assert "…" in narrow


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert show("a\x1b[31mb\nc\x00") == "a\\x1b[31mb\\nc\\x00"
    assert show("😀") == "😀"


def test_json_is_strict() -> None:
    stream = io.StringIO()
    write_json({"nan": float("nan"), "n": np.float32(1.5), "a": np.arange(2), 3: ("x", None), "é": True}, stream)
    assert json.loads(stream.getvalue()) == {"nan": None, "n": 1.5, "a": [0, 1], "3": ["x", None], "é": True}
    assert plain(PipelineConfig())["n_traits"] == 16
