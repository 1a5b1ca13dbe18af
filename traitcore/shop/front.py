"""fit: from a frame or files to answers in one call."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._frames import column_labels
from .._looks import Rows, html_facts
from .._progress import ProgressLike, as_progress
from .._validate import Checks
from ..events.log import EventLog
from ..events.readers import read_events
from ..items.content import is_missing
from ..pipeline import Catalogue, PipelineResult, fit_pipeline, publish_result, read_catalogue
from ..pipeline.catalogue import FIELDS
from ..pipeline.config import PipelineConfig
from ..report.page import write_report
from ..serving.mixing import EXAMPLE
from ..serving.store import TableStore
from .answers import CustomerView, Neighbour, Trait
from .evaluation import DEFAULT_CHECKS, Evaluation, judge_items, judge_recommendations, judge_traits
from .listing import Listing
from .shop import Shop, open_shop
from .survey import survey
from .tables import Tables

CHECK = Checks("fit")
_ROLES = {"user": "user_id", "timestamp": "timestamp", "action": "action", "item": "item_id"}


class Fitted:
    """What `fit` returns: a shop that is asked at once, judged, reported and published.

    Attributes
    ----------
    log : the EventLog. result : the PipelineResult, with vocabulary, sequences, tables and models.
    shop : the `Shop` of these tables. evaluation : the last `evaluate()`, which `report` shows; None before.

    See Also
    --------
    fit : makes it. Shop : the same questions of a published store.

    Examples
    --------
    >>> import traitcore as tc
    >>> log = tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0).log
    >>> fitted = tc.fit(log, method="ppmi", vector_size=8, n_traits=3, trait_method="counts")
    >>> fitted.similar("prod_0004", k=1)[0].id in fitted.result.items
    True
    >>> len(fitted.traits), len(fitted.customers)
    (3, 80)
    """

    def __init__(self, log: EventLog, result: PipelineResult, catalogue: Catalogue | None = None) -> None:
        self.log, self.result, self._catalogue = log, result, catalogue
        self.shop = Shop(Tables(result.tokens, result.items, result.customers))
        self.evaluation: Evaluation | None = None

    def __repr__(self) -> str:
        return f"Fitted({repr(self.shop).removeprefix('Shop(').removesuffix(')')})\n{self.result.coverage}"

    def _repr_html_(self) -> str:
        return html_facts("Fitted", {**self.shop._facts(), "coverage": str(self.result.coverage)})

    def similar(self, what: Any, k: int = 10, *, following: bool = False) -> Rows[Neighbour]:
        """What is nearest to a token, an item's id, or the item that a text describes; see `Shop.similar`."""
        return self.shop.similar(what, k, following=following)

    def find(self, text: str, k: int = 10) -> Rows[Neighbour]:
        """Items whose description holds all the words of `text`."""
        return self.shop.find(text, k)

    @property
    def traits(self) -> Rows[Trait]:
        """The traits, a row each."""
        return self.shop.traits()

    @property
    def customers(self) -> Listing:
        """Customers x traits: shares that add up to 1."""
        return self.shop.profiles()

    def customer(self, customer: Any, k: int = 5) -> CustomerView:
        """One customer; see `Shop.customer`."""
        return self.shop.customer(customer, k)

    def recommend(self, customer: Any, k: int = 10, **how: Any) -> Any:
        """Items for a customer; see `Shop.recommend`."""
        return self.shop.recommend(customer, k, **how)

    def evaluate(
        self, *, k: int = 20, by: str | None = None, checks: tuple[str, ...] = DEFAULT_CHECKS, n_splits: int = 5,
        max_queries: int | None = 20_000, max_per_trait: int = EXAMPLE, progress: ProgressLike = None,
    ) -> Evaluation:
        """Judge item vectors (next items of held-out sessions), traits (unseen customers) and recommendations (new
        products of last sessions), beside controls.

        The models are learned again without what is held out. k : length of the lists. by : hold out the latest
        sessions ("time", if known) or random ones ("session"). checks, n_splits : of `evaluate_traits`. max_per_trait :
        lists with at most so many products of one trait are judged beside those without a limit; see `recommend`.
        """
        tell, config = as_progress(progress), self.result.config
        items = judge_items(self.log, config, by=by, k=k, max_queries=max_queries, progress=tell)
        traits = lists = None
        if self.result.customers is not None:
            traits = judge_traits(self.log, config, checks=checks, n_splits=n_splits, progress=tell)
            lists = judge_recommendations(self.log, config, max_per_trait=max_per_trait, progress=tell)
        self.evaluation = Evaluation(items, traits, lists)
        return self.evaluation

    def report(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Write one HTML file that a merchandiser reads: traits, map, customers, quality (after `evaluate()`),
        recommendations, what was left out. It needs no network."""
        quality = None if self.evaluation is None else self.evaluation.as_dict()
        write_report(survey(self.shop.tables, quality=quality, title=title), path)

    def publish(
        self, store: str | os.PathLike[str], *, force: tuple[str, str] | None = None, progress: ProgressLike = None
    ) -> Shop:
        """Publish the tables as new versions in a store, behind the guardrails, and open it; see `fit_pipeline`, which,
        given the store, also continues the traits published there."""
        self.result = publish_result(
            self.result, self.log, TableStore(store), catalogue=self._catalogue, force=force, progress=progress
        )
        return open_shop(store)


def fit(
    data: Any,
    *,
    user: str | None = "user_id",
    item: str = "item_id",
    timestamp: str | None = "timestamp",
    action: str | None = "action",
    item_text: str | None = None,
    catalogue: Any = None,
    progress: ProgressLike = None,
    **options: Any,
) -> Fitted:
    """Learn item vectors, customers and traits from a log, and return an object to ask.

    Parameters
    ----------
    data : a pandas or polars DataFrame, a mapping of columns, a path (or list, folder, pattern) of CSV, JSON lines,
        Parquet or Excel, or an EventLog.
    user, item, timestamp, action, item_text : names of the columns; None: the log has none. Where every event is a
        purchase: action=None, action_value="buy".
    catalogue : what is known of items: a Catalogue, or a frame or file with the item's column and any of text,
        category, brand, price; with prices, traits are described by revenue too.
    progress : True draws a bar; or a callback `progress(stage, done, total)`.
    options : of `read_events` (action_value, timestamp_format, on_bad_rows, session, order, where, ...) and of
        `fit_pipeline` (n_traits, method, min_count, workers, seed, ...).

    Raises
    ------
    InputError : a missing column, a bad row, nothing left. TypeError : an unknown option.

    See Also
    --------
    Fitted : what can be done with it. fit_pipeline : the run itself, with a store. read_events : logs from files.

    Examples
    --------
    >>> import traitcore as tc
    >>> frame = tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0).log.to_columns()
    >>> fitted = tc.fit(frame, method="ppmi", vector_size=8, n_traits=3, trait_method="counts")
    >>> fitted.recommend("cust_00007", k=2, reasons=False)[0] in fitted.result.items
    True
    """
    reading, learning = _split(options)
    roles: dict[str, Any] = {"user": user, "timestamp": timestamp, "action": action, "item": item}
    tell = as_progress(progress)
    if isinstance(data, EventLog):
        given = [name for name, value in roles.items() if value != _ROLES[name]] + list(reading)
        if item_text is not None or given:
            raise CHECK.value_error(([*given, "item_text"])[0], "left out: data is an EventLog already", "a value")
        log = data
    else:
        log = read_events(data, **roles, item_text=item_text, **reading, progress=tell)
    known = _catalogue(catalogue, item, log)
    if known is not None and not known.fields().keys() - {"prices"} and known.vectors is None:
        learning.setdefault("content", "none")  # a price alone describes no item: no vectors are made of it
    return Fitted(log, fit_pipeline(log, catalogue=known, progress=tell, **learning), known)


def _split(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of `read_events`, and options of `fit_pipeline`."""
    of_reading = set(inspect.signature(read_events).parameters) - {"path", "progress", *_ROLES, "item_text"}
    of_config = set(PipelineConfig.__dataclass_fields__) | {"config"}
    for name in options:
        if name not in of_reading | of_config:
            raise TypeError(
                f"fit has no option {name!r}. To read: {', '.join(sorted(of_reading))}. To learn: "
                f"{', '.join(sorted(of_config))}."
            )
    reading = {name: value for name, value in options.items() if name in of_reading}
    return reading, {name: value for name, value in options.items() if name in of_config}


def _catalogue(given: Any, item: str, log: EventLog) -> Catalogue | None:
    if given is None or isinstance(given, Catalogue):
        return given
    if isinstance(given, (str, os.PathLike)):
        return read_catalogue(given, item=item, integer_ids=log.item_ids.dtype.kind == "i")
    labels = list(given) if isinstance(given, Mapping) else column_labels(given)
    if labels is None:
        rule = "a Catalogue, a frame, a mapping of columns or a path"
        raise CHECK.type_error("catalogue", rule, type(given).__name__)
    if item not in labels or not set(labels) & set(FIELDS):
        rule = f"with the column {item!r} and any of {', '.join(FIELDS)}"
        raise CHECK.value_error("catalogue", rule, labels)
    missing = dict.fromkeys(FIELDS) | {"price": float("nan")}
    columns = {name: _known(given[name], missing[name]) for name in FIELDS if name in labels}
    return Catalogue(
        np.asarray(given[item]), texts=columns.get("text"), categories=columns.get("category"),
        brands=columns.get("brand"), prices=columns.get("price"),
    )


def _known(column: Any, missing: Any) -> list[Any]:
    """The values of a frame's column, `missing` in place of its nulls and NaN."""
    return [missing if is_missing(one) else one for one in np.asarray(column).tolist()]
