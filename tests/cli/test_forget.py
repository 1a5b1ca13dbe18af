"""traitcore forget."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import traitcore as tc
from traitcore.cli import main
from traitcore.pipeline.left_out import LeftOut


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("ids", [["7", "8"], [7, 8]])
def test_forget(tmp_path: Path, capsys: pytest.CaptureFixture[str], ids: list[str | int]) -> None:
    store, where = tc.TableStore(tmp_path), ["--store", str(tmp_path)]
    store.publish(tc.EmbeddingTable(ids, np.eye(2), metadata={"kind": "customers"}), "customers")
    store.publish(tc.EmbeddingTable(ids, np.eye(2)), "segments")
    code, out, _ = run(capsys, "forget", "9", *where)
    assert (code, out) == (0, "no version of any table holds a row of theirs\n")
    code, out, _ = run(capsys, "forget", "7", "9", *where)
    assert (code, out) == (0, "customers: v000001 -> v000001.r1, 1 rows removed\n")
    code, out, _ = run(capsys, "forget", "7", "--also", "segments", "--json", *where)
    assert json.loads(out) == {"revised": {"segments": {"v000001": "v000001.r1"}}, "rows_removed": {"segments": 1}}
    assert store.open("customers").ids.tolist() == store.open("segments").ids.tolist() == ids[1:]
    code, out, err = run(capsys, "forget", "7", "--store", str(tmp_path / "none"))
    assert (code, out) == (1, "")
    assert "There is no store" in err
    assert run(capsys, "forget", "8", "--quiet", *where)[:2] == (0, "")


@pytest.mark.parametrize("ids", [["7", "9", "ä"], [7, 9, 11]])
def test_customers_without_a_row_are_forgotten_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ids: list[str | int]
) -> None:
    """Those whom the fit left out: a table of customers lists their ids, how many events they had, and why."""
    out = LeftOut(np.array(ids, dtype=np.int64 if ids[0] == 7 else object), np.arange(3) + 1, np.zeros(3, np.uint8))
    people = tc.EmbeddingTable(["x", "y"] if ids[0] == "7" else [1, 2], np.eye(2), arrays=out.to_arrays(),
                               metadata={"kind": "customers"})
    store = tc.TableStore(tmp_path)
    store.publish(people, "customers")

    def left() -> list[tuple[str | int, int]]:
        found = LeftOut.of_arrays(store.open("customers", verify=True).arrays)
        assert found is not None
        return list(zip(found.ids.tolist(), found.events.tolist()))

    first = str(people.ids[0])
    code, said, _ = run(capsys, "forget", "9", first, "--store", str(tmp_path))
    assert (code, said) == (0, "customers: v000001 -> v000001.r1, 2 rows removed\n")
    assert left() == [(ids[0], 1), (ids[2], 3)]
    assert store.open("customers").ids.tolist() == people.ids[1:].tolist()
    assert run(capsys, "forget", "9", "--store", str(tmp_path))[1] == "no version of any table holds a row of theirs\n"
    run(capsys, "forget", str(ids[0]), str(ids[2]), "--store", str(tmp_path))
    assert left() == []
    assert len(store.open("customers")) == 1
