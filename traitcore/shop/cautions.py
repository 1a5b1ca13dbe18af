"""What a reader should know before acting on a run: lines that are no products, ties, traits that measure something
else, thin support."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..customers.trait_names import is_charge
from ..pipeline.coverage import Coverage
from .tables import Tables

# From where on a reader is warned: a correlation, customers, shares of the log and of neighbouring events. These are by
# judgement; no data set chose them.
_ACTIVITY, _FEW, _LOST, _BASKET = 0.3, 20, 0.5, 0.5


def warnings_of(tables: Tables, coverage: Coverage | None, record: dict[str, Any]) -> tuple[str, ...]:
    """Sentences, the gravest first."""
    found: list[str] = []
    report = record.get("report") or {}
    if report.get("status") in ("warn", "fail"):
        found += [f"The guardrails said: {reason}." for reason in report.get("reasons", [])[:3]]
    if coverage is not None:
        found += _lost(coverage)
    if tables.has_customers:
        found += [*_no_products(tables), *_activity(tables), *_thin(tables)]
        if not len(tables.customers.arrays["bought_items"]):
            found.append("No action of the log means buying, so recommendations leave out nothing as bought.")
    found += _ties(record)
    return tuple(found)


def _lost(coverage: Coverage) -> list[str]:
    counted = [what for what in ("events", "customers", "purchases") if what in coverage.kept]
    lost = [what for what in counted if coverage.share(what) < _LOST]
    if not lost:
        return []
    shares = ", ".join(f"{1 - coverage.share(what):.0%} of {what}" for what in lost)
    reason = coverage.losses[0]
    option = f"; {reason.option} keeps them" if reason.option else ""
    return [f"Much of the log is left out: {shares}, most of it as {reason.reason}{option}."]


def _no_products(tables: Tables) -> list[str]:
    """Lines such as postage among the first three products of a trait: charges, as `describe_traits` tells them."""
    named: dict[str, list[int]] = {}
    for trait in tables.traits:
        for token in trait["tokens"][:3]:
            text = str(token["text"] or token["token"])
            if is_charge(text):
                named.setdefault(text, []).append(trait["trait"])
    return [
        f"\"{text}\" looks like an invoice line, not a product, and characterises trait {', '.join(map(str, traits))}: "
        "leave such lines out of the log (--where) and fit again."
        for text, traits in named.items()
    ]


def _activity(tables: Tables) -> list[str]:
    return [
        f"Trait {trait['trait']} ({trait['name']}) follows how much customers do (correlation "
        f"{trait['activity']:+.2f}), not only what."
        for trait in tables.traits if abs(trait["activity"]) > _ACTIVITY
    ]


def _thin(tables: Tables) -> list[str]:
    few = [trait for trait in tables.traits if trait["customers"] < _FEW]
    found = []
    if few:
        listed = ", ".join(str(trait["trait"]) for trait in few)
        found.append(f"Trait {listed} is strong in fewer than {_FEW} customers: read it as a hint.")
    events = tables.customers.arrays["events"]
    if np.median(events) < 5:
        found.append(f"Half of the customers have at most {int(np.median(events))} events: their profiles are guesses.")
    return found


def _ties(record: dict[str, Any]) -> list[str]:
    for stage in (record.get("run") or {}).get("stages", []):
        report = stage.get("report")
        if stage.get("name") == "sessions" and isinstance(report, dict):
            pairs = max(1, report["events_kept"] - report["sessions_kept"])
            share = report["neighbours_tied"] / pairs
            if share > _BASKET and report["ties"] != "row":
                return [f"{share:.0%} of neighbouring events have the same time (baskets): what comes next within one "
                        "is not known, only what goes together."]
    return []
