"""Pairs drawn from counts by even steps: over an epoch each pair is drawn as often as its count says, to within one.

The counts lie end to end on a line, each as long as its weight, and draws stand one apart on it, from a random start.
Were each draw independent of the others, an epoch would leave a pair of count 1 out as often as it drew it once: rare
items, whose pairs are few, would feel it most.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kernel


@kernel()
def _first_draw(at: float, shift: float, step: float) -> int:
    """The first m with shift + m * step >= at."""
    return int(max(0.0, np.ceil((at - shift) / step)))


@kernel()
def count_draws(start: int, stop: int, begins: Any, shift: float, step: float, draws: Any) -> None:
    """draws[i] = number of the places shift, shift + step, ... in row i, for the rows start ... stop - 1.

    begins (n + 1,) float64: where each row begins on the line.
    """
    for row in range(start, stop):
        draws[row] = _first_draw(begins[row + 1], shift, step) - _first_draw(begins[row], shift, step)


@kernel()
def draw_stars(
    start: int, stop: int, begins: Any, shift: float, step: float, indptr: Any, indices: Any, weights: Any,
    first_star: Any, place: Any, offsets: Any, tokens: Any, targets: Any,
) -> None:
    """Deal the draws of each row to its stars in turn, so that a pair drawn twice is seldom in one star twice.

    Row i has the stars first_star[i] ... first_star[i + 1] - 1; star s is sequence place[s] of the output, tokens
    offsets[place[s]] ...; its target is the row, its tokens the columns drawn.
    """
    for row in range(start, stop):
        n_stars = first_star[row + 1] - first_star[row]
        if n_stars == 0:
            continue
        for s in range(first_star[row], first_star[row + 1]):
            targets[place[s]] = row
        draw = _first_draw(begins[row], shift, step)
        left = _first_draw(begins[row + 1], shift, step) - draw
        at, dealt = begins[row], 0
        last = indptr[row + 1] - 1
        for k in range(indptr[row], indptr[row + 1]):
            at += weights[k]
            while dealt < left and (k == last or shift + draw * step < at):
                star = place[first_star[row] + dealt % n_stars]
                tokens[offsets[star] + dealt // n_stars] = indices[k]
                dealt += 1
                draw += 1
