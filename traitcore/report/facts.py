"""What a report says, as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a page needs no tables, and nothing that makes them
    from ..pipeline.coverage import Loss


@dataclass(frozen=True)
class Product:
    """A characteristic product of a trait: how many times as common as with all customers, and the lower end of the
    95% interval."""

    id: str
    description: str
    action: str
    lift: float
    low: float
    customers: int


@dataclass(frozen=True)
class Card:
    """One trait. share : of all behaviour. revenue : its share of revenue, None where prices aren't known. acts :
    (action, share, times that of all customers). periods : its events by period. examples : (customer, events, share).
    """

    trait: int
    name: str
    share: float
    customers: int
    products: tuple[Product, ...]
    revenue: float | None = None
    acts: tuple[tuple[str, float, float], ...] = ()
    categories: tuple[tuple[str, float], ...] = ()
    periods: tuple[float, ...] = ()
    examples: tuple[tuple[str, int, float], ...] = ()


@dataclass(frozen=True)
class Point:
    """An item on the map, x and y in [0, 1]; trait -1: none."""

    x: float
    y: float
    id: str
    description: str
    trait: int
    events: int


@dataclass(frozen=True)
class Figure:
    """One figure of quality: its value, that of a control (None: there is none), what it means, "good", "fair",
    "poor" or "" where nothing says."""

    name: str
    value: float
    control: float | None
    control_name: str
    sentence: str
    verdict: str


@dataclass(frozen=True)
class Kept:
    """How much of the log is in the tables: customers, events, ..."""

    what: str
    kept: int
    total: int


@dataclass(frozen=True)
class Suggestion:
    """An item recommended to a customer."""

    item: str
    description: str
    times: float
    why: str


@dataclass(frozen=True)
class Reach:
    """How far lists go. catalogue : share of the items that are in at least one list. traits : mean number of traits
    in a list."""

    catalogue: float
    traits: float


@dataclass(frozen=True)
class Lists:
    """The recommendations of a sample of customers. mixed : what they would reach with at most `max_per_trait`
    products of one trait each. most_shown : (item, description, share of the lists). samples : (customer, their largest
    trait, suggestions).
    """

    customers: int
    length: int
    reach: Reach
    max_per_trait: int
    mixed: Reach
    most_shown: tuple[tuple[str, str, float], ...]
    samples: tuple[tuple[str, str, tuple[Suggestion, ...]], ...]


@dataclass(frozen=True)
class Drift:
    """Since the version before: sentences on the items, and (name before, name now, share before, share now, cosine)
    for each trait that has a counterpart."""

    since: str
    sentences: tuple[str, ...]
    traits: tuple[tuple[str, str, float, float, float], ...] = ()


@dataclass(frozen=True)
class Facts:
    """Everything that a report says, in the order of its sections."""

    title: str
    made: str
    verdict: tuple[str, ...]
    n_customers: int
    n_items: int
    n_events: int
    cards: tuple[Card, ...] = ()
    period_unit: str = ""
    periods: tuple[str, ...] = ()
    everyone_by_period: tuple[float, ...] = ()
    points: tuple[Point, ...] = ()
    map_method: str = ""
    items_off_map: int = 0
    largest_shares: tuple[int, ...] = ()  # customers by tenth of their largest share
    overlaps: tuple[tuple[float, ...], ...] = ()  # of those strong in a row's trait, the share strong in the column's
    figures: tuple[Figure, ...] = ()
    lists: Lists | None = None
    kept: tuple[Kept, ...] = ()
    left: tuple[Loss, ...] = ()
    drift: Drift | None = None
    warnings: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
