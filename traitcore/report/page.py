"""The report as one HTML file: no network, light and dark, printable, readable without its charts."""

from __future__ import annotations

import os
from collections.abc import Callable
from html import escape
from pathlib import Path

from .._files import whole_file
from . import charts
from .colours import of_trait
from .facts import Card, Facts

_HERE = Path(__file__).parent
_CARD_PRODUCTS = 6
_SEEN, _TELLS = 0.05, 0.2  # an action of less than 5% of the events, or within 20% of all customers', isn't mentioned
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"  # nothing from elsewhere


def write_report(facts: Facts, path: str | os.PathLike[str]) -> None:
    """Write the page; the file appears whole or not at all."""
    with whole_file(path) as scratch:
        scratch.write_text(page(facts), encoding="utf-8")


def page(facts: Facts) -> str:
    """The whole document."""
    sections: list[tuple[str, str, Callable[[Facts], str]]] = [
        ("traits", "Traits", _traits), ("map", "Map of products", _map), ("customers", "Customers", _customers),
        ("quality", "How good is it", _quality), ("recommendations", "Recommendations", _recommendations),
        ("coverage", "What was left out", _coverage), ("drift", "Since the last version", _drift),
    ]
    made = [(name, title, body) for name, title, make in sections if (body := make(facts))]
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title, _ in made)
    body = "".join(
        f'<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>{text}</section>' for name, title, text in made
    )
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(facts.title)}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<h1>{escape(facts.title)}</h1>
<p class="soft">{escape(facts.made)}</p>
<div class="verdict">{"".join(f"<p>{escape(sentence)}</p>" for sentence in facts.verdict)}</div>
{_numbers(facts)}{_warnings(facts)}
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main id="main">
{body}
</main>
<footer class="soft">{_settings(facts)}</footer>
<div id="tip" hidden></div>
<script>
{script}</script>
</body>
</html>
"""


def _numbers(facts: Facts) -> str:
    shown = [(f"{n:,}", what) for n, what in (
        (facts.n_customers, "customers"), (facts.n_items, "products"), (facts.n_events, "events"),
        (len(facts.cards), "traits"),
    ) if n]
    return f'<ul class="numbers">{"".join(f"<li><b>{n}</b>{what}</li>" for n, what in shown)}</ul>'


def _warnings(facts: Facts) -> str:
    if not facts.warnings:
        return ""
    listed = "".join(f"<li>{escape(one)}</li>" for one in facts.warnings)
    title = '<h2 class="plain">Worth knowing before you act</h2>'
    return f'<section aria-label="Warnings">{title}<ul class="warnings">{listed}</ul></section>'


def _traits(facts: Facts) -> str:
    if not facts.cards:
        return ""
    intro = (
        "A trait is a pattern of behaviour that many customers share in part; a customer is a mixture of traits. "
        "Largest first. <q>As common</q> compares the trait's customers with all customers; <q>at least</q> is the "
        "lower end of its 95% interval."
    )
    return f'<p class="soft">{intro}</p><div class="cards">{"".join(_card(card, facts) for card in facts.cards)}</div>'


def _card(card: Card, facts: Facts) -> str:
    worth = f", {card.revenue:.1%} of revenue" if card.revenue is not None else ""
    parts = [
        f'<article class="card" id="trait-{card.trait}"><div class="head"><span class="chip" '
        f'style="background:{of_trait(card.trait)}"></span><h3>{card.trait}. {escape(card.name)}</h3></div>'
        f'<p class="soft">{card.share:.1%} of behaviour{worth}, strong in {card.customers:,} customers</p>'
    ]
    if card.products:
        parts.append(charts.lift_table(
            card.products[:_CARD_PRODUCTS], "Most characteristic products",
            charts.lift_scale(p.lift for one in facts.cards for p in one.products[:_CARD_PRODUCTS]),
        ))
    else:
        parts.append("<p>No product sets its customers apart.</p>")
    if card.categories:
        likes = ", ".join(f"{escape(name)} {lift:.1f}x" for name, lift in card.categories)
        parts.append(f"<h4>Categories</h4><p>{likes}</p>")
    if any(share >= _SEEN and abs(lift - 1) >= _TELLS for _, share, lift in card.acts):
        parts.append(f"<h4>What they do</h4>{charts.act_bar(card.acts)}")
    when = charts.period_chart(card, facts.periods, facts.everyone_by_period, facts.period_unit)
    if when:
        parts.append(f"<h4>When</h4>{when}")
    if card.examples:
        shown = "; ".join(f"{escape(who)} ({share:.0%} of {n:,} events)" for who, n, share in card.examples)
        parts.append(f"<h4>Customers to look at</h4><p>{shown}</p>")
    return "".join(parts) + "</article>"


def _map(facts: Facts) -> str:
    if not facts.points:
        return ""
    names = {card.trait: card.name for card in facts.cards}
    buttons = "".join(
        f'<button type="button" data-trait="{trait}" aria-pressed="false"><span class="chip" style="width:.65rem;'
        f'height:.65rem;background:{of_trait(trait)}"></span> {trait} {escape(names.get(trait, "")[:40])}</button>'
        for trait in sorted({p.trait for p in facts.points if p.trait >= 0})
    )
    off = f" {facts.items_off_map:,} products of fewer events are not shown." if facts.items_off_map else ""
    how = (f"Products that are chosen in the same sessions lie near each other (layout: {facts.map_method}). Size: "
           "events. Colour: the trait that takes most of the product, grey where none takes a third; a number stands "
           f"where its trait is densest.{off} Only nearness means something; the axes don't.")
    label = f"Map of {len(facts.points):,} products; the table below lists the largest of each trait"
    return (
        f"<p class='soft'>{how}</p>"
        '<div class="tools"><label for="search">Find products</label><input type="search" id="search" '
        'placeholder="words of a description, or an id"><span id="found" class="soft" role="status"></span></div>'
        f'<div class="tools" role="group" aria-label="Show one trait">{buttons}</div>'
        f'<div id="matches" class="tools"></div><figure>{charts.item_map(facts.points, label)}</figure>'
        f"<details><summary>The largest products of each trait as a table</summary>{_map_table(facts, names)}</details>"
    )


def _map_table(facts: Facts, names: dict[int, str]) -> str:
    rows = ""
    for trait in sorted({p.trait for p in facts.points if p.trait >= 0}):
        own = sorted((p for p in facts.points if p.trait == trait), key=lambda p: -p.events)[:8]
        listed = "; ".join(escape(p.description or p.id) for p in own)
        rows += f'<tr><th scope="row">{trait} {escape(names.get(trait, ""))}</th><td>{listed}</td></tr>'
    return f"<table>{_heads('trait', 'products of most events')}<tbody>{rows}</tbody></table>"


def _customers(facts: Facts) -> str:
    if not facts.largest_shares:
        return ""
    names = [card.name for card in sorted(facts.cards, key=lambda card: card.trait)]
    n = max(1, sum(facts.largest_shares))
    clear, mixed = sum(facts.largest_shares[5:]), sum(facts.largest_shares[:3])
    said = (f"{clear / n:.0%} of customers have one trait that is more than half of what they do; {mixed / n:.0%} are "
            "mixtures without one of 30%.")
    parts = [f"<p>{said}</p>"]
    chart = charts.histogram(facts.largest_shares, f"Customers by the share of their largest trait. {said}")
    rows = [(f"{10 * i}-{10 * i + 10}%", c / n, f"{c:,}") for i, c in enumerate(facts.largest_shares)]
    table = charts.share_table(rows, ("share of the largest trait", "customers"), "The same as a table")
    parts.append(f"<figure>{chart}</figure><details><summary>As a table</summary>{table}</details>")
    if facts.overlaps:
        parts.append("<h3>Which traits go together</h3>" + charts.heat_table(
            facts.overlaps, names, "Of the customers strong in the row's trait, the percentage strong in the column's"
        ))
    return "".join(parts)


def _quality(facts: Facts) -> str:
    if not facts.figures:
        return ("<p>Not measured for this report. <code>traitcore evaluate LOG --json &gt; quality.json</code> judges "
                "item vectors and traits on held-out data, and <code>traitcore report --quality quality.json</code> "
                "shows it here.</p>")
    rows = "".join(
        f'<tr><th scope="row">{escape(f.name)}</th><td class="n">{_number(f.value)}</td><td class="n">'
        f"{'-' if f.control is None else f'{_number(f.control)} {escape(f.control_name)}'}</td>"
        f'<td class="{f.verdict}">{f.verdict or "-"}</td><td>{escape(f.sentence)}</td></tr>' for f in facts.figures
    )
    heads = _heads("figure", "#value", "#control", "verdict", "what it says")
    return f'<div class="scroll"><table>{heads}<tbody>{rows}</tbody></table></div>'


def _heads(*titles: str) -> str:
    """The head of a table; a title that begins with # is of a column of numbers."""
    cells = "".join(
        f'<th scope="col" class="n">{title[1:]}</th>' if title.startswith("#") else f'<th scope="col">{title}</th>'
        for title in titles
    )
    return f"<thead><tr>{cells}</tr></thead>"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.3f}"


def _recommendations(facts: Facts) -> str:
    lists = facts.lists
    if lists is None:
        return ""
    parts = [
        f"<p>Lists of {lists.length} products, by traits and by what goes with what they had, for "
        f"{lists.customers:,} customers, without what they have bought: {lists.reach.catalogue:.1%} of all products "
        f"are in at least one list, and a list mixes {lists.reach.traits:.1f} traits. With at most "
        f"{lists.max_per_trait} products of one trait in a list (<code>max_per_trait</code>) it would mix "
        f"{lists.mixed.traits:.1f}, and {lists.mixed.catalogue:.1%} of all products would be shown; "
        "<code>traitcore evaluate --only lists</code> measures how many right products that costs.</p>"
    ]
    rows = [(f"{description or item}", share, f"{share:.0%}") for item, description, share in lists.most_shown]
    parts.append(charts.share_table(rows, ("product", "of the lists"), "Most shown"))
    for who, mostly, found in lists.samples:
        body = "".join(
            f'<tr><th scope="row">{escape(s.description or s.item)} <span class="soft">{escape(s.item)}</span></th>'
            f'<td class="n">{s.times:.1f}x</td><td>{escape(s.why)}</td></tr>' for s in found
        )
        parts.append(
            f"<table><caption>Customer {escape(who)}, mostly {escape(mostly)}</caption>"
            f"{_heads('product', '#as likely as for all', 'because of')}<tbody>{body}</tbody></table>"
        )
    return f'{parts[0]}<div class="pairs">{"".join(f"<div>{part}</div>" for part in parts[1:])}</div>'


def _coverage(facts: Facts) -> str:
    if not facts.kept:
        return ""
    rows = [(k.what, k.kept / max(1, k.total), f"{k.kept / max(1, k.total):.1%} of {k.total:,}") for k in facts.kept]
    parts = [charts.share_table(rows, ("of the log", "is in the tables"), "What this report rests on")]
    if facts.left:
        total = max([1, *(k.total for k in facts.kept if k.what == "events")])
        body = "".join(
            f'<tr><th scope="row">{escape(one.reason)}</th><td class="n">{one.events:,}</td><td class="n">'
            f"{one.events / total:.1%}</td><td>{f'<code>{escape(one.option)}</code>' if one.option else '-'}</td></tr>"
            for one in facts.left
        )
        parts.append(
            f"<table><caption>Why the rest is not</caption>{_heads('reason', '#events', '#of all', 'brought back by')}"
            f"<tbody>{body}</tbody></table>"
        )
    return f'<div class="pairs">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def _drift(facts: Facts) -> str:
    drift = facts.drift
    if drift is None:
        return ""
    parts = [f"<p>{escape(sentence)}</p>" for sentence in drift.sentences]
    if drift.traits:
        body = "".join(
            f'<tr><th scope="row">{escape(now)}</th><td>{escape(before)}</td><td class="n">{was:.1%}</td>'
            f'<td class="n">{share:.1%}</td><td class="n">{alike:.2f}</td></tr>'
            for before, now, was, share, alike in drift.traits
        )
        parts.append(
            f"<table><caption>Traits beside their nearest counterparts in {escape(drift.since)}; likeness 1: the same "
            f"products</caption>{_heads('now', 'before', '#share before', '#share now', '#likeness')}"
            f"<tbody>{body}</tbody></table>"
        )
    return "".join(parts)


def _settings(facts: Facts) -> str:
    if not facts.settings:
        return ""
    listed = ", ".join(f"{escape(str(name))} {escape(str(value))}" for name, value in facts.settings.items())
    return f"<details><summary>Settings of this run</summary><p>{listed}</p></details>"
