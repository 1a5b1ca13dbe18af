"""Excel and OpenDocument sheets as CSV, through the `io` extra: a cell is what it holds, not how it is shown."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .._errors import InputError
from .._files import csv_writer
from .source_files import SourceFile


def sheets_as_csv(file: SourceFile, sheet: str | None) -> Iterator[SourceFile]:
    """Each sheet as a file of its own. All must have the columns of the first, unless one is named."""
    try:
        import python_calamine
    except ImportError as error:
        raise ImportError(f"Reading {file.name} needs python-calamine: pip install 'traitcore[io]'.") from error
    try:
        book = python_calamine.CalamineWorkbook.from_path(file.path)
        names = [name for name in book.sheet_names if sheet in (None, name)]
        if not names:
            listed = ", ".join(map(repr, book.sheet_names))
            raise InputError(f"{file.name} has no sheet {sheet!r}. There are: {listed}.")
        heads: list[list[str]] = []
        for name in names:
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            if not any(any(cell != "" for cell in row) for row in rows):
                continue
            heads.append([_text(cell) for cell in rows[0]])
            if heads[-1] != heads[0]:
                raise InputError(
                    f"{file.name}: sheet {name!r} has other columns than {names[0]!r}. sheet={names[0]!r} reads one."
                )
            yield _written(file, name, rows)
    except python_calamine.CalamineError as error:
        raise InputError(f"{file.name} can't be read as Excel: {error}.") from error
    if not heads:
        raise InputError(f"{file.name} is empty: it has no header.")


def _written(file: SourceFile, name: str, rows: list[list[Any]]) -> SourceFile:
    path = os.path.join(tempfile.mkdtemp(dir=file.scratch), "sheet.csv")
    with open(path, "w", encoding="utf-8", newline="") as out:
        csv_writer(out).writerows([[_text(cell) for cell in row] for row in rows])
    return replace(file, path=path, name=f"{file.name}/{name}")


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(" ")
    return str(cell)
