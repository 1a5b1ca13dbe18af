"""Pseudonyms: keyed, the same every time, and a log under them is the same log."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import traitcore as tc

KEY = bytes(range(32))


def test_they_are_keyed_hashes() -> None:
    found = tc.pseudonyms(["ann", "1", 1, np.int64(1), "ü\0"], KEY)
    expected = [hashlib.blake2b(text, digest_size=16, key=KEY).hexdigest()
                for text in (b"sann", b"s1", b"i1", b"i1", "sü\0".encode())]
    assert found.tolist() == expected
    assert tc.pseudonyms(np.array([1, 2]), KEY).tolist() == tc.pseudonyms([1, 2], KEY).tolist()
    assert tc.pseudonyms(["ann"], KEY[:16])[0] != found[0]
    assert len(set(tc.pseudonyms(range(50_000), KEY))) == 50_000
    assert tc.pseudonyms([], KEY).shape == (0,)


def test_what_is_refused() -> None:
    for key in (b"short", bytes(65)):
        with pytest.raises(ValueError, match=r"'key' parameter of pseudonyms must be 16 to 64 bytes"):
            tc.pseudonyms(["ann"], key)
    with pytest.raises(TypeError, match="'key'") as caught:
        tc.pseudonyms(["ann"], "a secret that must not be printed")  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)
    for one in (1.5, True, None, b"ann"):
        with pytest.raises(TypeError, match="'customers'"):
            tc.pseudonyms([one], KEY)
    with pytest.raises(ValueError, match="a log with users"):
        tc.EventLog.from_columns({"s": [1], "item_id": [2]}, user=None, timestamp=None, action=None,
                                 session="s").with_pseudonyms(KEY)


def test_a_log_under_pseudonyms() -> None:
    log = tc.simulate_events(n_users=30, n_items=20, n_traits=2, seed=0).log
    under = log.with_pseudonyms(KEY)
    assert under.user_ids.tolist() == sorted(under.user_ids.tolist())
    assert under.user_ids[under.user].tolist() == tc.pseudonyms(log.user_ids[log.user], KEY).tolist()
    assert under.to_columns()["item_id"].tolist() == log.to_columns()["item_id"].tolist()
    lengths = [np.diff(tc.tokenize(tc.split_sessions(one)).sequences.offsets) for one in (log, under)]
    assert sorted(lengths[0].tolist()) == sorted(lengths[1].tolist())
