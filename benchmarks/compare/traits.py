"""Ways to traits on several logs, by one strict protocol: the table of docs/traits.md.

Everything is fitted and named on customers other than those who judge it: names by NPMI over the other half of the
customers, profiles by refits on 80% of the customers, by halves of a history, and by what they predict (demographics,
what is bought in the next period, who is friends with whom) of customers of other folds, beside popular and random
tokens, and activity alone. `traits_sets.py` says what the logs are, `traits_measures.py` how each figure comes about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.traits_measures import Effort, controls, judge, planted, sample
from benchmarks.traits_methods import METHODS
from benchmarks.traits_sets import trait_sets

if TYPE_CHECKING:
    from benchmarks.versus import Bench

# column of the table -> figure, and the digits shown
COLUMNS = {
    "NPMI": "npmi", "95%": "npmi_interval", "from 5 customers on": "npmi_df5", "without heaviest 5%": "npmi_light",
    "intruders": "intruders", "diversity": "diversity", "purity": "purity", "stability": "stability",
    "halves": "halves", "demographics": "demographics", "raw": "demographics_raw", "next period": "next",
    "raw ": "next_raw", "friends": "friends", "planted": "planted", "CPU s": "seconds",
}


def run(bench: Bench) -> None:
    effort = Effort(1, 2) if bench.quick else Effort()
    lines = [f"| set | method | {' | '.join(COLUMNS)} |", "|" + "---|" * (len(COLUMNS) + 2)]
    for set_ in trait_sets(bench.data):
        if not any(bench.wants(f"{set_.name}: {name}") for name in (*METHODS, "controls")):
            continue
        set_ = sample(set_, 300) if bench.quick else set_
        print(f"  {set_.name}: {set_.sequences.n_owners:,} customers, {len(set_.vocabulary):,} tokens, "
              f"{set_.sequences.n_tokens:,} events")
        rows: dict[str, dict[str, float]] = {}
        for name, method in METHODS.items():
            if bench.wants(f"{set_.name}: {name}"):
                rows[name] = planted(method, set_) if set_.truth is not None else judge(method, set_, effort)
        if set_.truth is None and bench.wants(f"{set_.name}: controls"):
            rows |= controls(set_, effort)
        for name, figures in rows.items():
            bench.row(f"{set_.name}: traits", name, **dict[str, Any](figures))
            lines.append(f"| {set_.name} | {name} | {' | '.join(shown(figures, key) for key in COLUMNS.values())} |")
    print("\n".join(lines))


def shown(figures: dict[str, Any], key: str) -> str:
    if key == "npmi_interval" and "npmi_low" in figures:
        return f"[{figures['npmi_low']:.3f}, {figures['npmi_high']:.3f}]"
    return "" if key not in figures else f"{figures[key]:.2f}" if key == "seconds" else f"{figures[key]:.3f}"
