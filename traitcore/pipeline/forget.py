"""forget_customers: customers leave every published table that holds rows of theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import TableError
from .._validate import Checks
from ..serving.revisions import Moves, revise
from ..serving.row_ids import several
from ..serving.store import TableStore
from ..serving.table import EmbeddingTable
from .left_out import LeftOut

CHECK = Checks("forget_customers")
REASON = "customers were forgotten"


@dataclass(frozen=True)
class Forgotten:
    """What `forget_customers` did.

    revised : {table: {version: the version that replaces it}}. rows_removed : by table, over all its versions.
    """

    revised: Moves
    rows_removed: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """As plain dicts, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{name}: {', '.join(f'{old} -> {new}' for old, new in moves.items())}, "
            f"{self.rows_removed.get(name, 0):,} rows removed" for name, moves in self.revised.items()
        ]
        return "\n".join(lines) or "no version of any table holds a row of theirs"


def forget_customers(store: TableStore, customers: Any, *, tables: Iterable[str] = ()) -> Forgotten:
    """Remove customers from every version of the tables of customers and of live customers in a store.

    Each version that holds a row of theirs is replaced by a revision without it (v000003 by v000003.r1) and removed
    with its indexes; releases and the latest name the revision instead. So a release can still be rolled back to, and
    none brings them back. Nobody's id is written anywhere. Tables of tokens and items hold sums over all customers and
    stay as they are until the next fit, whose log must lack the customers too; `docs/people.md` says what is left.

    Parameters
    ----------
    store : TableStore. customers : one id, or ids; unknown ones change nothing.
    tables : names of further tables whose rows are customers, beside those that `fit_pipeline` and `traitcore follow`
        publish.

    Raises
    ------
    TableError : a version that can't be read, for it might hold them, or a disk that is full. Nothing is changed then.

    See Also
    --------
    LiveCustomers.forget : the same in memory. subtract_counts : counts without them.

    Examples
    --------
    >>> import tempfile
    >>> import traitcore as tc
    >>> store = tc.TableStore(tempfile.mkdtemp())
    >>> people = tc.EmbeddingTable(["ann", "bob"], [[0.7, 0.3], [0.1, 0.9]], metadata={"kind": "customers"})
    >>> store.publish(people, "customers")
    'v000001'
    >>> print(tc.forget_customers(store, "ann"))
    customers: v000001 -> v000001.r1, 1 rows removed
    >>> store.open("customers").ids.tolist()
    ['bob']
    """
    CHECK.instance("store", store, TableStore)
    ids = several(customers, CHECK, "customers")
    named = {tables} if isinstance(tables, str) else set(tables)
    missing = named - {info.name for info in store.list()}
    if missing:
        raise TableError(f"{store.root} has no table {sorted(missing)[0]!r}.")
    removed: dict[str, int] = {}

    def without(table: EmbeddingTable) -> EmbeddingTable | None:
        if table.name not in named and not is_of_customers(table):
            return None
        gone = np.array(sorted({row for one in ids if (row := table._ids.row(one)) >= 0}), dtype=np.int64)
        out = LeftOut.of_arrays(table.arrays)
        named_out = 0 if out is None else len(out.ids) - len(out.without(ids).ids)
        if not len(gone) and not named_out:
            return None
        removed[str(table.name)] = removed.get(str(table.name), 0) + len(gone) + named_out
        return without_rows(table, gone, ids)

    return Forgotten(revise(store, without, reason=REASON), removed)


def is_of_customers(table: EmbeddingTable) -> bool:
    """Whether a table's rows are customers: as `fit_pipeline` publishes, or a snapshot of `LiveCustomers`."""
    return table.metadata.get("kind") == "customers" or "live" in table.metadata


def without_rows(table: EmbeddingTable, gone: NDArray[np.int64], ids: Iterable[Any] = ()) -> EmbeddingTable:
    """A table of customers without some rows (sorted): row arrays, lists of items and token pairs follow.

    ids : whom to remove from the list of customers without a profile, too.
    """
    keep = np.ones(len(table), dtype=bool)
    keep[gone] = False
    arrays = dict(table.arrays)
    lists: dict[str, NDArray[Any]] = {}
    out = LeftOut.of_arrays(arrays)
    if out is not None:
        arrays = {name: array for name, array in arrays.items() if not name.startswith("left_out_")}
        lists |= out.without(ids).to_arrays()
    for name in ("history", "bought"):
        if f"{name}_offsets" in arrays:
            lengths = np.diff(arrays.pop(f"{name}_offsets"))
            lists[f"{name}_offsets"] = np.concatenate([[0], np.cumsum(lengths[keep])]).astype(np.int64)
            lists[f"{name}_items"] = arrays.pop(f"{name}_items")[np.repeat(keep, lengths)]
    if "pair_row" in arrays:
        owner = arrays.pop("pair_row")
        theirs = keep[owner]
        lists["pair_row"] = (np.cumsum(keep) - 1)[owner[theirs]]
        for name in ("pair_token", "pair_count"):
            lists[name] = arrays.pop(name)[theirs]
    rows = np.flatnonzero(keep)
    small = EmbeddingTable._of_parts(table._ids, table.vectors, table.context_vectors, arrays, {}).take_rows(rows)
    return EmbeddingTable(
        small._ids, small.vectors, context_vectors=small.context_vectors, arrays={**small.arrays, **lists},
        metadata=table.metadata,
    )
