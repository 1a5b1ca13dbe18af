"""What was found of next-item retrieval: figures, and intervals by bootstrap over sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._frames import frame_of
from .._looks import html_facts
from .._validate import Checks

FIGURES = ("recall", "mrr", "ndcg")


@dataclass(frozen=True, eq=False)
class RetrievalReport:
    """What `evaluate_retrieval` found; shares are in [0, 1].

    Attributes
    ----------
    k, n_queries : length of the lists and number of queries.
    recall, mrr, ndcg : hit rate, mean reciprocal rank and NDCG at k. Each query has one right answer, so recall is the
        hit rate and the ideal DCG is 1. Tied items share the mean of their ranks.
    coverage : share of the items that are in at least one list of k. A list is shorter where fewer may be listed.
    popularity_bias : mean popularity percentile of the items listed minus that of the right answers; above 0, popular
        items are listed too often. None without `popularity`, or if no item may be listed.
    ranks : (n_queries - n_unknown,) float64 rank of each right answer, infinite if it could not be listed.
    n_unknown : right answers without a row in the model, counted as misses.
    sessions : int64, beside `ranks`, the test sequence that each query comes from; for `interval` and `difference`.
    """

    k: int
    n_queries: int
    recall: float
    mrr: float
    ndcg: float
    coverage: float
    popularity_bias: float | None
    ranks: NDArray[np.float64]
    n_unknown: int = 0
    sessions: NDArray[np.int64] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The figures and their intervals without the ranks, for JSON."""
        plain = {key: value for key, value in vars(self).items() if key not in ("ranks", "sessions")}
        if self.sessions is not None:
            for figure in ("recall", "mrr"):
                plain[f"{figure}_low"], plain[f"{figure}_high"] = self.interval(figure)
        return plain

    def interval(
        self, figure: str = "recall", *, level: float = 0.95, n_resamples: int = 1000, random_state: int = 0
    ) -> tuple[float, float]:
        """(low, high) of a figure, by bootstrap over sessions: queries of one session are alike, so drawing queries
        would claim too much.

        Parameters
        ----------
        figure : "recall", "mrr" or "ndcg". level : in [0, 1], how much of the resamples lies between low and high.
        n_resamples : times that as many sessions as there are are drawn with replacement. random_state : int.

        Raises
        ------
        ValueError, TypeError : an option; a report without `sessions`.
        """
        check = Checks("RetrievalReport.interval")
        return self._interval(_gains(self, figure, check), level, n_resamples, random_state, check)

    def difference(
        self, other: RetrievalReport, figure: str = "recall", *, level: float = 0.95, n_resamples: int = 1000,
        random_state: int = 0,
    ) -> tuple[float, float]:
        """(low, high) of this report's figure minus that of `other`, over the same queries: sessions are drawn for both
        at once. The difference is more than chance where 0 lies outside.

        Options and errors as of `interval`; ValueError where the other report has other queries.
        """
        check = Checks("RetrievalReport.difference")
        check.instance("other", other, RetrievalReport)
        alike = (len(other.ranks), other.n_unknown) == (len(self.ranks), self.n_unknown)
        if not alike or (other._groups() != self._groups()).any():
            raise check.value_error("other", "a report on the same queries", f"{other.n_queries:,} queries")
        gains = _gains(self, figure, check) - _gains(other, figure, check)
        return self._interval(gains, level, n_resamples, random_state, check)

    def _interval(
        self, gains: NDArray[np.float64], level: Any, n_resamples: Any, random_state: Any, check: Checks
    ) -> tuple[float, float]:
        """Percentiles of the mean of `gains` (n,) over drawn sessions; the `n_unknown` queries add nothing to it."""
        level = check.real("level", level, 0.0, 1.0)
        rounds = check.integer("n_resamples", n_resamples, 1)
        rng = np.random.default_rng(check.seed("random_state", random_state))
        _, group = np.unique(self._groups(), return_inverse=True)
        sums, sizes = np.bincount(group, weights=gains), np.bincount(group)
        means = np.empty(rounds)
        for i in range(rounds):
            drawn = np.bincount(rng.integers(0, len(sums), len(sums)), minlength=len(sums))
            means[i] = (drawn @ sums) / (drawn @ sizes)
        low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2)) * (len(self.ranks) / self.n_queries)
        return float(low), float(high)

    def _groups(self) -> NDArray[np.int64]:
        if self.sessions is None:
            raise ValueError("This RetrievalReport doesn't know its sessions: evaluate_retrieval makes one that does.")
        return self.sessions

    def to_frame(self, library: str | None = None) -> Any:
        """The figures as a data frame of one row, of "pandas" or "polars" (None: by what is there)."""
        return frame_of({name: [value] for name, value in self.as_dict().items()}, library)

    def _repr_html_(self) -> str:
        return html_facts("RetrievalReport", self.as_dict())

    def __str__(self) -> str:
        bias = "" if self.popularity_bias is None else f", popularity bias {self.popularity_bias:+.3f}"
        return (
            f"Recall@{self.k} {self.recall:.4f}, MRR@{self.k} {self.mrr:.4f}, NDCG@{self.k} {self.ndcg:.4f}, "
            f"coverage {self.coverage:.3f}{bias} ({self.n_queries:,} queries)"
        )


def _gains(report: RetrievalReport, figure: str, check: Checks) -> NDArray[np.float64]:
    """(n,) what each query adds to a figure."""
    check.choice("figure", figure, FIGURES)
    gain = np.ones(len(report.ranks))
    if figure != "recall":
        gain = 1.0 / (report.ranks if figure == "mrr" else np.log2(1.0 + report.ranks))
    return np.where(report.ranks <= report.k, gain, 0.0)
