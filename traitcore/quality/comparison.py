"""Two versions of a table compared: ids gained and lost, neighbours that changed, the geometry of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._rows import cross_product, row_parts, unit_float32_rows
from .._validate import Checks
from ..serving.neighbors import top_k
from ..serving.table import EmbeddingTable
from .retrieval import popularity_percentiles

CHECK = Checks("compare_tables")
_TINY = 1e-12


@dataclass(frozen=True)
class Geometry:
    """The geometry of one table's vectors, on a sample of its rows.

    zero_rows : share of rows whose vector is zero: items without an embedding.
    duplicate_rows : share of nonzero rows that repeat another row's vector.
    norm_spread : 95th over 5th percentile of the nonzero norms.
    norm_popularity : Spearman correlation of norm and popularity; None without popularity.
    hubness : skewness of the k-occurrences (how often an item is among others' k nearest; Radovanovic et al. 2010).
    largest_hub : largest share of the lists that contain one and the same item.
    popularity_correlation : Spearman correlation of an item's popularity with the mean popularity of its neighbours.
    neighbour_popularity : mean popularity percentile of neighbours; 0.5 where it is independent of popularity.
    mean_cosine : mean cosine of two random rows; near 1 all vectors point one way.
    spectrum : shares of variance along the principal axes of the unit rows, in falling order.
    """

    zero_rows: float
    duplicate_rows: float
    norm_spread: float
    norm_popularity: float | None
    hubness: float
    largest_hub: float
    popularity_correlation: float | None
    neighbour_popularity: float | None
    mean_cosine: float
    spectrum: tuple[float, ...]

    @property
    def effective_dimension(self) -> float:
        """Participation ratio of the spectrum, 1 / sum(share^2): the number of axes that carry the variance."""
        return 1.0 / max(sum(s * s for s in self.spectrum), _TINY)


@dataclass(frozen=True)
class TableComparison:
    """What `compare_tables` found. Shares are in [0, 1].

    n_old, n_new, n_common : rows of each table and ids in both. gained, lost : how many; *_examples : the first ten.
    overlap : mean share of an item's k nearest, among the ids of both tables, that are the same in both.
    overlap_by_popularity : the same by tenth of popularity, rarest first; None for a tenth without items, empty
        without popularity.
    overlap_by_chance : the overlap of two unrelated tables, k / (n_common - 1).
    shift_median, shift_p95 : cosine distance (0 to 2) of an item's two vectors after the best rotation (orthogonal
        Procrustes, Schonemann 1966). most_moved : (id, shift) of the ten largest of the sample.
    spectrum_distance : half the sum of absolute differences of the two spectra: 0 the same, 1 nothing in common.
    old, new : the geometry of each.
    changed_parameters : {name: (old, new)} of the metadata's "method" and "parameters", or of the "config" that the
        pipeline records; seeds and workers left out.
    inspection : {id: {"old": [...], "new": [...]}} nearest ids of the items asked for.
    """

    k: int
    n_old: int
    n_new: int
    n_common: int
    gained: int
    lost: int
    gained_examples: tuple[Any, ...]
    lost_examples: tuple[Any, ...]
    lost_popularity: float | None
    overlap: float | None
    overlap_by_popularity: tuple[float | None, ...]
    overlap_by_chance: float
    shift_median: float | None
    shift_p95: float | None
    most_moved: tuple[tuple[Any, float], ...]
    spectrum_distance: float
    old: Geometry
    new: Geometry
    changed_parameters: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    inspection: dict[Any, dict[str, list[Any]]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts and lists, for JSON; the ids of `inspection` become strings."""
        plain = asdict(self)
        plain["inspection"] = {str(key): value for key, value in self.inspection.items()}
        return plain

    @classmethod
    def of_dict(cls, plain: Mapping[str, Any]) -> TableComparison:
        """From what `as_dict` returned, also after JSON, without `inspection`; ValueError for anything else."""
        try:
            sides = {
                side: Geometry(**{**plain[side], "spectrum": tuple(plain[side]["spectrum"])}) for side in ("old", "new")
            }
            listed = {key: tuple(plain[key]) for key in ("gained_examples", "lost_examples", "overlap_by_popularity")}
            moved = tuple((one, float(shift)) for one, shift in plain["most_moved"])
            changed = {name: (a, b) for name, (a, b) in plain["changed_parameters"].items()}
            rest = {"most_moved": moved, "changed_parameters": changed, "inspection": {}}
            return cls(**{**plain, **sides, **listed, **rest})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"This is not a comparison of tables as a dict: {error!r}.") from error


def compare_tables(
    old: EmbeddingTable,
    new: EmbeddingTable,
    *,
    k: int = 10,
    sample: int = 2000,
    popularity: ArrayLike | None = None,
    inspect: Sequence[Any] = (),
    random_state: int = 0,
    workers: int = 1,
) -> TableComparison:
    """Compare two tables on the ids they share, by cosine.

    Parameters
    ----------
    k : length of the neighbour lists.
    sample : number of items whose lists are compared; their neighbours are searched among all shared items.
    random_state : int, the seed of the sample.
    popularity : (len(new),) counts of the rows of `new`; None: `new.arrays["counts"]` if present.
    inspect : ids whose neighbours in both tables are listed; ids that a table lacks get an empty list.

    Raises
    ------
    ValueError, TypeError : empty tables, ids of two kinds (see `EmbeddingTable.id_kind`), bad parameters.

    See Also
    --------
    judge : a verdict on the comparison.

    References
    ----------
    Radovanovic, Nanopoulos & Ivanovic 2010, "Hubs in space"; Schonemann 1966, "A generalized solution of the orthogonal
    Procrustes problem".

    Examples
    --------
    >>> import traitcore as tc
    >>> vectors = [[1.0, 0.0], [0.9, 0.1], [0.1, 0.9], [0.0, 1.0]]
    >>> old = tc.EmbeddingTable(["cup", "mug", "tie", "hat"], vectors)
    >>> new = tc.EmbeddingTable(["cup", "mug", "tie"], vectors[:3])
    >>> found = tc.compare_tables(old, new, k=1)
    >>> found.lost_examples, round(found.overlap, 2)
    (('hat',), 1.0)
    """
    k, sample = CHECK.integer("k", k, 1), CHECK.integer("sample", sample, 1)
    rng = np.random.default_rng(CHECK.seed("random_state", random_state))
    CHECK.workers(workers)
    _check_pair(old, new)
    counts = _popularity(new, popularity)
    row_in_old = old.rows(new.ids, missing="mark")
    common_new = np.flatnonzero(row_in_old >= 0)
    common_old = row_in_old[common_new]
    picked = np.sort(rng.choice(len(common_new), min(sample, len(common_new)), replace=False))
    shared = None if counts is None else counts[common_new]
    x, y = unit_float32_rows(old.vectors[common_old]), unit_float32_rows(new.vectors[common_new])
    lists_old, lists_new = (_neighbours(side, picked, k, workers) for side in (x, y))
    overlaps = _overlaps(lists_old, lists_new)
    shift = _shifts(x, y)[picked] if len(picked) else np.zeros(0)
    moved = np.argsort(-shift, kind="stable")[:10]
    geometry_old = _geometry(old, lists_old, picked, shared, common_old, rng)
    geometry_new = _geometry(new, lists_new, picked, shared, common_new, rng)
    gone = np.setdiff1d(np.arange(len(old)), common_old)
    fresh = np.flatnonzero(row_in_old < 0)
    return TableComparison(
        k=k, n_old=len(old), n_new=len(new), n_common=len(common_new), gained=len(fresh), lost=len(gone),
        gained_examples=tuple(new._ids.take(fresh[:10]).tolist()),
        lost_examples=tuple(old._ids.take(gone[:10]).tolist()),
        lost_popularity=_lost_popularity(old, gone),
        overlap=float(overlaps.mean()) if len(overlaps) else None,
        overlap_by_popularity=_by_decile(overlaps, shared, picked),
        overlap_by_chance=min(1.0, k / max(len(common_new) - 1, 1)),
        shift_median=float(np.median(shift)) if len(shift) else None,
        shift_p95=float(np.quantile(shift, 0.95)) if len(shift) else None,
        most_moved=tuple((new._ids[int(common_new[picked[i]])], float(shift[i])) for i in moved),
        spectrum_distance=_spectrum_distance(geometry_old.spectrum, geometry_new.spectrum),
        old=geometry_old, new=geometry_new,
        changed_parameters=_changed_parameters(old.metadata, new.metadata),
        inspection={token: {"old": _list(old, token, k), "new": _list(new, token, k)} for token in inspect},
    )


def _check_pair(old: EmbeddingTable, new: EmbeddingTable) -> None:
    for name, table in (("old", old), ("new", new)):
        if not isinstance(table, EmbeddingTable):
            raise CHECK.type_error(name, "an EmbeddingTable", table)
        if len(table) == 0 or table.dimension == 0:
            raise CHECK.value_error(name, "a table with at least one row and column", table)
    if old.id_kind != new.id_kind:
        rule = f"a table of {old.id_kind} ids, as old is (1 and '1' are two ids)"
        raise CHECK.value_error("new", rule, f"{new.id_kind} ids")


def _popularity(table: EmbeddingTable, popularity: Any) -> NDArray[np.float64] | None:
    if popularity is None:
        popularity = table.arrays.get("counts")
    if popularity is None or (np.shape(popularity) != (len(table),) and popularity is table.arrays.get("counts")):
        return None
    return CHECK.array("popularity", popularity, dtype=np.float64, shape=(len(table),), nonnegative=True)


def _lost_popularity(old: EmbeddingTable, gone: NDArray[np.int64]) -> float | None:
    counts = _popularity(old, None)
    if counts is None or counts.sum() == 0:
        return None
    return float(counts[gone].sum() / counts.sum())


def _neighbours(unit: NDArray[np.float32], picked: NDArray[Any], k: int, workers: int) -> NDArray[np.int64]:
    """(m, k) rows nearest to the picked ones; -1 past the end."""
    if not len(picked):
        return np.zeros((0, k), dtype=np.int64)
    return top_k(unit[picked], unit, k, metric="dot", exclude=picked[:, None], workers=workers)[0]


def _overlaps(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    """(m,) share of each row's entries that are in both lists."""
    known = (a >= 0).sum(axis=1)
    both = ((a[:, :, None] == b[:, None, :]) & (a[:, :, None] >= 0)).sum(axis=(1, 2))
    return np.asarray(both[known > 0] / known[known > 0])


def _by_decile(
    overlaps: NDArray[np.float64], counts: NDArray[np.float64] | None, picked: NDArray[Any]
) -> tuple[float | None, ...]:
    if counts is None or not len(overlaps):
        return ()
    tenth = np.minimum((popularity_percentiles(counts)[picked] * 10).astype(int), 9)
    return tuple(float(overlaps[tenth == i].mean()) if (tenth == i).any() else None for i in range(10))


def _shifts(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) cosine distance of the rows of y from those of x after the best rotation; 0 for zero rows."""
    u, _, vt = np.linalg.svd(cross_product(x, y), full_matrices=False)
    rotation = (u @ vt).astype(np.float32)
    shifts = np.empty(len(x))
    for part in row_parts(x):
        cosine = np.einsum("ij,ij->i", (x[part] @ rotation).astype(np.float64), y[part])
        both = (np.abs(x[part]).sum(1) > 0) & (np.abs(y[part]).sum(1) > 0)
        shifts[part] = np.where(both, np.clip(1.0 - cosine, 0.0, 2.0), 0.0)
    return shifts


def _geometry(
    table: EmbeddingTable, lists: NDArray[np.int64], picked: NDArray[Any], counts: NDArray[np.float64] | None,
    common: NDArray[np.int64], rng: np.random.Generator,
) -> Geometry:
    vectors = table.vectors
    norms = np.linalg.norm(vectors, axis=1)
    alive = np.flatnonzero(norms > _TINY)
    part = alive if len(alive) <= 20_000 else np.sort(rng.choice(alive, 20_000, replace=False))
    unit = unit_float32_rows(vectors[part])
    low, high = np.quantile(norms[alive], [0.05, 0.95]) if len(alive) else (1.0, 1.0)
    occurrences = np.bincount(lists[lists >= 0], minlength=max(len(common), 1)).astype(np.float64)
    mean = unit.mean(axis=0, dtype=np.float64) if len(unit) else np.zeros(table.dimension)
    distinct = len(np.unique(np.ascontiguousarray(vectors[part]).view(f"V{4 * table.dimension}"))) if len(part) else 0
    of_norm = of_neighbours = percentile_of_neighbours = None
    if counts is not None and len(picked):
        percentile = popularity_percentiles(counts)
        listed = np.where(lists >= 0, percentile[lists], np.nan)
        full = ~np.isnan(listed).all(axis=1)
        if full.any():
            means = np.nanmean(listed[full], axis=1)
            of_neighbours, percentile_of_neighbours = _spearman(percentile[picked[full]], means), float(means.mean())
        of_norm = _spearman(counts, norms[common])
    return Geometry(
        zero_rows=1.0 - len(alive) / len(vectors),
        duplicate_rows=1.0 - distinct / max(len(part), 1),
        norm_spread=float(high / max(low, _TINY)),
        norm_popularity=of_norm,
        hubness=_skewness(occurrences),
        largest_hub=float(occurrences.max() / max(len(lists), 1)),
        popularity_correlation=of_neighbours,
        neighbour_popularity=percentile_of_neighbours,
        mean_cosine=float(mean @ mean),
        spectrum=_spectrum(unit),
    )


def _spectrum(unit: NDArray[np.float32]) -> tuple[float, ...]:
    if not len(unit):
        return ()
    centred = unit - unit.mean(axis=0)
    values = np.linalg.eigvalsh((centred.T @ centred).astype(np.float64))[::-1].clip(0.0)
    return tuple((values / max(values.sum(), _TINY)).tolist())


def _spectrum_distance(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    size = max(len(a), len(b))
    x, y = (np.pad(np.array(s), (0, size - len(s))) for s in (a, b))
    return float(np.abs(x - y).sum() / 2.0)


def _skewness(x: NDArray[np.float64]) -> float:
    spread = x.std()
    return float((((x - x.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0


def _spearman(x: NDArray[Any], y: NDArray[Any]) -> float:
    a, b = (popularity_percentiles(np.asarray(v)) for v in (x, y))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _changed_parameters(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs in "method" and "parameters"; of two tables of the pipeline, in the settings that both record."""
    a, b = old.get("config"), new.get("config")
    if isinstance(a, dict) and isinstance(b, dict):
        names = a.keys() & b.keys()  # another version of the library may have other settings
    else:
        a, b = _declared(old), _declared(new)
        names = a.keys() | b.keys()
    return {
        name: (a.get(name), b.get(name))
        for name in sorted(names)
        if a.get(name) != b.get(name) and name not in ("seed", "random_state", "workers")
    }


def _declared(metadata: dict[str, Any]) -> dict[str, Any]:
    parameters = metadata.get("parameters")
    return {"method": metadata.get("method"), **(parameters if isinstance(parameters, dict) else {})}


def _list(table: EmbeddingTable, token: Any, k: int) -> list[Any]:
    return [found for found, _ in table.most_similar(token, k)] if token in table else []
