"""The facts of a report, collected from the tables of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pipeline.coverage import KEY as COVERAGE
from ..pipeline.coverage import Coverage
from ..pipeline.history import KEY as HISTORY
from ..report.facts import Card, Facts, Figure, Kept, Lists, Point, Product, Reach, Suggestion
from ..report.glossary import list_figures, retrieval_figures, trait_figures
from ..report.layout import map_layout
from ..serving.mixing import EXAMPLE, TraitLimit
from .cautions import warnings_of
from .drift import drift_of
from .recommending import lists_of, recommended
from .tables import Tables

STRONG = 0.3  # share from which on a trait is strong in a customer, as in `describe_traits`
MAP_ITEMS = 4000  # a page of 1 MB, a layout of half a minute
_CLEAR = 1 / 3  # part of an item's events that a trait must take to colour it
SAMPLE, LENGTH = 2000, 10  # customers whose lists are made, products in each
_SHOWN = ("n_traits", "method", "vector_size", "min_count", "min_length", "gap_seconds", "trait_method", "seed")


def survey(tables: Tables, *, quality: Mapping[str, Any] | None = None, title: str | None = None) -> Facts:
    """All that a report says of these tables; `quality` is what `Evaluation.as_dict` gives."""
    items, record = tables.items, _record(tables)
    coverage = Coverage.of_dict(items.metadata[COVERAGE]) if COVERAGE in items.metadata else None
    cards = _cards(tables) if tables.has_customers else ()
    points, how, off = points_of(tables, MAP_ITEMS)
    figures = _figures(quality)
    history = tables.customers.metadata.get(HISTORY) or {} if tables.has_customers else {}
    warnings = warnings_of(tables, coverage, record)
    config = items.metadata.get("config") or {}
    return Facts(
        title=title or "What customers do here",
        made=_made(record),
        verdict=_verdict(tables, coverage, figures, warnings),
        n_customers=len(tables.customers) if tables.has_customers else 0,
        n_items=int((items.arrays["counts"] > 0).sum()),
        n_events=int(tables.vocabulary.counts.sum()),
        cards=cards,
        period_unit=history.get("unit", ""),
        periods=tuple(history.get("periods", ())),
        everyone_by_period=tuple(history.get("everyone", ())),
        points=points,
        map_method=how,
        items_off_map=off,
        largest_shares=_largest_shares(tables),
        overlaps=_overlaps(tables),
        figures=figures,
        lists=_lists(tables) if tables.has_customers else None,
        kept=() if coverage is None else tuple(Kept(w, n, coverage.total[w]) for w, n in coverage.kept.items()),
        left=() if coverage is None else coverage.losses,
        drift=drift_of(tables, record),
        warnings=warnings,
        settings={name: config[name] for name in _SHOWN if config.get(name) is not None},
    )


def _record(tables: Tables) -> dict[str, Any]:
    """The release that these tables are of; {} for tables in memory, or published one by one."""
    if tables.store is None or tables.items.version is None:
        return {}
    release = tables.store.releases.of_table("items", tables.items.version)
    return {} if release is None else tables.store.releases.describe(release.name)


def _made(record: dict[str, Any]) -> str:
    if not record:
        return "By traitcore, from tables in memory"
    day, _, rest = str(record["created_utc"]).partition("T")
    return f"By traitcore, release {record['name']}, published {day} {rest[:5]} UTC"


def _verdict(
    tables: Tables, coverage: Coverage | None, figures: tuple[Figure, ...], warnings: tuple[str, ...]
) -> tuple[str, ...]:
    """Three sentences: what there is, how far it can be trusted, what to mind."""
    events, known = int(tables.vocabulary.counts.sum()), int((tables.items.arrays["counts"] > 0).sum())
    of = "" if coverage is None else f", {coverage.share('events'):.0%} of the log"
    if tables.has_customers:
        largest = max(tables.traits, key=lambda trait: trait["prevalence"])
        first = (
            f"{len(tables.traits)} traits describe {len(tables.customers):,} customers and {known:,} "
            f"products in {events:,} events{of}; the largest, \"{largest['name']}\", makes up "
            f"{largest['prevalence']:.0%} of what customers do."
        )
    else:
        first = f"Vectors of {known:,} products, from {events:,} events{of}; the run made no customers."
    if figures:
        by = {word: [f.name for f in figures if f.verdict == word] for word in ("good", "fair", "poor")}
        second = f"Judged on held-out data, {len(by['good'])} of {len(figures)} figures are good"
        second += f"; not good: {', '.join(by['poor'] + by['fair'])}." if by["poor"] or by["fair"] else "."
    else:
        second = "How far to trust it was not measured for this report."
    points = "one point" if len(warnings) == 1 else f"{len(warnings)} points"
    third = f"Mind the {points} below before you act." if warnings else "Nothing in the data asks for caution."
    return first, second, third


# -- sections ----------------------------------------------------------------------------------------------------------


def _cards(tables: Tables) -> tuple[Card, ...]:
    customers = tables.customers
    history = customers.metadata.get(HISTORY) or {}
    revenue, by_period = history.get("revenue"), history.get("traits") or ()
    vocabulary, cards = tables.vocabulary, []
    for trait in sorted(tables.traits, key=lambda trait: -trait["prevalence"]):
        number, seen, products = trait["trait"], set(), []
        for token in trait["tokens"]:
            item = int(vocabulary.token_item[token["row"]])
            if item in seen:  # the same product by another action
                continue
            seen.add(item)
            act = int(vocabulary.token_action[token["row"]])
            products.append(Product(
                str(vocabulary.item_ids[item]), token["text"], vocabulary.actions[act] if act >= 0 else "",
                token["lift"], token["low"], token["customers"],
            ))
        cards.append(Card(
            number, trait["name"], trait["prevalence"], trait["customers"], tuple(products),
            revenue=None if revenue is None else revenue[number],
            acts=tuple((name, share, trait["action_lifts"][name]) for name, share in trait["action_shares"].items()),
            categories=tuple((str(name), float(lift)) for name, lift in trait["categories"]),
            periods=tuple(by_period[number]) if len(by_period) else (),
            examples=tuple(
                (str(customers.ids[row]), int(customers.arrays["events"][row]), float(customers.vectors[row, number]))
                for row in tables.exemplars(number)
            ),
        ))
    return tuple(cards)


def points_of(tables: Tables, most: int) -> tuple[tuple[Point, ...], str, int]:
    """The `most` items of most events on a map, how they were laid out, and how many are left off it."""
    items, counts = tables.items, tables.items.arrays["counts"]
    known = np.flatnonzero((counts > 0) & (np.abs(items.vectors).sum(axis=1) > 0))
    rows = known[np.argsort(-counts[known], kind="stable")[:most]]
    if len(rows) < 2:
        return (), "", 0
    places, how = map_layout(items.vectors[rows])
    trait = np.full(len(items), -1)
    if tables.has_customers:
        prevalence = tables.customers.vectors.mean(axis=0)
        taken = tables.affinity * prevalence[:, None]  # of an item's events, each trait's part
        clear = taken.max(axis=0) > np.maximum(taken.sum(axis=0) * _CLEAR, 0.0)
        trait = np.where(clear, taken.argmax(axis=0), -1)
    return tuple(
        Point(round(float(x), 4), round(float(y), 4), str(items.ids[row]), tables.text_of_item(row), int(trait[row]),
              int(counts[row]))
        for row, (x, y) in zip(rows.tolist(), places)
    ), how, len(known) - len(rows)


def _largest_shares(tables: Tables) -> tuple[int, ...]:
    if not tables.has_customers:
        return ()
    largest = tables.customers.vectors.max(axis=1)
    tenths = np.minimum((largest * 10).astype(int), 9)
    return tuple(np.bincount(tenths, minlength=10).tolist())


def _overlaps(tables: Tables) -> tuple[tuple[float, ...], ...]:
    if not tables.has_customers or len(tables.traits) < 2:
        return ()
    strong = (tables.customers.vectors > STRONG).astype(np.float64)
    both = strong.T @ strong
    shares = both / np.maximum(np.diag(both), 1.0)[:, None]
    return tuple(tuple(round(float(share), 4) for share in row) for row in shares)


def _figures(quality: Mapping[str, Any] | None) -> tuple[Figure, ...]:
    if not quality:
        return ()
    found = trait_figures(quality["traits"]["figures"]) if quality.get("traits") else []
    found += retrieval_figures(quality["items"]["scorers"]) if quality.get("items") else []
    return (*found, *(list_figures(quality["lists"]) if quality.get("lists") else ()))


def _lists(tables: Tables) -> Lists:
    """Recommendations of a sample of the customers, taken evenly over the table."""
    customers, items = tables.customers, tables.items
    rows = np.unique(np.linspace(0, len(customers) - 1, min(SAMPLE, len(customers))).astype(np.int64))
    found = lists_of(tables, rows, LENGTH)
    mixed = lists_of(tables, rows, LENGTH, max_per_trait=EXAMPLE)
    shown = np.bincount(found[found >= 0], minlength=len(items))
    most = np.argsort(-shown, kind="stable")[:8]
    return Lists(
        len(rows), LENGTH, _reach(tables, rows, found), EXAMPLE, _reach(tables, rows, mixed),
        tuple((str(items.ids[i]), tables.text_of_item(int(i)), float(shown[i] / len(rows))) for i in most if shown[i]),
        tuple(_sample(tables, row) for row in _typical(tables)),
    )


def _reach(tables: Tables, customers: NDArray[np.int64], lists: NDArray[np.int64]) -> Reach:
    of_traits = TraitLimit(EXAMPLE, np.asarray(tables.customers.vectors[customers]), tables.affinity)
    traits = [of_traits.traits(place, row[row >= 0]) for place, row in enumerate(lists)]
    return Reach(
        len(np.unique(lists[lists >= 0])) / max(1, len(tables.items)),
        float(np.mean([len(np.unique(own[own >= 0])) for own in traits])) if traits else 0.0,
    )


def _typical(tables: Tables) -> list[int]:
    """The best example of each of the three largest traits."""
    largest = sorted(tables.traits, key=lambda trait: -trait["prevalence"])[:3]
    found: list[int] = []
    for trait in largest:
        found += [row for row in tables.exemplars(trait["trait"]) if row not in found][:1]
    return found


def _sample(tables: Tables, row: int) -> tuple[str, str, tuple[Suggestion, ...]]:
    mostly = tables.traits[int(tables.customers.vectors[row].argmax())]["name"]
    found = recommended(tables, row, 5)
    return str(tables.customers.ids[row]), mostly, tuple(
        Suggestion(str(one.item), one.description, float(one.times or 0.0), one.why) for one in found
    )
