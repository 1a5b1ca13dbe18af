"""What a shop answers: small records with ids, texts and numbers that say their unit."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from .._looks import Rows, html_table, show


@dataclass(frozen=True)
class Neighbour:
    """A token or item near the one asked for. score : the cosine, or the score of a next item. events : in the log."""

    id: Any
    description: str
    score: float
    events: int


@dataclass(frozen=True)
class Recommended:
    """An item for a customer.

    times : how many times as likely as for all customers together, by traits; None where these have no part in the
    list, and for an item that all together put back more than they take. score : by which the list is ordered; None for
    an item that is listed for its popularity. why : what added most to the score: a trait, or an item that the customer
    had.
    """

    item: Any
    description: str
    times: float | None
    score: float | None
    why: str


@dataclass(frozen=True)
class TraitShare:
    """A trait of one customer: its share of what they do, and how many times that of all customers."""

    trait: int
    name: str
    share: float
    times: float


@dataclass(frozen=True)
class Trait:
    """A trait in one line. share : of all behaviour. customers : in whom it is strong. products : the most
    characteristic, by lift. examples : ids of customers in whom it is strongest, of a median history or more."""

    trait: int
    name: str
    share: float
    customers: int
    acts: str
    products: tuple[str, ...]
    examples: tuple[Any, ...]


@dataclass(frozen=True)
class LatestEvent:
    """One of a customer's latest events."""

    token: Any
    description: str


@dataclass(frozen=True)
class SimilarCustomer:
    """A customer with a similar profile, and the trait that is their largest."""

    customer: Any
    cosine: float
    most: str


@dataclass(frozen=True, eq=False)
class CustomerView:
    """One customer. note : why there is no profile, for a customer of the log who has none."""

    customer: Any
    events: int
    traits: Rows[TraitShare]
    latest: Rows[LatestEvent]
    similar: Rows[SimilarCustomer]
    recommended: Rows[Recommended]
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        parts = {name: getattr(self, name).to_dicts() for name in ("traits", "latest", "similar", "recommended")}
        return {"customer": self.customer, "events": self.events, **({"note": self.note} if self.note else {}), **parts}

    def __repr__(self) -> str:
        lines = [f"customer {show(str(self.customer))}  ({self.events:,} events)"]
        if self.note:
            lines.append(f"  {self.note}")
        for title, rows in self._parts():
            lines += ["", title, "  " + repr(rows).replace("\n", "\n  ")]
        return "\n".join(lines)

    def _parts(self) -> list[tuple[str, Rows[Any]]]:
        parts: list[tuple[str, Rows[Any]]] = [
            ("traits", self.traits), ("latest events", self.latest), ("similar customers", self.similar),
            ("recommended", self.recommended),
        ]
        return [(title, rows) for title, rows in parts if len(rows)]

    def _repr_html_(self) -> str:
        head = html_table([(self.events, self.note)], ("events", "note"), caption=f"customer {self.customer}")
        return head + "".join(f"<h4>{html.escape(title)}</h4>{rows._repr_html_()}" for title, rows in self._parts())
