"""What a publication writes: the files of a version, and the guardrails' report on it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from .. import __version__
from .. import _disk as disk
from .. import _npy as npy
from .._errors import GuardrailError
from .._parallel import run_tasks
from .._protocols import Report
from .._validate import Checks
from . import manifest
from .table import EmbeddingTable, check_metadata, fingerprint_of

CHECK = Checks("TableStore")
_STATUSES = ("pass", "warn", "fail")


def check_report(
    report: Report | Mapping[str, Any] | None, forced_by: str | None, reason: str | None
) -> dict[str, Any]:
    """The manifest's fields "report" and "forced"; TableError for a failing report that is not forced."""
    given = report.as_dict() if isinstance(report, Report) else report
    plain = None if given is None else check_metadata(given)
    if plain is not None and plain.get("status") not in _STATUSES:
        raise CHECK.value_error("report", f"with a 'status' of {_STATUSES}", plain.get("status"))
    if (forced_by is None) != (reason is None):
        missing = "force_reason" if reason is None else "forced_by"
        raise CHECK.value_error(missing, "given: forcing needs who and why", None)
    for key, value in (("forced_by", forced_by), ("force_reason", reason)):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise CHECK.value_error(key, "a sentence", value)
    if plain is not None and plain["status"] == "fail" and forced_by is None:
        reasons = plain.get("reasons") or ["no reason given"]
        listed = "; ".join(str(r) for r in reasons[:5]) if isinstance(reasons, list) else str(reasons)
        raise GuardrailError(f"The guardrails failed this table, and it was not forced: {listed}", plain)
    return {"report": plain, "forced": None if forced_by is None else {"by": forced_by, "reason": reason}}


def write_arrays(folder: Path, table: EmbeddingTable) -> dict[str, dict[str, Any]]:
    """Write the files; returns the manifest's entry for each.

    The largest file of a large table is written beside the others: hashing it takes longer than writing it.
    """
    arrays = _files_of(table)
    entries: dict[str, dict[str, Any]] = {file: {} for file in [*arrays, manifest.METADATA]}  # in this order

    def write(names: Iterable[str]) -> None:
        for file in names:
            array = arrays[file]
            dtype = npy.dtype_name(array)
            sha, size = disk.write_file(folder / file, [npy.header(dtype, array.shape), npy.payload(array)])
            entries[file] = {"sha256": sha, "size": size, "dtype": dtype, "shape": list(array.shape)}

    largest = max(arrays, key=lambda file: arrays[file].nbytes)
    rest = [file for file in arrays if file != largest]
    if arrays[largest].nbytes >= disk.LARGE:
        run_tasks([lambda: write([largest]), lambda: write(rest)], 2)
    else:
        write(arrays)
    text = json.dumps(table.metadata, indent=1, ensure_ascii=True, allow_nan=False).encode("ascii")
    sha, size = disk.write_file(folder / manifest.METADATA, [text])
    entries[manifest.METADATA] = {"sha256": sha, "size": size}
    return entries


def _files_of(table: EmbeddingTable) -> dict[str, NDArray[Any]]:
    files = {f"{name}.npy": array for name, array in table._identity_arrays().items()}
    return files | {f"array_{name}.npy": array for name, array in table.arrays.items()}


def table_fields(table: EmbeddingTable, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a manifest says of a table whose files these are."""
    return {
        "kind": "traitcore table",
        "format": manifest.FORMAT,
        "library_version": __version__,
        "n_rows": len(table),
        "dimension": table.dimension,
        "id_kind": table.id_kind,
        "fingerprint": fingerprint_of({f.removesuffix(".npy"): e["sha256"] for f, e in entries.items()}),
        "files": entries,
    }
