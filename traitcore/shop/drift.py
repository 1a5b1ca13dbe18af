"""What changed since the version before: items gained and lost, neighbours, traits beside their counterparts."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._assignment import best_assignment
from .._errors import TableError
from .._rows import unit_float32_rows
from ..report.facts import Drift
from .tables import Published, Tables


def drift_of(tables: Tables, record: dict[str, Any]) -> Drift | None:
    """By the release's own comparison with its parent, and its parent's tables where they are still there."""
    parent = record.get("parent")
    comparison = (record.get("report") or {}).get("comparison")
    if tables.store is None or parent is None or comparison is None:
        return None
    kept = comparison["overlap"]
    gained, lost = comparison["gained"], comparison["lost"]
    sentences = [f"{comparison['n_new']:,} products, {gained:,} new and {lost:,} gone since {parent}."]
    if kept is not None:
        sentences.append(
            f"Of a product's {comparison['k']} nearest, {kept:.0%} are the same; two unrelated tables would share "
            f"{comparison['overlap_by_chance']:.1%}."
        )
    changed = comparison.get("changed_parameters") or {}
    if changed:
        listed = ", ".join(f"{name} {was} to {now}" for name, (was, now) in changed.items())
        sentences.append(f"Settings that changed: {listed}.")
    try:
        version = (tables.store.releases.get(parent).tables or {}).get("customers")
        before = None if version is None else Published(tables.store.root, version)
        traits = () if before is None or not tables.has_customers else matched_traits(before, tables)
    except TableError:  # pruned
        traits = ()
    return Drift(parent, tuple(sentences), traits)


def matched_traits(before: Tables, now: Tables) -> tuple[tuple[str, str, float, float, float], ...]:
    """(name before, name now, share before, share now, cosine of their loadings) of the traits matched one to one."""
    common = np.flatnonzero(before.tokens.rows(now.tokens.ids, missing="mark") >= 0)
    if not len(common):
        return ()
    old = before.tokens.arrays["loadings"][before.tokens.rows(now.tokens.ids[common])]
    new = now.tokens.arrays["loadings"][common]
    alike = unit_float32_rows(np.ascontiguousarray(old.T)) @ unit_float32_rows(np.ascontiguousarray(new.T)).T
    pairs = sorted(zip(*best_assignment(alike)), key=lambda pair: -now.traits[pair[1]]["prevalence"])
    return tuple(
        (before.traits[a]["name"], now.traits[b]["name"], before.traits[a]["prevalence"], now.traits[b]["prevalence"],
         float(alike[a, b]))
        for a, b in pairs
    )
