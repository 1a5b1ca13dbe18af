"""Traits as one picture."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._files import whole_file
from .._validate import Checks
from .describe import TopToken, TraitDescription

CHECK = Checks("plot_traits")
COLUMNS = 4
# Colours that stay apart for colour-blind readers (Okabe and Ito); actions take them in the order of the vocabulary.
COLOURS = ("#0072B2", "#E69F00", "#CC79A7", "#009E73", "#56B4E9", "#D55E00", "#F0E442", "#999999")


def plot_traits(traits: Sequence[TraitDescription], path: str | Path, *, k: int = 8) -> None:
    """Write a picture of the traits: a panel each, commonest first, with the tokens that set its customers apart.

    All share one scale. A bar is a token's smoothed lift (how many times as common as with all customers), its
    thin line extends down to the lower end of the 95% interval, its colour is the action.

    Parameters
    ----------
    traits : what `describe_traits` returned. path : .png, .svg or .pdf. k : tokens of each trait.

    Raises
    ------
    ImportError : without the `report` extra (matplotlib). ValueError : no traits, or another file ending.

    See Also
    --------
    describe_traits : the descriptions that are drawn.

    Examples
    --------
    >>> import tempfile
    >>> import traitcore as tc
    >>> corpus = tc.tokenize(tc.split_sessions(tc.simulate_events(n_users=60, n_items=30, n_traits=2, seed=0).log))
    >>> model = tc.TraitModel(2, method="counts").fit(corpus.sequences, corpus.vocabulary)
    >>> traits = tc.describe_traits(model.raw_profiles_, corpus.sequences, corpus.vocabulary)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tc.plot_traits(traits, f"{folder}/traits.svg", k=5)
    """
    k = CHECK.integer("k", k, 1)
    if not traits:
        raise CHECK.value_error("traits", "at least one TraitDescription", "none")
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in ("png", "svg", "pdf"):
        raise CHECK.value_error("path", "a name that ends in .png, .svg or .pdf", repr(str(path)))
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError as error:
        raise ImportError("plot_traits needs matplotlib: pip install 'traitcore[report]'.") from error
    colours = dict(zip(dict.fromkeys(name for trait in traits for name in trait.action_shares), COLOURS * 8))
    columns = min(COLUMNS, len(traits))
    rows = math.ceil(len(traits) / columns)
    figure = Figure(figsize=(5.6 * columns, rows * (0.9 + 0.24 * k)), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for panel, trait in zip(panels, sorted(traits, key=lambda trait: -trait.prevalence)):
        _draw(panel, trait, k, colours)
    for panel in panels[len(traits) :]:
        panel.set_axis_off()
    if colours:
        handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    figure.supxlabel("lift: how many times as common as with all customers", fontsize=9)
    with whole_file(path) as scratch:
        figure.savefig(scratch, dpi=110, format=kind)


def _draw(panel: Any, trait: TraitDescription, k: int, colours: dict[str, str]) -> None:
    """One trait: bars of lift on a logarithmic scale, from 1."""
    tokens = trait.tokens[:k]
    title = textwrap.shorten(f"{trait.trait} {trait.name}", 58, placeholder=" ...")
    # A "$" would start a formula.
    panel.set_title(
        f"{title}\n{trait.prevalence:.1%} of behaviour, strong in {trait.customers:,} customers".replace("$", r"\$"),
        loc="left", fontsize=9,
    )
    if tokens:
        places = range(len(tokens))
        panel.barh(places, [t.lift - 1.0 for t in tokens], left=1.0, color=[_colour(t, colours) for t in tokens])
        panel.hlines(places, [max(t.low, 1.0) for t in tokens], [t.lift for t in tokens], color="black", linewidth=1)
        panel.set_yticks(list(places), [_label(t) for t in tokens], fontsize=8)
        panel.invert_yaxis()
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    else:
        panel.text(0.5, 0.5, "no token sets it apart", ha="center", transform=panel.transAxes, fontsize=8)
        panel.set_yticks([])
    panel.tick_params(axis="x", labelsize=8, labelbottom=True)
    panel.spines[["top", "right"]].set_visible(False)


def _action(token: TopToken, actions: Any) -> str:
    """The action of a token "view_X": the longest that fits, as an action may hold an underscore itself."""
    fitting = [name for name in actions if str(token.token).startswith(f"{name}_")]
    return max(fitting, key=len, default="")


def _colour(token: TopToken, colours: dict[str, str]) -> str:
    return colours.get(_action(token, colours), COLOURS[-1])


def _label(token: TopToken) -> str:
    return textwrap.shorten(token.text or str(token.token), 34, placeholder=" ...").replace("$", r"\$")
