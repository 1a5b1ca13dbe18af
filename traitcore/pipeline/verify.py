"""verify_run: runs a published run again, and compares every byte."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import InputError, TableError
from .._progress import ProgressLike, as_progress
from .._validate import Checks
from ..events.log import EventLog
from ..events.prepared import PreparedCorpus
from ..serving.store import TableStore
from ..serving.table import EmbeddingTable
from .catalogue import Catalogue
from .config import PipelineConfig
from .fit import run_pipeline
from .publish import log_fingerprint
from .trait_versions import KEY as CONTINUES
from .trait_versions import PublishedTraits, given_names

CHECK = Checks("verify_run")


@dataclass(frozen=True)
class RunComparison:
    """What `verify_run` found.

    Attributes
    ----------
    release : name of the release that was compared.
    differences : by table, the parts that are not the same to the last byte; () where all are.
    same : nothing differs.
    """

    release: str
    differences: Mapping[str, tuple[str, ...]]

    @property
    def same(self) -> bool:
        return not any(self.differences.values())

    def __str__(self) -> str:
        if self.same:
            return f"{self.release}: the same bytes again ({', '.join(self.differences)})"
        lines = [f"{name}: {', '.join(parts)}" for name, parts in self.differences.items() if parts]
        return "\n".join([f"{self.release} is not what this machine makes of the log:", *lines])


def verify_run(
    log: EventLog | PreparedCorpus,
    store: str | os.PathLike[str] | TableStore,
    *,
    release: str = "latest",
    catalogue: Catalogue | None = None,
    workers: int = 1,
    progress: ProgressLike = None,
) -> RunComparison:
    """Run again what made a release, with its recorded settings, and compare the tables byte by byte.

    The same log, settings, version and instruction set give the same bytes on any number of threads, so `workers` may
    be another than that of the run. Traits that continued those of an earlier version continue them again. Nothing is
    published.

    Parameters
    ----------
    log, catalogue : what the run was given. store : TableStore or its directory. release : its name.
    workers : threads, -1 for all cores. progress : as of `fit_pipeline`.

    Raises
    ------
    InputError : another log than that of the run. TableError : no such release; tables of it, or the tokens whose
        traits it continued, are gone. TypeError, ValueError : an option.

    See Also
    --------
    fit_pipeline : publishes releases. TableStore.verify : compares a table's files with its own checksums.

    Examples
    --------
    >>> import tempfile
    >>> import traitcore as tc
    >>> shop = tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0)
    >>> store = tempfile.mkdtemp()
    >>> options = {"method": "ppmi", "vector_size": 8, "n_traits": 3, "trait_method": "counts"}
    >>> result = tc.fit_pipeline(shop.log, store=store, **options)
    >>> print(tc.verify_run(shop.log, store, workers=2))
    r000001: the same bytes again (tokens, items, customers)
    """
    if not isinstance(log, (EventLog, PreparedCorpus)):
        raise CHECK.type_error("log", "an EventLog or a PreparedCorpus", type(log).__name__)
    published = store if isinstance(store, TableStore) else TableStore(store)
    found = published.releases.get(release)
    if found.input_fingerprint != log_fingerprint(log):
        raise InputError(f"Release {found.name} was made of another log: the fingerprints of their events differ.")
    tables = {name: published.open(name, version) for name, version in (found.tables or {}).items()}
    recorded = next(iter(tables.values())).metadata.get("config")
    if not isinstance(recorded, dict):
        raise InputError(f"Release {found.name} has no record of its settings: it is not of fit_pipeline.")
    config = PipelineConfig().with_options(recorded | {"workers": CHECK.workers(workers)})
    continued, names = _traits_before(published, tables.get("customers"))
    with tempfile.TemporaryDirectory(prefix="traitcore-verify-") as folder:
        there = TableStore(folder)
        again = run_pipeline(
            log, config, catalogue, there, ("verify_run", "only compared"), continued, names, as_progress(progress)
        )
        differences = {
            name: tuple(_differences(table, there.open(name)) if name in again.published else ["not made again"])
            for name, table in tables.items()
        }
    return RunComparison(found.name, differences)


def _traits_before(
    store: TableStore, customers: EmbeddingTable | None
) -> tuple[PublishedTraits | None, dict[int, str]]:
    """The traits that a run continued, and the names that its own were given in the end."""
    if customers is None:
        return None, {}
    names, version = given_names(customers), customers.metadata.get(CONTINUES)
    if version is None:
        return None, names
    try:
        return PublishedTraits.of_version(store, version, {}), names
    except TableError as error:
        raise TableError(f"{error} The traits of the release continue those of tokens {version}, so it can't be run "
                         "again without them.") from error


def _differences(old: EmbeddingTable, new: EmbeddingTable) -> Iterator[str]:
    for name in ("ids", "vectors", "context_vectors"):
        if not _equal(getattr(old, name), getattr(new, name)):
            yield name
    for name in sorted({*old.arrays, *new.arrays}):
        if not _equal(old.arrays.get(name), new.arrays.get(name)):
            yield f"array {name}"
    a, b = ({**table.metadata} for table in (old, new))
    for side in (a, b):
        side.pop("versions", None)  # of the other tables in its store
        side["config"] = {key: value for key, value in side["config"].items() if key != "workers"}
    yield from (f"metadata {key}" for key in sorted({*a, *b}) if a.get(key) != b.get(key))


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    x, y = np.asarray(a), np.asarray(b)
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    # Bytes, not values: NaNs are equal to themselves, and -0.0 is not 0.0. Texts are objects, which have none.
    return bool(np.array_equal(x, y)) if x.dtype.hasobject else x.tobytes() == y.tobytes()
