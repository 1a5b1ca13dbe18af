"""report: one page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.command_line import answer, refused, said


def test_a_report_with_figures(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store, page, figures = str(folder / "store"), tmp_path / "report.html", tmp_path / "quality.json"
    assert "it needs no network" in said(capsys, "report", "--store", store, "-o", str(page), "--title", "Tea & co")
    text = page.read_text(encoding="utf-8")
    assert "<title>Tea &amp; co</title>" in text
    assert "Not measured for this report" in text
    one = {"k": 20, "recall": 0.3, "coverage": 0.5}
    figures.write_text(json.dumps({
        "items": {"scorers": {"vectors": one, "popularity (control)": one | {"recall": 0.1}}},
        "traits": {"figures": {"npmi": 0.4, "npmi_popular": 0.1}},
    }), encoding="utf-8")
    found = answer(capsys, "report", "--store", store, "-o", str(page), "--quality", str(figures))
    assert found["bytes"] == page.stat().st_size
    assert "coherence of the names" in page.read_text(encoding="utf-8")
    for wrong in ("no json", "[]", '{"traits": 3}', '{"other": {}}'):
        figures.write_text(wrong, encoding="utf-8")
        assert "--quality must be" in refused(capsys, "report", "--store", store, "--quality", str(figures))
