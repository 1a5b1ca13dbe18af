"""The recipes of docs/engines.md with the real engines; the heavy ones are run by benchmarks/engines.py alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import traitcore as tc
from benchmarks.engines import clustered, recipes, run

LIGHT = ["pyarrow", "polars", "pandas", "duckdb", "sqlite_vec", "faiss", "usearch", "voyager", "safetensors",
         "an index of your own, bound to its table"]
KEEP_NO_FINGERPRINT = {"pandas", "faiss", "usearch", "voyager"}
HEAVY = {"lancedb", "psycopg", "qdrant_client", "chromadb", "pymilvus", "mlflow"}


@pytest.mark.parametrize("engine", LIGHT)
def test_the_same_ten(engine: str, tmp_path: Path) -> None:
    items = clustered(1000, 24)
    queries = items.vectors[::125] + np.float32(0.05)
    equal, seen = run(recipes()[engine], items, queries, str(tmp_path))
    assert equal == len(queries)
    assert seen is (None if engine in KEEP_NO_FINGERPRINT else True)


def test_every_recipe_is_run_somewhere() -> None:
    assert set(recipes()) == set(LIGHT) | HEAVY


def test_an_index_of_ones_own_is_bound(tmp_path: Path) -> None:
    code = recipes()["an index of your own, bound to its table"]
    items, other = clustered(300, 8), clustered(300, 8, seed=1)
    names = {"items": items, "query": items.vectors[0], "folder": str(tmp_path)}
    exec(code, names)
    index, own = names["index"], names["UsearchIndex"]
    with pytest.raises(tc.TableError, match="built from another table"):
        own.open(f"{tmp_path}/items.usearch", other)  # type: ignore[attr-defined]
    with pytest.raises(tc.TableError, match="was not built from"):
        tc.measure_recall(index, other)  # type: ignore[arg-type]
    verdict = tc.judge(other, index=index)  # type: ignore[arg-type]
    assert verdict.status == "fail"
    assert any(reason.check == "index" for reason in verdict.reasons)
