"""asv: SGNS training; time, peak memory, and the quality and loss that stand beside them."""

from __future__ import annotations

import traitcore as tc
from benchmarks.suite.synthetic import clustered_sessions
from traitcore.items.sgns_report import SgnsResult


class Sgns:
    """One epoch over 500k tokens of clustered sessions, 20k items, one thread."""

    params = (["shared", "fresh"], [64, 128])
    param_names = ("negatives", "vector_size")

    def setup(self, negatives: str, vector_size: int) -> None:
        self.seqs = clustered_sessions(500_000, 20_000, 100).sequences

    def train(self, negatives: str, vector_size: int) -> SgnsResult:
        options = tc.SgnsOptions(epochs=1, sample=0.0, negatives=negatives, vector_size=vector_size)
        return tc.train_sgns(self.seqs, options)

    def time_epoch(self, negatives: str, vector_size: int) -> None:
        self.train(negatives, vector_size)

    def peakmem_epoch(self, negatives: str, vector_size: int) -> None:
        self.train(negatives, vector_size)

    def track_loss(self, negatives: str, vector_size: int) -> float:
        return self.train(negatives, vector_size).loss[-1]
