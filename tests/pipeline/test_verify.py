"""verify_run: the same bytes on any number of threads, and what it says where they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traitcore as tc
from traitcore.cli import main
from traitcore.pipeline.verify import verify_run

OPTIONS: dict[str, Any] = {"vector_size": 16, "n_traits": 4, "epochs": 2, "max_events_per_minute": 30}


@pytest.fixture(scope="module")
def shop() -> tc.EventLog:
    return tc.simulate_events(n_users=150, n_items=80, n_traits=4, seed=2).log


@pytest.mark.parametrize("method", ["item2vec", "walks"])
def test_workers_change_no_published_byte(shop: tc.EventLog, tmp_path: Path, method: str) -> None:
    files = []
    for workers in (1, 2):
        store = tmp_path / str(workers)
        tc.fit_pipeline(shop, store=store, method=method, workers=workers, **OPTIONS)
        files.append({
            str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*"))
            if path.suffix == ".npy" or path.name == "metadata.json"
        })
    assert len(files[0]) > 15
    assert files[0] == files[1]


def test_a_run_is_verified_and_a_change_found(shop: tc.EventLog, tmp_path: Path) -> None:
    result = tc.fit_pipeline(shop, store=tmp_path, **OPTIONS)
    found = verify_run(shop, tmp_path, workers=2)
    assert found.same
    assert str(found) == "r000001: the same bytes again (tokens, items, customers)"
    items = result.items
    vectors = items.vectors.copy()
    vectors[3, 2] = np.nextafter(vectors[3, 2], np.float32(9))
    changed = tc.EmbeddingTable(
        items.ids, vectors, context_vectors=items.context_vectors, arrays=dict(items.arrays), metadata=items.metadata
    )
    store = tc.TableStore(tmp_path)
    record = store.releases.describe()
    store.releases.publish({"items": changed}, input_fingerprint=record["input_fingerprint"])
    found = verify_run(shop, tmp_path, release="r000002")
    assert not found.same
    assert found.differences == {"items": ("vectors",)}
    assert "items: vectors" in str(found)


def test_traits_that_continue_earlier_ones_do_so_again(shop: tc.EventLog, tmp_path: Path) -> None:
    small = OPTIONS | {"method": "ppmi", "trait_method": "counts"}
    tc.fit_pipeline(shop, store=tmp_path, trait_names={1: "Gardeners", 2: "Anglers"}, **small)
    more = tc.simulate_events(n_users=170, n_items=80, n_traits=4, seed=2).log
    second = tc.fit_pipeline(more, store=tmp_path, trait_names={2: ""}, force=("me", "test"), **small)
    assert second.model is not None
    assert second.model.history_ is not None
    assert second.traits[2].given_name == ""
    found = verify_run(more, tmp_path)
    assert found.same, found
    # By chance the same bytes? Not from a start of its own.
    alone = tc.fit_pipeline(more, **small)
    assert alone.customers is not None
    assert second.customers is not None
    assert alone.customers.vectors.tobytes() != second.customers.vectors.tobytes()
    tc.TableStore(tmp_path).releases.prune(keep=1)
    with pytest.raises(tc.TableError, match="continue those of tokens v000001"):
        verify_run(more, tmp_path)


def test_what_cannot_be_verified(shop: tc.EventLog, tmp_path: Path) -> None:
    tc.fit_pipeline(shop, store=tmp_path, method="ppmi", **OPTIONS)
    other = tc.simulate_events(n_users=50, n_items=30, n_traits=3, seed=1).log
    with pytest.raises(ValueError, match="made of another log"):
        verify_run(other, tmp_path)
    with pytest.raises(tc.TableError, match="no release 'r9'"):
        verify_run(shop, tmp_path, release="r9")
    with pytest.raises(TypeError, match="'log'"):
        verify_run([1], tmp_path)  # type: ignore[arg-type]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sim = tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0)
    path, store = tmp_path / "log.csv", str(tmp_path / "shop")
    sim.log.to_csv(str(path))
    small = ["--method", "ppmi", "--vector-size", "8", "--n-traits", "3", "--trait-method", "counts"]
    assert main(["fit", str(path), "--store", store, "--quiet", *small]) in (0, 4)
    assert main(["verify-run", str(path), "--store", store, "--workers", "2", "--quiet", "--json"]) == 0
    assert main(["verify-run", str(path), "--store", store, "--map-action", "view=look"]) == 2
    assert '"same": true' in capsys.readouterr().out
