"""What runs in Spark's workers, without Spark: any partitions, batches and chunks give what one machine gives."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traitcore as tc
from traitcore.events.action_names import DEFAULT_ACTION_MAP
from traitcore.pipeline.item_sessions import item_sessions
from traitcore.spark import wire
from traitcore.spark.corpus import sequences_of_table
from traitcore.spark.count_task import matrix_of, part_schema, pruned, rows_schema
from traitcore.spark.encode_task import encoded_schema
from traitcore.spark.log_chunks import log_chunks
from traitcore.spark.session_task import history_schema
from traitcore.spark.tasks import run_task
from traitcore.spark.vocabularies import action_names, ids_of, ranked_vocabulary, vocabulary_options

SPLIT: dict[str, Any] = {"gap_seconds": 1800, "min_length": 2, "max_events_per_session": 30, "seed": 5}
TOKENS: dict[str, Any] = {"action_map": DEFAULT_ACTION_MAP, "tokens": "action_item"}
OPTIONS: dict[str, Any] = {
    "names": {role: role for role in ("user", "timestamp", "action", "item")}, "key": "user", "timestamp_unit": "s",
    "timestamp_format": None, "action_value": None, "split": SPLIT, "tokenize": TOKENS,
}


def events(n: int, n_users: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "user": rng.integers(0, n_users, n) * 10, "timestamp": 1_500_000_000 + rng.integers(0, 200, n) * 600,
        "action": np.array(["purchase", "view", "add_cart", "other"])[rng.integers(0, 4, n)].tolist(),
        "item": np.array(["é", "a_b", "z", "y", "x"])[rng.integers(0, 5, n)].tolist(),
    }


def partitions(table: pa.Table, n: int, batch: int) -> Iterator[list[pa.RecordBatch]]:
    """The events by user, as Spark's shuffle and sort hand them to the workers."""
    part = table.column("user").to_numpy() // 10 % n
    for k in range(n):
        yield table.filter(pa.array(part == k)).sort_by("user").to_batches(max_chunksize=batch)


def run(name: str, parts: list[list[pa.RecordBatch]], options: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """A task over all partitions."""
    made = [batch for part in parts for batch in run_task(name, iter(part), options, schema)]
    return pa.Table.from_batches(made, schema=schema)


def split_off_reports(table: pa.Table) -> tuple[pa.Table, dict[str, Any]]:
    texts = [text for text in table.column("report").to_pylist() if text is not None]
    return table.filter(table.column("report").is_null()), wire.sum_reports(texts)


def vocabulary_of(histories: pa.Table, found: dict[str, Any], min_count: int) -> tc.Vocabulary:
    schema = pa.schema([
        ("item", pa.string()), ("action", pa.string()), ("count", pa.int64()), ("document", pa.int64())
    ])
    lists = histories.filter(histories.column("counts").is_valid())
    flat = run("token_counts", [lists.to_batches()], {}, schema)
    summed = flat.group_by(["item", "action"]).aggregate([("count", "sum"), ("document", "sum")])
    summed = summed.filter(pa.compute.greater_equal(summed.column("count_sum"), min_count))
    return ranked_vocabulary(
        ids_of(summed.column("item").combine_chunks()), summed.column("action").to_pylist(),
        action_names(found["log"]["actions"], DEFAULT_ACTION_MAP), summed.column("count_sum").to_numpy(),
        summed.column("document_sum").to_numpy(), 0,
    )


def corpus_of(table: pa.Table, n: int, batch: int, chunk: int, min_count: int) -> tuple[Any, Any, Any, Any]:
    """(encoded histories, vocabulary, reports of both stages) from n partitions."""
    options = OPTIONS | {"chunk_events": chunk}
    made = run("sessions", list(partitions(table, n, batch)), options, history_schema(pa.int64(), pa.string()))
    histories, found = split_off_reports(made)
    vocabulary = vocabulary_of(made, found, min_count)
    encoded = run("encode", [histories.to_batches()], vocabulary_options(vocabulary), encoded_schema(pa.int64()))
    return (*split_off_reports(encoded)[:1], vocabulary, found, split_off_reports(encoded)[1])


@given(st.integers(60, 300), st.integers(1, 12), st.integers(1, 7), st.integers(1, 50), st.integers(1, 80),
       st.integers(1, 4), st.integers(0, 5))
def test_any_cut_gives_one_machines_corpus(
    n: int, users: int, parts: int, batch: int, chunk: int, min_count: int, seed: int
) -> None:
    columns = events(n, users, seed)
    log = tc.EventLog.from_columns(columns, user="user", item="item", timestamp_unit="s")
    try:
        sessions = tc.split_sessions(log, **SPLIT)
        expected = tc.tokenize(sessions, **TOKENS, min_count=min_count)
    except tc.InputError:
        return  # nothing is left; the driver says so
    encoded, vocabulary, found, lost = corpus_of(pa.table(columns), parts, batch, chunk, min_count)
    got, want = sequences_of_table(encoded), expected.sequences
    np.testing.assert_array_equal(got.tokens, want.tokens)
    np.testing.assert_array_equal(got.offsets, want.offsets)
    np.testing.assert_array_equal(got.timestamps_us, want.timestamps_us)
    np.testing.assert_array_equal(got.owner_ids[got.owners()], want.owner_ids[want.owners()])
    assert vocabulary.tokens.tolist() == expected.vocabulary.tokens.tolist()
    np.testing.assert_array_equal(vocabulary.counts, expected.vocabulary.counts)
    np.testing.assert_array_equal(vocabulary.document_frequencies, expected.vocabulary.document_frequencies)
    assert found["sessions"]["events_too_long"] == sessions.report.events_too_long
    assert lost["events_rare"] == expected.report.events_rare
    assert lost["customers"] == expected.vocabulary.n_documents


def test_long_sessions_are_those_that_one_machine_takes() -> None:
    encoded, _, _, _ = corpus_of(pa.table(events(900, 17, 0)), 3, 40, 200, 1)
    made = run("long_sessions", [encoded.to_batches()], {"least": 3}, encoded_schema(pa.int64()))
    got, want = sequences_of_table(made), item_sessions(sequences_of_table(encoded), 3)
    assert 0 < len(want) < len(sequences_of_table(encoded))
    for name in ("tokens", "offsets", "owner"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))


@pytest.mark.parametrize("options", [
    {}, {"k": 3}, {"min_pair_count": 4, "self_pairs": False}, {"weighting": "linear"}, {"symmetric": False},
])
def test_counts_of_parts_are_the_bytes_of_the_whole(options: dict[str, Any]) -> None:
    encoded, vocabulary, _, _ = corpus_of(pa.table(events(900, 17, 0)), 3, 40, 200, 1)
    linear = options.get("weighting") == "linear"
    whole = tc.count_cooccurrences(sequences_of_table(encoded), n_items=len(vocabulary), window=4, **options)
    edges = np.array([0, 3, 4, len(vocabulary)])
    task: dict[str, Any] = {
        "count": {
            "n_items": len(vocabulary), "window": 4, "dtype": np.dtype(np.float64 if linear else np.int32),
            "weighting": np.arange(4.0, 0.0, -1.0) if linear else "flat",
            **{name: options[name] for name in ("symmetric", "self_pairs") if name in options},
        },
        "edges": edges, "reach": 1 << 17, "scale": 4.0 if linear else 1.0, "lists": False, "dtype": whole.dtype,
        "min_pair_count": options.get("min_pair_count", 0.0), "k": options.get("k", 0),
    }
    batches = encoded.combine_chunks().to_batches(max_chunksize=2)
    counted = run("count_pairs", [batches[:3], batches[3:]], task, part_schema())
    assert len(counted) > 12  # of each part some
    merged = run("merge_pairs", [counted.sort_by("part").to_batches(max_chunksize=5)], task, part_schema())
    got = [matrix_of(row, edges, len(vocabulary), whole.dtype) for row in merged.to_pylist()]
    assert merged.column("part").to_pylist() == [0, 1, 2]
    for name in ("data", "indices"):
        np.testing.assert_array_equal(np.concatenate([getattr(rows, name) for rows in got]), getattr(whole, name))
    np.testing.assert_array_equal(np.concatenate([np.diff(rows.indptr) for rows in got]), np.diff(whole.indptr))
    rows = run(
        "merge_pairs", [counted.sort_by("part").to_batches()], task | {"lists": True},
        rows_schema(pa.from_numpy_dtype(whole.dtype)),
    )
    for row in rows.to_pylist():
        line = whole[[row["row"]]]
        assert (row["columns"], row["values"]) == (line.indices.tolist(), line.data.tolist())


def test_large_strings_change_nothing() -> None:
    """As Spark hands texts over where spark.sql.execution.arrow.useLargeVarTypes is set."""

    def large(table: pa.Table) -> list[pa.RecordBatch]:
        kinds = {pa.string(): pa.large_string(), pa.list_(pa.string()): pa.list_(pa.large_string())}
        fields = [(field.name, kinds.get(field.type, field.type)) for field in table.schema]
        return table.cast(pa.schema(fields)).to_batches()

    columns = events(80, 3, 2)
    texts = pa.table(columns | {"user": [f"u{user}" for user in columns["user"]]}).sort_by("user")
    schema, plain = history_schema(pa.string(), pa.string()), texts.to_batches()
    histories = run("sessions", [plain], OPTIONS, schema)
    assert run("sessions", [large(texts)], OPTIONS, schema).equals(histories)
    rows, found = split_off_reports(histories)
    options = vocabulary_options(vocabulary_of(histories, found, 1))
    encoded = run("encode", [rows.to_batches()], options, encoded_schema(pa.string()))
    assert run("encode", [large(rows)], options, encoded_schema(pa.string())).equals(encoded)
    packed = run("pack", [large(encoded.combine_chunks())], {}, pa.schema([("data", pa.binary())]))
    assert pa.ipc.open_stream(packed.column("data")[0].as_py()).read_all().equals(encoded)


def test_pruning_keeps_the_smaller_column_of_equals() -> None:
    from scipy import sparse

    rows = sparse.csr_array(np.array([[2, 5, 5, 0, 5], [0, 0, 0, 0, 0], [1, 2, 3, 4, 5]]))
    kept = pruned(rows, 1.0, 2.0, 2, np.int32)
    assert kept.toarray().tolist() == [[0, 5, 5, 0, 0], [0] * 5, [0, 0, 0, 4, 5]]


def test_a_chunk_ends_where_a_user_does() -> None:
    table = pa.table(events(500, 6, 1)).sort_by("user")
    options = OPTIONS | {"chunk_events": 90}
    chunks = list(log_chunks(iter(table.to_batches(max_chunksize=7)), options))
    assert [chunk.rows for chunk in chunks][:-1] == [n for n in (chunk.rows for chunk in chunks[:-1]) if n >= 84]
    users = [set(chunk.log.user_ids.tolist()) for chunk in chunks if chunk.log is not None]
    assert len(users) > 3
    assert sum(map(len, users)) == len(set().union(*users)) == 6


def test_rows_and_actions_that_are_nothing_are_counted() -> None:
    columns = events(40, 2, 0)
    columns["item"] = [None] * 20 + columns["item"][20:]
    columns["user"] = np.repeat([0, 10], 20)
    schema = history_schema(pa.int64(), pa.string())
    batches = pa.table(columns).to_batches()
    found = run("sessions", [batches], OPTIONS | {"chunk_events": 1}, schema)
    assert split_off_reports(found)[1]["log"]["set_aside"] == {"column 'item' is null": 20}
    silent = OPTIONS | {"tokenize": TOKENS | {"action_map": dict.fromkeys(("purchase", "view", "add_cart", "other"))}}
    rows, report = split_off_reports(run("sessions", [batches], silent, schema))
    assert len(rows) == 0
    assert report["tokens"]["events_unmapped"] == report["sessions"]["events_kept"] > 0


def test_a_fault_is_a_report_or_is_raised() -> None:
    odd = pa.table({"user": [True], "timestamp": [1], "action": ["a"], "item": ["b"]}).to_batches()
    found = run("sessions", [odd], OPTIONS, history_schema(pa.int64(), pa.string())).column("report")[-1].as_py()
    assert json.loads(found)["kind"] == "InputError"
    assert "Column 'user' must hold" in json.loads(found)["fault"]
    with pytest.raises(tc.InputError, match="Column 'user' must hold"):
        run("sessions", [odd], OPTIONS, history_schema(pa.int64(), pa.string()).remove(8))


def test_another_version_is_named_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = history_schema(pa.int64(), pa.string())
    monkeypatch.setattr(wire, "__version__", "9.9.9")
    (row,) = wire.task("sessions", schema, OPTIONS)(iter(pa.table(events(5, 1, 0)).to_batches()))
    assert json.loads(row.column("report")[0].as_py())["fault"].startswith("traitcore 9.9.9 is on the driver, 0.")
    with pytest.raises(RuntimeError, match=r"traitcore 9.9.9 is on the driver"):
        list(wire.task("sessions", schema.remove(8), OPTIONS)(iter(())))


def test_the_template_for_processes_runs(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "spark.md").read_text(encoding="utf-8")
    (block,) = [part for part in text.split("```")[1::2] if "ProcessPoolExecutor" in part]
    use = """
if __name__ == "__main__":
    corpus = tc.encode_tokens([[1, 2, 3], [2, 3], [4, 5, 4]] * 40)
    whole = tc.count_cooccurrences(corpus.sequences, weighting="linear")
    print(main(corpus).item_vectors.tobytes() == tc.train_sgns_from_counts(
        whole, item_counts=corpus.vocabulary.counts).item_vectors.tobytes())
"""
    (tmp_path / "template.py").write_text(block.removeprefix("python") + use, encoding="utf-8")
    done = subprocess.run([sys.executable, str(tmp_path / "template.py")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_types_in_sparks_words_and_reports_summed() -> None:
    assert wire.ddl(history_schema(pa.int64(), pa.string())).startswith(
        "user bigint, lengths array<int>, items array<string>, actions array<smallint>"
    )
    texts = ['{"a": 1, "b": {"x": 2}, "c": ["view", "buy"], "d": "gap"}', '{"a": 2, "b": {"y": 1}, "c": ["fav"]}']
    assert wire.sum_reports(texts) == {"a": 3, "b": {"x": 2, "y": 1}, "c": ["view", "buy", "fav"], "d": "gap"}
