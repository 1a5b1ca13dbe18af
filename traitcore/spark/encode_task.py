"""In a worker: histories as rows of a vocabulary, and what is made of these without mathematics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..events.sequences import Sequences
from .session_task import as_arrow, as_lists


def encoded_schema(user: pa.DataType) -> pa.Schema:
    """Rows of `encode_histories`: a customer's sequences end to end, as rows of the vocabulary."""
    return pa.schema([
        ("user", user), ("lengths", pa.list_(pa.int32())), ("tokens", pa.list_(pa.int32())),
        ("times", pa.list_(pa.int64())), ("report", pa.string()),
    ])


class Encoded(NamedTuple):
    """Histories of a batch after rare tokens and short sequences are gone: of `rows` of the batch."""

    rows: NDArray[np.int64]
    edges: NDArray[np.int64]  # of the customers, in sequences
    lengths: NDArray[np.int64]
    tokens: NDArray[np.int32]
    events: NDArray[np.bool_]  # which of the batch's events are left
    lost: dict[str, int]

    def owner(self) -> NDArray[np.int32]:
        return np.repeat(np.arange(len(self.rows), dtype=np.int32), np.diff(self.edges))

    def offsets(self) -> NDArray[np.int64]:
        return np.concatenate(([0], np.cumsum(self.lengths)))


def encode_histories(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Histories in the vocabulary's rows; `options` as of `vocabulary_options`."""
    lost: dict[str, int] = {}
    for batch in batches:
        found = _encoded(batch, options)
        for name, n in found.lost.items():
            lost[name] = lost.get(name, 0) + n
        if not len(found.rows):
            continue
        events = found.offsets()[found.edges]
        columns = {
            "user": batch.column("user").take(pa.array(found.rows)),
            "lengths": as_lists(found.edges, pa.array(found.lengths.astype(np.int32))),
            "tokens": as_lists(events, pa.array(found.tokens)),
        }
        times = batch.column("times")
        if times.null_count == 0:
            columns["times"] = as_lists(events, times.flatten().filter(pa.array(found.events)))
        yield columns
    if lost:
        yield {"report": pa.array([json.dumps(lost)])}


def _encoded(batch: pa.RecordBatch, options: Mapping[str, Any]) -> Encoded:
    row = _token_rows(batch, options)
    lengths = batch.column("lengths").flatten().to_numpy().astype(np.int64)
    edges = np.concatenate(([0], np.cumsum(lengths)))
    known = row >= 0
    before = np.concatenate(([0], np.cumsum(known)))
    left = before[edges[1:]] - before[edges[:-1]]
    good = left > 0
    events = known & np.repeat(good, lengths)
    of_row = np.repeat(np.arange(batch.num_rows), pc.list_value_length(batch.column("lengths")).to_numpy())
    sequences = np.bincount(of_row[good], minlength=batch.num_rows)
    rows = np.flatnonzero(sequences)
    lost = {
        "events_rare": int(len(known) - known.sum()), "sequences_too_short": int((~good).sum()),
        "customers": len(rows), "sequences": int(good.sum()), "tokens": int(events.sum()),
    }
    return Encoded(rows, np.concatenate(([0], np.cumsum(sequences[rows]))), left[good], row[events], events, lost)


def _token_rows(batch: pa.RecordBatch, options: Mapping[str, Any]) -> NDArray[np.int32]:
    """The vocabulary's row of each event of a batch, -1 where it has none."""
    items = batch.column("items").flatten()
    place = pc.index_in(items, value_set=as_arrow(options["item_ids"]))
    item = pc.fill_null(place, -1).to_numpy().astype(np.int64)
    names: tuple[str, ...] = options["actions"]
    if names:
        item = np.where(item >= 0, item * len(names) + _actions(batch, names), -1)
    return np.where(item >= 0, options["token_of"][item], np.int32(-1)).astype(np.int32)


def _actions(batch: pa.RecordBatch, names: tuple[str, ...]) -> NDArray[np.int64]:
    """The action of each event as a place in `names`: a row's own codes are places in its own list of names."""
    kinds: dict[tuple[str, ...], int] = {}
    kind = [kinds.setdefault(tuple(own), len(kinds)) for own in batch.column("names").to_pylist()]
    table = np.zeros((len(kinds), max(map(len, kinds), default=1)), dtype=np.int64)
    for own, k in kinds.items():
        table[k, : len(own)] = [names.index(name) for name in own]
    codes = batch.column("actions")
    of_event = np.repeat(np.array(kind, dtype=np.int64), pc.list_value_length(codes).to_numpy())
    found: NDArray[np.int64] = table[of_event, codes.flatten().to_numpy()]
    return found


def sequences_of(batch: pa.RecordBatch) -> Sequences:
    """The rows of a batch of encoded histories as Sequences, whose owners are the batch's rows."""
    lengths = batch.column("lengths")
    per_row = pc.list_value_length(lengths).to_numpy()
    times = batch.column("times")
    return Sequences(
        batch.column("tokens").flatten().to_numpy(),
        np.concatenate(([0], np.cumsum(lengths.flatten().to_numpy(), dtype=np.int64))),
        np.repeat(np.arange(batch.num_rows, dtype=np.int32), per_row),
        None if times.null_count else times.flatten().to_numpy(),
        np.arange(batch.num_rows),
    )


def keep_long_sessions(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The histories with their sequences of at least options["least"] tokens, as `item_sessions` takes them."""
    for batch in batches:
        sequences = sequences_of(batch)
        long = sequences.take(np.flatnonzero(np.diff(sequences.offsets) >= options["least"]))
        edges = np.searchsorted(long.owners(), np.arange(batch.num_rows + 1))
        yield {
            "user": batch.column("user"), "lengths": as_lists(edges, pa.array(np.diff(long.offsets).astype(np.int32))),
            "tokens": as_lists(long.offsets[edges], pa.array(long.tokens)),
        }


def spell_sequences(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One row for each sequence, its tokens by name."""
    names = as_arrow(options["tokens"])
    for batch in batches:
        sequences = sequences_of(batch)
        owner, edges = sequences.owners(), sequences.offsets
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        number = np.arange(len(owner)) - np.repeat(first, np.diff(np.append(first, len(owner))))
        columns = {
            "user": batch.column("user").take(pa.array(owner)), "session": pa.array(number.astype(np.int32)),
            "tokens": as_lists(edges, names.take(pa.array(sequences.tokens))),
        }
        if sequences.timestamps_us is not None:
            columns["times"] = as_lists(edges, pa.array(sequences.timestamps_us))
        yield columns


def pack_batches(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each batch as the bytes of an Arrow stream: the driver gets them without a Python object for each value."""
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        yield {"data": pa.array([sink.getvalue().to_pybytes()], pa.binary())}
