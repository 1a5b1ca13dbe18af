"""The simulator: what it says it planted is what the log holds."""

from __future__ import annotations

import numpy as np
import pytest

from traitcore.events.simulate import RAW_ACTIONS, Simulation, simulate_events

HOUR = 3600


@pytest.fixture(scope="module")
def shop() -> Simulation:
    return simulate_events(n_users=600, n_items=300, n_traits=5, seed=3)


def rows(sim: Simulation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User row, item row and action code of each event."""
    truth, columns = sim.truth, sim.columns
    user = np.searchsorted(truth.customer_ids, columns["user_id"])
    item = np.searchsorted(truth.item_ids, columns["item_id"])
    action = np.asarray([RAW_ACTIONS.index(a) for a in columns["action"].tolist()])
    return user, item, action


def test_same_seed_same_bytes_other_seed_other_log(shop: Simulation) -> None:
    again = simulate_events(n_users=600, n_items=300, n_traits=5, seed=3)
    other = simulate_events(n_users=600, n_items=300, n_traits=5, seed=4)
    for name, column in shop.columns.items():
        assert column.tobytes() == again.columns[name].tobytes()
    assert shop.truth.content_vectors.tobytes() == again.truth.content_vectors.tobytes()
    assert len(other) != len(shop) or other.columns["timestamp"].tobytes() != shop.columns["timestamp"].tobytes()


def test_truth_is_made_of_distributions(shop: Simulation) -> None:
    truth = shop.truth
    assert truth.customer_traits.shape == (600, 5)
    assert truth.trait_tokens.shape == (5, 300 * 4) == (5, len(truth.tokens))
    for table in (truth.customer_traits, truth.trait_tokens):
        assert table.min() >= 0
        np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(truth.content_vectors, axis=1), 1.0, atol=1e-5)
    assert truth.tokens[:4] == ("view_prod_0000", "cart_prod_0000", "remove_prod_0000", "buy_prod_0000")


def test_the_log_follows_the_planted_mixtures_and_tokens(shop: Simulation) -> None:
    truth = shop.truth
    user, item, action = rows(shop)
    drawn = truth.event_trait >= 0
    tokens = np.zeros_like(truth.trait_tokens)
    np.add.at(tokens, (truth.event_trait[drawn], 4 * item[drawn] + action[drawn]), 1.0)
    for planted, seen in zip(truth.trait_tokens, tokens):
        assert np.corrcoef(planted, seen)[0, 1] > 0.97
    people = ~truth.bots
    assert np.corrcoef(truth.customer_traits[people].ravel(), truth.customer_shares[people].ravel())[0, 1] > 0.94
    shares = np.zeros_like(truth.customer_shares)
    once = drawn & ~truth.duplicate
    np.add.at(shares, (user[once], truth.event_trait[once]), 1.0)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1.0)
    np.testing.assert_allclose(shares, truth.customer_shares, atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.35, 0.8])
def test_noise_is_the_share_of_events_that_no_trait_drew(noise: float) -> None:
    sim = simulate_events(n_users=800, n_items=200, n_traits=4, noise=noise, bot_share=0.0)
    assert abs((sim.truth.event_trait < 0).mean() - noise) < 0.02


def test_means_are_as_asked() -> None:
    sim = simulate_events(n_users=3000, n_items=200, n_traits=4, sessions_per_user=3, events_per_session=8,
                          bot_share=0, duplicate_share=0)
    assert len(sim) / (3000 * 3 * 8) == pytest.approx(1.0, abs=0.05)


def test_sessions_lie_hours_apart_and_their_events_minutes(shop: Simulation) -> None:
    user, _, _ = rows(shop)
    time = shop.columns["timestamp"]
    order = np.lexsort((time, user))
    gap = np.diff(time[order])[np.diff(user[order]) == 0]
    assert not ((gap > 603) & (gap < 2 * HOUR)).any()
    assert (gap >= 2 * HOUR).sum() > 600
    hour = time // HOUR % 24
    assert hour.min() >= 7


def test_the_funnel_holds_and_its_rates_differ_by_trait(shop: Simulation) -> None:
    truth = shop.truth
    user, item, action = rows(shop)
    first = truth.event_trait >= 0
    rate = np.zeros((5, 4))
    np.add.at(rate, (truth.event_trait[first], action[first]), 1.0)
    bought = rate[:, 3] / rate[:, 0]
    seldom = [name.endswith("seldom buys") for name in truth.trait_names]
    keen = [name.endswith("buys what it carts") for name in truth.trait_names]
    assert bought[keen].min() > 5 * bought[seldom].max()
    pairs = [set(zip(user[action == a].tolist(), item[action == a].tolist())) for a in range(4)]
    assert pairs[1] <= pairs[0]  # a cart was viewed, a removal or purchase was in the cart
    assert pairs[2] <= pairs[1]
    assert pairs[3] <= pairs[1]


def test_bots_view_hundreds_of_items_seconds_apart(shop: Simulation) -> None:
    user, _, action = rows(shop)
    truth = shop.truth
    counts = np.bincount(user, minlength=600)
    assert truth.bots.sum() == 1
    assert counts[truth.bots].min() > 700
    assert counts[~truth.bots].max() < counts[truth.bots].min()
    assert (truth.event_trait[truth.bots[user]] == -1).all()
    assert (action[truth.bots[user]] == 0).mean() > 0.7


def test_late_and_duplicate_rows(shop: Simulation) -> None:
    truth, columns = shop.truth, shop.columns
    keys = list(zip(*(column.tolist() for column in columns.values())))
    seen: set[tuple[object, ...]] = set()
    for key, duplicate in zip(keys, truth.duplicate.tolist()):
        if duplicate:
            assert key in seen
        seen.add(key)
    assert truth.duplicate.mean() == pytest.approx(0.01, abs=0.003)
    on_time = columns["timestamp"][~truth.late & ~truth.duplicate]
    assert (np.diff(on_time) >= 0).all()
    assert (np.diff(columns["timestamp"]) < 0).any()


def test_new_items_come_late_or_never_and_have_content() -> None:
    sim = simulate_events(n_users=600, n_items=300, n_traits=5, seed=3, new_item_share=0.2, days=50)
    _, item, _ = rows(sim)
    truth, time = sim.truth, sim.columns["timestamp"]
    assert truth.new_items.sum() == 60
    new = truth.new_items[item]
    assert time[new].min() >= time.min() // 86_400 * 86_400 + 45 * 86_400
    assert 20 <= len(np.unique(item[new])) <= 30
    assert truth.content_vectors.shape == (300, 32)
    assert len(truth.item_text) == len(truth.item_category) == len(truth.item_price) == 300
    assert all(str(c) in str(t) for c, t in zip(truth.item_category, truth.item_text))
    # Content is finer than the category: items of one family are nearest.
    content = truth.content_vectors
    nearest = np.argsort(-(content @ content.T), axis=1)[:, 1]
    assert (truth.item_family[nearest] == truth.item_family).mean() > 0.6


def test_signal_actions_come_from_traits_alone() -> None:
    sim = simulate_events(n_users=500, n_items=200, n_traits=4, noise=0.7, signal_actions=("cart",))
    _, _, action = rows(sim)
    assert (sim.truth.event_trait[action == 1] >= 0).all()
    assert (sim.truth.event_trait[action == 0] < 0).mean() > 0.6
    only_buys = simulate_events(n_users=500, n_items=200, n_traits=4, noise=0.7, signal_actions=("buy",))
    _, _, action = rows(only_buys)
    assert (only_buys.truth.event_trait[action == 3] >= 0).all()
    assert (only_buys.truth.event_trait[action == 1] < 0).any()


def test_order_signal_changes_the_order_and_nothing_else() -> None:
    def forward_share(sim: Simulation) -> float:
        user, item, action = rows(sim)
        keep = (action == 0) & ~sim.truth.duplicate & ~sim.truth.bots[user]
        time = sim.columns["timestamp"][keep]
        order = np.lexsort((time, user[keep]))
        rank, who, when = sim.truth.item_journey[item[keep]][order], user[keep][order], time[order]
        inside = (np.diff(who) == 0) & (np.diff(when) < HOUR) & (np.diff(rank) != 0)
        return float((np.diff(rank)[inside] > 0).mean())

    plain = simulate_events(n_users=500, n_items=200, n_traits=4)
    ordered = simulate_events(n_users=500, n_items=200, n_traits=4, order_signal=1.0)
    assert abs(forward_share(plain) - 0.5) < 0.03
    assert forward_share(ordered) == 1.0


def test_integer_ids() -> None:
    sim = simulate_events(n_users=20, n_items=30, n_traits=2, integer_ids=True)
    assert sim.columns["user_id"].dtype == sim.columns["item_id"].dtype == np.int64
    assert sim.truth.tokens[5] == "cart_1"


def test_the_smallest_shops() -> None:
    for options in ({"n_users": 1, "n_items": 2, "n_traits": 1, "days": 1}, {"n_users": 3, "n_items": 7, "n_traits": 7},
                    {"n_users": 2, "n_items": 9, "n_traits": 2, "noise": 1.0, "bot_share": 1.0},
                    {"n_users": 9, "n_items": 9, "n_traits": 2, "noise": 0.0, "new_item_share": 1.0}):
        sim = simulate_events(**options)  # type: ignore[arg-type]
        assert len(sim) >= options["n_users"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_users": 0}, ValueError, "'n_users' parameter of simulate_events must be an int in"),
        ({"n_traits": 11, "n_items": 10}, ValueError, "'n_traits'"),
        ({"noise": 1.5}, ValueError, "'noise'"),
        ({"seed": "x"}, TypeError, "'seed'"),
        ({"signal_actions": "cart"}, TypeError, "'signal_actions'"),
        ({"signal_actions": ("view",)}, ValueError, "'signal_actions'"),
        ({"integer_ids": 1}, TypeError, "'integer_ids'"),
    ],
)
def test_bad_parameters_get_the_shared_message(options: dict[str, object], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        simulate_events(**options)  # type: ignore[arg-type]
