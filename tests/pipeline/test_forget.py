"""A forgotten customer is in no file of a store; everybody else's rows are as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traitcore as tc
from traitcore.pipeline import live_customers
from traitcore.pipeline.forget import without_rows


@pytest.fixture(scope="module", params=["str", "int"])
def shop(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tc.EventLog, bool]:
    log = tc.simulate_events(n_users=60, n_items=40, n_traits=3, seed=0).log
    if request.param == "int":
        columns = log.to_columns()
        columns["user_id"] = 1000 + log.user
        log = tc.EventLog.from_columns(columns)
    folder = tmp_path_factory.mktemp("shop")
    for seed in (0, 1):
        made = tc.fit_pipeline(
            log, method="ppmi", vector_size=8, n_traits=3, trait_method="counts", seed=seed, store=folder,
            force=("me", "test"),
        )
    live = live_customers(made.tokens)
    history = made.sequences
    owners = history.owner_ids[np.repeat(history.owners(), np.diff(history.offsets))]
    live.update_batch(owners, made.vocabulary.tokens[history.tokens])
    tc.TableStore(folder).publish(live.snapshot(), "live")
    return folder, log, request.param == "int"


def lists_of(table: tc.EmbeddingTable) -> dict[Any, Any]:
    """All that a table of customers holds, by id: each row array, the items had and bought, the tokens counted."""
    found: dict[Any, Any] = {}
    # Customers left out of the table have arrays of their own, not by row.
    arrays = {k: np.asarray(a) for k, a in table.arrays.items() if not k.startswith("left_out_")}
    lists = {k: (arrays.pop(f"{k}_offsets"), arrays.pop(f"{k}_items")) for k in ("history", "bought")
             if f"{k}_offsets" in arrays}
    pairs = arrays.pop("pair_row", None)
    counts = {k: arrays.pop(k) for k in ("pair_token", "pair_count") if pairs is not None}
    for row, one in enumerate(table):
        parts = {"vector": table.vectors[row].tobytes()} | {k: a[row].tobytes() for k, a in arrays.items()}
        parts |= {k: items[ends[row] : ends[row + 1]].tolist() for k, (ends, items) in lists.items()}
        if pairs is not None:
            parts |= {k: a[pairs == row].tolist() for k, a in counts.items()}
        found[one] = parts
    return found


def test_a_customer_is_forgotten(shop: tuple[Path, tc.EventLog, bool], tmp_path: Path) -> None:
    import shutil

    folder, log, ints = shop
    root = tmp_path / "store"
    shutil.copytree(folder, root)
    store = tc.TableStore(root)
    gone = log.user_ids[[3, 17]].tolist()
    before = {(i.name, i.version): store.open(i.name, i.version) for i in store.list()}
    done = tc.forget_customers(store, [*gone, "nobody", 5])
    assert done.rows_removed == {"customers": 4, "live": 2}
    assert done.revised["customers"] == {"v000001": "v000001.r1", "v000002": "v000002.r1"}
    assert set(done.revised) == {"customers", "live"}
    for name, moves in done.revised.items():
        for old, new in moves.items():
            left, expected = lists_of(store.open(name, new, verify=True)), lists_of(before[name, old])
            for one in gone:
                del expected[one]
            assert left == expected
    if not ints:
        raw = b"".join(p.read_bytes() for p in root.rglob("*") if p.is_file())
        assert not any(one.encode() in raw for one in gone)
        assert str(log.user_ids[4]).encode() in raw
    # What reads the tables goes on: live customers are restored, releases rolled back.
    live = live_customers(store.open("tokens"))
    live.restore(store.open("live"))
    assert len(live) == len(before["live", "v000001"]) - 2
    other = log.user_ids[4]
    np.testing.assert_array_equal(live.vector(other), before["live", "v000001"][other])
    assert store.releases.rollback().tables["customers"] == "v000001.r1"  # type: ignore[index]
    assert not tc.forget_customers(store, gone).revised
    assert "no version" in str(tc.forget_customers(store, gone))


def test_the_last_customer(tmp_path: Path) -> None:
    store = tc.TableStore(tmp_path)
    store.publish(tc.EmbeddingTable([7], [[1.0, 2.0]], metadata={"kind": "customers"}), "customers")
    tc.forget_customers(store, 7)
    left = store.open("customers")
    assert (len(left), left.id_kind, left.dimension) == (0, "int64", 2)


def test_tables_of_ones_own(tmp_path: Path) -> None:
    store = tc.TableStore(tmp_path)
    store.publish(tc.EmbeddingTable(["ann", "bob"], np.eye(2)), "segments")
    assert not tc.forget_customers(store, "ann").revised
    assert tc.forget_customers(store, "ann", tables="segments").rows_removed == {"segments": 1}
    with pytest.raises(tc.TableError, match="no table 'segment'"):
        tc.forget_customers(store, "ann", tables=["segment"])
    with pytest.raises(TypeError, match="'store' parameter"):
        tc.forget_customers(str(tmp_path), "ann")  # type: ignore[arg-type]


def test_arrays_as_long_as_the_table_by_chance() -> None:
    """As many token pairs as customers: pairs are no rows."""
    live = tc.LiveCustomers(tc.EmbeddingTable(["cup", "mug"], np.eye(2)))
    live.update_batch(["a", "b", "c"], ["cup", "mug", "cup"])
    table = live.snapshot()
    arrays = dict(table.arrays) | {"pair_row": np.array([0, 2, 2]), "pair_token": np.array([0, 0, 1]),
                                   "pair_count": np.array([1, 1, 5], dtype=np.int32)}
    left = without_rows(tc.EmbeddingTable(table.ids, table.vectors, arrays=arrays), np.array([0]))
    assert left.arrays["pair_row"].tolist() == [1, 1]
    assert left.arrays["pair_token"].tolist() == [0, 1]
    assert left.arrays["pair_count"].tolist() == [1, 5]
