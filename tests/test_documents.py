"""README and docs say what is so: their blocks run and print what stands below them, their links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import traitcore
from traitcore.cli import main

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
WITHIN = 0.05  # numbers with decimals differ between instruction sets


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(language, text) for language, text in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def alike(shown: str, said: str) -> bool:
    """The same words; numbers with decimals may differ a little."""
    left, right = shown.split(), said.split()
    decimal = re.compile(r"-?\d+\.\d+")
    return len(left) == len(right) and all(
        a == b or (decimal.fullmatch(a) and decimal.fullmatch(b) and abs(float(a) - float(b)) <= WITHIN)
        for a, b in zip(left, right)
    )


# The other pages' blocks run in test_docs.py and test_engines.py.
WITH_PYTHON = [ROOT / "README.md", ROOT / "docs" / "index.md", ROOT / "docs" / "coming_from.md"]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python_blocks_print_what_stands_below_them(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    said, ran = None, 0
    for language, text in blocks(page):
        if language == "python":
            assert said in (None, ""), f"{page.name} doesn't show what this prints: {said}"
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(text, page.name, "exec"), names)
            said, ran = out.getvalue(), ran + 1
        elif language == "text" and said is not None:
            assert alike(text, said), f"{page.name} printed:\n{said}"
            said = None
    assert ran


def test_the_commands_of_the_readme_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = [text for kind, text in blocks(ROOT / "README.md") if kind == "sh" and "traitcore fit" in text]
    assert len(shown) == 1
    for line in shown[0].splitlines():
        words = shlex.split(line, comments=True)
        assert words[0] == "traitcore"
        assert main(words[1:]) == 0, capsys.readouterr().err
    assert (tmp_path / "report.html").exists()


def test_links_and_anchors_lead_somewhere() -> None:
    anchors = {
        page: {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
               for title in re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)}
        for page in PAGES
    }
    checked = 0
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), f"{page.name}: {target}"
            if anchor and file in anchors:
                assert anchor in anchors[file], f"{page.name}: {target}"
            checked += 1
    assert checked > 5


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    listed = re.findall(r"^::: traitcore\.(.*)\.(\w+)$", text, re.MULTILINE)
    public = [(module, name) for module, names in traitcore._PUBLIC_NAMES.items() for name in names]
    assert sorted(listed) == sorted(one for one in public if one[0] != "_errors")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


def test_the_service_shown_is_the_one_in_the_examples() -> None:
    code = (ROOT / "examples" / "service.py").read_text(encoding="utf-8").strip()
    assert code in (ROOT / "docs" / "service.md").read_text(encoding="utf-8")


def test_fifteen_minutes(tmp_path: Path) -> None:
    script = ROOT / "examples" / "fifteen_minutes.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 25
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    for words in ("kept ", "mini toys doll", "4 traits of", "popularity (control)"):
        assert words in done.stdout
    assert {p.name for p in tmp_path.iterdir()} == {"traits.png", "report.html", "store"}


def test_the_service_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    httpx = pytest.importorskip("httpx")
    import asyncio
    import importlib.util

    from tests.data.small_store import fitted_shop, published

    fitted = fitted_shop()
    monkeypatch.setenv("STORE", published(fitted, tmp_path))
    spec = importlib.util.spec_from_file_location("service", ROOT / "examples" / "service.py")
    assert spec is not None
    assert spec.loader is not None
    service = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(service)

    def ask(method: str, url: str) -> Any:
        async def send() -> Any:
            transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await client.request(method, url)

        return asyncio.run(send())

    def get(url: str) -> Any:
        return ask("GET", url).json()

    shop = service.shop
    assert get("/similar/prod_0003?k=3") == shop.similar("prod_0003", 3).to_dicts()
    text = shop.tables.text_of_item(5)
    assert get(f"/similar/{text}") == shop.similar(text).to_dicts()
    assert get("/customers/cust_00007")["customer"] == "cust_00007"
    assert get("/customers/rare")["note"] == "2 events, all of items too rare for vectors"
    assert [one["item"] for one in get("/recommend/cust_00007")] == shop.recommend(
        "cust_00007", reasons=False, fallback="popular"
    )
    assert ask("POST", "/refresh").json() == {"new": False}
    answer = ask("GET", "/customers/nobody")
    assert answer.status_code == 404
    assert "no row for 'nobody'" in answer.json()["detail"]
