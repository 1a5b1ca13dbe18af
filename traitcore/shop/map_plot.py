"""The items of a shop as one picture: what lies near is alike, colours are traits."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from .._validate import Checks
from ..report.charts import heart_of
from ..report.colours import of_trait
from .shop import Shop
from .survey import MAP_ITEMS, points_of

if TYPE_CHECKING:
    from .front import Fitted

CHECK = Checks("plot_map")
_LARGEST = 120.0  # points squared: the dot of the item of most events


def plot_map(shop: Shop | Fitted, *, max_items: int = MAP_ITEMS) -> Any:
    """Draw the items in two dimensions, near ones alike, each in the colour of its trait.

    The places are those of the report's map: t-SNE of the items' vectors by cosine (scikit-learn's), or principal axes
    for fewer than 30 items. An item has a trait where this takes a third of its events or more, else it is grey. A
    dot's area grows with the item's events; a trait's number stands where its items are densest.

    Parameters
    ----------
    shop : what `open_shop` or `fit` returned. max_items : the items of most events, at most; 4,000 take half a minute.

    Returns
    -------
    matplotlib.figure.Figure : `savefig` writes it; a notebook shows it after `%matplotlib inline`.

    Raises
    ------
    ImportError : without the `report` extra (matplotlib). ValueError : fewer than two items with vectors.

    See Also
    --------
    plot_traits : the traits as panels. Shop.report : a page with this map, to be searched.

    Examples
    --------
    >>> import traitcore as tc
    >>> log = tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0).log
    >>> fitted = tc.fit(log, method="ppmi", vector_size=8, n_traits=3, trait_method="counts")
    >>> figure = tc.plot_map(fitted)
    >>> figure.axes[0].get_title("left")[:8]
    '39 items'
    """
    asked: Any = getattr(shop, "shop", shop)
    CHECK.instance("shop", asked, Shop)
    max_items = CHECK.integer("max_items", max_items, 2)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plot_map needs matplotlib: pip install 'traitcore[report]'.") from error
    points, how, _ = points_of(asked.tables, max_items)
    if not points:
        raise CHECK.value_error("shop", "one with two items or more that have vectors", repr(asked))
    names = [trait["name"] for trait in asked.tables.traits] if asked.tables.has_customers else []
    figure = Figure(figsize=(11.0, 7.0), layout="constrained")
    axes = figure.subplots()
    most = max(1, *(p.events for p in points))
    for trait in sorted({p.trait for p in points}):
        own = [p for p in points if p.trait == trait]
        label = "no trait" if trait < 0 else textwrap.shorten(f"{trait} {names[trait]}", 44, placeholder=" ...")
        axes.scatter(
            [p.x for p in own], [p.y for p in own], s=[6 + _LARGEST * p.events / most for p in own],
            color=of_trait(trait), alpha=0.75, linewidths=0, label=label.replace("$", r"\$"),  # "$" starts a formula
        )
        if trait >= 0:
            axes.text(*heart_of(points, trait), str(trait), ha="center", va="center", fontweight="bold")
    axes.set_title(f"{len(points):,} items by {how}: near ones are alike", loc="left", fontsize=10)
    axes.set_axis_off()
    columns = math.ceil((len(names) + 1) / 30)
    figure.legend(loc="outside right upper", fontsize=7, frameon=False, ncols=columns, markerscale=0.8)
    return figure
