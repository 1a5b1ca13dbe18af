"""Guardrails: a candidate table is compared with the published one before it is published."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._protocols import VectorIndex
from .._validate import Checks
from ..items.fusion import MISSING
from ..serving.row_ids import RowIds
from ..serving.table import EmbeddingTable
from .comparison import Geometry, TableComparison, compare_tables

__all__ = ["Reason", "Thresholds", "Verdict", "compare_tables", "judge"]

CHECK = Checks("judge")
MIN_MEANINGFUL_SHIFT = 0.005  # median shift (cosine distance) below which ratios of shifts are noise


@dataclass(frozen=True)
class Thresholds:
    """Limits as (warn, fail). Change some of them by `dataclasses.replace` or by a mapping.

    The defaults lie between the figures of fault-free refits (other seeds, a grown log) and of planted faults on
    simulated shops; the benchmark job `guardrails` prints both. They are meant for large tables: with few rows, figures
    also differ by chance, so the sampling error is added to the limits marked +noise (see `SamplingNoise`). Agreement
    by chance (10 of 59 neighbours) counts as none.

    lost_rows, lost_popularity : share of the old ids that are missing, by number and by popularity.
    missing_items : share of `expected_ids` without a row or with a zero vector. zero_rows : share of zero vectors,
        beside those that `fit_pipeline` marks as missing: items that never stood beside others in a session.
    duplicate_rows : share of vectors that repeat another row's.
    overlap : mean neighbour overlap@k beyond chance, (overlap - chance) / (1 - chance); a lower limit.
    overlap_popular : the same for the most popular tenth; a lower limit (+noise).
    shift_median : median shift after Procrustes alignment.
    overlap_of_refit, shift_of_refit : ratio to the worst overlap (a lower limit) and the worst shift among refits; used
        instead of the three limits before where `judge` is given `refits`.
    popularity_correlation : rise of the correlation between an item's popularity and its neighbours' (+noise).
    neighbour_popularity : rise of the mean popularity percentile of neighbours (+noise).
    hubness : ratio of k-occurrence skewness, new to old (+noise).
    mean_cosine : change of the mean cosine of random rows, up or down.
    spectrum_distance : distance of the spectra (+noise). norm_popularity : change of the norm-popularity correlation
        (+noise).
    """

    lost_rows: tuple[float, float] = (0.02, 0.10)
    lost_popularity: tuple[float, float] = (0.01, 0.05)
    missing_items: tuple[float, float] = (0.01, 0.05)
    zero_rows: tuple[float, float] = (0.001, 0.02)
    duplicate_rows: tuple[float, float] = (0.01, 0.10)
    overlap: tuple[float, float] = (0.20, 0.10)
    overlap_popular: tuple[float, float] = (0.20, 0.10)
    shift_median: tuple[float, float] = (0.30, 0.45)
    overlap_of_refit: tuple[float, float] = (0.85, 0.70)
    shift_of_refit: tuple[float, float] = (1.25, 1.35)
    popularity_correlation: tuple[float, float] = (0.12, 0.20)
    neighbour_popularity: tuple[float, float] = (0.04, 0.08)
    hubness: tuple[float, float] = (2.0, 3.0)
    mean_cosine: tuple[float, float] = (0.03, 0.06)
    spectrum_distance: tuple[float, float] = (0.02, 0.04)
    norm_popularity: tuple[float, float] = (0.15, 0.25)

    @classmethod
    def of(cls, thresholds: Thresholds | Mapping[str, Any] | None) -> Thresholds:
        """The defaults with some limits replaced; ValueError for an unknown name or a pair that isn't two numbers."""
        if thresholds is None or isinstance(thresholds, Thresholds):
            return thresholds or cls()
        known = {f.name for f in fields(cls)}
        rule = f"a mapping of (warn, fail) by {', '.join(sorted(known))}"
        if not isinstance(thresholds, Mapping):
            raise CHECK.type_error("thresholds", rule, thresholds)
        for name, pair in thresholds.items():
            if name not in known or not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise CHECK.value_error("thresholds", rule, {name: pair})
            for limit in pair:
                CHECK.real(f"thresholds[{name!r}]", limit, 0.0)
        return cls(**{name: (float(pair[0]), float(pair[1])) for name, pair in thresholds.items()})


@dataclass(frozen=True)
class SamplingNoise:
    """How much the figures of two tables of `n` common rows differ by chance.

    With `refits`, the largest difference among them. Else one standard error of the difference of two independent
    samples, falling with 1 / sqrt(n): refits share items and log and differ by less.
    """

    n: int
    refits: tuple[TableComparison, ...] = ()

    def largest(self, figure: Callable[[TableComparison], float | None]) -> float:
        """The largest size of a figure among the refits."""
        return max((abs(figure(c) or 0.0) for c in self.refits), default=0.0)

    def rise(self, name: str) -> float:
        """The largest difference of a figure of the geometry among the refits."""
        return self.largest(lambda c: (getattr(c.new, name) or 0.0) - (getattr(c.old, name) or 0.0))

    def correlation(self, name: str, a: float, b: float) -> float:
        """Of two Spearman correlations: (1 - r^2) sqrt((1 + r^2 / 2) / (n - 3)) each (Bonett and Wright 2000)."""
        if self.refits:
            return self.rise(name)
        errors = [(1.0 - r * r) * math.sqrt((1.0 + r * r / 2.0) / max(self.n - 3, 1)) for r in (a, b)]
        return math.hypot(*errors)

    def percentile(self) -> float:
        """Of two means of n uniform percentiles, whose variance is 1 / 12."""
        return self.rise("neighbour_popularity") if self.refits else math.sqrt(2.0 / 12.0 / max(self.n, 1))

    def skewness(self) -> float:
        """Of two skewnesses: their variance is 6 / n for a normal sample."""
        return math.sqrt(12.0 / max(self.n, 1)) + self.rise("hubness")

    def spectrum(self) -> float:
        """Of two spectra.

        An eigenvalue's relative error is sqrt(2 / n) (Anderson 1963), so the spectra of two independent samples differ
        by sqrt(2 / (pi n)) = 0.80 / sqrt(n). Measured: at most 0.35 / sqrt(n) for refits of item2vec and PPMI on shops
        of 60 to 800 items, 0.96 / sqrt(n) and more for leaking sessions on shops of 300 and 400 items; hence 0.35.
        Walks over a small graph vary more, which only refits show. Their worst is raised by a quarter: on a shop of 100
        items one fault-free table in five exceeded it.
        """
        if self.refits:
            return 1.25 * self.largest(lambda c: c.spectrum_distance)
        return 0.35 / math.sqrt(max(self.n, 1))

    def overlap(self, mean: float, k: int, lists: float) -> float:
        """Of the mean overlap of some lists of k: binomial."""
        return math.sqrt(max(mean * (1.0 - mean), 0.0) / max(k * lists, 1.0))


@dataclass(frozen=True)
class Reason:
    """One figure beyond its limit. level: "warn" or "fail"; check: the threshold's name."""

    level: str
    check: str
    value: float
    limit: float
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.message} ({self.check} {self.value:.3g}, limit {self.limit:.3g})"


@dataclass(frozen=True)
class Verdict:
    """status: "pass", "warn" or "fail", the worst of the reasons. comparison is None for a first publication."""

    status: str
    reasons: tuple[Reason, ...]
    comparison: TableComparison | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON and the manifest: status, reasons as sentences, the figures behind them."""
        return {
            "status": self.status,
            "reasons": [str(reason) for reason in self.reasons],
            "checks": [vars(reason) for reason in self.reasons],
            "comparison": None if self.comparison is None else self.comparison.as_dict(),
        }


def judge(
    candidate: EmbeddingTable,
    previous: EmbeddingTable | None = None,
    thresholds: Thresholds | Mapping[str, Any] | None = None,
    *,
    popularity: ArrayLike | None = None,
    expected_ids: Any = None,
    index: VectorIndex | None = None,
    comparison: TableComparison | None = None,
    refits: Sequence[TableComparison] = (),
    random_state: int = 0,
    workers: int = 1,
) -> Verdict:
    """A verdict on a table before it is published: pass, warn or fail, with reasons.

    Parameters
    ----------
    candidate : the table to publish. previous : the table it would replace; None: there is none yet.
    thresholds : `Thresholds`, or a mapping of the (warn, fail) limits to change.
    popularity : (len(candidate),) counts; None: `candidate.arrays["counts"]` where present.
    expected_ids : ids that should have a vector, e.g. the items of the log.
    index : an index that will serve the candidate; one built from another table, order or version fails.
    comparison : the result of `compare_tables(previous, candidate)`, if there is one.
    refits : results of `compare_tables` between fault-free trainings of this kind (another seed, a random nine tenths
        of the sessions). They show how much such tables differ by chance, and replace the general limits on overlap and
        shift: with a few hundred items, only this separates faults from noise. Three are enough; the worst counts.
    random_state, workers : of `compare_tables`.

    Returns
    -------
    Verdict : `status`, `reasons` and the comparison; `TableStore.publish(report=...)` takes it.

    Raises
    ------
    ValueError, TypeError : no table, an unknown limit, bad parameters of `compare_tables`.

    See Also
    --------
    compare_tables : the figures. Thresholds : the limits.

    Examples
    --------
    >>> import traitcore as tc
    >>> table = tc.EmbeddingTable(["cup", "mug", "tie"], [[1.0, 0.0], [0.6, 0.8], [0.0, 0.0]])
    >>> verdict = tc.judge(table)
    >>> for reason in verdict.reasons:
    ...     print(reason)
    fail: 1 items have a zero vector (zero_rows 0.333, limit 0.02)
    """
    limits = Thresholds.of(thresholds)
    if not isinstance(candidate, EmbeddingTable):
        raise CHECK.type_error("candidate", "an EmbeddingTable", candidate)
    if previous is not None and comparison is None:
        comparison = compare_tables(
            previous, candidate, popularity=popularity, random_state=random_state, workers=workers
        )
    reasons = _Reasons(limits)
    _judge_alone(reasons, candidate, expected_ids, index)
    if comparison is not None:
        _judge_coverage(reasons, comparison)
        _judge_neighbours(reasons, comparison, refits)
        noise = SamplingNoise(comparison.n_common, tuple(refits))
        _judge_geometry(reasons, comparison.old, comparison.new, noise)
        _judge_method(reasons, comparison, noise)
    found = tuple(reasons.found)
    levels = {reason.level for reason in found}
    status = "fail" if "fail" in levels else "warn" if "warn" in levels else "pass"
    return Verdict(status, found, comparison)


class _Reasons:
    """Collects the figures beyond their limits."""

    def __init__(self, limits: Thresholds) -> None:
        self.limits = limits
        self.found: list[Reason] = []

    def above(self, check: str, value: float | None, message: str, noise: float = 0.0) -> None:
        self._add(check, value, message, 1.0, noise)

    def below(self, check: str, value: float | None, message: str, noise: float = 0.0) -> None:
        self._add(check, value, message, -1.0, noise)

    def _add(self, check: str, value: float | None, message: str, sign: float, noise: float) -> None:
        if value is None:
            return
        warn, fail = (limit + sign * noise for limit in getattr(self.limits, check))
        for level, limit in (("fail", fail), ("warn", warn)):
            if not sign * value <= sign * limit:  # NaN is beyond every limit
                self.found.append(Reason(level, check, float(value), float(limit), message))
                return


def _judge_alone(reasons: _Reasons, table: EmbeddingTable, expected_ids: Any, index: VectorIndex | None) -> None:
    zero = ~np.any(table.vectors, axis=1) if len(table) else np.zeros(0, dtype=bool)
    unexpected = zero & ~_marked_missing(table)
    if not len(table):
        reasons.found.append(Reason("fail", "missing_items", 1.0, 0.0, "the table is empty"))
    if not np.isfinite(table.vectors.sum(dtype=np.float64)):
        reasons.found.append(Reason("fail", "zero_rows", float("nan"), 0.0, "a vector is not finite"))
    if len(zero):
        reasons.above("zero_rows", float(unexpected.mean()), f"{int(unexpected.sum())} items have a zero vector")
    if expected_ids is not None:
        wanted = RowIds.from_values(expected_ids, CHECK, "expected_ids")
        rows = table.rows(wanted, missing="mark")
        holes = (rows < 0) | (zero[rows] if len(zero) else True)
        if len(wanted):
            message = f"{int(holes.sum())} of {len(wanted)} items have no vector"
            reasons.above("missing_items", float(holes.mean()), message)
    if index is not None and index.fingerprint != table.fingerprint:
        message = "the index was built from other ids, another order or another version"
        reasons.found.append(Reason("fail", "index", 1.0, 0.0, message))


def _marked_missing(table: EmbeddingTable) -> NDArray[np.bool_]:
    """(n,) rows that the pipeline marked as items of which no session shows what they go with."""
    sources, source = table.metadata.get("sources"), table.arrays.get("source")
    if source is None or not isinstance(sources, list) or MISSING not in sources:
        return np.zeros(len(table), dtype=bool)
    return np.asarray(source == sources.index(MISSING))


def _judge_coverage(reasons: _Reasons, c: TableComparison) -> None:
    share = c.lost / max(c.n_old, 1)
    reasons.above("lost_rows", share, f"{c.lost} of {c.n_old} ids are missing, e.g. {list(c.lost_examples[:3])}")
    reasons.above("lost_popularity", c.lost_popularity, "the missing ids were in use")


def _judge_neighbours(reasons: _Reasons, c: TableComparison, refits: Sequence[TableComparison]) -> None:
    if c.n_common < 2:
        message = f"only {c.n_common} ids are in both tables: nothing to compare"
        reasons.found.append(Reason("fail", "overlap", 0.0, 0.0, message))
        return
    kept = f"an item keeps {c.overlap or 0:.0%} of its {c.k} neighbours"
    overlaps = [_beyond_chance(one.overlap, one) for one in refits if one.overlap and one.overlap_by_chance < 1.0]
    shifts = [one.shift_median for one in refits if one.shift_median is not None]
    if refits and shifts:
        if overlaps and c.overlap_by_chance < 1.0:
            usual = max(min(share or 0.0 for share in overlaps), 0.02)
            share = _beyond_chance(c.overlap, c)
            message = f"{kept}; beyond chance, {usual:.0%} is usual among refits"
            reasons.below("overlap_of_refit", None if share is None else share / usual, message)
        shift = None if c.shift_median is None else c.shift_median / max(*shifts, MIN_MEANINGFUL_SHIFT)
        reasons.above("shift_of_refit", shift, "items moved further than among refits, after the best rotation")
        return
    if c.overlap_by_chance < 1.0:  # else there are at most k others, and every list holds all of them
        reasons.below("overlap", _beyond_chance(c.overlap, c), kept)
        popular = c.overlap_by_popularity[-1] if c.overlap_by_popularity else None
        noise = SamplingNoise(c.n_common).overlap(popular or 0.0, c.k, c.n_common / 10.0)
        message = "the most popular items changed their neighbours"
        reasons.below("overlap_popular", _beyond_chance(popular, c), message, noise)
    reasons.above("shift_median", c.shift_median, "items moved, after the best rotation")


def _beyond_chance(overlap: float | None, c: TableComparison) -> float | None:
    return None if overlap is None else (overlap - c.overlap_by_chance) / (1.0 - c.overlap_by_chance)


def _judge_geometry(reasons: _Reasons, old: Geometry, new: Geometry, noise: SamplingNoise) -> None:
    reasons.above("duplicate_rows", new.duplicate_rows, "items share their vector with others")
    if old.popularity_correlation is not None and new.popularity_correlation is not None:
        rise = new.popularity_correlation - old.popularity_correlation
        by_chance = noise.correlation(
            "popularity_correlation", old.popularity_correlation, new.popularity_correlation
        )
        message = "neighbours follow popularity (window too wide?)"
        reasons.above("popularity_correlation", rise, message, by_chance)
    if old.neighbour_popularity is not None and new.neighbour_popularity is not None:
        rise = new.neighbour_popularity - old.neighbour_popularity
        reasons.above("neighbour_popularity", rise, "neighbours are more popular than before", noise.percentile())
    hub = max(new.hubness - noise.skewness(), 0.0) / max(old.hubness, 0.5)
    reasons.above("hubness", hub, "a few items are everyone's neighbours")
    change = new.mean_cosine - old.mean_cosine
    message = f"vectors point more {'the same way' if change > 0 else 'apart'} than before"
    reasons.above("mean_cosine", abs(change), message, noise.rise("mean_cosine"))


def _judge_method(reasons: _Reasons, c: TableComparison, noise: SamplingNoise) -> None:
    if c.changed_parameters:
        changed = ", ".join(f"{name} from {a!r} to {b!r}" for name, (a, b) in c.changed_parameters.items())
        message = f"changed: {changed}"
        reasons.found.append(Reason("warn", "changed_parameters", len(c.changed_parameters), 0.0, message))
    message = "the spectrum has changed (another method?)"
    reasons.above("spectrum_distance", c.spectrum_distance, message, noise.spectrum())
    if c.old.norm_popularity is not None and c.new.norm_popularity is not None:
        change = abs(c.new.norm_popularity - c.old.norm_popularity)
        by_chance = noise.correlation("norm_popularity", c.old.norm_popularity, c.new.norm_popularity)
        message = "the relation of norms to popularity has changed (another method?)"
        reasons.above("norm_popularity", change, message, by_chance)
