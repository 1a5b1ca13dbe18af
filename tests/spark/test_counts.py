"""Counts, vectors, traits and the whole fit on Spark, beside one machine's."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import traitcore as tc
from traitcore import spark as ts

from .conftest import QUIET, on_spark

pytestmark = pytest.mark.filterwarnings(*QUIET)


@pytest.fixture(scope="module")
def shop() -> pd.DataFrame:
    return pd.DataFrame(tc.simulate_events(n_users=60, n_items=40, n_traits=3, seed=1).log.to_columns())


@pytest.fixture(scope="module")
def corpora(spark: Any, shop: pd.DataFrame) -> Any:
    """The corpus on Spark, in five partitions, and on one machine."""
    got = ts.sessions(on_spark(spark, shop), min_count=5, partitions=5)
    yield got, tc.tokenize(tc.split_sessions(tc.EventLog.from_columns(shop)), min_count=5)
    got.unpersist()


@pytest.mark.parametrize("options", [{}, {"window": 3, "weighting": "linear", "k": 4, "min_pair_count": 1.5}])
def test_counts_are_the_bytes_of_one_machine(corpora: Any, options: dict[str, Any]) -> None:
    got, corpus = corpora
    n = len(corpus.vocabulary)
    here = ts.count_cooccurrences(got, **options)
    there = tc.count_cooccurrences(corpus.sequences, n_items=n, **options)
    for name in ("data", "indices", "indptr"):
        one, other = getattr(here, name), getattr(there, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_counts_as_files_and_within_a_limit(corpora: Any, tmp_path: Path) -> None:
    got, corpus = corpora
    there = tc.count_cooccurrences(corpus.sequences, n_items=len(corpus.vocabulary))
    assert ts.count_cooccurrences(got, path=str(tmp_path / "counts")) is None
    rows = pq.read_table(tmp_path / "counts").sort_by("row").to_pylist()
    assert [row["row"] for row in rows] == np.flatnonzero(np.diff(there.indptr)).tolist()
    assert list(chain.from_iterable(row["columns"] for row in rows)) == there.indices.tolist()
    assert list(chain.from_iterable(row["values"] for row in rows)) == there.data.tolist()
    with pytest.raises(MemoryError, match=r"need more than memory_limit_mb=0.001 on the driver: 1 of \d+ parts"):
        ts.count_cooccurrences(got, memory_limit_mb=0.001)


def by_user(frame: Any, *names: str) -> list[np.ndarray]:
    rows = frame.orderBy("user").collect()
    return [np.array([row[name] for row in rows], dtype=np.float32) for name in names]


def test_customers_are_those_of_one_machine(corpora: Any, tmp_path: Path) -> None:
    got, corpus = corpora
    rng = np.random.default_rng(0)
    table = tc.EmbeddingTable(corpus.vocabulary.tokens, rng.normal(size=(len(corpus.vocabulary), 6)).astype(np.float32))
    store = tc.TableStore(tmp_path)
    store.publish(table, "tokens")
    v = corpus.vocabulary
    for options, more in (
        ({"method": "tfidf"}, {"document_frequencies": v.document_frequencies, "n_documents": v.n_documents}),
        ({"method": "recency", "half_life_days": 30.0}, {}),
    ):
        pooled = tc.customer_vectors(corpus.sequences, table.vectors, **options, **more)
        vector, weight = by_user(ts.customer_vectors(got, store.open("tokens"), **options), "vector", "weight")
        np.testing.assert_array_equal(vector, pooled.vectors)
        np.testing.assert_array_equal(weight, pooled.weights.astype(np.float32))
    model = tc.TraitModel(3, method="counts").fit(corpus.sequences, v)
    profile, raw = by_user(ts.customer_traits(got, model), "profile", "raw_profile")
    np.testing.assert_allclose(profile, model.transform(corpus.sequences), atol=1e-6)
    np.testing.assert_allclose(raw, model.transform_raw(corpus.sequences), atol=1e-6)
    with pytest.raises(ValueError, match=r"'item_vectors' parameter of traitcore\.spark\.customer_vectors must be"):
        ts.customer_vectors(got, table.subset(v.tokens[::-1].tolist()))
    with pytest.raises(ValueError, match=r"'model' parameter of traitcore\.spark\.customer_traits must be a TraitM"):
        ts.customer_traits(got, tc.TraitModel(2, method="counts").fit(*_smaller(corpus)))


def _smaller(corpus: Any) -> tuple[Any, Any]:
    again = tc.encode_tokens(corpus.vocabulary.decode(corpus.sequences)[:30])
    return again.sequences, again.vocabulary


@pytest.mark.parametrize("min_length", [2, 3])
def test_the_whole_way_is_published(spark: Any, shop: pd.DataFrame, tmp_path: Path, min_length: int) -> None:
    lines: list[str] = []
    options: dict[str, Any] = {
        "method": "ppmi", "vector_size": 8, "n_traits": 3, "trait_method": "counts", "min_count": 5,
        "min_length": min_length,
    }
    result = ts.fit(on_spark(spark, shop), store=tmp_path, partitions=3, show=lines.append, **options)
    alone = tc.fit_pipeline(tc.EventLog.from_columns(shop), **options)
    assert lines[0].startswith("shuffled: the events, once, by user")
    assert result.release is not None
    assert result.customers is not None
    assert alone.customers is not None
    opened = tc.TableStore(tmp_path).releases.open()
    assert opened["customers"].ids.tolist() == alone.customers.ids.tolist()
    np.testing.assert_array_equal(result.tokens.vectors, alone.tokens.vectors)
    np.testing.assert_array_equal(result.items.vectors, alone.items.vectors)
    np.testing.assert_array_equal(result.items.arrays["source"], alone.items.arrays["source"])
    assert (np.diff(alone.sequences.offsets) < min_length).any()
    np.testing.assert_allclose(opened["customers"].vectors, alone.customers.vectors, atol=1e-6)
    for name in ("embeddings", "events", "recent", "history_offsets", "history_items"):
        np.testing.assert_array_equal(opened["customers"].arrays[name], alone.customers.arrays[name])
    assert [trait.name for trait in result.traits] == [trait.name for trait in alone.traits]
    assert opened["items"].metadata["config"] == alone.items.metadata["config"]
    result.corpus.unpersist()


def test_traits_shaped_by_some_customers_are_told_of_all(spark: Any, shop: pd.DataFrame) -> None:
    steps: list[str] = []
    result = ts.fit(
        spark.createDataFrame(shop), trait_tokens=600, show=None, method="ppmi", vector_size=8, n_traits=3,
        trait_method="counts", min_count=5, progress=lambda stage, done, total: steps.append(stage),
    )
    assert result.customers is not None
    assert result.model is not None
    shares = result.customers.vectors
    assert 5 < len(result.model.profiles_) < len(shares)
    for trait in result.traits:
        assert trait.customers == (shares[:, trait.trait] > 0.3).sum()
        assert trait.prevalence == pytest.approx(shares[:, trait.trait].mean(), abs=1e-6)
        # The strongest of those who shaped it, by their rows among all.
        best = np.sort(result.model.profiles_[:, trait.trait])[::-1][: len(trait.exemplars)]
        np.testing.assert_allclose(shares[list(trait.exemplars), trait.trait], best, atol=1e-5)
    assert set(steps) == {"sessions", "counts", "ppmi", "traits", "customers"}
    result.corpus.unpersist()


def test_what_a_fit_on_spark_cannot_do_is_said_before_anything_runs(shop: pd.DataFrame) -> None:
    for option, value in (("method", "walks"), ("pooling", "attention"), ("customers", "sessions")):
        with pytest.raises(ValueError, match=f"'{option}' parameter of traitcore.spark.fit must be one of"):
            ts.fit(shop, show=None, **{option: value})
