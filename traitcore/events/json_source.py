"""JSON lines, or one JSON array, by DuckDB: a role names a key, a path a.b, or a field items[].id of list entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError, MissingColumnError
from . import duck
from .csv_records import Located, read_records, record_blocks
from .source_files import SourceFile

ROW, FAULT = "traitcore row", "traitcore fault"  # columns beside those of the roles
FAULTS = ("the record is not JSON", "the record's list of events is empty or missing")
LONGEST = 64 << 20
_SAMPLE = 1000


class JsonFile:
    """One plain file of JSON records in UTF-8, opened for reading."""

    def __init__(self, connection: Any, file: SourceFile) -> None:
        self.connection, self.file, self.name, self.path = connection, file, file.name, file.path
        duck.limit_memory(connection, None)
        with open(file.path, "rb") as opened:
            start = opened.read(1 << 16).removeprefix(b"\xef\xbb\xbf").lstrip()
        if not start:
            raise InputError(f"{self.name} is empty: it has no records.")
        self.array = start[:1] == b"["
        self.place = "row" if self.array else "line"
        how = "format='array'" if self.array else "format='newline_delimited', ignore_errors=true"
        read = (f"read_json_objects({duck.literal(self.path)}, {how}, maximum_object_size={LONGEST}, "
                "compression='uncompressed')")
        self._records = f"(SELECT json AS j, row_number() OVER () - 1 AS r FROM {read})"
        found = connection.execute(f"SELECT json_keys(j) FROM {self._records} LIMIT {_SAMPLE}").fetchall()
        self.keys = list(dict.fromkeys(key for (keys,) in found for key in keys or ()))

    @property
    def column_names(self) -> list[str]:
        """The keys of the first records, and the folders' columns."""
        return list(dict.fromkeys([*self.keys, *self.file.partitions]))

    def query(self, names: Mapping[str, str], where: str | None) -> str:
        """SQL for the roles in their order, and for the row and the fault of each record."""
        named = ", ".join(
            [f"j->>{_pointer([key])} AS {duck.quoted(key)}" for key in duck.unambiguous(self.keys)]
            + [f"{_constant(value)} AS {duck.quoted(key)}" for key, value in self.file.partitions.items()
               if key not in self.keys]
        )
        lists = {name.partition("[]")[0] for name in names.values() if "[]" in name and not self._has([name])}
        if len(lists) > 1:
            raise InputError(f"{self.name}: all roles must be of one list. Got {', '.join(sorted(lists))}.")
        entries = "NULL::JSON[]"
        if lists:
            entries = f"json_extract(json_extract(j, {_pointer(lists.pop().split('.'))}), '$[*]')"
            fault = "CASE WHEN j IS NULL THEN 1 WHEN len(l) > 0 THEN 0 ELSE 2 END"
            entry = "unnest(CASE WHEN len(l) > 0 THEN l ELSE [NULL::JSON] END)"
        else:
            fault, entry = "CASE WHEN j IS NULL THEN 1 ELSE 0 END", "NULL::JSON"
        records = (f"(SELECT r, j, {fault} AS f, {entry} AS e{', ' if named else ''}{named} "
                   f"FROM (SELECT *, {entries} AS l FROM {self._records}))")
        relation = duck.Relation(
            self.connection, self.name, {name: self._sql(name) for name in names.values() if self._sql(name)}, records,
            records,
        )
        columns = [f"{self._role(relation, role, name)} AS {duck.quoted(role)}" for role, name in names.items()]
        if where is not None:
            relation.pick({}, where)
        condition = "" if where is None else f" WHERE f = 1 OR ({where})"
        columns += [f"r AS {duck.quoted(ROW)}", f"f AS {duck.quoted(FAULT)}"]
        return f"SELECT {', '.join(columns)} FROM {records}{condition}"

    def _role(self, relation: duck.Relation, role: str, name: str) -> str:
        if name in relation.exact:
            return relation.exact[name]
        try:
            shown = duck.Relation(relation.connection, self.name, dict.fromkeys(self.keys, ""), relation.named,
                                  relation.named)
            return shown.pick({role: name}, "true").roles[role]
        except MissingColumnError as error:
            raise MissingColumnError(
                role, f"{error.problem} A path a.b names a nested field, items[].id one of each entry of a list."
            ) from error

    def _sql(self, name: str) -> str:
        """SQL of a key, a folder's column or a path; "" where no record has it."""
        if name in self.keys or self._has([name]):
            return f"(j->>{_pointer([name])})"
        if name in self.file.partitions:
            return _constant(self.file.partitions[name])
        _, brackets, rest = name.partition("[]")
        if brackets:
            return f"(e->>{_pointer(rest.removeprefix('.').split('.'))})" if rest else "(e->>'$')"
        parts = name.split(".")
        return f"(j->>{_pointer(parts)})" if len(parts) > 1 and self._has(parts) else ""

    def _has(self, parts: list[str]) -> bool:
        query = f"SELECT 1 FROM {self._records} WHERE json_exists(j, {_pointer(parts)}) LIMIT 1"
        return bool(self.connection.execute(query).fetchall())

    def locate(self, rows: NDArray[np.int64], n_rows: int = 0) -> Located | None:
        """(lines, first bytes, ends) of records by their numbers (rising); None where they can't be found."""
        found: tuple[list[Any], ...] = ([], [], [])
        seen = 0
        for starts, ends, lines in record_blocks(self.path, ",", "", carriage_returns=False, skip_blank=True):
            wanted = np.isin(np.arange(seen, seen + len(starts)), rows)
            for into, values in zip(found, (lines, starts, ends)):
                into.append(values[wanted])
            seen += len(starts)
        if seen != self.count():
            return None
        lines, starts, ends = (np.concatenate(part) for part in found)
        return lines, starts, ends

    def records(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[str]:
        """The records at these places, as they stand in the file."""
        return read_records(self.path, starts, ends)

    def place_of(self, row: int) -> tuple[str, int, str | None]:
        """("line" or "row", its number, None) of a record."""
        found = self.locate(np.array([row]))
        return ("row", row, None) if found is None else ("line", int(found[0][0]), None)

    def count(self) -> int:
        """Number of records, good or not."""
        with self.connection.cursor() as other:
            return int(other.execute(f"SELECT count(*) FROM {self._records}").fetchall()[0][0])


def _constant(value: str | None) -> str:
    return "NULL::VARCHAR" if value is None else duck.literal(value)


def _pointer(parts: list[str]) -> str:
    """A JSON pointer (RFC 6901), which takes any key as it is."""
    return duck.literal("".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts))
