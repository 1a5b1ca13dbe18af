"""A simulated shop log with known truth: planted traits, a funnel, bots, late rows, new items with content.

For the demo, the tests and the benchmarks. Everything is drawn from one seed with vectorised NumPy, in stages:
catalogue -> customers -> sessions -> visits (one item looked at) -> funnel events -> times -> rows as they arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._validate import Checks
from .simulated_catalogue import (
    ACTIONS,
    LATE_ITEMS_FROM,
    N_CATEGORIES,
    Shop,
    draw_content,
    draw_prices,
    draw_shop,
    draw_texts,
    events_per_visit,
    funnel_rates,
    pick,
    pick_in_family,
    trait_tokens,
)

if TYPE_CHECKING:
    from .log import EventLog

RAW_ACTIONS = ("view", "add_cart", "remove_cart", "purchase")
START = 1_735_689_600  # 2025-01-01 00:00 UTC, seconds
DAY = 86_400


@dataclass(frozen=True, eq=False)
class SimulationTruth:
    """The truth behind a simulated log.

    Attributes
    ----------
    customer_ids : (n_users,) ids as in the log's `user_id`; item_ids : (n_items,) as in `item_id`.
    customer_traits : (n_users, n_traits) float64, rows sum to 1: each customer's mixture, as shares of the events
        drawn by traits (bots: all equal).
    customer_shares : (n_users, n_traits) float64: the shares realised in this log, the fair target for a model: a
        customer of three sessions can't show a mixture of six traits. A row without trait events is 0.
    trait_tokens : (n_traits, n_items * 4) float64, rows sum to 1: P(token | trait); the token of action a on item i
        is column 4 * i + a, with the actions in the order of `actions`.
    trait_names : what each trait likes and how it shops, e.g. "garden: browses, seldom buys".
    item_category : (n_items,) str. item_family : (n_items,) int32, small groups visited together.
    item_traits : (n_items,) int32 home trait of each item. item_text : (n_items,) str. item_price : (n_items,) float64.
    content_vectors : (n_items, content_size) float32, unit norm: category, family and trait plus noise; new items too.
    bots : (n_users,) bool. new_items : (n_items,) bool: in the last tenth of the period only, or never.
    item_journey : (n_items,) int32, the rank in which sessions with planted order visit their items.
    event_trait : (n_events,) int32 trait behind each row of the log, -1 for noise and bots.
    late, duplicate : (n_events,) bool: the row arrived late; the row repeats an earlier one.
    """

    customer_ids: NDArray[Any]
    item_ids: NDArray[Any]
    customer_traits: NDArray[np.float64]
    customer_shares: NDArray[np.float64]
    trait_tokens: NDArray[np.float64]
    trait_names: tuple[str, ...]
    item_category: NDArray[np.str_]
    item_family: NDArray[np.int32]
    item_traits: NDArray[np.int32]
    item_text: NDArray[np.str_]
    item_price: NDArray[np.float64]
    content_vectors: NDArray[np.float32]
    bots: NDArray[np.bool_]
    new_items: NDArray[np.bool_]
    item_journey: NDArray[np.int32]
    event_trait: NDArray[np.int32]
    late: NDArray[np.bool_]
    duplicate: NDArray[np.bool_]
    actions: tuple[str, ...] = ACTIONS

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Names of the columns of `trait_tokens`, e.g. "cart_prod_0123"."""
        return tuple(f"{action}_{item}" for item in self.item_ids.tolist() for action in self.actions)


@dataclass(frozen=True, eq=False)
class Simulation:
    """A simulated log: `columns` (user_id, timestamp in epoch seconds, action, item_id), `truth`, and `log`."""

    columns: dict[str, NDArray[Any]]
    truth: SimulationTruth

    @cached_property
    def log(self) -> EventLog:
        """The columns as an EventLog, with the items' texts."""
        from .ids import text_array
        from .log import EventLog

        log = EventLog.from_columns(
            self.columns, user="user_id", timestamp="timestamp", action="action", item="item_id", timestamp_unit="s"
        )
        item = np.searchsorted(self.truth.item_ids, log.item_ids.astype(self.truth.item_ids.dtype))
        return replace(log, item_texts=text_array(self.truth.item_text[item].tolist()))

    def __len__(self) -> int:
        return len(self.columns["timestamp"])

    def __repr__(self) -> str:
        users, traits = self.truth.customer_traits.shape
        return f"Simulation({len(self):,} events, {users:,} users, {len(self.truth.item_ids):,} items, {traits} traits)"


def simulate_events(
    *,
    n_users: int = 2000,
    n_items: int = 1000,
    n_traits: int = 8,
    seed: int = 0,
    n_categories: int | None = None,
    sessions_per_user: float = 12.0,
    events_per_session: float = 6.0,
    noise: float = 0.35,
    zipf: float = 0.8,
    concentration: float = 0.8,
    family_size: int = 12,
    days: int = 90,
    bot_share: float = 0.002,
    late_share: float = 0.02,
    duplicate_share: float = 0.01,
    new_item_share: float = 0.05,
    content_size: int = 32,
    signal_actions: Sequence[str] = (),
    order_signal: float = 0.0,
    integer_ids: bool = False,
) -> Simulation:
    """Simulate a shop's event log with planted customer traits; same arguments, same bytes.

    A customer mixes traits (Dirichlet); a session follows one trait and mostly one family of items; each visit is a
    view, then maybe cart, then remove or buy, at the trait's rates. Popularity is Zipf. Sessions of a customer lie
    at least two hours apart, their events seconds to minutes.

    Parameters
    ----------
    n_users, n_items, n_traits, seed : sizes, and the seed of everything.
    n_categories : default about three quarters of n_traits, 2 to 20; a trait likes mostly one category.
    sessions_per_user, events_per_session : means; both vary widely.
    concentration : total concentration of the Dirichlet; the smaller, the nearer each customer is to one trait.
    noise : share of customers' events that no trait drew: items by overall popularity, an average funnel.
    zipf : exponent of the popularity of items. family_size : items that are visited together.
    days : length of the period, from 2025-01-01.
    bot_share : share of users that are bots (hundreds of views seconds apart, any items).
    late_share, duplicate_share : rows that arrive out of order; extra rows that repeat one.
    new_item_share : items new to the shop: half appear in the last tenth of the period, half never.
    content_size : dimensions of `truth.content_vectors`.
    signal_actions : of "cart", "remove", "buy": actions that only traits bring about. Noise is then a passing
        interest (another trait for one session) that never ends in these, so only they predict what comes next.
    order_signal : share of sessions whose items come in the order `truth.item_journey`; what is visited, and
        everything else, stays the same, so only the order carries this signal.
    integer_ids : ids as int64 in place of "cust_00012" and "prod_0123"; faster and smaller for large logs.

    Returns
    -------
    Simulation : rows in the order of their arrival.

    Raises
    ------
    TypeError, ValueError : a parameter of the wrong type or outside its range.

    See Also
    --------
    EventLog : the `log` attribute of the result is one.

    Examples
    --------
    >>> import traitcore as tc
    >>> simulation = tc.simulate_events(n_users=50, n_items=40, n_traits=3, seed=1)
    >>> sorted(simulation.columns)
    ['action', 'item_id', 'timestamp', 'user_id']
    >>> simulation.truth.customer_traits.shape
    (50, 3)
    >>> len(simulation.log.item_ids) <= 40
    True
    """
    check = Checks("simulate_events")
    rng = np.random.default_rng(check.seed("seed", seed))
    n_users = check.integer("n_users", n_users, 1)
    n_items = check.integer("n_items", n_items, 2)
    n_traits = check.integer("n_traits", n_traits, 1, n_items)
    if n_categories is None:
        n_categories = int(np.clip(round(0.75 * n_traits), 2, N_CATEGORIES))
    n_categories = check.integer("n_categories", n_categories, 1, N_CATEGORIES)
    for name, value in (("sessions_per_user", sessions_per_user), ("events_per_session", events_per_session)):
        check.real(name, value, 1.0)
    for name, value in (
        ("noise", noise), ("bot_share", bot_share), ("late_share", late_share),
        ("duplicate_share", duplicate_share), ("new_item_share", new_item_share), ("order_signal", order_signal),
    ):
        check.real(name, value, 0.0, 1.0)
    check.real("zipf", zipf, 0.0)
    check.real("concentration", concentration, 0.0, open_low=True)
    check.integer("content_size", content_size, 1)
    check.boolean("integer_ids", integer_ids)
    family_size = check.integer("family_size", family_size, 1)
    days = check.integer("days", days, 1)
    signals = _check_signals(signal_actions)

    shop = draw_shop(rng, n_items, n_traits, n_categories, family_size, zipf, new_item_share)
    rates = funnel_rates(shop, signals)
    mixtures, bots = _draw_customers(rng, n_users, n_traits, concentration, bot_share)
    noisy_share, mean_visits = _visit_plan(rates, mixtures, noise, events_per_session)
    sessions = _draw_sessions(rng, mixtures, bots, rates, sessions_per_user, mean_visits)
    visits = _draw_visits(rng, shop, sessions, bots, noisy_share, bool(signals), order_signal)
    events = _draw_funnel(rng, rates, visits)
    times = _draw_times(rng, sessions, events, bots, days)
    items = _replace_unborn(shop, events.item, times, days)
    order, late, duplicate = _arrivals(rng, times, late_share, duplicate_share)

    customer_ids = _ids("cust_", n_users, 5, integer_ids)
    item_ids = _ids("prod_", n_items, 4, integer_ids)
    columns = {
        "user_id": customer_ids[sessions.user[events.session[order]]],
        "timestamp": times[order],
        "action": np.asarray(RAW_ACTIONS)[events.action[order]],
        "item_id": item_ids[items[order]],
    }
    truth = SimulationTruth(
        customer_ids=customer_ids, item_ids=item_ids, customer_traits=mixtures,
        customer_shares=_shares(sessions.user[events.session], events.trait, mixtures.shape),
        trait_tokens=trait_tokens(shop), trait_names=shop.trait_names,
        item_category=shop.category_names[shop.category[shop.family]], item_family=shop.family,
        item_traits=shop.home[shop.family], item_text=draw_texts(rng, shop), item_price=draw_prices(rng, shop),
        content_vectors=draw_content(rng, shop, content_size), bots=bots, new_items=shop.born > 0,
        item_journey=shop.journey, event_trait=events.trait[order], late=late, duplicate=duplicate,
    )
    return Simulation(columns, truth)


def _check_signals(signal_actions: Sequence[str]) -> frozenset[str]:
    rule = "a sequence of 'cart', 'remove', 'buy'"
    if isinstance(signal_actions, str) or not all(isinstance(a, str) for a in signal_actions):
        raise Checks("simulate_events").type_error("signal_actions", rule, signal_actions)
    if not set(signal_actions) <= set(ACTIONS[1:]):
        raise Checks("simulate_events").value_error("signal_actions", rule, signal_actions)
    return frozenset(signal_actions)


def _ids(prefix: str, n: int, digits: int, integer: bool) -> NDArray[Any]:
    if integer:
        return np.arange(n, dtype=np.int64)
    return np.asarray([f"{prefix}{i:0{digits}d}" for i in range(n)])


def _draw_customers(
    rng: np.random.Generator, n_users: int, n_traits: int, concentration: float, bot_share: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    prevalence = rng.uniform(0.6, 1.4, n_traits)
    alpha = concentration * prevalence / prevalence.sum()
    mixtures = rng.gamma(alpha, size=(n_users, n_traits)) + 1e-12
    mixtures /= mixtures.sum(axis=1, keepdims=True)
    bots = np.zeros(n_users, dtype=bool)
    bots[rng.permutation(n_users)[: round(bot_share * n_users)]] = True
    mixtures[bots] = 1.0 / n_traits
    return mixtures, bots


def _visit_plan(
    rates: NDArray[np.float64], mixtures: NDArray[np.float64], noise: float, events_per_session: float
) -> tuple[float, float]:
    """The share of visits that are noise, and the mean visits of a session, for the wanted share and mean of events."""
    per_visit = events_per_visit(rates).sum(axis=1)
    of_trait = 1.0 / float((mixtures / per_visit[:-1]).sum(axis=1).mean())
    of_noise = float(per_visit[-1])
    # `noise` is a share of events; noise visits have fewer events each, so there are more of them.
    noisy = noise / of_noise / (noise / of_noise + (1 - noise) / of_trait)
    return noisy, max(events_per_session / (noisy * of_noise + (1 - noisy) * of_trait), 1.0)


class _Sessions(NamedTuple):
    user: NDArray[np.int64]  # rises
    trait: NDArray[np.int64]
    n_visits: NDArray[np.int64]


def _draw_sessions(
    rng: np.random.Generator, mixtures: NDArray[np.float64], bots: NDArray[np.bool_],
    rates: NDArray[np.float64], mean: float, mean_visits: float,
) -> _Sessions:
    """Each customer's sessions split among traits as near to the mixture as whole sessions allow.

    Systematic sampling: a customer's visits lie evenly on the mixture's cumulative sum, and the middle of a session
    says its trait.
    """
    n_users = len(mixtures)
    shape = 4.0
    counts = 1 + rng.poisson((mean - 1.0) * rng.gamma(shape, 1.0 / shape, n_users))
    counts[bots] = 3
    user = np.repeat(np.arange(n_users), counts)
    n_visits = 1 + rng.negative_binomial(2, 2 / (1 + mean_visits), len(user))
    n_visits[bots[user]] = rng.integers(250, 400, int(bots[user].sum()))
    after = np.cumsum(n_visits)
    before_user = (after - n_visits)[np.cumsum(counts) - counts]
    total = np.bincount(user, weights=n_visits, minlength=n_users)
    point = ((after - n_visits / 2 - before_user[user]) / total[user] + rng.random(n_users)[user]) % 1.0
    # Sessions lie along the mixture; in time the traits must mix.
    order = np.argsort(user + rng.random(len(user)), kind="stable")
    by_visit = mixtures / events_per_visit(rates[:-1]).sum(axis=1)
    trait = pick(by_visit / by_visit.sum(axis=1, keepdims=True), user, point)
    return _Sessions(user, trait[order], n_visits[order])


class _Visits(NamedTuple):
    session: NDArray[np.int64]  # rises
    item: NDArray[np.int64]
    trait: NDArray[np.int64]  # -1: noise or a bot


def _draw_visits(
    rng: np.random.Generator, shop: Shop, sessions: _Sessions, bots: NDArray[np.bool_],
    noisy_share: float, passing_interest: bool, order_signal: float,
) -> _Visits:
    n_traits = len(shop.trait_family)
    n_sessions = len(sessions.user)
    session = np.repeat(np.arange(n_sessions), sessions.n_visits)
    is_bot = bots[sessions.user][session]
    n = len(session)
    noisy = rng.random(n) < noisy_share
    trait = sessions.trait[session]
    passing = rng.integers(0, n_traits, n_sessions)  # each session's passing interest
    drawn = np.where(noisy, passing[session], trait) if passing_interest else trait
    favourite = pick(shop.trait_family, sessions.trait, rng.random(n_sessions))
    family = pick(shop.trait_family, drawn, rng.random(n))
    family = np.where((rng.random(n) < 0.5) & (drawn == trait), favourite[session], family)
    item = pick_in_family(shop, family, rng.random(n))
    anywhere = is_bot | (noisy if not passing_interest else False)
    item[anywhere] = pick(shop.weight[None], np.zeros(int(anywhere.sum()), int), rng.random(int(anywhere.sum())))
    trait = np.where(noisy | is_bot, -1, trait)
    if order_signal:
        ordered = rng.random(n_sessions) < order_signal
        rank = np.where(ordered[session], shop.journey[item], np.arange(n))
        order = np.lexsort((rank, session))
        item, trait = item[order], trait[order]
    return _Visits(session, item, trait)


class _Events(NamedTuple):
    session: NDArray[np.int64]  # rises; inside a session in the order of time
    item: NDArray[np.int64]
    action: NDArray[np.int64]
    trait: NDArray[np.int32]


def _draw_funnel(rng: np.random.Generator, rates: NDArray[np.float64], visits: _Visits) -> _Events:
    """view, then cart at once, remove a visit or two later, buy at the session's end."""
    n = len(visits.session)
    rate = rates[visits.trait]  # trait -1 reads the last row, the noise
    cart = rng.random(n) < rate[:, 0]
    remove = cart & (rng.random(n) < rate[:, 1])
    buy = cart & ~remove & (rng.random(n) < rate[:, 2])
    carts, removes, buys = np.flatnonzero(cart), np.flatnonzero(remove), np.flatnonzero(buy)
    visit = np.concatenate([np.arange(n), carts, removes, buys])
    action = np.repeat(np.arange(4), [n, len(carts), len(removes), len(buys)])
    # Places on the line of visits: sorting by (session, place) gives the order in time.
    end = np.searchsorted(visits.session, visits.session[buys], side="right")
    place = np.concatenate([np.arange(n), carts + 0.25, removes + rng.integers(0, 3, len(removes)) + 0.5, end - 0.1])
    order = np.lexsort((place, visits.session[visit]))
    visit, action = visit[order], action[order]
    return _Events(visits.session[visit], visits.item[visit], action, visits.trait[visit].astype(np.int32))


def _draw_times(
    rng: np.random.Generator, sessions: _Sessions, events: _Events, bots: NDArray[np.bool_], days: int
) -> NDArray[np.int64]:
    """Epoch seconds of each event; shopping hours are 7 to 23."""
    is_bot = bots[sessions.user][events.session]
    pause = np.where(is_bot, rng.integers(1, 3, len(is_bot)), 2 + np.minimum(rng.exponential(45, len(is_bot)), 600))
    first = np.concatenate(([True], np.diff(events.session) > 0))
    pause = np.where(first, 0, pause.astype(np.int64))
    elapsed = np.cumsum(pause)
    elapsed -= elapsed[np.flatnonzero(first)][events.session]
    duration = np.zeros(len(sessions.user), dtype=np.int64)
    np.maximum.at(duration, events.session, elapsed)
    # Time that a session takes: squeezing a day into 16 hours leaves two thirds of it, still two hours to the next.
    room = 1.5 * duration + 3 * 3600
    before = np.cumsum(room) - room
    head = np.concatenate(([True], np.diff(sessions.user) > 0))
    index = np.cumsum(head) - 1
    before -= before[head][index]
    taken = np.bincount(index, weights=room)
    free = np.maximum(days * DAY - taken, 0.0)
    point = np.sort(sessions.user + rng.random(len(sessions.user))) - sessions.user
    start = np.clip(point, 0, 1) * free[index] + before
    day, inside = np.divmod(start, DAY)
    clock: NDArray[np.int64] = (day * DAY + 7 * 3600 + inside * (16 / 24)).astype(np.int64)
    clock += START
    clock = clock[events.session]
    clock += elapsed
    return clock


def _replace_unborn(shop: Shop, item: NDArray[np.int64], times: NDArray[np.int64], days: int) -> NDArray[np.int64]:
    """Items not in the shop yet are visited through their stand-in."""
    absent = (shop.born[item] == 2) | ((shop.born[item] == 1) & (times < START + LATE_ITEMS_FROM * days * DAY))
    seen: NDArray[np.int64] = np.where(absent, shop.stand_in[item], item)
    return seen


def _arrivals(
    rng: np.random.Generator, times: NDArray[np.int64], late_share: float, duplicate_share: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which event each row of the log shows, in order of arrival, and whether it is late or a repeat."""
    n = len(times)
    copies = np.flatnonzero(rng.random(n) < duplicate_share)
    event = np.concatenate([np.arange(n), copies])
    late = rng.random(len(event)) < late_share
    arrival = times[event] + np.where(late, rng.exponential(6 * 3600, len(event)), 0.0)
    arrival[n:] = np.maximum(arrival[n:], arrival[copies]) + 1  # a repeat comes after what it repeats
    order = np.argsort(arrival, kind="stable")
    return event[order], late[order], (np.arange(len(event)) >= n)[order]


def _shares(user: NDArray[np.int64], trait: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.float64]:
    drawn = trait >= 0
    counts = np.bincount(user[drawn] * shape[1] + trait[drawn], minlength=shape[0] * shape[1]).reshape(shape)
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares
