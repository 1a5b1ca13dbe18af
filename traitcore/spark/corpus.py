"""sessions: from a Spark DataFrame of events to token sequences, one row a customer, that stay on Spark."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from .._errors import InputError, on_behalf_of
from .._validate import Checks
from ..events.action_names import DEFAULT_ACTION_MAP
from ..events.corpus import Corpus, TokenReport
from ..events.log import check_options, column_names
from ..events.log_report import LogReport
from ..events.sequences import Sequences
from ..events.session_report import NoSessionLeft, SessionReport, TiedEventsWarning, tied_warning
from ..events.sessions import GAP_SECONDS, SessionRules
from ..events.vocabulary import Vocabulary
from . import engine
from .encode_task import encoded_schema, sequences_of
from .events import Events
from .session_task import history_schema
from .vocabularies import action_names, ids_of, ranked_vocabulary, vocabulary_options

CHECK = Checks("traitcore.spark.sessions")
_HASHES = 1_000_000


@dataclass(frozen=True, eq=False)
class SparkCorpus:
    """Token sequences on Spark; what `tokenize(split_sessions(log))` would return, the sequences left where they are.

    Attributes
    ----------
    frame : DataFrame, one row a customer: user, lengths (of their sequences, in order of time), tokens (rows of
        `vocabulary`, the sequences end to end), times (of the tokens, microseconds since 1970 UTC, or null).
    vocabulary : Vocabulary, on the driver.
    log_report, session_report, report : LogReport, SessionReport and TokenReport.
    own_vocabulary : whether the vocabulary was made of this corpus, so that its counts are this corpus' own.
    """

    frame: Any
    vocabulary: Vocabulary
    log_report: LogReport
    session_report: SessionReport
    report: TokenReport
    own_vocabulary: bool = True
    _cached: tuple[Any, ...] = ()

    def sequences(self) -> Any:
        """DataFrame of one row a sequence: user, session (its number among the user's, from 0), tokens (names, as
        `vocabulary.tokens`) and times."""
        import pyarrow as pa

        names = self.vocabulary.tokens
        schema = pa.schema([
            ("user", engine.user_type(self.frame)), ("session", pa.int32()),
            ("tokens", pa.list_(pa.string() if names.dtype.kind == "O" else pa.int64())),
            ("times", pa.list_(pa.int64())),
        ])
        return engine.run(self.frame, "spell", schema, {"tokens": names})

    def collect(self, *, most_tokens: int | None = None) -> Corpus:
        """The corpus in memory, owners in order of their ids, as on one machine.

        most_tokens : of a random part of the customers, about so many tokens; None: all.
        """
        frame = self.frame
        if most_tokens is not None:
            most = CHECK.integer("most_tokens", most_tokens, 1)
            if self.report.tokens > most:  # by a hash of the user: the same ones for any partitions
                F = engine.functions(frame)
                share = int(most / self.report.tokens * _HASHES)
                frame = frame.where(F.pmod(F.xxhash64("user"), F.lit(_HASHES)) < share)
        table = engine.collected(frame)
        if table is None:
            raise InputError("No customer is in the part of the corpus that was asked for.")
        return Corpus(sequences_of_table(table), self.vocabulary, self.report)

    def unpersist(self) -> None:
        """Let Spark forget the frames that it keeps for this corpus."""
        for frame in self._cached:
            frame.unpersist()

    def __repr__(self) -> str:
        return f"SparkCorpus({self.report.sequences:,} sequences, {self.report.tokens:,} tokens, {self.vocabulary!r})"


def sequences_of_table(table: Any) -> Sequences:
    """Rows of a corpus' frame, one at least, as Sequences, owners in rising order of their ids."""
    ids = ids_of(table.column("user").combine_chunks())
    order = np.argsort(ids, kind="stable")
    (batch,) = table.take(order).combine_chunks().to_batches()
    return replace(sequences_of(batch), owner_ids=ids[order])


def sessions(
    df: Any,
    *,
    user: str | None = "user_id",
    timestamp: str | None = "timestamp",
    action: str | None = "action",
    item: str = "item_id",
    session: str | None = None,
    order: str | None = None,
    action_value: str | None = None,
    timestamp_unit: str | None = None,
    timestamp_format: str | None = None,
    on_bad_rows: str = "raise",
    gap_seconds: float | None = GAP_SECONDS,
    min_length: int = 2,
    max_events_per_session: int | None = None,
    max_events_per_minute: int | None = None,
    max_events_per_day: int | None = None,
    merge_repeats: bool = False,
    drop_duplicates: bool = False,
    ties: str = "shuffle",
    seed: int = 0,
    action_map: Mapping[str, str | None] | None = DEFAULT_ACTION_MAP,
    tokens: str = "auto",
    min_count: int = 1,
    vocabulary: Vocabulary | None = None,
    partitions: int | None = None,
    path: str | None = None,
) -> SparkCorpus:
    """Token sequences of an event log in a Spark DataFrame, by the rules of `split_sessions` and `tokenize`.

    One shuffle brings a user's events together; our kernels then run over Arrow in the Python workers. Sequences,
    vocabulary and reports are those of one machine, for any partitions and any order of the rows. A worker holds half a
    million events, or those of its largest user, as codes.

    Parameters
    ----------
    df : a DataFrame of classic Spark or Spark Connect, 3.5 or newer.
    user, timestamp, action, item, session, order, action_value, timestamp_unit, timestamp_format : as of
        `EventLog.from_columns`. Ids are integers or strings as the columns are: cast them first where they should be
        the other. Texts as times need a unit or a format.
    on_bad_rows : "raise" or "set_aside".
    gap_seconds ... seed : as of `split_sessions`; ties="row" is refused, for the rows of a DataFrame have no order.
    action_map, tokens, min_count : as of `tokenize`.
    vocabulary : number the tokens by this one, for customers of a model that exists, and drop others; None: make one.
    partitions : of the shuffle; None: as Spark's settings say.
    path : a folder that the workers can write to and read, for the frames that Spark otherwise keeps in its memory and
        on its disks.

    Raises
    ------
    InputError : a column is missing or of a wrong type, rows are bad, nothing is left. ImportError : no pyspark, or one
        older than 3.5. RuntimeError : workers without traitcore, or with another version.
    """
    with on_behalf_of(str(CHECK)):
        names = column_names(CHECK, user, timestamp, action, item, session, order, None)
        check_options(CHECK, timestamp_unit, on_bad_rows, action, action_value, timestamp_format)
        split = {
            "gap_seconds": gap_seconds, "min_length": min_length, "max_events_per_session": max_events_per_session,
            "max_events_per_minute": max_events_per_minute, "max_events_per_day": max_events_per_day,
            "merge_repeats": merge_repeats, "drop_duplicates": drop_duplicates, "ties": ties,
            "seed": CHECK.seed("seed", seed),
        }
        _check_split(names, **split)
        min_count = CHECK.integer("min_count", min_count, 1)
        kind = _token_kind(tokens, vocabulary, min_count, "action" in names or action_value is not None)
        if partitions is not None:
            CHECK.integer("partitions", partitions, 1)
        if path is not None and not isinstance(path, str):
            raise CHECK.type_error("path", "a folder that Spark can write to", path)
        events = Events.of(df, names, timestamp_unit, timestamp_format, action_value, on_bad_rows)
    options = events.options | {"split": split, "tokenize": {"action_map": action_map, "tokens": kind}}
    key = events.options["key"]
    columns = [key, *(name for name in events.frame.columns if name != key)]
    frame = events.frame.select(*columns)
    grouped = frame.repartition(partitions, key) if partitions else frame.repartition(key)
    schema = history_schema(*events.id_types)
    histories = engine.kept(
        engine.run(grouped.sortWithinPartitions(key), "sessions", schema, options), path and f"{path}/histories"
    )
    try:
        found = engine.reports(histories)
        log_report = events.report(found.get("log", {"rows": 0, "set_aside": {}}))
        session_report = _session_report(found, min_length)
        rare = 0
        if vocabulary is None:
            names_kept = () if kind == "item" else action_names(found["log"]["actions"], action_map)
            made, rare = _count_vocabulary(histories, events.id_types[1], names_kept, min_count)
        else:
            made = vocabulary
        encoded = engine.kept(
            engine.run(
                engine.data_rows(histories).drop("counts", "documents"), "encode", encoded_schema(events.id_types[0]),
                vocabulary_options(made),
            ), path and f"{path}/sequences",
        )
        lost = engine.reports(encoded)
    finally:
        histories.unpersist()
    if not lost.get("tokens"):
        encoded.unpersist()
        raise InputError(f"No token is left of {session_report.events_kept:,} events: the vocabulary has none of them.")
    if vocabulary is None:
        made = replace(made, n_documents=lost["customers"])
    dropped = found.get("tokens", {})
    report = TokenReport(
        events=session_report.events_kept, tokens=lost["tokens"], sequences=lost["sequences"], vocabulary=len(made),
        customers=lost["customers"] if user is not None else None, token_kind=kind,
        events_unmapped=dropped.get("events_unmapped", 0), tokens_rare=rare, events_rare=lost["events_rare"],
        sequences_too_short=lost["sequences_too_short"] + dropped.get("sequences_too_short", 0),
    )
    if session_report.baskets:
        warnings.warn(tied_warning(session_report), TiedEventsWarning, stacklevel=2)
    return SparkCorpus(
        engine.data_rows(encoded), made, log_report, session_report, report, vocabulary is None, (encoded,)
    )


def _check_split(names: Mapping[str, str], **split: Any) -> None:
    """The checks of `split_sessions` that need no log."""
    if split["ties"] == "row":
        raise CHECK.value_error("ties", "'shuffle' or 'content': the rows of a DataFrame have no order", "row")
    SessionRules.checked(**split, workers=1)
    if "user" not in names and "session" not in names:
        raise InputError("The DataFrame has neither users nor sessions: name the column of one or the other.")
    if "timestamp" not in names and "order" not in names:
        raise InputError("Name a timestamp or an order column: the rows of a DataFrame have no order of their own.")


def _token_kind(tokens: str, vocabulary: Vocabulary | None, min_count: int, has_actions: bool) -> str:
    """"action_item" or "item"."""
    kind = CHECK.choice("tokens", tokens, ("auto", "action_item", "item"))
    if vocabulary is not None:
        CHECK.instance("vocabulary", vocabulary, Vocabulary)
        if min_count != 1:
            raise CHECK.value_error("min_count", "1 where a vocabulary is given", min_count)
        theirs = "action_item" if vocabulary.actions else "item"
        if kind not in ("auto", theirs):
            raise CHECK.value_error("tokens", f"{theirs!r}, as the vocabulary's are", tokens)
        kind = theirs
    if kind == "action_item" and not has_actions:
        raise InputError("The DataFrame has no actions: pass tokens='item', or name an action column or action_value.")
    return ("action_item" if has_actions else "item") if kind == "auto" else kind


def _session_report(found: Mapping[str, Any], min_length: int) -> SessionReport:
    known = {field.name for field in fields(SessionReport)}
    numbers = {"customers": None, "customers_kept": None} | found["sessions"]
    report = SessionReport(**{name: value for name, value in numbers.items() if name in known})
    if report.events_kept == 0:
        raise NoSessionLeft(report, min_length)
    return report


def _count_vocabulary(
    histories: Any, item: Any, actions: tuple[str, ...], min_count: int
) -> tuple[Vocabulary, int]:
    """(vocabulary of the tokens that occur min_count times, number of kinds that don't); counts merged by Spark."""
    import pyarrow as pa

    F = engine.functions(histories)
    schema = pa.schema([
        ("item", item), ("action", pa.string()), ("count", pa.int64()), ("document", pa.int64()),
    ])
    lists = histories.where("counts is not null").select("items", "actions", "names", "counts", "documents")
    totals = (F.sum("count").alias("count"), F.sum("document").alias("document"))
    counted = engine.run(lists, "token_counts", schema, {}).groupBy("item", "action").agg(*totals)
    frequent = F.col("count") >= min_count
    # The rare ones, often most of them, come to the driver as one row.
    by_kept = [F.when(frequent, F.col(name)).alias(name) for name in ("item", "action")]
    counted = counted.groupBy(frequent.alias("frequent"), *by_kept).agg(*totals, F.count("count").alias("kinds"))
    table = engine.collected(counted)
    if table is None:
        raise InputError("No token is left: the actions of all events are mapped to None.")
    mask = table.column("frequent")
    kinds, kept = table.column("kinds").to_pylist(), mask.to_pylist()
    rare = sum(n for n, one in zip(kinds, kept) if not one)
    table = table.filter(mask).combine_chunks()
    if len(table) == 0:
        raise InputError(f"No token is left: all are rarer than min_count={min_count}. Lower min_count.")
    made = ranked_vocabulary(
        ids_of(table.column("item").combine_chunks()), table.column("action").to_pylist(), actions,
        table.column("count").to_numpy(), table.column("document").to_numpy(), 0,
    )
    return made, rare
