"""Spark, local[2], beside one process on the same Parquet and the same two cores; and beside MLlib's Word2Vec.

Each contender runs in a process of its own, and its seconds of CPU are those of its whole tree (Java, Python workers):
on a busy machine these say more than the clock. `--only overhead`, `--only Word2Vec` pick a part.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import traitcore as tc
from benchmarks.compare.events import shop_events
from benchmarks.compare.sgns_quality import precision
from benchmarks.processes import in_fresh_process

N_EVENTS = 5_000_000
MIN_COUNT = 5


def run(bench: Any) -> None:
    try:
        import pyspark  # noqa: F401
    except ImportError:
        print("  pyspark is missing (pip install 'traitcore[spark]'): nothing to run")
        return
    if shutil.which("java") is None:
        print("  Java is missing: nothing to run")
        return
    with tempfile.TemporaryDirectory() as folder:
        if bench.wants("overhead"):
            overhead(bench, Path(folder), 100_000 if bench.quick else N_EVENTS)
        if bench.wants("Word2Vec"):
            word2vec(bench, Path(folder), 20_000 if bench.quick else 1_000_000)


def session(folder: Path, memory: str = "2g") -> Any:
    """A local Spark of two cores, started and tried."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    builder = SparkSession.builder.master("local[2]").appName("traitcore")
    for name, value in {
        "spark.driver.memory": memory, "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "8",
        "spark.local.dir": str(folder), "spark.log.level": "ERROR", "spark.sql.session.timeZone": "UTC",
    }.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.range(10).count()
    return spark


def measure(job: str, *arguments: Any) -> dict[str, Any]:
    """A function of this module in a fresh process: its figures, and the CPU seconds of its tree."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    found: dict[str, Any] = in_fresh_process(f"benchmarks.compare.spark:{job}", *arguments)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return found | {"process_cpu": cpu, "process_seconds": wall}


class Clock:
    """Seconds by name, each since the one before."""

    def __init__(self) -> None:
        self.at = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self.at = now - self.at, now


def digest(counts: Any, vocabulary: tc.Vocabulary) -> list[int]:
    """What both ways must agree in."""
    weights = np.arange(1, len(vocabulary) + 1)
    return [len(vocabulary), int(counts.nnz), int(counts.sum()), int((counts @ weights % 1_000_003).sum()),
            int((vocabulary.document_frequencies * weights).sum())]


def alone(path: str) -> dict[str, Any]:
    """One process: the file read, sessions, tokens, pairs."""
    clock = Clock()
    log = tc.read_events(path)
    clock("read")
    sessions = tc.split_sessions(log, workers=2)
    corpus = tc.tokenize(sessions, min_count=MIN_COUNT, workers=2)
    clock("sessions")
    counts = tc.count_cooccurrences(corpus.sequences, n_items=len(corpus.vocabulary), workers=2)
    clock("counts")
    return {"digest": digest(counts, corpus.vocabulary), **clock.seconds}


def on_spark(path: str, folder: str) -> dict[str, Any]:
    """The same on Spark."""
    from traitcore import spark as ts

    clock = Clock()
    spark = session(Path(folder))
    clock("start")
    corpus = ts.sessions(spark.read.parquet(path), min_count=MIN_COUNT)
    clock("sessions")
    counts = ts.count_cooccurrences(corpus)
    clock("counts")
    spark.stop()
    return {"digest": digest(counts, corpus.vocabulary), **clock.seconds}


def engine_alone(path: str, folder: str) -> dict[str, Any]:
    """What Spark needs before a kernel of ours runs: reading, shuffle and sort, Arrow to Python and back."""
    clock = Clock()
    spark = session(Path(folder))
    clock("start")
    frame = spark.read.parquet(path)
    frame.write.format("noop").mode("overwrite").save()
    clock("read")
    grouped = frame.repartition("user_id").sortWithinPartitions("user_id")
    grouped.write.format("noop").mode("overwrite").save()
    clock("read, shuffle, sort")
    grouped.mapInArrow(lambda batches: batches, frame.schema).write.format("noop").mode("overwrite").save()
    clock("the same, and Arrow both ways")
    spark.stop()
    return clock.seconds


def overhead(bench: Any, folder: Path, n: int) -> None:
    """The way to counts: seconds and CPU on Spark over those of one process, and where they go."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "events.parquet"
    pq.write_table(pa.table(shop_events(n)), path, row_group_size=1 << 20)
    title = f"overhead, {n / 1e6:g}M events"
    found = {"one process": measure("alone", str(path)), "Spark local[2]": measure("on_spark", str(path), str(folder))}
    assert found["one process"].pop("digest") == found["Spark local[2]"].pop("digest")
    work = {name: sum(v for k, v in f.items() if k in ("read", "sessions", "counts")) for name, f in found.items()}
    for name, figures in found.items():
        bench.row(title, name, seconds=work[name], ratio=work[name] / work["one process"], **figures,
                  bar="3x" if name != "one process" else "")
    bench.row(title, "Spark without our kernels", **measure("engine_alone", str(path), str(folder)))


def mllib(path: str, folder: str, n_items: int, epochs: int) -> dict[str, Any]:
    """MLlib's Word2Vec (skip-gram, hierarchical softmax) of sequences of texts."""
    from pyspark.ml.feature import Word2Vec

    spark = session(Path(folder))
    frame = spark.read.parquet(path).repartition(2).persist()
    frame.count()
    start = time.perf_counter()
    model = Word2Vec(
        vectorSize=64, windowSize=5, minCount=1, maxIter=epochs, numPartitions=2, inputCol="tokens", outputCol="v",
        seed=1,
    ).fit(frame)
    rows = model.getVectors().collect()
    seconds = time.perf_counter() - start
    vectors = np.zeros((n_items, 64), dtype=np.float32)
    for row in rows:
        vectors[int(row["word"])] = row["vector"].toArray()
    np.save(Path(folder) / "mllib.npy", vectors)
    spark.stop()
    return {"seconds": seconds}


def ours(path: str, folder: str, n_items: int, epochs: int) -> dict[str, Any]:
    """Counted on Spark, trained from the counts on the driver."""
    from traitcore.spark.corpus import SparkCorpus
    from traitcore.spark.counts import count_cooccurrences

    spark = session(Path(folder))
    data = np.load(Path(folder) / "planted.npz")
    sequences = tc.Sequences(data["tokens"], data["offsets"])
    frame = spark.read.parquet(path.replace("texts", "rows")).repartition(2).persist()
    frame.count()
    items = np.arange(n_items)
    counts = sequences.token_counts(n_items)
    vocabulary = tc.Vocabulary(items, (), items.astype(np.int32), np.full(n_items, -1, np.int32), counts, counts, 1)
    report: Any = tc.events.corpus.TokenReport(0, sequences.n_tokens, len(sequences), n_items, None, "item")
    corpus = SparkCorpus(frame, vocabulary, None, None, report)  # type: ignore[arg-type]
    start = time.perf_counter()
    pairs = count_cooccurrences(corpus, weighting="linear")
    counted = time.perf_counter() - start
    options = tc.SgnsOptions(epochs=epochs, sample=0.0, workers=2)
    result = tc.train_sgns_from_counts(pairs, options, item_counts=counts)
    seconds = time.perf_counter() - start
    np.save(Path(folder) / "ours.npy", result.item_vectors)
    spark.stop()
    return {"seconds": seconds, "counts": counted}


def word2vec(bench: Any, folder: Path, n_tokens: int) -> None:
    """Seconds and planted clusters found, on the hard corpus at equal epochs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from benchmarks.suite.synthetic import hard_sessions

    n_items, epochs = max(1_000, n_tokens // 100), 3
    planted = hard_sessions(n_tokens, n_items)
    tokens, offsets = planted.sequences.tokens, planted.sequences.offsets
    np.savez(folder / "planted.npz", tokens=tokens, offsets=offsets)
    edges = pa.array(offsets.astype(np.int32))
    texts = pa.ListArray.from_arrays(edges, pa.array(tokens).cast(pa.string()))
    pq.write_table(pa.table({"tokens": texts}), folder / "texts.parquet")
    columns = {
        "user": pa.array(np.arange(len(planted.sequences))),
        "lengths": pa.ListArray.from_arrays(
            pa.array(np.arange(len(planted.sequences) + 1, dtype=np.int32)), pa.array(np.diff(offsets).astype(np.int32))
        ),
        "tokens": pa.ListArray.from_arrays(edges, pa.array(tokens)),
        "times": pa.nulls(len(planted.sequences), pa.list_(pa.int64())),
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    title, queries = f"Word2Vec, {n_tokens / 1e6:g}M tokens", np.arange(n_items // 50, n_items // 5)
    found: dict[str, dict[str, Any]] = {}
    contenders: dict[str, tuple[str, str]] = {
        "traitcore: counts on Spark, SGNS": ("ours", "ours.npy"), "MLlib Word2Vec": ("mllib", "mllib.npy")
    }
    for name, (job, file) in contenders.items():
        found[name] = measure(job, str(folder / "texts.parquet"), str(folder), n_items, epochs)
        vectors: NDArray[np.float32] = np.load(folder / file)
        first = next(iter(found.values()))["seconds"]
        bench.row(title, name, **found[name], ratio=found[name]["seconds"] / first,
                  same_cluster=precision(vectors, planted.cluster, queries), bar="" if job == "ours" else "10x")
