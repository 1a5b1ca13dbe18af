"""traitcore forget."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import traitcore as tc
from traitcore.cli import main


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
