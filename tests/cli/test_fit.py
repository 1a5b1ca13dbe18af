"""fit: what it says, refuses and makes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.data.command_line import FAST, answer, refused, said
from traitcore.events.simulate import simulate_events
from traitcore.pipeline import fit_pipeline
from traitcore.serving.store import TableStore


def test_fit_reports_dropped_events(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log, store = str(folder / "events.csv"), str(tmp_path / "store")
    text = said(capsys, "fit", log, "--store", store, *FAST, "--map-action", "remove_cart=")
    assert "rows of events.csv kept" in text
    assert "of events are in sessions of fewer than 2: customers' histories have them" in text
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
    message = refused(capsys, *again, code=3)
    assert "Settings that differ from those of items v000001: min_count 5 -> 120, customers 'auto' -> 'none'" in message
    assert "--force WHY" in message
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


def test_fit_says_first_what_it_leaves_out(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = said(capsys, "fit", str(folder / "events.csv"), "--store", str(tmp_path / "s"), *FAST, "--min-count", "30")
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("kept "))
    assert first < next(i for i, line in enumerate(lines) if line.startswith("sessions "))
    assert "--min-count 1 keeps them" in text
