"""From a published run to live customers and back, and the refits that guard the next run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import traitcore as tc
from traitcore.pipeline import live_customers


@pytest.fixture(scope="module")
def log() -> Any:
    return tc.simulate_events(n_users=150, n_items=60, n_traits=4, seed=4).log


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, log: Any) -> Any:
    store = tc.TableStore(tmp_path_factory.mktemp("store"))
    return tc.fit_pipeline(log, store=store, n_traits=4, vector_size=16, epochs=3), store


def test_live_customers_have_the_profiles_of_the_run(run: Any) -> None:
    result, store = run
    tokens = store.open("tokens")
    live = live_customers(tokens)
    sequences = result.sequences
    who = sequences.owner_ids[np.repeat(sequences.owners(), np.diff(sequences.offsets))]
    live.update_batch(who, tokens.ids[sequences.tokens])
    np.testing.assert_allclose(live.profiles(result.customers.ids), result.profiles, atol=1e-5)
    np.testing.assert_allclose(live.vectors(result.customers.ids), result.customers.arrays["embeddings"], atol=1e-5)
    store.publish(live.snapshot(), "live")
    again = live_customers(store.open("tokens"))
    again.restore(store.open("live"))
    one = str(result.customers.ids[0])
    before = again.profiles([one])
    again.update(one, str(tokens.ids[-1]))
    assert (again.profiles([one]) != before).any()
    live.update(one, str(tokens.ids[-1]))
    np.testing.assert_array_equal(again.profiles([one]), live.profiles([one]))


def test_recommendations_of_live_customers_have_the_same_marks(run: Any) -> None:
    _, store = run
    tokens, items = store.open("tokens"), store.open("items")
    vocabulary = tc.pipeline.vocabulary_of(tokens)
    live = live_customers(tokens)
    with pytest.raises(KeyError, match="no events of customer 'new': `update` adds some"):
        live.profiles(["new"])
    live.update("new", str(tokens.ids[0]))
    affinity = tc.product_affinity(tokens.arrays["loadings"].T.copy(), vocabulary.token_item, n_items=len(items) + 1)
    profiles = np.concatenate([live.profiles(["new"]), np.zeros((1, affinity.shape[0]), np.float32)])
    popularity = np.append(items.arrays["counts"], 10**6)
    k = len(items) + 1
    found = tc.recommend_products(profiles, affinity, k=k, exclude=[0], fallback="popular", popularity=popularity)
    by_traits = ~found.fallback[0] & (found.rows[0] >= 0)
    assert by_traits.any()
    assert k - 1 not in found.rows[0][by_traits]  # no trait speaks for an item without tokens
    assert (found.scores[0][by_traits] > 0).all()
    assert found.rows[1][0] == k - 1
    assert found.fallback[1][:-1].all()
    for row in found.rows:
        assert sorted(row.tolist()) == [-1, *range(1, k)]


def test_runs_that_running_sums_cannot_compute(run: Any) -> None:
    result, _ = run
    for changed, match in (({"config": {"pooling": "recency"}}, "recency"), ({"config": {"pooling": "mean"}}, "live")):
        bare = tc.EmbeddingTable(result.tokens.ids, result.tokens.vectors, metadata=changed)
        with pytest.raises(tc.TableError, match=match):
            live_customers(bare)


def test_refits_are_kept_for_the_next_run(run: Any, log: Any) -> None:
    _, store = run
    kept = store.open("items").metadata["refits"]
    assert len(kept) == 3
    assert all(0.1 < one["overlap"] <= 1.0 for one in kept)
    again = tc.fit_pipeline(log, store=store, n_traits=4, vector_size=16, epochs=3, seed=9)
    assert again.verdict is not None
    assert again.verdict.status == "pass", list(map(str, again.verdict.reasons))


def test_a_large_log_is_refitted_once(tmp_path: Any, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traitcore.pipeline.refits.MOST_EVENTS", 10)
    for seed in (0, 1):
        made = tc.fit_pipeline(log, store=tmp_path, customers="none", vector_size=16, epochs=3, seed=seed)
        assert [str(s.report).split()[0] for s in made.stages if s.name == "refits"] == ["1"]
    assert len(tc.TableStore(tmp_path).open("items").metadata["refits"]) == 1
    assert made.verdict is not None
    assert made.verdict.status != "fail", list(map(str, made.verdict.reasons))


def test_attention_is_learned_for_the_pooling(log: Any) -> None:
    made = tc.fit_pipeline(log, pooling="attention", n_traits=4, vector_size=16, epochs=3, seed=2)
    reports = {stage.name: str(stage.report) for stage in made.stages}
    assert reports["attention"].startswith("Recall@20 of the next token 0.")
    learned = tc.AttentionPooling(seed=2).fit(
        made.sequences, made.tokens.vectors, made.tokens.context_vectors, token_action=made.vocabulary.token_action
    )
    assert made.customers is not None
    np.testing.assert_allclose(
        made.customers.arrays["embeddings"], learned.transform(made.sequences, made.tokens.vectors), atol=1e-6
    )
    with pytest.raises(ValueError, match="'pooling' parameter of fit_pipeline"):
        tc.fit_pipeline(log, pooling="median")
