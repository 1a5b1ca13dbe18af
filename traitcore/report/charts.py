"""Charts as HTML and inline SVG. What a chart shows is also in a table, in its texts, or in an alternative text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from .colours import of_action, of_trait
from .facts import Card, Point, Product

WIDTH, HEIGHT = 1000, 640  # of the map
_LARGEST_LIFT = 64.0
_NEAR = 0.04  # of the map's width, for a trait's label
_NO_SEASON = 0.03  # a period's share above all customers' that is worth a word


def lift_scale(lifts: Iterable[float]) -> float:
    """The lift at the right end of all bars of a page."""
    return min(_LARGEST_LIFT, max([2.0, *lifts]))


def lift_table(products: Sequence[Product], caption: str, top: float) -> str:
    """A table whose second column is a bar of the lift, on a logarithmic scale from 1 to `top`, with its lower bound.
    """

    def place(lift: float) -> float:
        return 100.0 * math.log(min(max(lift, 1.0), top)) / math.log(top)

    rows = []
    for p in products:
        low, high = place(p.low), place(p.lift)
        name = escape(p.description or p.id)
        code = f' <span class="soft">{escape(p.id)}</span>' if p.description else ""
        rows.append(
            f'<tr><th scope="row">{name}{code}</th><td class="bar"><div class="track" aria-hidden="true">'
            f'<i style="width:{high:.1f}%;background:{of_action(p.action)}"></i>'
            f'<s style="left:{low:.1f}%;width:{max(high - low, 0.0):.1f}%"></s></div></td>'
            f'<td class="n">{p.lift:.1f}x</td><td class="n">{p.low:.1f}x</td><td class="n">{p.customers:,}</td></tr>'
        )
    heads = ('<th scope="col">product</th><th></th><th scope="col" class="n">as common</th>'
             '<th scope="col" class="n">at least</th><th scope="col" class="n">have it</th>')
    return (f'<table class="lifts"><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>'
            f'<tbody>{"".join(rows)}</tbody></table>')


def act_bar(acts: Sequence[tuple[str, float, float]]) -> str:
    """The actions of a trait's events as one bar, and as a list with shares and how many times as often as all."""
    parts = "".join(f'<i style="width:{100 * share:.1f}%;background:{of_action(name)}"></i>' for name, share, _ in acts)
    keys = "".join(
        f'<li><span class="chip" style="background:{of_action(name)}"></span>{escape(name)} {share:.0%}, '
        f"{lift:.1f}x as often</li>" for name, share, lift in acts
    )
    return f'<div class="stack" aria-hidden="true">{parts}</div><ul class="key">{keys}</ul>'


def period_chart(card: Card, periods: Sequence[str], everyone: Sequence[float], unit: str) -> str:
    """Columns: the trait's events by period as shares of its own; line: all customers'."""
    own, every = _shares(card.periods), _shares(everyone)
    if len(own) < 2 or not sum(own):
        return ""
    width, height, base = 460, 92, 74
    top = max([*own, *every])
    step = width / len(own)
    columns = "".join(
        f'<rect x="{i * step + 1:.1f}" y="{base - 66 * share / top:.1f}" width="{max(step - 2, 1):.1f}" '
        f'height="{66 * share / top:.1f}" fill="{of_trait(card.trait)}"><title>{escape(periods[i])}: {share:.1%} of '
        f"the trait, {every[i]:.1%} of all</title></rect>" for i, share in enumerate(own)
    )
    line = " ".join(f"{(i + 0.5) * step:.1f},{base - 66 * share / top:.1f}" for i, share in enumerate(every))
    best = max(range(len(own)), key=lambda i: own[i] - every[i])
    plain = own[best] - every[best] < _NO_SEASON
    last = f'<text x="{width}" y="88" text-anchor="end">{escape(periods[-1])}</text>'
    peak = f"{own[best]:.0%} of the trait, {every[best]:.0%} of all"
    peaks = "much as all customers" if plain else f"most above all customers in {periods[best]} ({peak})"
    sentence = f"By {unit}: {peaks}"
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(sentence)}">{columns}'
        f'<polyline class="all" points="{line}"/><line class="axis" x1="0" x2="{width}" y1="{base}" y2="{base}"/>'
        f'<text x="0" y="88">{escape(periods[0])}</text>{last}</svg>'
        f"<figcaption>{escape(sentence)}. Line: all customers.</figcaption></figure>"
    )


def _shares(values: Sequence[float]) -> list[float]:
    total = sum(values)
    return [value / total if total else 0.0 for value in values]


def histogram(counts: Sequence[int], label: str) -> str:
    """Customers by tenth of a share."""
    width, height, base = 460, 190, 160
    top, step = max([1, *counts]), width / max(1, len(counts))
    columns = "".join(
        f'<rect x="{i * step + 2:.1f}" y="{base - 140 * n / top:.1f}" width="{step - 4:.1f}" '
        f'height="{140 * n / top:.1f}" fill="var(--bar)"><title>{n:,} customers</title></rect>'
        f'<text x="{(i + 0.5) * step:.1f}" y="{base - 144 * n / top - 2:.1f}" text-anchor="middle">{n:,}</text>'
        for i, n in enumerate(counts)
    )
    ticks = "".join(
        f'<text x="{i * step:.1f}" y="{base + 16}" text-anchor="{"start" if i == 0 else "middle"}">{10 * i}%</text>'
        for i in range(len(counts))
    )
    return (f'<svg class="histogram" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{columns}'
            f'<line class="axis" x1="0" x2="{width}" y1="{base}" y2="{base}"/>{ticks}'
            f'<text x="{width / 2}" y="{height - 2}" text-anchor="middle">share of their largest trait</text></svg>')


def heat_table(shares: Sequence[Sequence[float]], names: Sequence[str], caption: str) -> str:
    """Traits by traits; the darker a cell, the larger its share."""
    head = "".join(f'<th scope="col" title="{escape(name)}">{i}</th>' for i, name in enumerate(names))
    body = ""
    for i, row in enumerate(shares):
        cells = "".join(
            '<td class="soft">.</td>' if i == j else
            f'<td style="background:color-mix(in srgb, var(--bar) {min(100, 100 * share):.0f}%, transparent)">'
            f"{100 * share:.0f}</td>" for j, share in enumerate(row)
        )
        body += f'<tr><th scope="row">{i} {escape(names[i][:34])}</th>{cells}</tr>'
    return (f'<div class="scroll"><table class="heat"><caption>{escape(caption)}</caption><thead><tr><td></td>{head}'
            f"</tr></thead><tbody>{body}</tbody></table></div>")


def item_map(points: Sequence[Point], label: str) -> str:
    """Items as dots, coloured by trait, the traits' numbers at their middles."""
    most = max([1, *(p.events for p in points)])
    dots = []
    for p in sorted(points, key=lambda p: -p.events):  # small ones on top
        x, y = 16 + p.x * (WIDTH - 32), 16 + (1 - p.y) * (HEIGHT - 32)
        radius = 2.2 + 7 * math.sqrt(p.events / most)
        of = f"trait {p.trait}" if p.trait >= 0 else "no trait"
        title = escape(" · ".join(filter(None, [p.id, p.description, of, f"{p.events:,} events"])))
        dots.append(f'<circle data-t="{p.trait}" cx="{x:.0f}" cy="{y:.0f}" r="{radius:.1f}" '
                    f'fill="{of_trait(p.trait)}"><title>{title}</title></circle>')
    marks = []
    for trait in sorted({p.trait for p in points if p.trait >= 0}):
        x, y = heart_of(points, trait)
        marks.append(f'<text x="{16 + x * (WIDTH - 32):.0f}" y="{22 + (1 - y) * (HEIGHT - 32):.0f}">{trait}</text>')
    return (f'<svg id="product-map" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
            f'{"".join(dots)}{"".join(marks)}</svg>')


def heart_of(points: Sequence[Point], trait: int) -> tuple[float, float]:
    """The place of the trait's item around which its own items are densest: a middle of all may lie among others."""
    places = np.array([(p.x, p.y) for p in points])
    own = np.array([p.trait == trait for p in points])
    distances = ((places[own][:, None] - places[None]) ** 2).sum(axis=2)
    near = np.exp(-distances / (2 * _NEAR**2)) * np.array([p.events for p in points])
    mine, all_ = near[:, own].sum(axis=1), near.sum(axis=1)
    best = int(np.argmax(mine * mine / np.maximum(all_, 1e-12)))  # many of its events, and few of others'
    x, y = places[own][best]
    return float(x), float(y)


def share_table(rows: Sequence[tuple[str, float, str]], heads: tuple[str, str], caption: str) -> str:
    """(label, share in [0, 1], text) as a table with bars."""
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th><td class="bar"><div class="track" aria-hidden="true">'
        f'<i style="width:{100 * share:.1f}%"></i></div></td><td class="n">{escape(text)}</td></tr>'
        for label, share, text in rows
    )
    return (f'<table><caption>{escape(caption)}</caption><thead><tr><th scope="col">{escape(heads[0])}</th><th></th>'
            f'<th scope="col" class="n">{escape(heads[1])}</th></tr></thead><tbody>{body}</tbody></table>')
