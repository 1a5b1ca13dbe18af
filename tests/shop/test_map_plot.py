"""The map of items as a Figure."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import traitcore as tc
from traitcore.report.colours import of_trait
from traitcore.shop.survey import points_of


def test_each_item_has_the_place_and_the_colour_of_the_report(shop: tc.Shop, fitted: tc.Fitted) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.colors import to_rgb

    axes = tc.plot_map(shop).axes[0]
    points, how, _ = points_of(shop.tables, 4000)
    assert axes.get_title("left") == f"{len(points)} items by {how}: near ones are alike"
    traits = sorted({p.trait for p in points})
    assert len(traits) > 2
    assert len(axes.collections) == len(traits)
    for drawn, trait in zip(axes.collections, traits):
        own = [p for p in points if p.trait == trait]
        np.testing.assert_allclose(drawn.get_offsets(), [(p.x, p.y) for p in own])
        assert tuple(drawn.get_facecolors()[0][:3]) == to_rgb(of_trait(trait))
        sizes = drawn.get_sizes()
        assert np.argmax(sizes) == np.argmax([p.events for p in own])
        if trait >= 0:
            assert drawn.get_label().startswith(f"{trait} {shop.tables.traits[trait]['name'][:20]}")
    assert [text.get_text() for text in axes.texts] == [str(t) for t in traits if t >= 0]
    few = tc.plot_map(fitted, max_items=10).axes[0]
    assert sum(len(one.get_offsets()) for one in few.collections) == 10


def test_what_it_needs(shop: tc.Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="'shop' parameter of plot_map"):
        tc.plot_map([1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'max_items' parameter of plot_map"):
        tc.plot_map(shop, max_items=1)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"traitcore\[report\]"):
        tc.plot_map(shop)
