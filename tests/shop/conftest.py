"""One shop for all tests of this room."""

from __future__ import annotations

import pytest

import traitcore as tc
from tests.data.small_store import fitted_shop, published


@pytest.fixture(scope="session")
def fitted() -> tc.Fitted:
    return fitted_shop()


@pytest.fixture(scope="session")
def store(fitted: tc.Fitted, tmp_path_factory: pytest.TempPathFactory) -> str:
    return published(fitted, tmp_path_factory.mktemp("shop"))


@pytest.fixture
def shop(store: str) -> tc.Shop:
    return tc.open_shop(store)
