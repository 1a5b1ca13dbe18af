"""asv: customer vectors and traits. Each speed beside what it has to keep: exactness, planted traits found again."""

from __future__ import annotations

from typing import Any

import numpy as np

import traitcore as tc
from traitcore import Sequences
from traitcore.quality.trait_stability import matched_correlation


class Pooling:
    """100,000 customers of 50 events, d=64, Zipf tokens: the corpus of the comparison, a tenth of it."""

    params = (["mean", "tfidf", "recency", "half-life"], [1, 2])
    param_names = ("method", "workers")

    def setup(self, method: str, workers: int) -> None:
        n_items, n_customers, length = 50_000, 100_000, 50
        rng = np.random.default_rng(0)
        mass = np.cumsum(1.0 / np.arange(1, n_items + 1))
        tokens = np.searchsorted(mass, rng.random(n_customers * length) * mass[-1]).astype(np.int32)
        offsets = np.arange(0, len(tokens) + 1, length, dtype=np.int64)
        self.sequences = Sequences(tokens, offsets, timestamps_us=np.arange(len(tokens)) * 60_000_000)
        self.vectors = rng.standard_normal((n_items, 64)).astype(np.float32)
        options: dict[str, dict[str, Any]] = {
            "mean": {}, "tfidf": {"document_frequencies": np.bincount(tokens) // 50, "n_documents": n_customers},
            "recency": {}, "half-life": {"half_life_days": 0.01},
        }
        self.way = options[method] | {"method": "recency" if method == "half-life" else method}
        tc.customer_vectors(Sequences(tokens[:50], offsets[:2], timestamps_us=np.arange(50)), self.vectors, **self.way)

    def time_pool(self, method: str, workers: int) -> None:
        tc.customer_vectors(self.sequences, self.vectors, workers=workers, **self.way)

    def peakmem_pool(self, method: str, workers: int) -> None:
        tc.customer_vectors(self.sequences, self.vectors, workers=workers, **self.way)

    def track_largest_error_of_the_mean(self, method: str, workers: int) -> float:
        got = tc.customer_vectors(self.sequences, self.vectors, workers=workers).vectors[:1000]
        rows = self.vectors[self.sequences.tokens[: 50 * 1000]].astype(np.float64).reshape(1000, 50, -1)
        return float(np.abs(got - rows.mean(axis=1)).max())


class Traits:
    """A simulated shop of 600 customers with 6 planted traits."""

    params = (["spectral", "counts"],)
    param_names = ("method",)

    def setup(self, method: str) -> None:
        made = tc.simulate_events(n_users=600, n_items=150, n_traits=6, seed=0, noise=0.35, bot_share=0.0)
        corpus = tc.tokenize(tc.split_sessions(made.log), min_count=3)
        self.sequences, self.vocabulary = corpus.sequences, corpus.vocabulary
        assert corpus.sequences.owner_ids is not None
        row = {name: i for i, name in enumerate(made.truth.customer_ids.tolist())}
        self.truth = made.truth.customer_shares[[row[str(name)] for name in corpus.sequences.owner_ids]]
        self.model = self._fit(method)

    def _fit(self, method: str) -> tc.TraitModel:
        return tc.TraitModel(6, method=method).fit(self.sequences, self.vocabulary)

    def time_fit(self, method: str) -> None:
        self._fit(method)

    def time_transform(self, method: str) -> None:
        self.model.transform(self.sequences)

    def time_describe(self, method: str) -> None:
        tc.describe_traits(self.model.transform(self.sequences), self.sequences, self.vocabulary)

    def peakmem_fit(self, method: str) -> None:
        self._fit(method)

    def track_correlation_with_the_planted_traits(self, method: str) -> float:
        found = self.model.transform(self.sequences)
        return matched_correlation(found, self.truth)
