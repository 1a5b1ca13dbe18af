"""Parquet by DuckDB: a role names a column, a SQL expression, or a field items[].id of each entry of a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._errors import InputError
from . import duck
from .json_source import FAULT, ROW
from .source_files import SourceFile


class ParquetFile:
    """One Parquet file, opened for reading."""

    place = "row"

    def __init__(self, connection: Any, file: SourceFile) -> None:
        self.connection, self.file, self.name = connection, file, file.name
        duck.limit_memory(connection, None)
        # Columns of folders are ours, for every format alike.
        read = f"read_parquet({duck.literal(file.path)}, hive_partitioning=false, file_row_number=true)"
        try:
            described = connection.sql(f"DESCRIBE SELECT * FROM {read}").fetchall()
        except Exception as error:
            raise InputError(f"{self.name} can't be read as Parquet: {duck.first_line(error)}") from error
        self.columns = [row[0] for row in described if row[0] != "file_row_number"]
        folders = {key: value for key, value in file.partitions.items() if key not in self.columns}
        constants = "".join(
            f", {'NULL::VARCHAR' if value is None else duck.literal(value)} AS {duck.quoted(key)}"
            for key, value in folders.items()
        )
        self.columns += folders
        self._read = f"(SELECT *{constants} FROM {read})"

    @property
    def column_names(self) -> list[str]:
        """The file's columns, and the folders'."""
        return list(self.columns)

    def n_rows(self) -> int:
        """Rows of the file."""
        return int(self.connection.execute(f"SELECT count(*) FROM {self._read}").fetchall()[0][0])

    def query(self, names: Mapping[str, str], where: str | None) -> str:
        """SQL for the roles in their order; with a condition or a list also for each row's number."""
        lists = {name.partition("[]")[0] for name in names.values() if "[]" in name and name not in self.columns}
        if len(lists) > 1:
            raise InputError(f"{self.name}: all roles must be of one list. Got {', '.join(sorted(lists))}.")
        relation, exact = self._read, {name: duck.quoted(name) for name in self.columns}
        extra = [f"file_row_number AS {duck.quoted(ROW)}"] if where is not None or lists else []
        if lists:
            path = ".".join(map(duck.quoted, lists.pop().split(".")))
            relation = (
                f"(SELECT *, (CASE WHEN len(l) > 0 THEN 0 ELSE 2 END)::TINYINT AS {duck.quoted(FAULT)}, "
                f"unnest(CASE WHEN len(l) > 0 THEN l ELSE [NULL] END) AS e "
                f"FROM (SELECT *, {path} AS l FROM {relation}))"
            )
            extra.append(duck.quoted(FAULT))
            for name in names.values():
                _, brackets, rest = name.partition("[]")
                if brackets and name not in self.columns:
                    exact[name] = ".".join(["e", *map(duck.quoted, filter(None, rest.split(".")))])
        picked = duck.Relation(self.connection, self.name, exact, relation, relation).pick(names, where)
        # Names of lists' fields aren't columns' names: their SQL is taken as it is.
        columns = [f"{exact.get(names[role], sql)} AS {duck.quoted(role)}" for role, sql in picked.roles.items()]
        query = f"SELECT {', '.join([*columns, *extra])} FROM {relation}" + (f" WHERE ({where})" if where else "")
        try:
            self.connection.sql(f"DESCRIBE {query}").fetchall()
        except Exception as error:
            raise InputError(f"{self.name}: {duck.first_line(error)}") from error
        return query
