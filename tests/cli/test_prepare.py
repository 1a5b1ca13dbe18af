"""prepare: a corpus on disk, then a fit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.data.command_line import answer, refused, said
from traitcore.cli.options import PREPARING
from traitcore.pipeline.config import PREPARED_BY
from traitcore.serving.store import TableStore


def test_prepare_then_fit(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log, out = str(folder / "events.csv"), str(tmp_path / "corpus")
    memory = ("--memory", "1GB", "--scratch", str(tmp_path))
    assert "1 buckets" in said(capsys, "prepare", log, "--out", out, *memory, "--plan")
    assert os.listdir(tmp_path) == []
    made = answer(capsys, "prepare", log, "--out", out, *memory, "--min-count", "3")
    assert made["log"]["rows_kept"] == made["sessions"]["events"]
    fast = ("--n-traits", "3", "--trait-method", "counts", "--method", "ppmi", "--vector-size", "8")
    by_corpus = answer(capsys, "fit", out, "--store", str(tmp_path / "a"), *fast)
    in_one = answer(capsys, "fit", log, "--store", str(tmp_path / "b"), "--min-count", "3", *memory, *fast)
    for name in ("tokens", "items", "customers"):
        tables = [TableStore(tmp_path / store).open(name) for store in ("a", "b")]
        assert tables[0].fingerprint == tables[1].fingerprint
    assert by_corpus["tokens"] == in_one["tokens"] == made["tokens"]["vocabulary"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "corpus"]
    assert "--user can't change it" in refused(capsys, "fit", out, "--user", "customer", code=2)
    assert "--memory can't change it" in refused(capsys, "fit", out, "--memory", "1GB", code=2)
    assert "prepared with min_count=3" in refused(capsys, "fit", out, "--min-count", "9")
    assert "prepared with action_map=" in refused(capsys, "fit", out, "--map-action", "view=look")
    assert "name a new folder" in refused(capsys, "prepare", log, "--out", out)
    assert "memory must be at least" in refused(capsys, "prepare", log, "--out", out + "2", "--memory", "9MB")
    assert "--scratch needs --memory" in refused(capsys, "fit", log, "--scratch", out, code=2)


def test_prepare_has_the_options_that_make_a_corpus() -> None:
    assert {*PREPARING} == {*PREPARED_BY, "workers", "seed"} - {"action_map"}
