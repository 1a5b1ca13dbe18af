"""The command line: right answers, readable tables, JSON, exit codes."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcore.cli import build_parser, main
from traitcore.cli.options import LEARNING, PREPARING, WITH_WARNINGS, config_of
from traitcore.cli.progress import ProgressLine, progress_text, short
from traitcore.cli.render import cut, plain, show, table, width_of, write_json
from traitcore.events.readers import read_events
from traitcore.events.sequences import Sequences
from traitcore.events.simulate import simulate_events
from traitcore.items.next_item import NextItemCounts
from traitcore.pipeline import PipelineConfig, fit_pipeline, prepare_corpus, vocabulary_of
from traitcore.pipeline.config import PREPARED_BY
from traitcore.quality.retrieval import evaluate_retrieval, split_sequences
from traitcore.serving.hub_folder import read_folder
from traitcore.serving.index import open_index
from traitcore.serving.recommend import next_items
from traitcore.serving.store import TableStore
from traitcore.serving.table import EmbeddingTable
from traitcore.serving.word2vec import read_word2vec
from traitcore.shop.evaluation import next_item_scorer

FAST = ("--n-traits", "3", "--trait-method", "counts", "--vector-size", "16", "--epochs", "3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log, a catalogue and a store that was fitted from them."""
    folder = tmp_path_factory.mktemp("cli")
    log, items = str(folder / "events.csv"), str(folder / "items.csv")
    assert main(["simulate", log, "--users", "150", "--items", "60", "--traits", "3", "--catalogue", items]) == 0
    store = str(folder / "store")
    assert main(["fit", log, "--item-text", "item_text", "--items", items, "--store", store, *FAST]) == 0
    return folder


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    """What a command says as JSON."""
    capsys.readouterr()
    assert main([*argv, "--json"]) in ((0, WITH_WARNINGS) if argv[0] == "fit" else (0,))
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What a command says to people."""
    capsys.readouterr()
    assert main(list(argv)) in ((0, WITH_WARNINGS) if argv[0] == "fit" else (0,))
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 1) -> str:
    """The one line of an error."""
    capsys.readouterr()
    assert main(list(argv)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("traitcore: error: ")
    assert err.count("\n") == 1
    return err


# -- answers -----------------------------------------------------------------------------------------------------------


def test_similar_is_what_the_table_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(folder / "store")
    tokens = TableStore(store).open("tokens")
    token = tokens.ids[3]
    found = answer(capsys, "similar", token, "-k", "4", "--store", store)
    assert [(f["token"], pytest.approx(f["score"])) for f in found["found"]] == tokens.most_similar(token, 4)
    assert found["token"] == token
    assert found["description"]
    text = said(capsys, "similar", token, "-k", "4", "--store", store)
    assert all(f["token"] in text and f["description"] in text for f in found["found"])


def test_prepare_then_fit(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log, out = str(folder / "events.csv"), str(tmp_path / "corpus")
    memory = ("--memory", "1GB", "--scratch", str(tmp_path))
    assert "1 buckets" in said(capsys, "prepare", log, "--out", out, *memory, "--plan")
    assert os.listdir(tmp_path) == []
    made = answer(capsys, "prepare", log, "--out", out, *memory, "--min-count", "3")
    assert made["log"]["rows_kept"] == made["sessions"]["events"]
    fast = ("--n-traits", "3", "--trait-method", "counts", "--method", "ppmi", "--vector-size", "8")
    by_corpus = answer(capsys, "fit", out, "--store", str(tmp_path / "a"), *fast)
    in_one = answer(capsys, "fit", log, "--store", str(tmp_path / "b"), "--min-count", "3", *memory, *fast)
    for name in ("tokens", "items", "customers"):
        tables = [TableStore(tmp_path / store).open(name) for store in ("a", "b")]
        assert tables[0].fingerprint == tables[1].fingerprint
    assert by_corpus["tokens"] == in_one["tokens"] == made["tokens"]["vocabulary"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "corpus"]
    assert "--user can't change it" in refused(capsys, "fit", out, "--user", "customer", code=2)
    assert "--memory can't change it" in refused(capsys, "fit", out, "--memory", "1GB", code=2)
    assert "prepared with min_count=3" in refused(capsys, "fit", out, "--min-count", "9")
    assert "name a new folder" in refused(capsys, "prepare", log, "--out", out)
    assert "memory must be at least" in refused(capsys, "prepare", log, "--out", out + "2", "--memory", "9MB")
    assert "--scratch needs --memory" in refused(capsys, "fit", log, "--scratch", out, code=2)


def test_prepare_has_the_options_that_make_a_corpus() -> None:
    assert {*PREPARING} == {*PREPARED_BY, "workers", "seed"} - {"action_map"}


def with_choice(folder: Path, tmp_path: Path, choice: dict[str, Any]) -> str:
    """A store with the same tables but for what they say of `--next`."""
    was, store, versions = TableStore(folder / "store"), TableStore(tmp_path / "store"), {}
    for name in ("tokens", "items", "customers"):
        table = was.open(name)
        kept = {key: value for key, value in table.metadata.items() if key != "next"}
        copy = EmbeddingTable(
            table.ids, table.vectors, context_vectors=table.context_vectors, arrays=dict(table.arrays),
            metadata=kept | choice | {"versions": dict(versions)},
        )
        versions[name] = store.publish(copy, name)
    return str(store.root)


@pytest.mark.parametrize("by", ["cosine", "context", None, "nonsense"])
def test_next_ranks_as_recorded_and_by_context_vectors_without_a_record(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, by: str | None
) -> None:
    choice = {} if by is None else {"next": {"similar": {"by": by}, "recommend": {"by": by}}}
    store = with_choice(folder, tmp_path, choice)
    tokens, items = TableStore(store).open("tokens"), TableStore(store).open("items")
    token, silent = tokens.ids[3], items.ids[items.arrays["counts"] == 0]
    how: dict[str, Any] = {} if by == "cosine" else {"against": "context_vectors", "metric": "dot"}
    for source, asked, exclude in ((tokens, token, ()), (items, "prod_0012", silent)):
        found = answer(capsys, "similar", asked, "-k", "4", "--next", "--store", store)
        assert found["by"] == ("cosine" if by == "cosine" else "context")
        expected = source.most_similar(asked, 4, exclude=exclude, **how)
        assert [(f["token"], pytest.approx(f["score"])) for f in found["found"]] == expected
    assert ("cosine" in said(capsys, "similar", token, "--next", "--store", store)) == (by == "cosine")
    customers = TableStore(store).open("customers")
    recent = customers.arrays["recent"][0]
    history = vocabulary_of(tokens).token_item[recent[recent >= 0]][::-1]
    context = None if by == "cosine" else items.context_vectors
    ranked = next_items(history, items.vectors, context, k=5, exclude=np.flatnonzero(items.arrays["counts"] == 0))
    found = answer(capsys, "recommend", customers.ids[0], "-k", "5", "--next", "--keep-bought", "--store", store)
    assert [r["item"] for r in found["recommended"]] == items.ids[ranked.rows].tolist()


def test_the_fallback_fills_places_without_evidence(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = str(folder / "store")
    items = TableStore(store).open("items")
    order = np.argsort(-items.arrays["counts"], kind="stable")
    for how in ((), ("--next",)):
        cold = ("recommend", "nobody", "-k", "4", "--store", store, *how)
        assert "--fallback popular" in refused(capsys, *cold)
        found = answer(capsys, *cold, "--fallback", "popular", "--deny", str(items.ids[order[1]]))["recommended"]
        assert [r["item"] for r in found] == items.ids[order[[0, 2, 3, 4]]].tolist()
        assert all(r["score"] is None for r in found)
        assert found[0]["why"] == f"popular: {items.arrays['counts'][order[0]]:,} events"
        assert "who is not in the store" in said(capsys, *cold, "--fallback", "popular")
        known = answer(capsys, "recommend", "cust_00007", "-k", "4", "--store", store, *how)["recommended"]
        same = answer(capsys, "recommend", "cust_00007", "-k", "4", "--store", store, *how, "--fallback", "popular")
        assert same["recommended"] == known
    new = str(items.ids[items.arrays["counts"] == 0][0])  # nobody has done anything with it
    for how in ((), ("--next",)):
        alone = ("recommend", "cust_00007", "--allow", new, "--store", store, *how)
        if how and items.metadata["next"]["recommend"]["by"] == "model":  # it takes part by its content
            assert [r["item"] for r in answer(capsys, *alone)["recommended"]] == [new]
            continue
        assert answer(capsys, *alone)["recommended"] == []
        assert "--fallback popular" in said(capsys, *alone)
        assert answer(capsys, *alone, "--fallback", "popular")["recommended"] == []


def test_an_items_id_gives_items(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(folder / "store")
    items = TableStore(store).open("items")
    found = answer(capsys, "similar", "prod_0012", "--store", store)
    assert [f["token"] for f in found["found"]] == [i for i, _ in items.most_similar("prod_0012", 10)]
    new = items.ids[items.arrays["counts"] == 0]
    assert len(new)
    following = answer(capsys, "similar", "prod_0012", "--next", "-k", "60", "--store", store)
    assert following["by"] == items.metadata["next"]["similar"]["by"]
    if following["by"] != "model":  # in the model new items take part by their content
        assert not {f["token"] for f in following["found"]} & set(new.tolist())


def test_traits_with_names_shares_and_lift(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(folder / "store")
    found = answer(capsys, "traits", "--store", store)
    assert len(found["traits"]) == 3
    assert sum(t["prevalence"] for t in found["traits"]) == pytest.approx(1.0, abs=0.02)
    text = said(capsys, "traits", "-k", "2", "--store", store)
    for trait in found["traits"]:
        assert trait["name"] in text
        assert f"{trait['tokens'][0]['lift']:.3f}" in text
        assert trait["tokens"][0]["token"] in text


def test_traits_are_drawn(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    said(capsys, "traits", "--store", str(folder / "store"), "--picture", str(tmp_path / "traits.png"))
    assert (tmp_path / "traits.png").read_bytes().startswith(b"\x89PNG")


def test_a_customer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(folder / "store")
    customers = TableStore(store).open("customers")
    row = customers.row("cust_00007")
    found = answer(capsys, "customer", "cust_00007", "-k", "3", "--store", store)
    profile = customers.vectors[row]
    assert found["traits"][0]["trait"] == int(profile.argmax())
    assert found["traits"][0]["share"] == pytest.approx(float(profile.max()))
    assert found["events"] == int(customers.arrays["events"][row])
    assert len(found["similar"]) == len(found["latest"]) == len(found["recommended"]) == 3
    assert "cust_00007" not in [c["customer"] for c in found["similar"]]
    text = said(capsys, "customer", "cust_00007", "-k", "3", "--store", store)
    for heading in ("traits", "latest events", "similar customers", "recommended"):
        assert f"\n{heading}\n" in text


def test_recommendations_leave_out_what_was_bought_and_what_is_denied(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(folder / "store")
    customers, items = TableStore(store).open("customers"), TableStore(store).open("items")
    row = int(np.diff(customers.arrays["bought_offsets"]).argmax())
    start, stop = customers.arrays["bought_offsets"][row : row + 2]
    bought = set(items.ids[customers.arrays["bought_items"][start:stop]].tolist())
    who = str(customers.ids[row])
    for how in ((), ("--next",)):
        first = [r["item"] for r in answer(capsys, "recommend", who, "-k", "60", "--store", store, *how)["recommended"]]
        assert len(bought) > 1
        assert first
        assert not bought & set(first)
        kept = answer(capsys, "recommend", who, "-k", "60", "--keep-bought", "--store", store, *how)["recommended"]
        assert bought & {r["item"] for r in kept}
        denied = answer(capsys, "recommend", who, "--deny", first[0], "--deny", first[1], "--store", store, *how)
        assert denied["recommended"][0]["item"] == first[2]
        allowed = answer(capsys, "recommend", who, "--allow", first[1], "--allow", first[3], "--store", store, *how)
        assert [r["item"] for r in allowed["recommended"]] == [first[1], first[3]]


def test_fit_reports_dropped_events(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log, store = str(folder / "events.csv"), str(tmp_path / "store")
    text = said(capsys, "fit", log, "--store", store, *FAST, "--map-action", "remove_cart=")
    assert "rows of events.csv kept" in text
    assert "shorter than min_length" in text
    assert "their action maps to nothing" in text
    assert "published in" in text
    assert "remove" not in " ".join(TableStore(store).open("tokens").ids.tolist())
    found = answer(capsys, "fit", log, "--store", store, *FAST, "--force", "another map of actions")
    assert found["published"]["customers"] == "v000002"
    assert found["stages"][0]["report"]["events"] == found["log"]["rows_kept"]
    assert found["guardrails"]["status"] in ("pass", "warn", "fail")


def test_a_refused_fit_names_changed_settings_and_force(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = str(tmp_path / "store")
    shutil.copytree(folder / "store", store)
    again = ("fit", str(folder / "events.csv"), "--store", store, "--customers", "none", *FAST, "--min-count", "120")
    told = refused(capsys, *again, code=3)
    assert "Settings that differ from those of items v000001: min_count 5 -> 120, customers 'auto' -> 'none'. " in told
    assert "--force WHY" in told
    assert answer(capsys, *again, "--force", "only what sells")["published"]["items"] == "v000002"
    assert TableStore(store).describe("items")["forced"]["reason"] == "only what sells"


def test_fit_equals_the_pipeline(folder: Path) -> None:
    sim = simulate_events(n_users=150, n_items=60, n_traits=3)
    result = fit_pipeline(sim.log, n_traits=3, trait_method="counts", vector_size=16, epochs=3)
    assert TableStore(folder / "store").open("tokens").fingerprint == result.tokens.fingerprint


def test_sessions_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "sessions.csv"
    rows = [f"{s},{p},{(s * 7 + p) % 9}" for s in range(30) for p in range(4)]
    log.write_text("session_id,position,item_id\n" + "\n".join(rows) + "\n", encoding="utf-8")
    how = ["--user", "-", "--timestamp", "-", "--action", "-", "--session", "session_id", "--order", "position"]
    store = str(tmp_path / "store")
    said(capsys, "fit", str(log), *how, "--store", store, *FAST)
    assert answer(capsys, "similar", "3", "-k", "2", "--store", store)["token"] == 3
    assert "of a log with users, or with --customers sessions" in refused(capsys, "traits", "--store", store)
    said(capsys, "fit", str(log), *how, "--store", store, *FAST, "--customers", "sessions")
    assert answer(capsys, "customer", "12", "--store", store)["customer"] == 12


def test_store_commands(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log, store = str(folder / "events.csv"), str(tmp_path / "store")
    for _ in range(3):
        said(capsys, "fit", log, "--store", store, *FAST)
    listed = answer(capsys, "store", "list", "--store", store)["tables"]
    assert [(i["name"], i["version"], i["is_latest"]) for i in listed if i["name"] == "items"] == [
        ("items", "v000001", False), ("items", "v000002", False), ("items", "v000003", True),
    ]
    assert "v000003  latest" in said(capsys, "store", "list", "--store", store)
    assert said(capsys, "store", "verify", "--store", store).count("all files are as published") == 3
    assert "r000003 (tokens v000003, items v000003, customers v000003) belongs together" in refused(
        capsys, "store", "rollback", "items", "--store", store
    )
    assert answer(capsys, "store", "rollback", "--store", store) == {
        "release": "r000002", "tables": {"tokens": "v000002", "items": "v000002", "customers": "v000002"},
    }
    assert "r000002  latest  r000001" in said(capsys, "store", "list", "--store", store)
    assert answer(capsys, "store", "prune", "--keep", "1", "--store", store) == {
        "customers": ["v000001"], "items": ["v000001"], "tokens": ["v000001"],
    }
    assert answer(capsys, "traits", "--store", store)["customers"] > 100  # the version rolled back to, with its tokens
    vectors = next((tmp_path / "store" / "items" / "v000002").glob("vectors.npy"))
    damaged = bytearray(vectors.read_bytes())
    damaged[-1] ^= 1
    vectors.chmod(0o644)
    vectors.write_bytes(damaged)
    assert "vectors.npy is damaged" in refused(capsys, "store", "verify", "--store", store)


def test_evaluate_judges_items_and_traits_beside_their_controls(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = str(folder / "events.csv")
    how = ("--epochs", "10", "--n-traits", "3", "--trait-method", "counts", "--splits", "2")
    found = answer(capsys, "evaluate", log, *how, "--checks", "coherence,support")
    assert found["items"]["by"] == "time"
    corpus = prepare_corpus(read_events(log), PipelineConfig(tokens="item"))
    train, test = split_sequences(corpus.sequences, by="time", test_share=0.2)
    n = len(corpus.vocabulary)
    popular = train.token_counts(n).astype(np.float32)
    control = evaluate_retrieval(test, lambda p: np.tile(popular, (len(p), 1)), n_items=n, popularity=popular)
    scorers = found["items"]["scorers"]
    assert scorers["popularity (control)"] == pytest.approx(control.as_dict())
    assert found["items"]["scorers"]["item2vec, cosine"]["recall"] > 20 / n  # chance
    ends = [times[-1] for times in np.split(train.timestamps_us, train.offsets[1:-1])]
    ordered = Sequences.from_lists([train[i] for i in np.argsort(ends, kind="stable")])
    counts = NextItemCounts.preset("next_click").fit(ordered, n_items=n)
    beside = evaluate_retrieval(test, lambda p: counts.score(p).toarray(), n_items=n, popularity=popular)
    assert scorers["next-item counts"] == pytest.approx(beside.as_dict())
    assert beside.recall > control.recall
    unordered = NextItemCounts.preset("next_click").fit(train, n_items=n)  # the order of owners tells no age
    other = evaluate_retrieval(test, lambda p: unordered.score(p).toarray(), n_items=n, popularity=popular)
    assert other.mrr != beside.mrr
    assert found["traits"]["figures"]["npmi"] > found["traits"]["figures"]["npmi_random"]
    assert found["traits"]["protocol"]["n_traits"] == 3
    how = (*how, "--only", "items")
    items_only = answer(capsys, "evaluate", log, *how, "--by", "session", "--exclude-seen", "-k", "5")
    assert items_only["items"]["by"] == "session"
    assert "traits" not in items_only
    assert all(f["k"] == 5 for f in items_only["items"]["scorers"].values())
    text = said(capsys, "evaluate", log, *how)
    assert "Recall@20" in text
    assert "popularity (control)" in text
    assert "next-item counts" in text
    assert "'checks'" in refused(capsys, "evaluate", log, *how, "--only", "traits", "--checks", "vibes")


def test_evaluate_judges_baskets_as_sets_unless_their_order_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Baskets of nine of 30 items, any of them, in order of item id: only the order says what comes next."""
    rng = np.random.default_rng(0)
    rows = [f"{u},{1_500_000_000 + u * 86_400},{i}"
            for u in range(300) for i in np.sort(rng.choice(30, 9, replace=False)).tolist()]
    head = "user_id,timestamp,item_id"
    how = ("--action", "-", "--only", "items", "--exclude-seen", "-k", "3", "--epochs", "1", "--min-count", "1")
    found = {}
    for name, lines in (("sorted", rows), ("permuted", [rows[i] for i in rng.permutation(len(rows))])):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join([head, *lines]))
        found[name] = answer(capsys, "evaluate", str(path), *how)["items"]
    assert found["sorted"] == found["permuted"]
    fair = found["sorted"]["scorers"]["next-item counts"]["recall"]
    known = answer(capsys, "evaluate", str(tmp_path / "sorted.csv"), *how, "--ties", "row")["items"]
    assert fair < 0.2  # 3 of 22 by chance
    assert known["scorers"]["next-item counts"]["recall"] > 0.4


def test_next_item_counts_without_times_do_not_age_sessions() -> None:
    rng = np.random.default_rng(0)
    train = Sequences.from_lists([rng.integers(0, 9, 5) for _ in range(30)])
    backwards = Sequences.from_lists([train[i] for i in reversed(range(30))])
    one, other = next_item_scorer(train, 9, 1)(train), next_item_scorer(backwards, 9, 1)(train)
    assert one.shape == (30, 9)
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_an_index_beside_a_table(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    store = str(tmp_path / "store")
    shutil.copytree(folder / "store", store)
    items, tokens = TableStore(store).open("items"), TableStore(store).open("tokens")
    text = said(capsys, "index", "items", "--store", store)
    path = TableStore(store).index_path("items", str(items.version), "hnsw")
    info = open_index(path, items).info
    assert info.fingerprint == items.fingerprint
    assert f"recall@10 {info.recall_at_10:.3f}" in text
    assert str(path) in text
    found = answer(capsys, "index", "tokens", "--links", "8", "--ef-search", "30", "--as", "small", "--store", store)
    assert (found["links"], found["ef_search"], found["n_rows"]) == (8, 30, len(tokens))
    assert found["recall_at_10"] > 0.8
    # An exact index must answer as none does; one of another table is refused.
    assert answer(capsys, "index", "items", "--kind", "exact", "--store", store)["recall_at_10"] == 1.0
    ask = ("similar", "prod_0012", "-k", "4", "--store", store)
    exact, plain = answer(capsys, *ask, "--index", "exact"), answer(capsys, *ask)
    assert [f["token"] for f in exact["found"]] == [f["token"] for f in plain["found"]]
    approximate = answer(capsys, *ask, "--index", "hnsw")["found"]
    assert [f["token"] for f in approximate] == [t for t, _ in open_index(path, items).most_similar("prod_0012", 4)]
    assert "an index is never overwritten; --as" in refused(capsys, "index", "items", "--store", store)
    assert "no index 'none' of items" in refused(capsys, *ask, "--index", "none")
    assert "leave out --next" in refused(capsys, *ask, "--index", "hnsw", "--next", code=2)
    shutil.copytree(path.parent / "exact", TableStore(store).index_path("tokens", str(tokens.version), "other"))
    token = str(tokens.ids[0])
    assert "was built over" in refused(capsys, "similar", token, "--index", "other", "--store", store)


def test_an_index_needs_its_extra(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert "traitcore[ann]" in refused(capsys, "index", "items", "--store", str(folder / "store"))
    assert not (folder / "store" / "items" / ".indexes").exists()


def test_a_table_is_exported(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    store = str(folder / "store")
    items = TableStore(store).open("items")
    read: dict[str, Any] = {
        "csv": lambda p: np.loadtxt(p, delimiter=",", skiprows=1, usecols=range(1, 17), dtype=np.float32),
        "npy": np.load,
        "word2vec": lambda p: read_word2vec(p).vectors,
        "parquet": lambda p: np.stack(parquet.read_table(p)["vector"].to_numpy()),
        "safetensors": lambda p: np.frombuffer(
            p.read_bytes()[8 + int.from_bytes(p.read_bytes()[:8], "little"):], np.float32
        )[: items.vectors.size].reshape(items.vectors.shape),
        "huggingface": lambda p: read_folder(p).vectors,
        "features": lambda p: np.stack(list(map(np.asarray, parquet.read_table(p).columns[2:])), axis=1),
    }
    for kind, reader in read.items():
        out = tmp_path / f"items.{kind}"
        found = answer(capsys, "export", "items", "--to", kind, "--out", str(out), "--store", store)
        assert found["rows"] == len(items)
        np.testing.assert_array_equal(reader(out), items.vectors)
    assert json.loads((tmp_path / "items.ids.json").read_text()) == items.ids.tolist()
    header = (tmp_path / "items.safetensors").read_bytes()
    header = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])
    assert json.loads(header["__metadata__"]["ids"]) == items.ids.tolist()
    out = str(tmp_path / "x")
    assert "items v000001" in said(capsys, "export", "items", "--to", "csv", "--out", out, "--store", store)


def test_a_damaged_latest_table_can_be_repaired(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log, store = str(folder / "events.csv"), str(tmp_path / "store")
    for _ in range(2):
        said(capsys, "fit", log, "--store", store, *FAST)
    manifest = tmp_path / "store" / "items" / "v000002" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-100])
    assert "`traitcore store repair --store" in refused(capsys, "fit", log, "--store", store, *FAST)
    found = answer(capsys, "store", "repair", "--store", store)
    assert found == {"customers": {"was": "v000002", "now": "v000001"}, "items": {"was": "v000002", "now": "v000001"},
                     "tokens": {"was": "v000002", "now": "v000002"}}
    record = json.loads((tmp_path / "store" / "items" / "repairs.jsonl").read_text())
    assert (record["from"], record["to"]) == ("v000002", "v000001")
    assert "is damaged" in record["reason"]
    said(capsys, "fit", log, "--store", store, *FAST)
    assert "items: v000003 is whole" in said(capsys, "store", "repair", "--store", store)
    for version in (tmp_path / "store" / "tokens").glob("v*"):
        (version / "vectors.npy").unlink()
    assert "no version is whole" in said(capsys, "store", "repair", "tokens", "--store", store)
    assert not (tmp_path / "store" / "tokens" / "LATEST").exists()


def test_reading_options_reach_the_log_and_the_items(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = (folder / "events.csv").read_text().splitlines()[1:]
    rows = [line.split(",")[:4] for line in lines]
    named = "kund\u00e9"
    text = "".join(f"{u.replace('cust', named)};{t.replace('T', ' ')[:-1]} UTC;{a};{i}\n" for u, t, a, i in rows)
    (tmp_path / "log.txt").write_bytes(text.encode("latin-1"))
    text = "sku;titel;preis\nprod_0001;Caf\u00e9;12,50\nprod_0002;Tee;3\n"
    (tmp_path / "items.txt").write_bytes(text.encode("latin-1"))
    log, store = str(tmp_path / "log.txt"), str(tmp_path / "store")
    how = ("--delimiter", ";", "--no-header", "--columns", "who,when,what,item_id", "--encoding", "latin-1",
           "--user", "who", "--timestamp", "when", "--action", "what", "--decimal", ",",
           "--items", str(tmp_path / "items.txt"), "--items-columns", "item_id=sku,text=titel,price=preis")
    found = answer(capsys, "fit", log, "--store", store, *FAST, *how)
    assert (found["log"]["rows_kept"], found["log"]["timestamp_unit"]) == (len(rows), "iso")
    assert str(TableStore(store).open("customers").ids[0]).startswith("kund\u00e9")
    items = TableStore(store).open("items")
    assert items.metadata["texts"][items.row("prod_0001")] == "Caf\u00e9"
    told = refused(capsys, "fit", log, "--store", store, *FAST, *how[:-1], "item_id=code")
    assert "'code', wanted as item, is missing" in told
    assert told.endswith("--items-columns item_id=NAME gives another name.\n")
    assert "--items-columns must be like" in refused(capsys, "fit", log, "--store", store, *how[:-1], "sku")


def test_notes_and_errors_of_reading_speak_of_flags(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, store = tmp_path / "log.csv", str(tmp_path / "store")
    head = "user_id,timestamp,action,item_id\n"
    rows = "".join(f"{'NA' if i % 9 == 0 else i % 5},{1_500_000_000 + 60 * i},view,{i % 3}\n" for i in range(90))
    path.write_text(head + rows)
    assert main(["fit", str(path), "--store", store, *FAST, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "traitcore: note: log.csv: column 'user_id' is 'NA' in 10 rows" in err
    assert "--null NA makes them rows without one" in err
    assert "10 rows" in json.loads(out)["log"]["notes"][0]
    found = answer(capsys, "fit", str(path), "--store", store + "2", *FAST, "--null", "NA", "--set-aside")
    assert found["log"]["rows_kept"] == 80
    for content, how, words in (
        (head + "1,20191001,view,2\n", (), "--timestamp-format %Y%m%d reads dates; --timestamp-unit s"),
        (head + ",1500000000,view,2\n", (), "(--set-aside leaves such rows out"),
        (head.encode() + b"caf\xe9,1500000000,view,2\n", (), "--encoding latin-1, say, reads text"),
        (head, ("--where", "1 +"), "--where '1 +' can't be evaluated"),
        (head.replace(",", ";"), (), "--delimiter ';' says so"),
        (head, ("--rejects", str(path)), "--rejects must be another file"),
        (head, ("--no-header",), "--no-header needs --columns"),
        (head, ("--encoding", "klingon"), "--encoding must be the name of a text encoding"),
    ):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        told = refused(capsys, "fit", str(path), "--store", store, *FAST, *how)
        assert words in told
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert "must not be empty" in refused(capsys, "fit", "", "--store", store)


# -- errors and usage --------------------------------------------------------------------------------------------------


def test_unknown_ids_and_stores(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = str(folder / "store")
    assert "'view_nothing' is not in the vocabulary" in refused(capsys, "similar", "view_nothing", "--store", store)
    unknown = refused(capsys, "customer", "nobody", "--store", store)
    assert "no row for 'nobody'" in unknown
    assert "with a session of 2 events or more: `traitcore fit` a log that has this one" in unknown
    assert "no row for 'x'" in refused(capsys, "recommend", "cust_00007", "--deny", "x", "--store", store)
    missing = str(tmp_path / "none")
    for command in (["traits"], ["similar", "a"], ["store", "list"]):
        assert "There is no store at" in refused(capsys, *command, "--store", missing)
    assert not (tmp_path / "none").exists()
    assert "no version 'v9'" in refused(capsys, "traits", "--version", "v9", "--store", store)


def test_a_missing_column_says_which_options_help(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log, store = tmp_path / "log.csv", str(tmp_path / "store")
    log.write_text("user_id,timestamp,item_id\n" + "".join(f"u{i},{i},a\n" for i in range(9)), encoding="utf-8")
    for command in (["fit"], ["evaluate"]):
        where = ["--store", store] if command == ["fit"] else []
        told = refused(capsys, *command, str(log), *where)
        assert "column 'action', wanted as action, is missing. There are: 'user_id', 'timestamp', 'item_id'." in told
        assert "--action NAME gives another name; --action - if there is none; --action-value buy" in told
        assert "--user - if there is none." in refused(capsys, *command, str(log), *where, "--user", "who")
        told = refused(capsys, *command, str(log), *where, "--action", "-", "--item", "sku")
        assert told.endswith("--item NAME gives another name.\n")
    told = refused(capsys, "follow", str(log), "--store", str(folder / "store"), "--quiet")
    assert "column 'action', wanted as action, is missing" in told
    assert told.endswith("--action NAME gives another name; --action-value buy if every event is a buy.\n")
    rows = "".join(f"u{i % 5},{1_500_000_000 + i * 60},{'abc'[i % 3]}\n" for i in range(90))
    log.write_text("user_id,timestamp,item_id\n" + rows, encoding="utf-8")
    for number, how in enumerate((["--action-value", "buy"], ["--action", "-"])):  # what was said works
        done = answer(capsys, "fit", str(log), *how, "--store", f"{store}{number}", "--customers", "none", *FAST)
        assert done["tokens"] == 3


def test_usage_errors_are_2_and_help_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["nonsense"]) == 2
    assert main(["fit"]) == 2
    assert main(["fit", "x.csv", "--epochs", "many"]) == 2
    assert main(["--version"]) == 0
    capsys.readouterr()
    for command in ("demo", "simulate", "fit", "similar", "traits", "customer", "recommend", "evaluate", "store",
                    "index"):
        assert main([command, "--help"]) == 0
        assert command in capsys.readouterr().out


def test_exit_codes_and_json_whatever_happens(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log, store = str(folder / "events.csv"), str(tmp_path / "store")

    def run(*argv: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = main([*argv, "--json"])
        out, err = capsys.readouterr()
        return code, json.loads(out), err

    code, found, _ = run("fit", log, "--store", store, *FAST)
    assert (code, found["release"]) == (0, "r000001")
    code, found, err = run("similar", "no such token", "--store", store)
    assert (code, found["exit_code"]) == (1, 1)
    assert "no such token" in found["error"]["message"]
    assert found["error"]["message"] in err
    for words in (
        ["fit"], ["nonsense"], ["similar", "x", "--index", "a", "--next"], ["store", "rollback", "--version", "v1"],
        ["store", "rollback", "items", "--release", "r000001"],
    ):
        code, found, _ = run(*words)
        assert (code, found["exit_code"], found["error"]["type"]) == (2, 2, "UsageError"), words
    few = (*FAST, "--min-count", "120")
    code, found, _ = run("fit", log, "--store", store, *few)
    assert (code, found["exit_code"], found["error"]["type"]) == (3, 3, "GuardrailError")
    assert found["error"]["report"]["status"] == "fail"
    assert run("store", "list", "--store", store)[1]["releases"][-1]["name"] == "r000001"  # nothing was published
    code, found, _ = run("fit", log, "--store", store, *few, "--force", "only what sells")
    assert (code, found["release"]) == (4, "r000002")
    shown = run("store", "show", "--store", store)[1]
    assert (shown["name"], shown["parent"], shown["forced"]["reason"]) == ("r000002", "r000001", "only what sells")
    assert shown["parameters"]["min_count"] == 120
    assert [stage["name"] for stage in shown["run"]["stages"]][:1] == ["sessions"]
    assert run("store", "show", "--release", "r000001", "--store", store)[1]["tables"]["items"]["version"] == "v000001"
    capsys.readouterr()
    for words in (["fit", log, "--store", store, *few], ["store", "rollback", "--store", store],
                  ["store", "prune", "--keep", "2", "--store", store]):
        assert main([*words, "--quiet"]) in (0, 4)
        assert capsys.readouterr() == ("", "")


def test_a_bad_option_value_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log, store = str(folder / "events.csv"), str(tmp_path / "store")
    for options, said_ in (
        (["--epochs", "-1"], "'epochs'"),
        (["--n-traits", "0"], "'n_traits' parameter of fit_pipeline must be an int in [1, inf). Got 0"),
        (["--gap-seconds", "nan"], "'gap_seconds'"),
        (["--delimiter", "abcde"], "--delimiter must be 1 to 4 bytes"),
        (["--workers", "0"], "'workers'"),
        (["--where", "no such"], "no such"),
    ):
        assert said_ in refused(capsys, "fit", log, "--store", store, *options)
    assert "--map-action must be OLD=NEW" in refused(capsys, "fit", log, "--map-action", "x", code=2)
    assert not (tmp_path / "store").exists()


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ask = ["traits", "--store", str(tmp_path / "x")]
    for argv in (["--debug", *ask], [*ask, "--debug"]):
        with pytest.raises(ValueError, match="There is no store"):
            main(argv)


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("traitcore.pipeline.fit_pipeline", stop)
    log, store = str(folder / "events.csv"), str(folder / "never")
    assert "interrupted" in refused(capsys, "fit", log, "--store", store, code=130)
    assert not (folder / "never").exists()


def test_a_closed_pipe_and_a_full_disk(folder: Path) -> None:
    command = f"{sys.executable} -m traitcore traits --store {folder / 'store'}"
    head = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} -k 10 | head -1"], capture_output=True, text=True, check=False
    )
    assert head.stderr == ""
    assert head.stdout.startswith("3 traits of")
    if os.path.exists("/dev/full"):
        full = subprocess.run(f"{command} > /dev/full", shell=True, capture_output=True, text=True, check=False)
        assert full.returncode == 1
        assert full.stderr == "traitcore: error: No space left on device\n"


# -- options -----------------------------------------------------------------------------------------------------------


def test_defaults_of_options_are_those_of_the_pipeline() -> None:
    defaults = {f.name: f.default for f in fields(PipelineConfig)}
    for name, (_, default, _) in LEARNING.items():
        assert defaults[name] == default, name
    assert set(defaults) - set(LEARNING) == {"action_map", "recent"}
    args = build_parser().parse_args(["fit", "x.csv"])
    assert config_of(args) == PipelineConfig()


def test_options_reach_the_configuration() -> None:
    argv = ["--max-events-per-session", "0", "--merge-repeats", "--map-action", "click=view", "--window", "9"]
    config = config_of(build_parser().parse_args(["fit", "x", *argv]))
    assert config.max_events_per_session is None
    assert config.merge_repeats
    assert config.window == 9
    assert config.action_map is not None
    assert config.action_map["click"] == "view"
    assert config.action_map["purchase"] == "buy"


def test_help_does_not_load_the_library() -> None:
    code = (
        "import sys; from traitcore.cli import main; main(['fit', '--help']); "
        "print(sorted({'numba', 'scipy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().splitlines()[-1] == "[]"


# -- rendering ---------------------------------------------------------------------------------------------------------


def test_tables_are_aligned() -> None:
    text = table([("a", 1.5, 10_000), ("bbb", None, 3)], ("name", "score", "n"))
    assert text.splitlines() == ["name  score       n", "a     1.500  10,000", "bbb       -       3"]
    assert table([], ("a", "b")) == "a  b"


def test_wide_characters_and_long_texts() -> None:
    assert width_of("日本") == 4
    assert width_of("é") == 1
    assert cut("日本語", 5) == "日本…"
    lines = table([("日本", "x"), ("ab", "y")], ("id", "t")).splitlines()
    assert len({width_of(line) for line in lines}) == 1
    narrow = table([("token", "a very long description of it")], ("token", "description"), width=20)
    assert all(width_of(line) <= 20 for line in narrow.splitlines())
    assert "…" in narrow


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert show("a\x1b[31mb\nc\x00") == "a\\x1b[31mb\\nc\\x00"
    assert show("😀") == "😀"


def test_json_is_strict() -> None:
    stream = io.StringIO()
    write_json({"nan": float("nan"), "n": np.float32(1.5), "a": np.arange(2), 3: ("x", None), "é": True}, stream)
    assert json.loads(stream.getvalue()) == {"nan": None, "n": 1.5, "a": [0, 1], "3": ["x", None], "é": True}
    assert plain(PipelineConfig())["n_traits"] == 16


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_only_on_a_terminal() -> None:
    for stream, quiet, drawn in ((io.StringIO(), None, False), (Terminal(), None, True), (Terminal(), True, False)):
        line = ProgressLine(quiet, stream)
        line("item2vec", 1, 2)
        assert bool(stream.getvalue()) is drawn
        line.clear()
    assert stream.getvalue() == ""


def test_progress_shows_rate_and_remaining_time() -> None:
    assert progress_text("item2vec", 500_000, 2_000_000, 2.0) == "item2vec           25%  250.0k/s  00:06 left"
    assert progress_text("item2vec", 0, 100, 0.0) == "item2vec            0%"
    assert [short(v) for v in (3.14159, 2_500, 1.2e6, 5e9)] == ["3.14", "2.5k", "1.2M", "5.0G"]


# -- the report, lists of customers, words -----------------------------------------------------------------------------


def test_a_report_with_figures(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store, page, figures = str(folder / "store"), tmp_path / "report.html", tmp_path / "quality.json"
    assert "it needs no network" in said(capsys, "report", "--store", store, "-o", str(page), "--title", "Tea & co")
    text = page.read_text(encoding="utf-8")
    assert "<title>Tea &amp; co</title>" in text
    assert "Not measured for this report" in text
    one = {"k": 20, "recall": 0.3, "coverage": 0.5}
    figures.write_text(json.dumps({
        "items": {"scorers": {"vectors": one, "popularity (control)": one | {"recall": 0.1}}},
        "traits": {"figures": {"npmi": 0.4, "npmi_popular": 0.1}},
    }), encoding="utf-8")
    found = answer(capsys, "report", "--store", store, "-o", str(page), "--quality", str(figures))
    assert found["bytes"] == page.stat().st_size
    assert "coherence of the names" in page.read_text(encoding="utf-8")
    for wrong in ("no json", "[]", '{"traits": 3}', '{"other": {}}'):
        figures.write_text(wrong, encoding="utf-8")
        assert "--quality must be" in refused(capsys, "report", "--store", store, "--quality", str(figures))


def test_lists_of_customers_are_exported(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import csv

    store, out = str(folder / "store"), tmp_path / "list.csv"
    customers = TableStore(store).open("customers")
    how = ("--to", "csv", "--out", str(out), "--store", store)

    def rows() -> list[dict[str, str]]:
        with open(out, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    said(capsys, "export", "profiles", *how)
    assert [row["customer"] for row in rows()] == customers.ids.tolist()
    assert answer(capsys, "export", "segments", "--min-share", ".9", *how)["rows"] == len(customers)
    assert {row["name"] for row in rows() if row["trait"] == "-1"} == {"mixed"}
    said(capsys, "export", "campaign", "--trait", "1", "--min-share", ".4", "--not-bought", "prod_0012", *how)
    assert {row["customer"] for row in rows()} <= set(customers.ids[customers.vectors[:, 1] >= 0.4].tolist())
    for wrong in (
        ["campaign"], ["segments", "--trait", "1"], ["profiles", "--min-share", ".5"], ["items", "--trait", "1"],
        ["segments", "--not-bought", "x"],
    ):
        refused(capsys, "export", *wrong, *how, code=2)
    refused(capsys, "export", "profiles", "--to", "npy", "--store", store, code=2)
    refused(capsys, "export", "items", "--to", "xlsx", "--store", store, code=2)


def test_words_find_an_item_and_scores_are_explained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(folder / "store")
    items = TableStore(store).open("items")
    texts = items.metadata["texts"]
    alone = next(row for row, text in enumerate(texts) if text and texts.count(text) == 1)
    assert answer(capsys, "similar", texts[alone], "--store", store)["token"] == items.ids[alone]
    assert "three times as likely for this customer" in said(capsys, "recommend", "cust_00007", "--store", store)
    assert "x all customers" in said(capsys, "customer", "cust_00007", "--store", store)
    found = answer(capsys, "traits", "--store", store)["traits"][0]
    assert all(isinstance(who, str) for who in found["exemplars"])
    assert "row" not in found["tokens"][0]


def test_fit_says_first_what_it_leaves_out(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = said(capsys, "fit", str(folder / "events.csv"), "--store", str(tmp_path / "s"), *FAST, "--min-count", "30")
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("kept "))
    assert first < next(i for i, line in enumerate(lines) if line.startswith("sessions "))
    assert "--min-count 1 keeps them" in text
