"""Every command of docs/your_log.md, run on small files of the layouts that it names."""

from __future__ import annotations

import re
import shlex
import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.data import layouts
from traitcore.cli import main
from traitcore.serving.store import TableStore

PAGE = Path(__file__).parents[2] / "docs" / "your_log.md"
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
            for line in block.splitlines()]
FAST = ("--method", "ppmi", "--n-traits", "2", "--trait-method", "counts", "--vector-size", "4", "--min-count", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("openpyxl")
    pytest.importorskip("python_calamine")
    folder = tmp_path_factory.mktemp("logs")
    layouts.write_all(folder)
    for action in ("view", "buy"):
        part = folder / "logs" / f"action={action}" / "part-0.csv"
        part.parent.mkdir(parents=True)
        part.write_bytes(layouts.table(
            ["user", "timestamp", "item"], lambda e: [e.user, int(e.time.timestamp()), f"i{e.item}"]
        ))
    return folder


def test_the_page_has_them_all() -> None:
    assert len([command for command in COMMANDS if "logs/" not in command]) >= 20


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_a_command_fits(
    number: int, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    command = COMMANDS[number]
    if command.startswith("cat "):
        source, _, command = command.removeprefix("cat ").partition(" | ")
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(Path(source).read_bytes())))
    program, fit, *argv = shlex.split(command)
    assert (program, fit) == ("traitcore", "fit")
    assert main(["fit", *argv, "--store", str(tmp_path), *FAST]) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert "note" not in err
    tables = {info.name for info in TableStore(tmp_path).list()}
    assert tables == ({"tokens", "items"} if "--user -" in command and "--customers" not in command else
                      {"tokens", "items", "customers"})
    items = TableStore(tmp_path).open("items")
    assert len(items) == 8
    kept, read = map(int, re.match(r"([\d,]+) of ([\d,]+) rows", out).groups())  # type: ignore[union-attr]
    assert kept >= 0.7 * read
