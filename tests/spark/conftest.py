"""One local Spark for all tests of this folder; they are skipped where there is no pyspark or no Java.

Spark's own variable makes it Spark Connect: SPARK_REMOTE='local[2,3]' python -m pytest tests/spark
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

# pandas is newer than Spark knows, which pyspark says wherever it touches it; pytest.warns says so again, as our own.
QUIET = (
    "ignore:::pyspark", "ignore:PySpark does not yet fully support pandas", "ignore::ResourceWarning",
    "ignore::DeprecationWarning",
)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed (the extra 'spark')")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("there is no Java")
    scratch = tmp_path_factory.mktemp("spark")
    settings = {
        "spark.driver.memory": "1g", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2",
        "spark.local.dir": str(scratch), "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.session.timeZone": "America/New_York",  # times are UTC, whatever Spark displays
        "spark.log.level": "OFF",
        # Most of a short test's time is Java compiling itself.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        remote = os.environ.get("SPARK_REMOTE")
        # A killed worker's task is tried three times.
        cores = "local[2,3]"
        builder = sql.SparkSession.builder
        builder = builder.remote(remote) if remote else builder.master(cores).appName("traitcore")
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        yield session
        session.stop()


def on_spark(session: Any, frame: pd.DataFrame) -> Any:
    """A DataFrame of a pandas one whose times are UTC.

    Spark takes times without a zone for those of its session's zone with Arrow, for the process' own without.
    """
    naive = frame.select_dtypes("datetime").columns
    return session.createDataFrame(frame.assign(**{name: frame[name].dt.tz_localize("UTC") for name in naive}))
