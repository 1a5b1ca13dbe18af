"""DuckDB as the reader of every file format: connections, names, and the columns and expressions that roles name.

It is imported when a file is read, and guesses nothing: formats, dialects and types are said to it.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .._errors import InputError, MissingColumnError

_LISTED = 30
ALIAS = "traitcore_{}"


@contextmanager
def connected(memory_mb: int | None = None) -> Iterator[Any]:
    """A connection of its own: the whole process shares DuckDB's default one. memory_mb : the most it may hold."""
    try:
        import duckdb
    except ImportError as error:
        raise ImportError("Reading files needs DuckDB: pip install duckdb.") from error
    # More threads than this wait for the one that codes what is read.
    threads = min(os.cpu_count() or 1, 8)
    try:
        with duckdb.connect(":memory:", config={"threads": threads}) as connection:
            for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):  # nothing is downloaded
                connection.execute(f"SET {setting} = false")
            connection.execute("SET TimeZone = 'UTC'")
            if memory_mb is not None:
                connection.execute(f"SET memory_limit = '{memory_mb}MB'")
            connection.execute("SET VARIABLE traitcore_memory = current_setting('memory_limit')")
            connection.execute(f"SET temp_directory = {literal(tempfile.gettempdir())}")
            yield connection
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # what DuckDB makes of Ctrl-C
            raise KeyboardInterrupt from error
        raise


def error_type() -> type[Exception]:
    """What all of DuckDB's own errors are; Ctrl-C makes none of them."""
    import duckdb

    return duckdb.Error


def limit_memory(connection: Any, megabytes: int | None) -> None:
    """The most that DuckDB may hold; None: as much as at first."""
    limit = f"{megabytes}MB"
    if megabytes is None:  # older versions don't RESET this one
        limit = connection.execute("SELECT getvariable('traitcore_memory')").fetchall()[0][0]
    connection.execute(f"SET memory_limit = {literal(limit)}")


def release_memory(connection: Any) -> None:
    """Give back the memory in which DuckDB keeps parts of the files that it has read."""
    with contextlib.suppress(Exception):  # it is only a cache
        limit_memory(connection, 64)
    limit_memory(connection, None)


def literal(text: str) -> str:
    """A SQL string."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A SQL name."""
    return '"' + name.replace('"', '""') + '"'


def first_line(error: BaseException) -> str:
    """What DuckDB says, without its picture of the query."""
    text = str(error).strip().split("\n")[0]
    return text if len(text) <= 300 else text[:297] + "..."


@dataclass(frozen=True)
class Picked:
    """A query over a source: its FROM clause, the SQL of each role, and a condition."""

    relation: str
    roles: Mapping[str, str]
    where: str | None


class Relation:
    """Columns of one file, by the names that callers use, over a SQL relation.

    exact : SQL by column name. from_clause : the relation in which that SQL holds. named : the same relation with the
    columns under their own names, for expressions.
    """

    def __init__(self, connection: Any, source: str, exact: Mapping[str, str], from_clause: str, named: str) -> None:
        self.connection, self.source = connection, source
        self.exact, self.from_clause, self.named = exact, from_clause, named

    def pick(self, names: Mapping[str, str], where: str | None) -> Picked:
        """The query for these roles: a column whose name is exactly the text given, else an expression."""
        if where is None and all(name in self.exact for name in names.values()):
            return Picked(self.from_clause, {role: self.exact[name] for role, name in names.items()}, None)
        roles = {}
        for role, name in names.items():
            roles[role] = quoted(name) if name in self.exact else self._expression(role, name)
        if where is not None:
            self._check_condition(where)
        return Picked(self.named, roles, where)

    def _expression(self, role: str, text: str) -> str:
        listed = ", ".join(map(repr, list(self.exact)[:_LISTED])) + (", ..." if len(self.exact) > _LISTED else "")
        what = f"{self.source}: column {text!r}, wanted as {role}, is missing"
        near = difflib.get_close_matches(text, list(self.exact), 1)
        there = f"There are: {listed}." + (f" Is it {near[0]!r}?" if near else "")
        columns = uses_columns(self.connection, text)
        try:
            if columns:
                self.connection.sql(f"DESCRIBE SELECT ({text}) FROM {self.named}").fetchall()
                return f"({text})"
            because = "it names no column" if columns is False else "it is no SQL expression"
        except Exception as error:
            because = first_line(error)
        if re.fullmatch(r"[\w .$-]*", text):  # a name: what SQL makes of it is of no interest
            raise MissingColumnError(role, f"{what}. {there}")
        raise MissingColumnError(role, f"{what}, and as an expression over columns it fails: {because}. {there}")

    def _check_condition(self, where: str) -> None:
        try:
            if uses_columns(self.connection, where) is None:
                raise ValueError("it is no SQL expression")
            self.connection.sql(f"DESCRIBE SELECT 1 FROM {self.named} WHERE ({where})").fetchall()
        except Exception as error:
            raise InputError(f"{self.source}: where={where!r} can't be evaluated: {first_line(error)}") from error


def uses_columns(connection: Any, expression: str) -> bool | None:
    """Does a SQL expression name a column? None where it is not one expression."""
    query = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT ({expression}\n) AS it"]).fetchall()[0][0]
    parsed = json.loads(query)
    if parsed["error"] or len(parsed["statements"]) != 1:
        return None
    node = parsed["statements"][0]["node"]
    if len(node.get("select_list", ())) != 1 or node["from_table"]["type"] != "EMPTY":
        return None
    return "COLUMN_REF" in _classes(node["select_list"])


def _classes(node: Any) -> set[str]:
    if isinstance(node, dict):
        return {str(node.get("class"))}.union(*map(_classes, node.values()))
    return set().union(*map(_classes, node)) if isinstance(node, list) else set()


def unambiguous(names: Sequence[str]) -> list[str]:
    """The names that no other equals but for case: SQL can't tell those apart."""
    lowered = [name.lower() for name in names]
    return [name for name, low in zip(names, lowered) if lowered.count(low) == 1 and name]
