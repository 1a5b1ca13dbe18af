"""Shop: a published store asked by ids and texts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from .._errors import TableError
from .._looks import Rows, html_facts, plain
from .._validate import Checks
from ..pipeline import live_customers, recorded_choice
from ..report.page import write_report
from ..serving.live_customers import LiveCustomers
from ..serving.ranking import FALLBACKS
from .answers import CustomerView, Neighbour, Recommended, Trait
from .items import find, meant, similar, texts_of
from .listing import Listing, campaign, profiles, segments
from .people import customer_view, row_of, traits
from .recommending import BY, after_session, recommended
from .survey import survey
from .tables import Published, Tables, parse_id

LIVE = "live"  # the table that `traitcore follow --save` publishes


class Shop:
    """A shop's items, customers and traits, asked by ids and texts; `open_shop` opens a published one.

    An id may be given as the log has it or as text: "22423" finds the item 22423. Answers are `Rows`: sequences of
    records that print as a table, become JSON by `to_dicts()` and a data frame by `to_frame()`. Threads may share a
    shop. An unknown id is a KeyError.

    See Also
    --------
    open_shop : opens a store. fit : the same questions of a log just fitted.

    Examples
    --------
    >>> import traitcore as tc
    >>> log = tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0).log
    >>> shop = tc.fit(log, method="ppmi", vector_size=8, n_traits=3, trait_method="counts").shop
    >>> shop
    Shop(39 items, 80 customers, 3 traits)
    >>> shop.similar("prod_0004", k=2)[0].id in shop.tables.items
    True
    >>> shop.recommend("cust_00007", k=2).to_frame("pandas").columns.tolist()
    ['item', 'description', 'times', 'score', 'why']
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def __repr__(self) -> str:
        facts = self._facts()
        named = [f"{what} {n}" if what == "release" else f"{n:,} {what}" for what, n in facts.items()]
        return f"Shop({', '.join(named)})"

    def _repr_html_(self) -> str:
        return html_facts("Shop", self._facts())

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"items": len(self.tables.items)}
        if self.tables.has_customers:
            facts |= {"customers": len(self.tables.customers), "traits": len(self.tables.traits)}
        if self.tables.store is not None and self.tables.items.version is not None:
            release = self.tables.store.releases.of_table("items", self.tables.items.version)
            facts |= {} if release is None else {"release": release.name}
        return facts

    # -- items -----------------------------------------------------------------------------------------------------

    def similar(self, what: Any, k: int = 10, *, following: bool = False, index: str | None = None) -> Rows[Neighbour]:
        """What is nearest to a token ("view_prod_0012"), an item (its id), or the item that a text describes.

        Parameters
        ----------
        what : a token gives tokens, an item items. Of the items whose description holds all the words, the one of most
            events is meant; the answer's `title` says which.
        k : rows listed. following : what tends to come next instead, ranked as held-out sessions preferred.
        index : name of an index built beside the table, for approximate search; not with `following`.

        Scores are cosines (of what comes next, possibly a product of vectors). KeyError where nothing matches.
        """
        return similar(self.tables, what, k, following, index)

    def find(self, text: str, k: int = 10) -> Rows[Neighbour]:
        """Items whose description holds all the words of `text`, most events first; `score` is 1."""
        return find(self.tables, text, k)

    def meant(self, what: Any) -> Neighbour:
        """The token or item that `similar` takes `what` for; `score` is 1."""
        tables = self.tables
        source, row, _ = meant(tables, what)
        return Neighbour(plain(source.ids[row]), texts_of(tables, source)(row), 1.0, int(source.arrays["counts"][row]))

    def ranked_by(self, what: Any) -> str:
        """How `similar(following=True)` ranks what follows: by "cosine" or "context", as held-out sessions chose."""
        return recorded_choice(meant(self.tables, what)[0], "similar")

    # -- traits and customers --------------------------------------------------------------------------------------

    def traits(self, k: int = 5) -> Rows[Trait]:
        """The traits, a row each, with their `k` most characteristic products."""
        return traits(self.tables, k)

    def customer(self, customer: Any, k: int = 5) -> CustomerView:
        """One customer: traits, latest events, similar customers, recommendations, `k` of each.

        A customer of the fitted log who has no profile has the reason in `note`, and is recommended what is popular.
        """
        return customer_view(self.tables, customer, Checks("Shop.customer").integer("k", k, 1))

    def recommend(
        self, customer: Any, k: int = 10, *, reasons: bool = True, by: str = "both", keep_bought: bool = False,
        allowed: Any = None, exclude: Any = None, fallback: str | None = None, max_per_trait: int | None = None,
    ) -> Any:
        """Items for a customer, best first, without those bought.

        Parameters
        ----------
        reasons : True: `Rows` of `Recommended`, with the reason for each; False: a list of item ids.
        by : "both", traits and what goes with the items that the customer had, which lists more right products than
            either on most logs; "traits" alone; or "latest", what tends to follow the customer's latest events. Tables
            published before they held histories are asked by traits.
        keep_bought : items already bought may be listed.
        allowed, exclude : ids of items: only these, none of these.
        fallback : "popular" fills the list with the items of most events, also for a customer who isn't in the shop.
        max_per_trait : at most so many items of one trait, the one that speaks most for an item with this customer,
            so that a list isn't all one family; filled up with the best of the others where there are too few. None:
            no limit, which lists more right products on most logs. Not with by="latest".
        """
        check, tables = Checks("Shop.recommend"), self.tables
        k = check.integer("k", k, 1)
        check.choice("by", by, BY)
        if fallback is not None:
            check.choice("fallback", fallback, FALLBACKS)
        if max_per_trait is not None:
            max_per_trait = check.integer("max_per_trait", max_per_trait, 1)
            if by == "latest":
                raise check.value_error("max_per_trait", "None with by='latest', which asks no traits", max_per_trait)
        try:
            row: int | None = row_of(tables, customer)
        except KeyError:
            if fallback is None:
                raise
            row = None
        rows = recommended(
            tables, row, k, by=by, keep_bought=keep_bought, allowed=allowed, exclude=exclude, fallback=fallback,
            max_per_trait=max_per_trait,
        )
        return rows if reasons else [one.item for one in rows]

    def after(
        self, session: Sequence[Any], k: int = 10, *, allowed: Any = None, exclude: Any = None,
        fallback: str | None = None,
    ) -> Rows[Recommended]:
        """Items that tend to follow a session (ids of items, the oldest first), also of somebody unknown, ranked as
        held-out sessions preferred. allowed, exclude, fallback : as of `recommend`."""
        k = Checks("Shop.after").integer("k", k, 1)
        rows, _ = after_session(self.tables, session, k, allowed=allowed, exclude=exclude, fallback=fallback)
        return rows

    def id_of(self, customer: Any) -> Any:
        """A customer's id as the log has it: 12347 for "12347". What isn't a customer's stays as it is."""
        return parse_id(self.tables.customers, customer) if customer in self else customer

    def __contains__(self, customer: object) -> bool:
        """Whether a customer has a profile."""
        try:
            return parse_id(self.tables.customers, customer) in self.tables.customers
        except KeyError:
            return False

    def profiles(self) -> Listing:
        """Customers x traits: `customer`, `events`, and a column of shares for each trait."""
        return profiles(self.tables)

    def segments(self, *, min_share: float = 0.3) -> Listing:
        """Each customer's largest trait; "mixed" (trait -1) where its share is below `min_share`."""
        return segments(self.tables, min_share=min_share)

    def campaign(self, trait: int, *, min_share: float = 0.3, not_bought: Any = ()) -> Listing:
        """Customers with at least `min_share` of a trait who bought none of the items `not_bought` (ids), the largest
        share first."""
        return campaign(self.tables, trait, min_share=min_share, not_bought=not_bought)

    def report(
        self, path: str | os.PathLike[str], *, quality: Mapping[str, Any] | None = None, title: str | None = None
    ) -> None:
        """Write one HTML file that a merchandiser reads; it needs no network. quality : what `Evaluation.as_dict` or
        `traitcore evaluate --json` gave."""
        write_report(survey(self.tables, quality=quality, title=title), path)

    # -- a store that goes on --------------------------------------------------------------------------------------

    def live(self, *, max_customers: int | None = None) -> LiveCustomers:
        """Customers that follow new events: `LiveCustomers` of these tables, with the state last saved for them (by
        `traitcore follow --save`), if there is one."""
        live = live_customers(self.tables.tokens, max_customers=max_customers)
        store = self.tables.store
        if store is not None and (store.root / LIVE / "LATEST").exists():
            saved = store.open(LIVE)
            with contextlib.suppress(TableError):  # saved with an earlier fit: nothing of it is taken
                live.restore(saved)
        return live

    def refresh(self) -> bool:
        """Turn to the newest published version; True where it is another one. Answers in progress keep theirs."""
        tables = self.tables
        if not isinstance(tables, Published):
            return False
        newest = Published(tables.store.root, customers=None)
        if newest.versions == tables.versions:
            return False
        self.tables = newest
        return True


def open_shop(store: str | os.PathLike[str], version: str = "latest") -> Shop:
    """Open what was published in a store.

    Parameters
    ----------
    store : its folder. version : of the customers' table (of the items' where there are no customers).

    Raises
    ------
    TableError : there is no store, or a table is damaged.

    See Also
    --------
    Shop : what can be asked. fit_pipeline, fit : publish to a store.

    Examples
    --------
    >>> import tempfile
    >>> import traitcore as tc
    >>> store = tempfile.mkdtemp()
    >>> log = tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0).log
    >>> _ = tc.fit_pipeline(log, store=store, method="ppmi", vector_size=8, n_traits=3, trait_method="counts")
    >>> shop = tc.open_shop(store)
    >>> len(shop.traits()), shop.customer("cust_00007").events > 0, shop.refresh()
    (3, True, False)
    """
    tables = Published(store, version, customers=None)
    _ = tables.items, tables.tokens  # a damaged store is noticed now
    return Shop(tables)
