"""Parquet files, one or many, through DuckDB (the `io` extra): streamed, so the file may be larger than memory."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from typing import Any

from .._errors import InputError, MissingColumnError
from .._progress import Progress
from .arrow import read_stream
from .log_builder import LogBuilder


def read_parquet(
    path: str, names: Mapping[str, str], where: str | None, builder: LogBuilder, progress: Progress | None
) -> None:
    """Feed SQL expressions over the file's columns (`names`, by role) to the builder, in the file's order."""
    try:
        import duckdb
    except ImportError as error:
        raise ImportError(
            "Reading Parquet needs DuckDB, which is in the `io` extra: pip install 'traitcore[io]'."
        ) from error
    if not os.path.exists(path) and not glob.glob(path):
        raise FileNotFoundError(f"There is no file {path!r}.")
    literal = "'" + path.replace("'", "''") + "'"
    condition = f" WHERE {where}" if where else ""
    picked = ", ".join(f"({expression}) AS {role}" for role, expression in _quoted_roles(names).items())
    # Not DuckDB's default connection: the whole process shares that one.
    with duckdb.connect(":memory:") as connection:
        try:
            columns = [row[0] for row in connection.sql(f"DESCRIBE SELECT * FROM read_parquet({literal})").fetchall()]
        except duckdb.Error as error:
            raise InputError(f"{builder.source} can't be read as Parquet: {_first_line(error)}") from error
        roles = {role: f'"{role}"' for role in names}
        for role, expression in names.items():
            _check_expression(connection, duckdb, literal, role, expression, columns, builder.source)
        query = f"SELECT {picked} FROM read_parquet({literal}){condition}"
        try:
            total = connection.sql(f"SELECT count(*) FROM read_parquet({literal}){condition}").fetchall()[0][0]
            for batch in read_stream(connection.sql(query), {role: role for role in roles}):
                builder.add(batch)
                if progress is not None:
                    progress("read", builder.rows_read, total)
        except (duckdb.Error, InputError) as error:
            if isinstance(error, InputError) and builder.source in str(error):
                raise
            raise InputError(f"{builder.source}: {_first_line(error)}") from error


def _quoted_roles(names: Mapping[str, str]) -> dict[str, str]:
    """Expressions by role, roles as SQL names ("order" is a keyword)."""
    return {f'"{role}"': expression for role, expression in names.items()}


def _check_expression(
    connection: Any, duckdb: Any, literal: str, role: str, expression: str, columns: list[str], source: str
) -> None:
    """Check one expression by itself, so that the error names its role."""
    try:
        connection.sql(f"DESCRIBE SELECT ({expression}) FROM read_parquet({literal})").fetchall()
    except duckdb.Error as error:
        shown = ", ".join(map(repr, columns))
        raise MissingColumnError(
            role,
            f"{source}: {expression!r}, wanted as {role}, is neither a column nor an expression over columns. "
            f"There are: {shown}. ({_first_line(error)})",
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
