"""A shop that the tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.command_line import FAST
from traitcore.cli import main


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log, a catalogue and a store that was fitted from them."""
    folder = tmp_path_factory.mktemp("cli")
    log, items = str(folder / "events.csv"), str(folder / "items.csv")
    assert main(["simulate", log, "--users", "150", "--items", "60", "--traits", "3", "--catalogue", items]) == 0
    store = str(folder / "store")
    assert main(["fit", log, "--item-text", "item_text", "--items", items, "--store", store, *FAST]) == 0
    return folder
