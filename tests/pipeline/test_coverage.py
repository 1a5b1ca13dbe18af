"""What of a log is kept: counted again by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traitcore as tc
from tests.data.small_store import FAST
from traitcore.pipeline.coverage import Coverage
from traitcore.pipeline.left_out import LeftOut


@pytest.mark.parametrize("ints", [False, True])
def test_every_event_is_kept_or_has_a_reason(ints: bool) -> None:
    names = {"ann": 1, "bob": 2, "eve": 3, "joe": 4, "bot": 5}
    rows = [("ann", s * 90 + m, "buy" if m % 3 == 0 else "view", "abc"[m % 3]) for s in range(9) for m in range(4)]
    rows += [("bob", s * 90 + m, "view", "abc"[m]) for s in range(4) for m in range(3)]
    rows += [("eve", 7, "view", "x"), ("eve", 8, "view", "y")]  # of items nobody else has
    rows += [("joe", 90 * s, "view", "a") for s in range(3)]  # sessions of one event
    rows += [("ann", 5000, "buy", "x")]
    rows += [("bot", 6000, "view", "a") for _ in range(1001)]  # one session
    users, minutes, actions, items = zip(*rows)
    log = tc.EventLog.from_columns({
        "user_id": [names[u] for u in users] if ints else list(users), "item_id": list(items), "action": list(actions),
        "timestamp": [1_600_000_000 + 60 * m for m in minutes],
    }, timestamp_unit="s")
    result = tc.fit_pipeline(log, **FAST | {"n_traits": 1, "vector_size": 2})
    coverage = result.coverage
    assert coverage is not None
    assert dict(coverage.total) == {"events": len(rows), "customers": 5, "items": 5,
                                    "purchases": sum(a == "buy" for a in actions)}
    assert coverage.kept["events"] == result.sequences.n_tokens
    assert coverage.kept["customers"] == 3
    assert coverage.kept["items"] == 3
    assert coverage.kept["purchases"] == coverage.total["purchases"] - 1
    # Of view_a there are bob's four and joe's three, which count though they lie in sessions of one event.
    assert {loss.option: loss.events for loss in coverage.losses} == {"max_events_per_session=None": 1001,
                                                                      "min_count=1": 2 + 1 + 0}
    assert (coverage.histories_only, coverage.min_length) == (3, 2)
    assert sum(loss.events for loss in coverage.losses) == len(rows) - result.sequences.n_tokens
    assert Coverage.of_dict(coverage.as_dict()) == coverage
    assert str(coverage).startswith("kept ")
    assert "max_events_per_session=None keeps them" in str(coverage)
    assert "of events are in sessions of fewer than 2: customers' histories have them" in str(coverage)
    assert result.customers is not None
    out = LeftOut.of_arrays(result.customers.arrays)
    assert out is not None
    who = names if ints else {name: name for name in names}
    assert out.why(who["eve"]) == (2, "all of items too rare for vectors")
    assert out.why(who["bot"]) == (1001, "all of them in sessions that were left out as too long or too busy")
    assert out.why(who["joe"]) is None
    assert result.customers.arrays["events"][result.customers.row(who["joe"])] == 3
    assert out.why(who["ann"]) is None
    assert out.why(99 if ints else "zoe") is None


def test_sessions_that_were_found_are_no_share_of_the_users() -> None:
    """Three users of four sessions each: twelve customers, which are not 400% of anything."""
    rows = [(user, 1_600_000_000 + 86_400 * day + 60 * k, f"i{k}")
            for user in "abc" for day in range(4) for k in range(5)]
    columns = dict(zip(("user_id", "timestamp", "item_id"), zip(*rows)))
    log = tc.EventLog.from_columns(columns, action=None, timestamp_unit="s")
    small: dict[str, Any] = FAST | {"n_traits": 1, "vector_size": 2}
    found = tc.fit_pipeline(log, customers="sessions", **small)
    assert found.customers is not None
    assert found.coverage is not None
    assert len(found.customers) == 12
    assert "customers" not in found.coverage.kept
    assert all(found.coverage.share(what) <= 1.0 for what in found.coverage.kept)
    plain = tc.fit_pipeline(log, **small).coverage
    assert plain is not None
    assert (plain.kept["customers"], plain.total["customers"]) == (3, 3)


def test_ids_of_any_text_come_back() -> None:
    ids = np.array(["", "a", "ä,\n", "日本"], dtype=object)
    made = LeftOut(ids, np.arange(4), np.zeros(4, np.uint8))
    back = LeftOut.of_arrays(made.to_arrays())
    assert back is not None
    assert back.ids.tolist() == ids.tolist()
    assert back.why("日本") == (3, "all of them in sessions that were left out as too long or too busy")
    assert LeftOut.of_arrays({}) is None


def test_forgotten_customers_leave_the_list_too(tmp_path: Path) -> None:
    made = LeftOut(np.array(["ann", "bob"], dtype=object), np.array([3, 4]), np.array([0, 1], np.uint8))
    people = tc.EmbeddingTable(["eve"], [[1.0]], arrays=made.to_arrays(), metadata={"kind": "customers"})
    store = tc.TableStore(tmp_path)
    store.publish(people, "customers")
    assert tc.forget_customers(store, ["ann"]).rows_removed == {"customers": 1}
    left = LeftOut.of_arrays(store.open("customers").arrays)
    assert left is not None
    assert (left.ids.tolist(), left.events.tolist()) == (["bob"], [4])
    assert b"ann" not in b"".join(p.read_bytes() for p in tmp_path.rglob("array_left_out_text.npy"))
