"""The Python of the pages of documentation runs as it stands (engines.md: test_engines.py)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", ["people.md"])
def test_the_blocks_of_a_page_run_in_order(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    assert len(blocks) >= 3
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_every_page_is_in_the_sites_menu() -> None:
    menu = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r": (\w+\.md|gallery/\w+\.ipynb)$", menu, re.MULTILINE)
    pages = [*DOCS.glob("*.md"), *DOCS.glob("gallery/*.ipynb")]
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in pages)


def test_pages_name_each_other_rightly() -> None:
    """Every path in backquotes that looks like one of ours is there."""
    root = DOCS.parent
    missing = []
    for page in [*DOCS.glob("*.md"), root / "README.md", root / "CONTRIBUTING.md"]:
        for path in re.findall(r"`((?:docs|tests|benchmarks|csrc|\.ci)/[\w./-]+)`", page.read_text(encoding="utf-8")):
            if "..." not in path and not (root / path).exists():
                missing.append(f"{page.name}: {path}")
    assert missing == []
