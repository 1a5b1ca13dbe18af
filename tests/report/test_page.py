"""The page: whole, offline, escaped, small, and working in a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from traitcore.pipeline.coverage import Loss
from traitcore.report.colours import of_action, of_trait
from traitcore.report.facts import (
    Card,
    Drift,
    Facts,
    Figure,
    Kept,
    Lists,
    Point,
    Product,
    Reach,
    Suggestion,
)
from traitcore.report.glossary import retrieval_figures, trait_figures
from traitcore.report.page import page, write_report

ODD = '<b>"Tea" & \'coffee\'</b>'


def facts() -> Facts:
    """Every section filled, with texts that would break a page that doesn't escape them."""
    products = tuple(Product(f"p{i}", ODD if i == 0 else f"cup {i}", "buy", 8.0 / (i + 1), 1.2, 40) for i in range(4))
    cards = tuple(
        Card(t, f"{ODD} {t}", 0.6 - 0.2 * t, 300, products, revenue=0.5, acts=(("view", 0.7, 0.9), ("buy", 0.3, 1.4)),
             categories=(("kitchen", 2.0),), periods=(3.0, 9.0, 1.0), examples=(("c1", 120, 0.8),))
        for t in range(2)
    )
    points = tuple(Point(i / 40, (i * 7 % 40) / 40, f"p{i}", f"cup {i} {ODD}", i % 2, i + 1) for i in range(40))
    sample = ("c1", ODD, (Suggestion("p2", "cup 2", 3.2, "trait 1"),))
    lists = Lists(500, 10, Reach(0.4, 2.1), 3, Reach(0.5, 3.9), (("p1", "cup 1", 0.3),), (sample,))
    return Facts(
        title=ODD, made="By traitcore", verdict=("One.", "Two.", ODD), n_customers=500, n_items=40, n_events=9000,
        cards=cards, period_unit="month", periods=("2024-01", "2024-02", "2024-03"),
        everyone_by_period=(5.0, 9.0, 4.0), points=points, map_method="t-SNE", items_off_map=3,
        largest_shares=(0, 0, 10, 40, 100, 200, 100, 30, 15, 5), overlaps=((1.0, 0.3), (0.4, 1.0)),
        figures=(Figure("coherence", 0.48, 0.05, "popular", "What it is.", "good"),), lists=lists,
        kept=(Kept("events", 9000, 12000),), left=(Loss("too rare", 3000, "min_count=1"),),
        drift=Drift("r000001", ("40 products.",), (("before", "now", 0.2, 0.3, 0.9),)), warnings=(ODD,),
        settings={"n_traits": 2},
    )


class _Tags(HTMLParser):
    """Checks that tags nest, and keeps what the tests ask for."""

    VOID = frozenset({"meta", "input", "br", "line", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.external: list[str] = []
        self.headings: list[int] = []
        self.images_without_name = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in found:
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found["href"]))
        self.external += [str(found[name]) for name in ("src", "href") if name in found and tag != "a"]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "svg" and not (found.get("role") == "img" and found.get("aria-label")):
            self.images_without_name += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a beginning"
        assert self.open.pop() == tag


def test_the_page_is_well_formed_offline_and_named() -> None:
    text = page(facts())
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.external == []
    assert not re.search(r"https?://|url\(|@import", text)
    assert len(set(tags.ids)) == len(tags.ids)
    assert all(link.startswith("#") and link[1:] in tags.ids for link in tags.links)
    assert len(tags.links) == 8  # seven sections and the skip link
    assert tags.headings[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(tags.headings))
    assert tags.images_without_name == 0
    assert "<b>" not in text.replace("<b>500</b>", "").replace("<b>40</b>", "").replace("<b>9,000</b>", "").replace(
        "<b>2</b>", ""
    )


@pytest.mark.parametrize("odd", ["&", "<", '"', "é"])
def test_a_long_name_is_cut_between_letters(odd: str) -> None:
    whole = facts()
    cards = tuple(replace(card, name="x" * 39 + odd + "y" * 9) for card in whole.cards)
    assert f"{'x' * 39}{escape(odd)}</button>" in page(replace(whole, cards=cards))


def test_what_is_not_known_is_left_out() -> None:
    bare = page(Facts("Shop", "now", ("One.",), 0, 3, 10))
    assert 'id="traits"' not in bare
    assert 'id="drift"' not in bare
    assert "Not measured for this report" in bare
    assert "Worth knowing" not in bare
    assert "<svg" not in page(replace(facts(), points=(), largest_shares=(), cards=()))


def test_written_whole(tmp_path: Path) -> None:
    write_report(facts(), tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").stat().st_size < 100_000


def test_four_thousand_products_stay_under_three_megabytes() -> None:
    points = tuple(Point(0.5, 0.5, f"{i:08d}", "a description of thirty letters", i % 16, i + 1) for i in range(4000))
    assert len(page(replace(facts(), points=points)).encode()) < 3_000_000


def test_figures_are_judged_against_their_controls() -> None:
    measured = {"npmi": 0.4, "npmi_low": 0.3, "npmi_random": 0.0, "npmi_popular": 0.1, "recall": 0.1,
                "recall_popular": 0.2, "bootstrap_cosine": 0.7, "activity": -0.6, "support": 12.0, "price": 0.9}
    found = {f.name: f for f in trait_figures(measured)}
    assert found["coherence of the names"].verdict == "good"
    assert found["coherence of the names"].control == 0.1
    assert found["products foreseen by traits"].verdict == "poor"
    assert found["stability"].verdict == "fair"
    assert found["traits that only measure activity"].verdict == "poor"
    assert found["customers of the rarest trait"].verdict == "fair"
    one = {"k": 20, "recall": 0.3, "coverage": 0.5}
    items = retrieval_figures({"vectors": one, "popularity (control)": {**one, "recall": 0.1}})
    assert [(f.name, f.verdict, f.control) for f in items] == [("next item, vectors", "good", 0.1)]


def test_one_colour_for_one_thing() -> None:
    assert of_action("buy") == "#009E73"
    assert of_action("rent") == of_action("rent") != of_action("view")
    assert of_trait(3) == of_trait(13) != of_trait(4)
    assert of_trait(-1) == "#999999"


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_CLICKS = """
<script>
addEventListener("load", () => {
  const say = {};
  const on = () => document.querySelectorAll("#product-map circle.on").length;
  const search = document.getElementById("search");
  search.value = "cup 1";
  search.dispatchEvent(new Event("input"));
  say.found = document.getElementById("found").textContent;
  say.matches = document.querySelectorAll("#matches button").length;
  document.querySelector("#matches button").click();
  say.one = on();
  search.value = "";
  search.dispatchEvent(new Event("input"));
  say.none = on();
  const trait = document.querySelector("button[data-trait='1']");
  trait.click();
  say.trait = on();
  say.pressed = trait.getAttribute("aria-pressed");
  trait.click();
  say.off = on();
  say.ready = document.documentElement.dataset.ready;
  say.wide = document.documentElement.scrollWidth <= innerWidth;
  document.title = JSON.stringify(say);
});
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")
def test_clicked_through_in_a_browser(tmp_path: Path) -> None:
    import json

    path = tmp_path / "report.html"
    path.write_text(page(facts()).replace("</body>", _CLICKS + "</body>"), encoding="utf-8")
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,900", "--virtual-time-budget=3000",
        "--dump-dom", f"file://{path}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title is not None
    # "cup 1" is in cup 1 and cups 10 to 19.
    assert json.loads(title[1]) == {
        "found": "11 products", "matches": 11, "one": 1, "none": 0, "trait": 20, "pressed": "true", "off": 0,
        "ready": "yes", "wide": True,
    }
