"""Versions of Spark, classic and Connect: sessions, vocabulary, counts and profiles beside one machine's.

    python benchmarks/spark_matrix.py --data ../data --python .venv/bin/python --connect

Each interpreter's own pyspark is tried, with `--connect` through a local Spark Connect server too (pyspark 4 has one;
3.5 needs its jar). Every log is cut into 1, 7 and 50 partitions. The exit status is the number of differences.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PARTITIONS = (1, 7, 50)
COLUMNS: dict[str, dict[str, Any]] = {
    "online retail": {"user": "CustomerID", "timestamp": "InvoiceDate", "item": "StockCode", "action": None},
    "retailrocket": {"user": "visitorid", "timestamp": "timestamp", "item": "itemid", "action": "event"},
    "simulated": {"user": "user_id", "timestamp": "timestamp", "item": "item_id", "action": "action"},
}
FILES = {
    "online retail": "online_retail/online_retail.parquet", "retailrocket": "retailrocket/raw_sample.parquet",
}


def frame_of(name: str, data: Path | None, n_events: int) -> Any:
    """The log as a pandas DataFrame; None where it isn't under `data`."""
    import pandas as pd

    if name == "simulated":
        from benchmarks.compare.events import shop_events

        return pd.DataFrame(shop_events(n_events)).astype({"action": str})
    path = None if data is None else data / FILES[name]
    if path is None or not path.exists():
        return None
    frame = pd.read_parquet(path)
    columns = [column for column in COLUMNS[name].values() if column is not None]
    frame = frame[columns]
    if name == "online retail":
        frame = frame.dropna().astype({"CustomerID": "int64", "StockCode": str})
    return frame


def compare(remote: bool, data: Path | None, n_events: int) -> int:
    """Run all logs by this interpreter's pyspark; the number of differences."""
    import pyspark
    from pyspark.sql import SparkSession

    import traitcore as tc
    from traitcore import spark as ts

    builder = SparkSession.builder.remote("local[2]") if remote else SparkSession.builder.master("local[2]")
    for key, value in {"spark.driver.memory": "1500m", "spark.ui.enabled": "false", "spark.log.level": "OFF"}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    kind, wrong = f"Spark {pyspark.__version__} {'Connect' if remote else 'classic'}", 0
    for name, columns in COLUMNS.items():
        pandas = frame_of(name, data, n_events)
        if pandas is None:
            print(f"  {kind}: no {FILES[name]} under --data")
            continue
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            sessions = tc.split_sessions(tc.EventLog.from_columns(pandas, **columns))
            corpus = tc.tokenize(sessions, min_count=5)
            n = len(corpus.vocabulary)
            counts = tc.count_cooccurrences(corpus.sequences, n_items=n)
            model = tc.TraitModel(4, method="counts").fit(corpus.sequences, corpus.vocabulary)
            profiles = model.transform(corpus.sequences)
            pandas.to_parquet(f"{folder}/log.parquet", coerce_timestamps="us", allow_truncated_timestamps=True)
            df = spark.read.parquet(f"{folder}/log.parquet")
            for partitions in PARTITIONS:
                found = ts.sessions(df, min_count=5, partitions=partitions, **columns)
                got = found.collect().sequences
                owners = corpus.sequences.owner_ids[corpus.sequences.owners()]  # type: ignore[index]
                there = ts.count_cooccurrences(found)
                rows = ts.customer_traits(found, model).orderBy("user").collect()
                present = np.unique(corpus.sequences.owners())
                same = {
                    "sequences": all(
                        np.array_equal(getattr(got, one), getattr(corpus.sequences, one))
                        for one in ("tokens", "offsets", "timestamps_us")
                    ) and np.array_equal(got.owner_ids[got.owners()], owners),  # type: ignore[index]
                    "vocabulary": found.vocabulary.tokens.tolist() == corpus.vocabulary.tokens.tolist()
                    and np.array_equal(found.vocabulary.counts, corpus.vocabulary.counts)
                    and np.array_equal(found.vocabulary.document_frequencies, corpus.vocabulary.document_frequencies),
                    "reports": (found.session_report, found.report) == (sessions.report, corpus.report),
                    "counts": there is not None and all(
                        np.array_equal(getattr(there, one), getattr(counts, one))
                        for one in ("data", "indices", "indptr")
                    ),
                    "profiles": np.allclose([row["profile"] for row in rows], profiles[present], atol=1e-6),
                }
                wrong += list(same.values()).count(False)
                said = "  ".join(f"{what} {'same' if good else 'DIFFERENT'}" for what, good in same.items())
                print(f"  {kind:24s} {name:14s} {partitions:2d} partitions  {said}", flush=True)
                found.unpersist()
    spark.stop()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the real logs")
    parser.add_argument("--python", action="append", help="an interpreter with pyspark and traitcore's dependencies")
    parser.add_argument("--connect", action="store_true", help="through Spark Connect too")
    parser.add_argument("--events", type=int, default=200_000, help="of the simulated log (default 200,000)")
    parser.add_argument("--child", choices=("classic", "connect"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return compare(args.child == "connect", args.data, args.events)
    wrong = 0
    for python in args.python or [sys.executable]:
        for kind in ("classic", "connect") if args.connect else ("classic",):
            command = [python, __file__, "--child", kind, "--events", str(args.events)]
            command += [] if args.data is None else ["--data", str(args.data)]
            env = {**os.environ, "PYSPARK_PYTHON": python, "SPARK_LOCAL_IP": "127.0.0.1", "PYTHONPATH": str(ROOT)}
            wrong += abs(subprocess.run(command, env=env).returncode)  # negative where a signal ended it
    return wrong


if __name__ == "__main__":
    sys.exit(main())
