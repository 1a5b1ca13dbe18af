"""Simulated shops small enough for tests, and models fitted on them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

import traitcore as tc
from traitcore.customers.shift import ShiftWarning
from traitcore.customers.traits import resolve_recipe

DAY_US = 86_400_000_000
Shop = tuple[tc.Sequences, tc.Vocabulary, NDArray[Any]]  # and the customers' planted shares


def shop(
    n_users: int = 500, n_traits: int = 5, seed: int = 0, sessions: float = 25.0, n_items: int = 150
) -> Shop:
    made = tc.simulate_events(
        n_users=n_users, n_items=n_items, n_traits=n_traits, seed=seed, noise=0.35, sessions_per_user=sessions,
        bot_share=0.0,
    )
    corpus = tc.tokenize(tc.split_sessions(made.log), min_count=3)
    assert corpus.sequences.owner_ids is not None
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


def small_shop() -> Shop:
    return shop(n_users=150, n_traits=4, sessions=12.0, n_items=80)


def vectors_for(vocabulary: tc.Vocabulary, width: int = 12) -> NDArray[np.float32]:
    """Vectors with some structure: tokens of items of one family are near each other."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((8, width))
    noise = 0.5 * rng.standard_normal((len(vocabulary), width))
    return np.asarray(centres[vocabulary.token_item % 8] + noise, dtype=np.float32)


def fitted(method: str, small: Shop, **params: Any) -> tc.TraitModel:
    sequences, vocabulary, _ = small
    model = tc.TraitModel(4, method=method, max_iter=60, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShiftWarning)
        vectors = vectors_for(vocabulary) if resolve_recipe(method).needs_vectors else None
        return model.fit(sequences, vocabulary, item_vectors=vectors)


def random_lists(n: int = 60, n_items: int = 50, longest: int = 30, seed: int = 0) -> list[list[int]]:
    """Random sequences of random length, and one that has every item."""
    rng = np.random.default_rng(seed)
    lists = [rng.integers(0, n_items, rng.integers(0, longest)).tolist() for _ in range(n)]
    return [*lists, list(range(n_items))]
