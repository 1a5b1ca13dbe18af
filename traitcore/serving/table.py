"""EmbeddingTable: vectors under ids. Tokens, items, and customers with their traits are published as such tables."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _npy as npy
from .._looks import html_facts
from .._rows import unit_float32_rows
from .frames import arrow_table, data_frame, of_arrow
from .neighbors import Searcher
from .row_ids import RowIds, frozen_view, is_id, several
from .similarity import CHECK, Similarities

Origin = tuple[Callable[..., "EmbeddingTable"], tuple[str, ...]]  # how another process opens the table again


class EmbeddingTable(Similarities):
    """Rows of vectors under external ids, read-only, in memory or mapped from a published version.

    Parameters
    ----------
    ids : n distinct ids, all ints (int64) or all strings; row "1" is not row 1.
    vectors : (n, d) float32, finite. Not copied if it is a contiguous float32 array; read-only in the table.
    context_vectors : (n, d) float32 or None: the output vectors of a sequence model. Next items are found by
        `most_similar(..., against="context_vectors", metric="dot")`.
    arrays : {name: array}, further numbers (e.g. "counts" (n,), "loadings" (k, n_tokens)) of bool, int, uint or float
        dtype. `subset` selects the rows of arrays of length n and keeps others whole.
    metadata : dict that JSON can hold (method, parameters, trait descriptions, ...).

    Raises
    ------
    ValueError, TypeError : ids that repeat or mix kinds, lengths that differ, NaN or infinity, metadata not for JSON.

    See Also
    --------
    TableStore : publishes tables as versions. build_index : approximate search. top_k : search without ids.

    Examples
    --------
    >>> import traitcore as tc
    >>> table = tc.EmbeddingTable(["cup", "mug", "tie"], [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> table["mug"].round(1)
    array([0.8, 0.6], dtype=float32)
    >>> [(token, round(score, 2)) for token, score in table.most_similar("cup", 2)]
    [('mug', 0.8), ('tie', 0.0)]
    """

    def __init__(
        self,
        ids: Any,
        vectors: ArrayLike,
        *,
        context_vectors: ArrayLike | None = None,
        arrays: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._ids = RowIds.from_values(ids)
        n = len(self._ids)
        self.vectors = frozen_view(CHECK.array("vectors", vectors, dtype=np.float32, shape=(n, None)))
        self.context_vectors: NDArray[np.float32] | None = None
        if context_vectors is not None:
            shape = self.vectors.shape
            self.context_vectors = frozen_view(
                CHECK.array("context_vectors", context_vectors, dtype=np.float32, shape=shape)
            )
        if len({str(name).lower() for name in arrays or {}}) < len(arrays or {}):  # one file each, on any file system
            raise CHECK.value_error("arrays", "named apart by more than case", list(arrays or {}))
        self.arrays: Mapping[str, NDArray[Any]] = MappingProxyType(
            {name: _extra_array(name, value) for name, value in dict(arrays or {}).items()}
        )
        self._metadata: Any = check_metadata(metadata)
        self._searchers: dict[tuple[str, str], Searcher] = {}
        self._fingerprint: str | None = None
        self._origin: Origin | None = None
        self.version: str | None = None
        self.name: str | None = None

    @classmethod
    def _of_parts(
        cls, ids: RowIds, vectors: NDArray[np.float32], context: NDArray[np.float32] | None,
        arrays: dict[str, NDArray[Any]], metadata: Any, *, fingerprint: str | None = None,
    ) -> EmbeddingTable:
        """A table of parts that are checked already; `metadata` may be a callable that reads it at the first use."""
        table = cls.__new__(cls)
        table._ids, table.vectors, table.context_vectors = ids, vectors, context
        table.arrays, table._metadata, table._searchers = MappingProxyType(arrays), metadata, {}
        table._fingerprint, table._origin, table.version, table.name = fingerprint, None, None, None
        return table

    def __reduce__(self) -> tuple[Any, ...]:
        """An opened table is pickled as its path and version, checked when loaded; one in memory as its arrays."""
        return self._origin or (_of_state, (self._state(),))

    def _state(self) -> dict[str, Any]:
        return {
            "ids": self._ids, "vectors": self.vectors, "context": self.context_vectors, "arrays": dict(self.arrays),
            "metadata": self.metadata, "fingerprint": self._fingerprint,
        }

    def __copy__(self) -> EmbeddingTable:
        twin = EmbeddingTable.__new__(EmbeddingTable)
        vars(twin).update(vars(self))
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> EmbeddingTable:
        """Without the files of an opened table, whose mapped arrays can't change and are shared."""
        if self._origin is None:
            return _of_state(copy.deepcopy(self._state(), memo))
        twin = self.__copy__()
        twin._metadata = copy.deepcopy(self.metadata, memo)
        return twin

    @property
    def ids(self) -> NDArray[Any]:
        """(n,) external ids, read-only: int64, or strings (object dtype, decoded at the first use)."""
        return self._ids.array()

    @property
    def id_kind(self) -> str:
        """ "int64" or "string"."""
        return self._ids.kind

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata given when the table was made."""
        if callable(self._metadata):
            self._metadata = self._metadata()
        return self._metadata  # type: ignore[no-any-return]

    @property
    def dimension(self) -> int:
        """Columns of `vectors`."""
        return int(self.vectors.shape[1])

    @property
    def fingerprint(self) -> str:
        """sha256 over the ids and vectors in row order: equal exactly when ids, order and numbers are equal."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of({name: npy.digest(a) for name, a in self._identity_arrays().items()})
        return self._fingerprint

    def _identity_arrays(self) -> dict[str, NDArray[Any]]:
        parts: dict[str, NDArray[Any]] = {"vectors": self.vectors}
        if self._ids.values is not None:
            parts["ids"] = self._ids.values
        else:
            assert self._ids.offsets is not None
            assert self._ids.data is not None
            parts["ids_offsets"], parts["ids_data"] = self._ids.offsets, self._ids.data
        if self.context_vectors is not None:
            parts["context_vectors"] = self.context_vectors
        return parts

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, token: object) -> bool:
        return self._ids.row(token) >= 0

    def __iter__(self) -> Iterator[int | str]:
        """The ids, in row order."""
        return iter(self._ids)

    def __getitem__(self, tokens: Any) -> NDArray[np.float32]:
        """(d,) the vector of one id, read-only; (m, d), a copy, of a list or array of m ids. KeyError for others.

        >>> import traitcore as tc
        >>> table = tc.EmbeddingTable([7, 9], [[1.0, 0.0], [0.0, 1.0]])
        >>> table[9].tolist(), table[[9, 7]].tolist()
        ([0.0, 1.0], [[0.0, 1.0], [1.0, 0.0]])
        """
        if is_id(tokens) or not isinstance(tokens, Iterable):
            return self.vectors[self.row(tokens)]  # type: ignore[no-any-return]
        return self.vectors[self.rows(tokens)]

    def __repr__(self) -> str:
        origin = f", {self.name}@{self.version}" if self.version else ""
        context = ", context vectors" if self.context_vectors is not None else ""
        return f"EmbeddingTable({len(self):,} {self.id_kind} ids, d={self.dimension}{context}{origin})"

    def _repr_html_(self) -> str:
        facts = {"rows": len(self), "ids": self.id_kind, "dimension": self.dimension, "version": self.version or "",
                 "context vectors": self.context_vectors is not None, "arrays": tuple(self.arrays),
                 "first ids": tuple(self._ids.take(np.arange(min(5, len(self)))).tolist())}
        return html_facts(f"EmbeddingTable {self.name or ''}".rstrip(), facts)

    def row(self, token: int | str) -> int:
        """The row of one id; KeyError where the table has none."""
        row = self._ids.row(token)
        if row < 0:
            raise KeyError(self._unknown(token))
        return row

    def rows(self, tokens: Any, *, missing: str = "raise") -> NDArray[np.int64]:
        """(m,) int64 rows of several ids (one id: m is 1).

        missing="raise": KeyError names the first unknown one; "mark": -1 there.
        """
        CHECK.choice("missing", missing, ("raise", "mark"))
        tokens = several(tokens, CHECK, "ids")
        rows = self._ids.rows(tokens)
        if missing == "raise" and (rows < 0).any():
            raise KeyError(self._unknown(list(tokens)[int(np.argmax(rows < 0))]))
        return rows

    def _unknown(self, token: object) -> str:
        hint = ""
        if isinstance(token, str):
            other: int | str | None = _as_int(token) if self.id_kind == "int64" else None
        else:
            other = str(token) if self.id_kind == "string" else None
        if other is not None and self._ids.row(other) >= 0:
            hint = f" Its ids are of kind {self.id_kind}: {other!r} is there."
        return f"no row for {token!r} in {self!r}.{hint}"

    def to_arrow(self) -> Any:
        """A pyarrow.Table over the same memory: id (int64 or large_string), vector, and context_vector where there is
        one (fixed-size lists of d float32). The schema's metadata holds "traitcore.fingerprint", and
        "traitcore.table" and "traitcore.version" of a published table. ImportError without pyarrow; ValueError for
        vectors of 0 dimensions.
        """
        return arrow_table(self._ids, self.vectors, self.context_vectors, self._labels())

    def _labels(self) -> dict[str, str]:
        """What a file or stream of the table says about it."""
        labels = {"traitcore.fingerprint": self.fingerprint}
        if self.name is not None and self.version is not None:
            labels |= {"traitcore.table": self.name, "traitcore.version": self.version}
        return labels

    @classmethod
    def from_arrow(cls, data: Any, *, id: str = "id", vector: str = "vector") -> EmbeddingTable:
        """A table of what speaks Arrow's stream protocol: `to_arrow` and back, also by way of another system.

        Parameters
        ----------
        data : a pyarrow.Table, polars DataFrame, DuckDB relation or anything else with `__arrow_c_stream__`.
        id, vector : its columns of ids (ints or strings) and of vectors (lists of floats, all of one length). A column
            "context_vector" is taken too, others are ignored.

        Raises
        ------
        ValueError, TypeError : a missing column, nulls, lists of several lengths, repeated ids.
        ImportError : pyarrow is not installed.

        Examples
        --------
        >>> import traitcore as tc
        >>> table = tc.EmbeddingTable(["cup", "mug"], [[1.0, 0.0], [0.6, 0.8]])
        >>> tc.EmbeddingTable.from_arrow(table.to_arrow()).fingerprint == table.fingerprint
        True
        """
        ids, vectors, context = of_arrow(data, id, vector)
        return cls(ids, vectors, context_vectors=context)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Arrow's PyCapsule protocol, by which polars, DuckDB, pyarrow and others read the table; as `to_arrow`."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> Any:
        """A pandas.DataFrame of the vectors, (n, d) float32, a copy; the ids are its index, named "id"."""
        return data_frame(self._ids, self.vectors)

    def subset(self, ids: Any) -> EmbeddingTable:
        """A table of these ids in this order (KeyError for an unknown one); row arrays follow, metadata is kept."""
        return self.take_rows(self.rows(ids))

    def take_rows(self, rows: NDArray[Any]) -> EmbeddingTable:
        """As `subset`, by distinct rows (m,) instead of ids; IndexError beyond the last one."""
        n = len(self)
        return EmbeddingTable(
            self._ids.take(rows),
            self.vectors[rows],
            context_vectors=None if self.context_vectors is None else self.context_vectors[rows],
            arrays={k: a[rows] if a.ndim and len(a) == n else a for k, a in self.arrays.items()},
            metadata=self.metadata,
        )

    def normalized(self) -> EmbeddingTable:
        """The same table with `vectors` (not the context vectors) of length 1; zero rows stay zero."""
        unit = unit_float32_rows(self.vectors)
        return EmbeddingTable._of_parts(
            self._ids, frozen_view(unit), self.context_vectors, dict(self.arrays), self.metadata
        )


def _of_state(state: dict[str, Any]) -> EmbeddingTable:
    context, arrays = state["context"], {name: frozen_view(a) for name, a in state["arrays"].items()}
    return EmbeddingTable._of_parts(
        state["ids"], frozen_view(state["vectors"]), None if context is None else frozen_view(context), arrays,
        state["metadata"], fingerprint=state["fingerprint"],
    )


def fingerprint_of(digests: Mapping[str, str]) -> str:
    """One sha256 for the digests of a table's ids and vectors files."""
    names = ("ids", "ids_offsets", "ids_data", "vectors", "context_vectors")
    lines = [f"{name} {digests[name]}\n" for name in names if name in digests]
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def check_metadata(metadata: Any) -> dict[str, Any]:
    """A deep copy through JSON, equal to what is read back from a file later."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise CHECK.type_error("metadata", "a dict that JSON can hold", metadata)
    try:
        return json.loads(json.dumps(dict(metadata), allow_nan=False, default=_plain))  # type: ignore[no-any-return]
    except (TypeError, ValueError, RecursionError) as error:
        message = CHECK.message("metadata", f"a dict that JSON can hold ({error})", metadata)
        raise (TypeError if isinstance(error, TypeError) else ValueError)(message) from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not JSON")


def _extra_array(name: Any, value: Any) -> NDArray[Any]:
    if not isinstance(name, str) or not npy.NAME.fullmatch(name) or name in npy.RESERVED:
        rule = f"keyed by names of letters, digits and _ other than {', '.join(sorted(npy.RESERVED))}"
        raise CHECK.value_error("arrays", rule, name)
    array = CHECK.plain("arrays", value)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise CHECK.type_error("arrays", f"numeric ({name!r})", f"dtype {array.dtype}")
    native = array.dtype.newbyteorder("=")
    return frozen_view(np.require(array.astype(native, copy=False), requirements=["C", "A"]))


def _as_int(text: str) -> int | None:
    return int(text) if text.lstrip("-").isdecimal() and len(text) < 20 else None
