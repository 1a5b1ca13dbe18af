"""How answers look: aligned text in a terminal, a table in a notebook, a data frame where one is wanted."""

from __future__ import annotations

import html
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Generic, TypeVar, overload

import numpy as np

from ._frames import frame_of

Row = TypeVar("Row")
_SHOWN = 60  # rows of a table in a notebook or a repr


def show(value: Any) -> str:
    """One cell: numbers short, counts with commas, missing as "-"; control characters are escaped."""
    if value is None:
        return "-"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        return f"{value:.3f}" if abs(float(value)) < 10 else f"{value:,.1f}"
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))


def width_of(text: str) -> int:
    """Columns a text takes on a terminal: East Asian wide characters and most emoji take two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """At most `width` columns, with an ellipsis where something is left out."""
    if width_of(text) <= width:
        return text
    kept, used = [], 0
    for c in text:
        used += width_of(c)
        if used > width - 1:
            break
        kept.append(c)
    return "".join(kept) + "…"


def text_table(
    rows: Sequence[Sequence[Any]], heads: Sequence[str], *, width: int | None = None, indent: int = 0
) -> str:
    """Aligned columns: numbers to the right, text to the left; the last text column shrinks on a narrow terminal."""
    cells = [[show(value) for value in row] for row in rows]
    right = [all(map(_is_number, column)) for column in zip(*rows)] or [False] * len(heads)
    widths = [max(width_of(line[i]) for line in [list(heads), *cells]) for i in range(len(heads))]
    total: int = width or (shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 10_000)
    texts = [i for i, number in enumerate(right) if not number]
    spare = total - indent - sum(widths) - 2 * (len(widths) - 1)
    if spare < 0 and texts:
        widths[texts[-1]] = max(8, widths[texts[-1]] + spare)
    lines = []
    for line in [list(heads), *cells]:
        padded = []
        for text, size, number in zip(line, widths, right):
            text = cut(text, size)
            fill = " " * (size - width_of(text))
            padded.append(fill + text if number else text + fill)
        lines.append(" " * indent + "  ".join(padded).rstrip())
    return "\n".join(lines)


def html_table(rows: Sequence[Sequence[Any]], heads: Sequence[str], *, caption: str = "") -> str:
    """The same as an HTML table; every text is escaped."""
    right = [all(map(_is_number, column)) for column in zip(*rows)] or [False] * len(heads)

    def cell(tag: str, text: str, number: bool) -> str:
        return f"<{tag}{' style=text-align:right' if number else ''}>{html.escape(text)}</{tag}>"

    head = "".join(cell("th", text, number) for text, number in zip(heads, right))
    body = "".join(
        "<tr>" + "".join(cell("td", show(value), number) for value, number in zip(row, right)) + "</tr>" for row in rows
    )
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_facts(title: str, facts: dict[str, Any]) -> str:
    """One object in a notebook: its name, and what there is to know of it, a line each."""
    return html_table([(name, show(value)) for name, value in facts.items()], ("", ""), caption=title)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float, np.number)) and not isinstance(value, bool))


_IDS = {"id", "item", "customer", "token"}  # columns of names: 12347 is no amount, and gets no commas


def plain(value: Any) -> Any:
    """numpy's numbers and texts, in a tuple too, as Python's: ids of an array print and go to JSON like any other."""
    if isinstance(value, tuple):
        return tuple(plain(one) for one in value)
    return value.item() if isinstance(value, np.generic) else value


def _plain_row(row: Row) -> Row:
    changed = {}
    for f in fields(row):  # type: ignore[arg-type]
        value = getattr(row, f.name)
        if isinstance(value, (np.generic, tuple)):
            changed[f.name] = plain(value)
    return replace(row, **changed) if changed else row  # type: ignore[type-var]


class Rows(Sequence[Row], Generic[Row]):
    """Records of one kind in their order: a sequence that prints as a table and becomes a data frame.

    `title` and `note` stand above and below the table. Columns that are None in every record aren't shown.
    """

    def __init__(self, kind: type[Row], rows: Sequence[Row], *, title: str = "", note: str = "") -> None:
        self._kind, self._rows, self.title, self.note = kind, tuple(map(_plain_row, rows)), title, note

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Rows[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Rows[Row]:
        if isinstance(place, slice):
            return Rows(self._kind, self._rows[place], title=self.title, note=self.note)
        return self._rows[place]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and self._rows == other._rows

    def __hash__(self) -> int:
        return hash(self._rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """A dict for each record, of plain Python values, for JSON."""
        return [asdict(row) for row in self._rows]  # type: ignore[call-overload]

    def to_frame(self, library: str | None = None) -> Any:
        """A data frame, a row for each record.

        library : "pandas" or "polars"; None: the one that is imported already (pandas, where both are), else the one
            that is installed. ImportError where there is none.
        """
        names = [f.name for f in fields(self._kind)]  # type: ignore[arg-type]
        return frame_of({name: [getattr(row, name) for row in self._rows] for name in names}, library)

    def _cells(self) -> tuple[list[str], list[list[Any]]]:
        names = [f.name for f in fields(self._kind)]  # type: ignore[arg-type]
        names = [n for n in names if not self._rows or any(getattr(row, n) not in (None, "", ()) for row in self._rows)]
        shown = self._rows[:_SHOWN]
        return names, [[str(getattr(r, n)) if n in _IDS else getattr(r, n) for n in names] for r in shown]

    def _more(self) -> list[str]:
        left = len(self._rows) - _SHOWN
        return [line for line in (f"... {left:,} more" if left > 0 else "", self.note) if line]

    def __repr__(self) -> str:
        heads, cells = self._cells()
        return "\n".join([*([self.title] if self.title else []), text_table(cells, heads), *self._more()])

    def _repr_html_(self) -> str:
        heads, cells = self._cells()
        return html_table(cells, heads, caption=self.title) + "".join(f"<p>{html.escape(t)}</p>" for t in self._more())
