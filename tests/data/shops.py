"""Simulated shops small enough for tests, and models fitted on them."""

from __future__ import annotations

import warnings

import numpy as np

import traitcore as tc
from traitcore.customers.shift import ShiftWarning
from traitcore.customers.traits import resolve_recipe

DAY_US = 86_400_000_000
FIXED = {"windows_weight": 3.0, "ppmi_weight": 0.3, "loading_power": 0.85}


def shop(n_users=500, n_traits=5, seed=0, sessions=25.0, n_items=150):
    made = tc.simulate_events(
        n_users=n_users, n_items=n_items, n_traits=n_traits, seed=seed, noise=0.35, sessions_per_user=sessions,
        bot_share=0.0,
    )  # fmt: skip
    corpus = tc.tokenize(tc.split_sessions(made.log), min_count=3)
    row = {name: i for i, name in enumerate(made.truth.customer_ids.tolist())}
    owners = np.array([row[str(name)] for name in corpus.sequences.owner_ids])
    return corpus.sequences, corpus.vocabulary, made.truth.customer_shares[owners]


def random_sequences(
    seed: int, n_sequences: int = 40, n_owners: int = 11, n_tokens: int = 17, longest: int = 9
) -> tc.Sequences:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate(([0], np.cumsum(rng.integers(0, longest, n_sequences))))
    total = int(offsets[-1])
    return tc.Sequences(
        tokens=rng.integers(0, n_tokens, total).astype(np.int32),
        offsets=offsets,
        owner=rng.integers(0, n_owners, n_sequences).astype(np.int32),
        timestamps_us=rng.integers(0, 40 * DAY_US, total),
        owner_ids=np.arange(n_owners + 2),  # two owners without a sequence
    )


def small_shop():
    return shop(n_users=150, n_traits=4, sessions=12.0, n_items=80)


def vectors_for(vocabulary, width=12):
    """Vectors with some structure: tokens of items of one family are near each other."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((8, width))
    noise = 0.5 * rng.standard_normal((len(vocabulary), width))
    return (centres[vocabulary.token_item % 8] + noise).astype(np.float32)


def fitted(method, small, **params):
    sequences, vocabulary, _ = small
    if method == "joint":
        params = FIXED | params
    model = tc.TraitModel(4, method=method, max_iter=60, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShiftWarning)
        vectors = vectors_for(vocabulary) if resolve_recipe(method).needs_vectors else None
        return model.fit(sequences, vocabulary, item_vectors=vectors)
