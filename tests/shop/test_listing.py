"""Lists of customers: what they hold, and as files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import traitcore as tc


def test_profiles_segments_and_campaigns(shop: tc.Shop) -> None:
    customers = shop.tables.customers
    profiles = shop.profiles()
    assert len(profiles) == len(customers)
    shares = np.stack([profiles[name] for name in list(profiles.columns)[2:]], axis=1)
    np.testing.assert_array_equal(shares, customers.vectors)
    segments = shop.segments(min_share=0.6)
    for row in range(len(customers)):
        largest = customers.vectors[row].max()
        expected = int(customers.vectors[row].argmax()) if largest >= 0.6 else -1
        assert segments["trait"][row] == expected
        assert (segments["name"][row] == "mixed") == (expected < 0)
    campaign = shop.campaign(1, min_share=0.2)
    wanted = sorted(((-s, r) for r, s in enumerate(customers.vectors[:, 1]) if s >= 0.2))
    assert campaign["customer"].tolist() == [customers.ids[r] for _, r in wanted]
    offsets, bought = customers.arrays["bought_offsets"], customers.arrays["bought_items"]
    item = int(np.bincount(bought).argmax())
    have = {customers.ids[r] for r in range(len(customers)) if item in bought[offsets[r] : offsets[r + 1]]}
    left = shop.campaign(1, min_share=0.2, not_bought=shop.tables.items.ids[item])["customer"].tolist()
    assert have & set(campaign["customer"].tolist())
    assert left == [one for one in campaign["customer"].tolist() if one not in have]
    with pytest.raises(ValueError, match=r"'trait' parameter of Shop\.campaign must be an int in"):
        shop.campaign(7)
    with pytest.raises(KeyError, match="no row for 'x'"):
        shop.campaign(1, not_bought=["x"])


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".xlsx"])
def test_files_hold_what_the_list_holds(shop: tc.Shop, tmp_path: Path, ending: str) -> None:
    import pandas

    path = tmp_path / f"segments{ending}"
    segments = shop.segments()
    segments.write(path)
    if ending == ".xlsx":
        read = pandas.read_excel(path, engine="openpyxl")
    else:
        read = (pandas.read_csv if ending == ".csv" else pandas.read_parquet)(path)
    assert read["customer"].tolist() == segments["customer"].tolist()
    assert read["trait"].tolist() == segments["trait"].tolist()
    np.testing.assert_allclose(read["share"], segments["share"], rtol=1e-6)


@pytest.mark.parametrize(("ending", "module"), [(".parquet", "pyarrow"), (".xlsx", "openpyxl")])
def test_without_the_library(
    shop: tc.Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"needs {module}: pip install 'traitcore\[io\]'"):
        shop.profiles().write(tmp_path / f"profiles{ending}")
    assert not list(tmp_path.iterdir())


def test_other_endings_and_looks(shop: tc.Shop, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a name that ends in \.csv, \.parquet, \.xlsx"):
        shop.profiles().write(tmp_path / "x.txt")
    assert not list(tmp_path.iterdir())
    assert "more" in repr(shop.profiles())
    assert shop.profiles()._repr_html_().startswith("<table><caption>")
