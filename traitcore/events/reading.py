"""Reading: how files are written, for every function that reads them."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from .._validate import Checks

FORMATS = ("csv", "json", "parquet", "excel")


@dataclass(frozen=True)
class Reading:
    """The options of `read_events` that say how a file is written; see there."""

    format: str | None = None
    delimiter: str | None = None
    quote: str | None = '"'
    columns: tuple[str, ...] | None = None
    encoding: str = "utf-8"
    decimal: str = "."
    sheet: str | None = None

    def check(self, check: Checks) -> None:
        """Refuse what can't be meant."""
        if self.format is not None:
            check.choice("format", self.format, FORMATS)
        check.choice("decimal", self.decimal, (".", ","))
        if not _is_text_encoding(self.encoding):
            raise check.value_error("encoding", "the name of a text encoding, such as 'latin-1'", self.encoding)
        one = self.delimiter
        if one is not None and (
            not isinstance(one, str) or not 1 <= len(one.encode()) <= 4 or set(one) & set('"\r\n\0')
        ):
            raise check.value_error("delimiter", "1 to 4 bytes, no quote and no line end", one)
        one = self.quote
        if one is not None and (not isinstance(one, str) or len(one) != 1 or not " " < one < "\x7f"):
            raise check.value_error("quote", "one ASCII character or None", one)
        if self.quote is not None and self.delimiter is not None and self.quote in self.delimiter:
            raise check.value_error("delimiter", "another character than the quote", self.delimiter)
        names = self.columns
        if names is not None and (not names or not all(isinstance(name, str) and name for name in names)):
            raise check.type_error("columns", "the names of the columns", names)
        if names is not None and len(set(names)) < len(names):
            raise check.value_error("columns", "distinct names", names)


def _is_text_encoding(name: object) -> bool:
    try:
        return bool(codecs.lookup(name)._is_text_encoding)  # type: ignore[arg-type]
    except (LookupError, TypeError, ValueError):
        return False
