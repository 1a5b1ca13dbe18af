"""Lists of ten new products by counts (item-kNN), by traits and by both, beside popularity: is the blend the best?

Each customer's last session is held out (of Last.fm, which has no times, a fifth of each customer's artists); models
are learned from the rest. "more" is the mean difference to item-kNN over customers, its interval by bootstrap over
them. Lists are also mixed over traits, at most so many products of one; "than_both" is what that costs. The weight of
the traits was chosen on Online Retail and the shops of 12 and of 3 sessions; the other sets check it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import traitcore as tc
from benchmarks.traits_measures import sample
from benchmarks.traits_sets import TraitSet, trait_sets
from traitcore.customers.counts import count_tokens
from traitcore.quality.lists import BOTH, judge_lists
from traitcore.quality.trait_prediction import Periods

if TYPE_CHECKING:
    from benchmarks.versus import Bench

SETS = (
    "Online Retail", "simulated, 12 sessions", "simulated, 3 sessions",  # chosen on these
    "RetailRocket buyers", "Last.fm-2k", "Complete Journey", "simulated, 60% noise", "simulated, 24 traits",
)


LIMITS = (2, 3, 5, 7)  # products of one trait, in lists mixed over traits


def held_out(set_: TraitSet) -> Periods:
    if set_.name != "Last.fm-2k":
        return Periods.of(set_.sequences, len(set_.vocabulary))
    held = np.random.default_rng(0).random(set_.sequences.n_tokens) < 0.2
    future = count_tokens(set_.sequences.keep(held), n_tokens=len(set_.vocabulary))
    return Periods(set_.sequences.keep(~held), future)


def run(bench: Bench) -> None:
    for set_ in trait_sets(bench.data, [name for name in SETS if bench.wants(name)]):
        set_ = sample(set_, 300) if bench.quick else set_
        found = judge_lists(tc.TraitModel(set_.n_traits), held_out(set_), set_.vocabulary, limits=LIMITS)
        for name, figures in found["lists"].items():
            bar = "no worse than item-kNN: more_high >= 0" if name == BOTH else ""
            bench.row(f"{set_.name}: ten new products", name, **figures, bar=bar)
