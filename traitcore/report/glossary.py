"""What each figure means, in one sentence, and when it is good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .facts import Figure

# figure -> (name for people, the control's figure, the control's name, sentence)
TRAITS: dict[str, tuple[str, str, str, str]] = {
    "npmi": (
        "coherence of the names", "npmi_popular", "popular products",
        "How much more often the products that name a trait occur together, among customers who neither fitted nor "
        "named it, than by chance: 0 is chance, 1 always together.",
    ),
    "bootstrap_cosine": (
        "stability", "", "",
        "How alike the traits are when they are learned again from other samples of the customers: 1 is the same.",
    ),
    "reliability": (
        "reliability of profiles", "", "",
        "How well a new customer's profile from one half of their history agrees with that from the other half: a "
        "correlation.",
    ),
    "recall": (
        "products foreseen by traits", "recall_popular", "popularity",
        "The share of customers' next new products that are among the 20 their traits suggest.",
    ),
    "price": (
        "price of readable traits", "", "",
        "What of the hits of unreadable factors (PCA) is left when traits must be readable: 1 loses nothing.",
    ),
    "activity": (
        "traits that only measure activity", "", "",
        "The largest correlation of a trait's weight with how much a customer did: near 0, traits say what, not how "
        "much.",
    ),
    "support": (
        "customers of the rarest trait", "", "",
        "The number of customers in whom the least supported trait is strong.",
    ),
}
RETRIEVAL = (
    "Recall: the share of held-out sessions' next items that are among the {k} listed. MRR: the mean of 1 / rank of "
    "the right item. Coverage: the share of all items that are in any list. Popularity bias: above 0, popular items "
    "are listed more than they are chosen."
)

LISTS = (
    "Precision: the share of the {k} products listed that a customer turned to next, of those new to them. "
    "item-kNN: by how many customers have two products together. More: customer by customer, with its 95% interval. "
    "Products shown: in any of the lists, and their share of the catalogue. Traits a list: how many families it mixes."
)


def trait_figures(figures: Mapping[str, float]) -> list[Figure]:
    """The figures of `evaluate_traits` that a report shows."""
    found = []
    for name, (label, control, control_name, sentence) in TRAITS.items():
        if name in figures:
            against = figures.get(control) if control else None
            found.append(Figure(label, float(figures[name]), against, control_name, sentence, _verdict(name, figures)))
    return found


def _verdict(name: str, figures: Mapping[str, float]) -> str:
    """Where there is a control it must be beaten: by coherence beyond its interval, by recall, which has none here, by
    a fifth. For agreement the usual marks, of 1, .75 and .6 (Hennig 2007 for clusters found again; Nunnally 1978 for
    reliability). That fifth, and the marks of activity and support, are by judgement: no data set chose them."""
    value = figures[name]
    if name == "npmi":
        best = max(figures.get("npmi_random", 0.0), figures.get("npmi_popular", 0.0))
        return "good" if figures.get("npmi_low", value) > best else "fair" if value > best else "poor"
    if name == "recall":
        popular = figures.get("recall_popular", 0.0)
        return "good" if value > 1.2 * popular else "fair" if value > popular else "poor"
    if name == "activity":
        return "good" if abs(value) < 0.3 else "fair" if abs(value) < 0.5 else "poor"
    if name == "support":
        return "good" if value >= 30 else "fair" if value >= 10 else "poor"
    return "good" if value >= 0.75 else "fair" if value >= 0.6 else "poor"


def retrieval_figures(scorers: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """Figures of next items, each scorer beside the control, the one whose name says so."""
    control = next((one for name, one in scorers.items() if "control" in name), None)
    found = []
    for name, one in scorers.items():
        if one is control:
            continue
        against = None if control is None else float(control["recall"])
        verdict = "" if against is None else (
            "good" if one["recall"] > 1.2 * against else "fair" if one["recall"] > against else "poor"
        )
        found.append(Figure(
            f"next item, {name}", float(one["recall"]), against, "popularity",
            f"The share of held-out sessions' next items that are among the {one['k']} listed; {one['coverage']:.0%} "
            "of all items are in some list.", verdict,
        ))
    return found


def list_figures(found: Mapping[str, Any]) -> list[Figure]:
    """The lists by counts and traits, as a shop recommends, beside item-kNN: good where better beyond the interval."""
    lists = found["lists"]
    both, alone = lists["counts and traits"], lists["counts (item-kNN)"]
    if not found["customers"]:
        return []
    verdict = "good" if both["more_low"] > 0 else "fair" if both["more_high"] >= 0 else "poor"
    return [Figure(
        "right products in lists", float(both["precision"]), float(alone["precision"]), "item-kNN alone",
        LISTS.format(k=found["k"]), verdict,
    )]
