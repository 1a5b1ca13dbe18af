"""Lists of customers for other systems: profiles, segments, campaigns."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import csv_writer, whole_file
from .._frames import frame_of
from .._looks import html_table, text_table
from .._validate import Checks
from ..serving.frames import pyarrow
from .tables import Tables, parse_id

_SHOWN = 10
_EXCEL_ROWS = 1_048_576
ENDINGS = (".csv", ".parquet", ".xlsx")


class Listing:
    """Columns of equal length under names; a row for each customer. Becomes a frame, or a file by its ending."""

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self.columns = dict(columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def to_frame(self, library: str | None = None) -> Any:
        """A data frame of "pandas" or "polars"; None: the one that is imported already, else the one installed."""
        return frame_of(self.columns, library)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write .csv, .parquet (pyarrow, extra `io`) or .xlsx (openpyxl, extra `io`); whole or not at all.

        ValueError for another ending, or more rows than a sheet holds. ImportError without the library.
        """
        ending = Path(path).suffix.lower()
        if ending not in ENDINGS:
            raise Checks("Listing.write").value_error("path", f"a name that ends in {', '.join(ENDINGS)}", str(path))
        with whole_file(path) as scratch:
            {".csv": self._csv, ".parquet": self._parquet, ".xlsx": self._excel}[ending](Path(scratch))

    def _rows(self) -> Any:
        return zip(*(column.tolist() for column in self.columns.values()))

    def _csv(self, path: Path) -> None:
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv_writer(file)
            writer.writerow(self.columns)
            writer.writerows(self._rows())

    def _parquet(self, path: Path) -> None:
        arrow, parquet = pyarrow("Writing Parquet"), pyarrow("Writing Parquet", "pyarrow.parquet")
        columns = {name: arrow.array(column.tolist()) for name, column in self.columns.items()}
        parquet.write_table(arrow.table(columns), path)

    def _excel(self, path: Path) -> None:
        if len(self) >= _EXCEL_ROWS:
            rule = f".csv or .parquet: a sheet holds at most {_EXCEL_ROWS - 1:,} rows"
            raise Checks("Listing.write").value_error("path", rule, f"{len(self):,} rows")
        try:
            openpyxl = importlib.import_module("openpyxl")
        except ImportError as error:
            raise ImportError("Writing Excel needs openpyxl: pip install 'traitcore[io]'.") from error
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet("customers")
        sheet.append(list(self.columns))
        for row in self._rows():
            sheet.append(list(row))
        with open(path, "wb") as file:
            book.save(file)

    def _head(self) -> list[list[Any]]:
        return [[column[i] for column in self.columns.values()] for i in range(min(_SHOWN, len(self)))]

    def __repr__(self) -> str:
        more = [f"... {len(self) - _SHOWN:,} more"] if len(self) > _SHOWN else []
        return "\n".join([text_table(self._head(), list(self.columns)), *more])

    def _repr_html_(self) -> str:
        return html_table(self._head(), list(self.columns), caption=f"{len(self):,} customers")


def trait_columns(tables: Tables) -> list[str]:
    """A column's name for each trait: its number, and its name in words."""
    return [f"trait {trait['trait']}: {trait['name']}" for trait in tables.traits]


def profiles(tables: Tables) -> Listing:
    """customer, events, and the share of each trait."""
    customers = tables.customers
    shares = {name: customers.vectors[:, t] for t, name in enumerate(trait_columns(tables))}
    return Listing({"customer": customers.ids, "events": customers.arrays["events"], **shares})


def segments(tables: Tables, *, min_share: float = 0.3) -> Listing:
    """customer, trait, name, share: each customer's largest trait; -1, "mixed" where it is below `min_share`."""
    min_share = Checks("Shop.segments").real("min_share", min_share, 0.0, 1.0)
    customers = tables.customers
    largest = customers.vectors.argmax(axis=1)
    share = customers.vectors[np.arange(len(customers)), largest]
    clear = (share >= min_share) & (share > 0)
    names = np.array([*(trait["name"] for trait in tables.traits), "mixed"], dtype=object)
    trait = np.where(clear, largest, -1)
    return Listing({"customer": customers.ids, "trait": trait, "name": names[trait], "share": share})


def campaign(tables: Tables, trait: int, *, min_share: float = 0.3, not_bought: Any = ()) -> Listing:
    """customer, share, events of those with at least `min_share` of a trait who bought none of the items `not_bought`,
    the largest share first."""
    check, customers = Checks("Shop.campaign"), tables.customers
    trait = check.integer("trait", trait, 0, len(tables.traits) - 1)
    min_share = check.real("min_share", min_share, 0.0, 1.0)
    wanted = [not_bought] if isinstance(not_bought, (str, int)) else list(not_bought)
    items = tables.items.rows([parse_id(tables.items, one) for one in wanted]) if wanted else np.zeros(0, np.int64)
    offsets, bought = customers.arrays["bought_offsets"], customers.arrays["bought_items"]
    owners = np.repeat(np.arange(len(customers)), np.diff(offsets))[np.isin(bought, items)]
    share = customers.vectors[:, trait]
    listed = (share >= min_share) & (share > 0)
    listed[owners] = False
    rows = np.flatnonzero(listed)
    rows = rows[np.argsort(-share[rows], kind="stable")]
    return Listing({"customer": customers.ids[rows], "share": share[rows], "events": customers.arrays["events"][rows]})
