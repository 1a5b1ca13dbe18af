"""One colour for one thing, in every chart."""

from __future__ import annotations

# Okabe and Ito (2008): apart for colour-blind readers, too. An action has its colour whatever else a log holds.
ACTIONS = {
    "view": "#0072B2", "cart": "#E69F00", "remove": "#CC79A7", "buy": "#009E73", "fav": "#56B4E9",
}
_OTHER_ACTIONS = ("#D55E00", "#F0E442", "#999999")

# Traits by their number. Past ten the colours come again; the map also writes each trait's number.
_TRAITS = (
    "#4E79A7", "#F28E2B", "#59A14F", "#E15759", "#B07AA1", "#76B7B2", "#9C755F", "#EDC948", "#FF9DA7", "#86BCB6",
)
NO_TRAIT = "#999999"


def of_action(name: str) -> str:
    """The colour of an action; of one that isn't known, by its name's letters."""
    return ACTIONS.get(name) or _OTHER_ACTIONS[sum(map(ord, name)) % len(_OTHER_ACTIONS)]


def of_trait(trait: int) -> str:
    """The colour of a trait; grey for -1."""
    return NO_TRAIT if trait < 0 else _TRAITS[trait % len(_TRAITS)]
