"""On the driver: the columns of a log in a Spark DataFrame, checked, and the report of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._errors import InputError
from .._validate import Checks
from ..events import timestamps
from ..events.log_report import LogReport, RejectedRows
from . import engine

CHECK = Checks("traitcore.spark.sessions")


@dataclass(frozen=True, eq=False)
class Events:
    """Events of a DataFrame, its columns named by their roles.

    options : what `log_chunks` needs to read them. id_types : pyarrow types of users (or sessions) and items.
    odd_times : rows that were left out, for their times are not in the unit that was found.
    """

    frame: Any
    options: dict[str, Any]
    id_types: tuple[Any, Any]
    on_bad_rows: str
    detected: bool = False
    odd_times: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, df: Any, names: Mapping[str, str], unit: str | None, form: str | None, action_value: str | None,
        on_bad_rows: str,
    ) -> Events:
        df = engine.as_frame("df", df, CHECK)
        kinds = engine.column_types(df, names)
        F = engine.functions(df)
        columns, types = {}, {}
        for role, name in names.items():
            column = F.col(f"`{name.replace('`', '``')}`")
            if role in ("user", "session", "item"):
                types[role] = engine.id_type(role, name, kinds[role])
                column = column.cast(types[role])
            elif role == "action":
                engine.id_type(role, name, kinds[role])
                column = column.cast("string")
            elif role == "timestamp" and kinds[role] in ("float", "double"):
                column = F.when(~F.isnan(column), column)  # NaN is no time, and for Spark greater than all numbers
            columns[role] = column.alias(role)
        frame = df.select(*columns.values())
        detected = False
        odd: dict[str, Any] = {}
        if "timestamp" in names:
            _check_times(names["timestamp"], kinds["timestamp"], unit, form)
            if unit is None and kinds["timestamp"] in engine.NUMBERS:
                detected = True
                unit, n_odd = _detected_unit(frame, names["timestamp"])
                if n_odd:
                    frame, odd = _plausible_only(frame, names["timestamp"], unit, n_odd, on_bad_rows)
        key = "user" if "user" in names else "session"
        options = {
            "names": dict(names), "key": key, "timestamp_unit": unit, "timestamp_format": form,
            "action_value": action_value,
        }
        id_types = engine.arrow_ids(types[key]), engine.arrow_ids(types["item"])
        return cls(frame, options, id_types, on_bad_rows, detected, odd)

    def report(self, found: Mapping[str, Any]) -> LogReport:
        """The report of the rows read; InputError where there are none, or bad ones that are not to be set aside."""
        aside = {**found["set_aside"], **self.odd_times}
        n_aside, rows = sum(aside.values()), found["rows"] + sum(self.odd_times.values())
        listed = "; ".join(f"{reason}: {n:,}" for reason, n in aside.items())
        if aside and self.on_bad_rows == "raise":
            raise InputError(
                f"{n_aside:,} of {rows:,} rows of the DataFrame are bad ({listed}). on_bad_rows='set_aside' leaves "
                "such rows out and reports them."
            )
        if rows == n_aside:
            what = f"all {rows:,} rows were set aside ({listed})" if rows else "it has no rows"
            raise InputError(f"The DataFrame has no event to learn from: {what}.")
        unit = self.options["timestamp_unit"]
        return LogReport(
            source="DataFrame", rows_read=rows, rows_kept=rows - n_aside,
            set_aside={reason: RejectedRows(n, ()) for reason, n in aside.items()},
            timestamp_unit=unit or ("datetime" if "timestamp" in self.options["names"] else None),
            timestamp_unit_detected=self.detected,
        )


def _check_times(name: str, kind: str, unit: str | None, form: str | None) -> None:
    if kind == "string" and unit is None and form is None:
        raise InputError(
            f"Column {name!r} holds text: say how its times are written, by timestamp_unit='iso' (or 's', 'ms', ... "
            "for numbers), or by timestamp_format."
        )
    if kind in ("string", "date", "timestamp", "timestamp_ntz"):
        return
    if kind not in engine.NUMBERS:
        raise InputError(f"Column {name!r}, wanted as timestamp, must hold times, numbers or text. Got {kind}.")
    if unit == "iso" or form is not None:
        raise InputError(f"Column {name!r} must hold text, as timestamp_unit or timestamp_format says. Got {kind}.")


def _detected_unit(frame: Any, name: str) -> tuple[str, int]:
    """(unit in which most numbers are of the years 1990 to 2099, as on one machine; how many are not): one pass."""
    F = engine.functions(frame)
    within = [F.sum(F.when(_within(F, unit), 1).otherwise(0)) for unit in timestamps.UNITS]
    row = engine.told(lambda: frame.agg(F.count("timestamp"), *within).collect())[0]
    n, plausible = row[0], [count or 0 for count in row[1:]]
    best = max(plausible)
    if n and 2 * best < n:
        raise InputError(
            f"Most numbers of column {name!r} are no epoch times of the years 1990 to 2099 in s, ms, us or ns: "
            "timestamp_unit='s' (or 'ms', 'us', 'ns') says that they are."
        )
    return timestamps.UNITS[plausible.index(best)], n - best


def _within(F: Any, unit: str) -> Any:
    low, stop = timestamps.unit_span(unit, True)
    return (F.col("timestamp") >= low) & (F.col("timestamp") < stop)


def _plausible_only(
    frame: Any, name: str, unit: str, n: int, on_bad_rows: str
) -> tuple[Any, dict[str, int]]:
    """The rows whose time is in the unit found (or null), and the number of the others, n, by their reason."""
    F = engine.functions(frame)
    reason = f"column {name!r} is not in {unit}, the unit of most rows (of the years 1990 to 2099)"
    if on_bad_rows == "raise":
        raise InputError(
            f"{n:,} rows of the DataFrame are bad ({reason}). on_bad_rows='set_aside' leaves such rows out and reports "
            "them."
        )
    return frame.where(F.col("timestamp").isNull() | _within(F, unit)), {reason: n}
