"""The command line as tests ask it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from traitcore.cli import main
from traitcore.cli.options import WITH_WARNINGS

FAST = ("--n-traits", "3", "--trait-method", "counts", "--vector-size", "16", "--epochs", "3")


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    """What a command says as JSON."""
    capsys.readouterr()
    assert main([*argv, "--json"]) in ((0, WITH_WARNINGS) if argv[0] == "fit" else (0,))
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What a command says to people."""
    capsys.readouterr()
    assert main(list(argv)) in ((0, WITH_WARNINGS) if argv[0] == "fit" else (0,))
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 1) -> str:
    """The one line of an error."""
    capsys.readouterr()
    assert main(list(argv)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("traitcore: error: ")
    assert err.count("\n") == 1
    return err
