"""Each event divided among the traits, one at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

import traitcore as tc


def divided_events(
    sequences: tc.Sequences, model: tc.TraitModel, price: Any
) -> tuple[dict[Any, float], dict[int, float]]:
    """({(trait, week): events}, {trait: what was paid}); price (n_tokens,) is what an event of a token pays."""
    by_week: Counter[Any] = Counter()
    paid: Counter[int] = Counter()
    assert sequences.timestamps_us is not None
    for s, owner in enumerate(sequences.owners().tolist()):
        for place in range(sequences.offsets[s], sequences.offsets[s + 1]):
            token = int(sequences.tokens[place])
            parts = model.profiles_[owner].astype(float) * np.maximum(model.token_rates_[:, token], 0.0)
            if parts.sum() == 0:
                parts = model.profiles_[owner].astype(float)
            else:
                parts = parts / parts.sum()
            week = str(np.datetime64(int(sequences.timestamps_us[place]), "us").astype("datetime64[W]"))
            for trait, part in enumerate(parts):
                by_week[trait, week] += part
                if np.isfinite(price[token]):
                    paid[trait] += part * price[token]
    return dict(by_week), dict(paid)
