"""In a worker: event logs of whole users become histories, one row a customer, and the token counts of a partition."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._errors import InputError
from ..events.corpus import Corpus
from ..events.log import EventLog
from ..events.session_report import NoSessionLeft, SessionReport, TiedEventsWarning
from ..events.sessions import Sessions, split_sessions
from ..events.tokens import tokenize
from .log_chunks import log_chunks
from .wire import sum_reports

_KINDS = 1 << 20  # kinds of tokens held before equal ones are added up
_PART = 1 << 16  # kinds of tokens in a row


def history_schema(user: pa.DataType, item: pa.DataType) -> pa.Schema:
    """Rows of `make_histories`: a customer's sessions end to end; or, with a report, token counts of a partition."""
    return pa.schema([
        ("user", user), ("lengths", pa.list_(pa.int32())), ("items", pa.list_(item)), ("actions", pa.list_(pa.int16())),
        ("names", pa.list_(pa.string())), ("times", pa.list_(pa.int64())), ("counts", pa.list_(pa.int64())),
        ("documents", pa.list_(pa.int64())), ("report", pa.string()),
    ])


def make_histories(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Sessions of whole users as `split_sessions` cuts them and `tokenize` names them; nothing rare is left out yet."""
    counts, reports = _TokenCounts(), []
    for chunk in log_chunks(batches, options):
        report: dict[str, Any] = {"log": {"rows": chunk.rows, "set_aside": chunk.set_aside}}
        if chunk.log is not None:
            report["log"]["actions"] = list(chunk.log.actions)
            corpus, found = _corpus(chunk.log, options)
            report |= found
            if corpus is not None:
                counts.add(corpus)
                yield _histories(corpus)
        reports.append(json.dumps(report))
    yield from counts.rows()
    if reports:
        yield {"report": pa.array([json.dumps(sum_reports(reports))])}


def _corpus(log: EventLog, options: Mapping[str, Any]) -> tuple[Corpus | None, dict[str, Any]]:
    """Sessions as sequences, with the numbers of both reports; None where nothing is left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TiedEventsWarning)
        try:
            sessions = split_sessions(log, **options["split"])
        except NoSessionLeft as nothing:
            return None, {"sessions": _numbers(nothing.report)}
    found: dict[str, Any] = {"sessions": _numbers(sessions.report)}
    sessions = _owned(sessions)
    try:
        corpus = tokenize(sessions, **options["tokenize"])
    except InputError:  # every action of these users maps to nothing
        lost = {"events_unmapped": len(sessions.order), "sequences_too_short": len(sessions)}
        return None, found | {"tokens": lost}
    report = corpus.report
    kept = {"events_unmapped": report.events_unmapped, "sequences_too_short": report.sequences_too_short}
    return corpus, found | {"tokens": kept}


def _numbers(report: SessionReport) -> dict[str, Any]:
    return {name: value for name, value in asdict(report).items() if value is not None}


def _owned(sessions: Sessions) -> Sessions:
    """Sessions of a log without users as those of one customer each, whose id is the session's."""
    log = sessions.log
    if sessions.owner is not None or log.session is None:
        return sessions
    owner = log.session[sessions.order[sessions.offsets[:-1]]]
    return replace(sessions, owner=owner, log=replace(log, user=log.session, user_ids=log.session_ids))


def _histories(corpus: Corpus) -> dict[str, Any]:
    """One row for each customer, their sessions end to end."""
    sequences, vocabulary = corpus.sequences, corpus.vocabulary
    owner = sequences.owners()
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    edges = np.append(first, len(owner))
    events = sequences.offsets[edges]
    assert sequences.owner_ids is not None
    item = pa.array(vocabulary.token_item[sequences.tokens])
    columns = {
        "user": as_arrow(sequences.owner_ids[owner[first]]),
        "lengths": as_lists(edges, pa.array(np.diff(sequences.offsets).astype(np.int32))),
        "items": as_lists(events, as_arrow(vocabulary.item_ids).take(item)),
    }
    if sequences.timestamps_us is not None:
        columns["times"] = as_lists(events, pa.array(sequences.timestamps_us))
    if vocabulary.actions:
        names = pa.array(list(vocabulary.actions) * len(first), pa.string())
        columns["names"] = as_lists(np.arange(len(first) + 1) * len(vocabulary.actions), names)
        columns["actions"] = as_lists(events, pa.array(vocabulary.token_action[sequences.tokens].astype(np.int16)))
    return columns


class _TokenCounts:
    """Tokens by item and action: occurrences, and customers with one, over the logs of a partition."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self.size = 0

    def add(self, corpus: Corpus) -> None:
        v = corpus.vocabulary
        action = pa.nulls(len(v), pa.string())
        if v.actions:
            action = pa.array(list(v.actions), pa.string()).take(pa.array(v.token_action))
        columns = [as_arrow(v.item_ids).take(pa.array(v.token_item)), action, pa.array(v.counts),
                   pa.array(v.document_frequencies)]
        self.tables.append(pa.table(columns, ["item", "action", "count", "document"]))
        self.size += len(v)
        if self.size > _KINDS:
            self.tables = [self._summed()]
            self.size = len(self.tables[0])

    def _summed(self) -> pa.Table:
        whole = pa.concat_tables(self.tables)
        summed = whole.group_by(["item", "action"]).aggregate([("count", "sum"), ("document", "sum")])
        summed = summed.select(["item", "action", "count_sum", "document_sum"])
        return summed.rename_columns(["item", "action", "count", "document"])

    def rows(self) -> Iterator[dict[str, Any]]:
        """The counts in rows that carry a report, so that they are told from histories."""
        if not self.tables:
            return
        for batch in self._summed().combine_chunks().to_batches(max_chunksize=_PART):
            item, action, count, document = batch.columns
            names = action.dictionary_encode()
            whole = np.array([0, len(batch)])
            columns = {"items": as_lists(whole, item), "counts": as_lists(whole, count),
                       "documents": as_lists(whole, document), "report": pa.array(["{}"])}
            if action.null_count == 0:
                columns["names"] = as_lists(np.array([0, len(names.dictionary)]), names.dictionary)
                columns["actions"] = as_lists(whole, names.indices.cast(pa.int16()))
            yield columns


def flatten_token_counts(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of token counts, each a list, as one row for each token: item, action, count, document."""
    for batch in batches:
        for row in range(batch.num_rows):
            lists = {name: batch.column(name)[row].values for name in ("items", "counts", "documents")}
            actions, names = batch.column("actions")[row].values, batch.column("names")[row].values
            n = len(lists["items"])
            yield {"item": lists["items"], "count": lists["counts"], "document": lists["documents"],
                   "action": pa.nulls(n, pa.string()) if actions is None else names.take(actions)}


def as_arrow(ids: NDArray[Any]) -> pa.Array:
    """Ids, int64 or str objects, as an Arrow array."""
    return pa.array(ids) if ids.dtype.kind in "iu" else pa.array(ids.tolist(), pa.string())


def as_lists(edges: NDArray[Any], values: pa.Array) -> pa.ListArray:
    """List i holds values[edges[i]:edges[i + 1]]."""
    return pa.ListArray.from_arrays(pa.array(edges.astype(np.int32)), values)
