"""Short sessions: customers keep what they did there, item vectors learn from the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traitcore as tc
from tests.data.small_store import FAST
from traitcore.events.prepared import prepare_files
from traitcore.pipeline import Catalogue, PipelineConfig, live_customers, prepare_corpus
from traitcore.pipeline.item_sessions import item_sessions
from traitcore.pipeline.prepare import _asked, _how

SMALL: dict[str, Any] = FAST | {"vector_size": 4, "n_traits": 2}


def mixed(seed: int = 0, text: bool = False) -> tc.EventLog:
    """A log of 60 customers; six of ten sessions have one event, and item 29 is only in such sessions."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(60):
        for day in range(8):
            n = 1 if rng.random() < 0.6 else int(rng.integers(2, 6))
            for k in range(n):
                item = 29 if n == 1 and rng.random() < 0.1 else int(rng.integers(0, 15)) + 14 * (user % 2)
                item = item if n == 1 or item != 29 else 14
                action = "buy" if rng.random() < 0.3 else "view"
                rows.append((user, 1_600_000_000 + 86_400 * day + 60 * k, action, item))
    users, times, actions, items = zip(*rows)
    return tc.EventLog.from_columns({
        "user_id": [f"c{u}" for u in users] if text else list(users), "timestamp": list(times),
        "action": list(actions), "item_id": list(items),
    }, timestamp_unit="s")


def test_customers_have_every_event_and_items_learn_from_the_longer_sessions() -> None:
    log = mixed()
    result = tc.fit_pipeline(log, **SMALL | {"min_count": 1, "recent": 100})
    customers, vocabulary = result.customers, result.vocabulary
    assert customers is not None
    assert log.user_ids is not None
    assert customers.arrays["events"].sum() == result.sequences.n_tokens == len(log)
    assert result.coverage is not None
    assert all(result.coverage.share(what) == 1.0 for what in ("events", "customers", "items", "purchases"))
    ends, bought = customers.arrays["history_offsets"], customers.arrays["bought_offsets"]
    for row, user in enumerate(customers.ids.tolist()):
        mine = np.flatnonzero(log.user_ids[log.user] == user)
        had = set(log.item_ids[log.item[mine]].tolist())
        assert set(result.items.ids[customers.arrays["history_items"][ends[row] : ends[row + 1]]].tolist()) == had
        buys = {int(log.item_ids[log.item[r]]) for r in mine if log.actions[log.action[r]] == "buy"}
        assert set(result.items.ids[customers.arrays["bought_items"][bought[row] : bought[row + 1]]].tolist()) == buys
        recent = customers.arrays["recent"][row]
        assert sorted(vocabulary.item_ids[vocabulary.token_item[recent[recent >= 0]]].tolist()) == sorted(
            log.item_ids[log.item[mine]].tolist())
    assert vocabulary.counts.sum() == len(log)
    long = [row for row in result.sequences if len(row) > 1]
    assert 0 < sum(map(len, long)) < len(log)
    alone = tc.PPMIEmbedder(vector_size=4, window=5).fit(tc.Sequences.from_lists(long), n_items=len(vocabulary))
    assert np.array_equal(result.tokens.vectors, alone.item_vectors_)


@pytest.mark.parametrize("method", ["ppmi", "item2vec", "walks"])
def test_an_item_that_never_stood_beside_another_has_no_vector(method: str, tmp_path: Path) -> None:
    result = tc.fit_pipeline(mixed(), store=tmp_path, **SMALL | {"method": method})
    assert result.verdict is not None
    assert not any(reason.check == "zero_rows" for reason in result.verdict.reasons)
    items = result.items
    row = items.row(29)
    assert not items.vectors[row].any()
    assert items.context_vectors is not None
    assert not items.context_vectors[row].any()
    assert items.metadata["sources"][items.arrays["source"][row]] == "missing"
    assert items.arrays["counts"][row] > 5
    assert np.any(items.vectors[np.arange(len(items)) != row], axis=1).all()
    assert not result.tokens.vectors[result.vocabulary.token_item == row].any()
    said = next(str(stage.report) for stage in result.stages if stage.name == "tables")
    assert "1 of them never beside others in a session: they have no vector" in said
    catalogue = Catalogue(np.arange(30), categories=["a" if i < 15 else "b" for i in range(30)])
    filled = tc.fit_pipeline(mixed(), catalogue=catalogue, **SMALL | {"method": method}).items
    assert filled.vectors[filled.row(29)].any()
    assert filled.metadata["sources"][filled.arrays["source"][filled.row(29)]] in ("content", "category")


def test_zero_vectors_of_items_that_did_stand_beside_others_are_refused() -> None:
    items = tc.fit_pipeline(mixed(), **SMALL).items
    broken = items.vectors.copy()
    broken[:5] = 0.0
    table = tc.EmbeddingTable(items.ids, broken, arrays=dict(items.arrays), metadata=items.metadata)
    assert "fail: 5 items have a zero vector" in str(tc.judge(table).reasons[0])


def test_min_length_says_which_sessions_items_learn_from_and_nothing_else() -> None:
    log = mixed()
    two, one, four = (tc.fit_pipeline(log, **SMALL | {"min_length": n}) for n in (2, 1, 4))
    assert two.customers is not None
    for other in (one, four):
        assert other.customers is not None
        for name in ("raw_profiles", "history_items", "bought_items", "recent", "events"):
            assert two.customers.arrays[name].tobytes() == other.customers.arrays[name].tobytes(), name
    assert np.array_equal(one.tokens.vectors, two.tokens.vectors)
    assert not np.array_equal(four.tokens.vectors, two.tokens.vectors)
    corpus = prepare_corpus(log, PipelineConfig(min_length=4))
    assert np.diff(corpus.sessions.offsets).min() == 4
    assert [row.tolist() for row in corpus.sessions] == [row.tolist() for row in corpus.sequences if len(row) >= 4]
    rows = np.flatnonzero(np.diff(corpus.sequences.offsets) >= 4)
    assert corpus.sessions.owners().tolist() == corpus.sequences.owners()[rows].tolist()
    whole = tc.Sequences.from_lists([[0, 1], [1, 2, 0]])
    assert item_sessions(whole, 2) is whole


def test_a_log_in_which_nothing_stands_beside_anything_is_refused() -> None:
    log = mixed()
    assert log.timestamp_us is not None
    apart = replace(log, timestamp_us=np.arange(len(log)) * 4_000_000_000 + 1_600_000_000_000_000)
    with pytest.raises(tc.InputError, match=r"No session has 2 tokens or more.*min_length is 2\)\. Raise gap_seconds"):
        tc.fit_pipeline(apart, max_events_per_day=None, **SMALL)
    with pytest.raises(tc.InputError, match=r"No session has 9 tokens or more.*Lower min_length, or raise gap_seconds"):
        tc.fit_pipeline(log, **SMALL | {"min_length": 9})


def test_without_customers_short_sessions_are_left_out() -> None:
    found = tc.fit_pipeline(mixed(), customers="none", **SMALL | {"min_count": 1})
    coverage = found.coverage
    assert coverage is not None
    short = sum(len(row) for row in found.sequences if len(row) < 2)
    assert coverage.kept["events"] == len(mixed()) - short
    assert coverage.kept["items"] == coverage.total["items"] - 1
    assert [(loss.reason, loss.events) for loss in coverage.losses] == [("sessions of fewer than 2", short)]
    assert coverage.histories_only == 0


def test_a_batch_of_events_gives_the_profile_of_the_refit(tmp_path: Path) -> None:
    result = tc.fit_pipeline(mixed(), store=tmp_path, **SMALL)
    live, sequences = live_customers(result.tokens), result.sequences
    who = np.repeat(sequences.owners(), np.diff(sequences.offsets))
    live.update_batch(who, result.vocabulary.tokens[sequences.tokens])
    assert result.model is not None
    assert result.customers is not None
    rows = np.arange(sequences.n_owners)
    assert np.abs(live.traits_batch(rows) - result.model.raw_profiles_).max() < 1e-4
    assert np.array_equal(live.vectors(rows), result.customers.arrays["embeddings"])


@pytest.mark.parametrize("text", [False, True])
def test_a_prepared_corpus_keeps_them_too_and_min_length_is_asked_at_the_fit(tmp_path: Path, text: bool) -> None:
    log = mixed(text=text)
    log.to_csv(tmp_path / "log.csv")
    log = tc.read_events(tmp_path / "log.csv")
    corpus = tc.prepare_log(tmp_path / "log.csv", tmp_path / "corpus", scratch=tmp_path)
    asked, how = _how(*_asked(tmp_path / "log.csv", None, {}))
    for n_buckets in (1, 7, 64):
        place = tmp_path / f"corpus-{n_buckets}"
        other = prepare_files(asked, place, how, memory=2 << 30, scratch=tmp_path, progress=None, n_buckets=n_buckets)
        assert other.fingerprint == corpus.fingerprint
    for length in (2, 4):
        wanted, got = (tc.fit_pipeline(one, **SMALL | {"min_length": length}) for one in (log, corpus))
        for name in ("tokens", "items", "customers"):
            one, other = getattr(wanted, name), getattr(got, name)
            assert one.fingerprint == other.fingerprint
            assert all(one.arrays[array].tobytes() == other.arrays[array].tobytes() for array in other.arrays)
