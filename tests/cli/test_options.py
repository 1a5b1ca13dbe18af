"""Options: their defaults, and values that are refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tests.data.command_line import refused
from traitcore.cli import build_parser
from traitcore.cli.options import LEARNING, config_of
from traitcore.pipeline import PipelineConfig


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
