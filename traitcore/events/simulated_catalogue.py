"""The simulated shop: items in families, categories and traits, with prices, texts and content vectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ACTIONS = ("view", "cart", "remove", "buy")
LATE_ITEMS_FROM = 0.9  # new items that do appear, appear in the last tenth of the period

# How a trait shops: P(cart | view), P(remove | cart), P(buy | cart, kept).
_STYLES = (
    ("browses, seldom buys", 0.10, 0.30, 0.30),
    ("buys what it carts", 0.45, 0.08, 0.80),
    ("changes its mind", 0.45, 0.55, 0.40),
    ("steady", 0.25, 0.20, 0.55),
)
_NOISE_STYLE = (0.15, 0.25, 0.50)
_CATEGORIES = {
    "garden": "trowel planter hose lantern bench birdhouse rake",
    "kitchen": "jug whisk bowl kettle tray grater mug",
    "toys": "puzzle kite robot doll blocks train yoyo",
    "books": "atlas cookbook novel diary almanac comic guide",
    "sports": "racket ball glove helmet mat dumbbell whistle",
    "music": "drum flute harmonica tuner stand metronome cable",
    "lighting": "lamp candle bulb shade spotlight torch chandelier",
    "office": "stapler notebook folder pen desk organiser ruler",
    "bath": "towel soap brush basket mirror robe sponge",
    "pets": "leash collar bed bowl scratcher cage harness",
    "camping": "tent stove cot flask hammock compass tarp",
    "jewellery": "ring brooch pendant bracelet earring chain locket",
    "fashion": "scarf hat belt coat shirt dress sandal",
    "audio": "speaker headphone radio amplifier turntable microphone dock",
    "baby": "rattle blanket bib crib bottle mobile pram",
    "crafts": "yarn easel glue canvas bead needle stencil",
    "bakery": "tin whisk apron roller cutter stand scale",
    "travel": "suitcase pouch pillow adapter tag wallet backpack",
    "party": "balloon garland candle confetti banner crown piñata",
    "tools": "hammer wrench drill saw level clamp chisel",
}
N_CATEGORIES = len(_CATEGORIES)
_COLOURS = ("red", "blue", "green", "white", "black", "pink", "yellow", "silver", "ivory", "teal", "brown", "purple")
_STYLE_WORDS = (
    "vintage", "modern", "striped", "rustic", "mini", "large", "folding", "wooden", "metal", "spotted", "classic",
    "floral",
)


class Shop(NamedTuple):
    """The items, and how each trait visits them."""

    family: NDArray[np.int32]  # (n_items,)
    category: NDArray[np.int32]  # (n_families,)
    home: NDArray[np.int32]  # (n_families,) trait
    weight: NDArray[np.float64]  # (n_items,) popularity, sums to 1
    trait_family: NDArray[np.float64]  # (n_traits, n_families) rows sum to 1
    funnel: NDArray[np.float64]  # (n_traits + 1, 3) cart, remove, buy rates; the last row is the noise
    born: NDArray[np.int8]  # (n_items,) 0 from the start, 1 in the last tenth, 2 never
    stand_in: NDArray[np.int64]  # (n_items,) the item visited before this one is born
    journey: NDArray[np.int32]  # (n_items,) a random ranking; a new item has its stand-in's rank
    category_names: NDArray[np.str_]
    trait_names: tuple[str, ...]


def draw_shop(
    rng: np.random.Generator, n_items: int, n_traits: int, n_categories: int, family_size: int, zipf: float, new: float
) -> Shop:
    n_families = max(n_traits, -(-n_items // family_size))
    family = rng.permutation(np.arange(n_items) % n_families).astype(np.int32)
    home = rng.permutation(np.arange(n_families) % n_traits).astype(np.int32)
    liked = rng.permutation(np.arange(n_traits) % n_categories)
    strays = rng.random(n_families) < 0.2
    category = np.where(strays, rng.integers(0, n_categories, n_families), liked[home]).astype(np.int32)
    weight: NDArray[np.float64] = (1.0 + rng.permutation(n_items).astype(np.float64)) ** -zipf
    weight /= weight.sum()
    mass = np.bincount(family, weights=weight, minlength=n_families)
    second = (home + rng.integers(1, max(n_traits, 2), n_families)) % n_traits
    trait_family = np.zeros((n_traits, n_families))
    trait_family[home, np.arange(n_families)] = mass
    trait_family[second, np.arange(n_families)] += 0.05 * mass  # traits overlap a little
    trait_family /= trait_family.sum(axis=1, keepdims=True)
    style = rng.permutation(np.arange(n_traits) % len(_STYLES))
    names = np.asarray(list(_CATEGORIES))[:n_categories]
    born = _draw_births(rng, family, new)
    stand_in = _stand_ins(family, born)
    return Shop(
        family, category, home, weight, trait_family,
        np.asarray([_STYLES[s][1:] for s in style] + [_NOISE_STYLE]), born, stand_in,
        rng.permutation(n_items).astype(np.int32)[stand_in], names,
        tuple(f"{names[c]}: {_STYLES[s][0]}" for c, s in zip(liked, style)),
    )


def _draw_births(rng: np.random.Generator, family: NDArray[np.int32], share: float) -> NDArray[np.int8]:
    """0 in the shop from the start, 1 in the last tenth only, 2 never visited; each family keeps an old item."""
    born = np.zeros(len(family), dtype=np.int8)
    keepers = np.unique(family, return_index=True)[1]
    candidates = rng.permutation(np.setdiff1d(np.arange(len(family)), keepers))
    chosen = candidates[: round(share * len(family))]
    born[chosen] = 1 + np.arange(len(chosen)) % 2
    return born


def _stand_ins(family: NDArray[np.int32], born: NDArray[np.int8]) -> NDArray[np.int64]:
    """An old item of the same family for each new one; old items stand for themselves."""
    old = np.flatnonzero(born == 0)
    keeper = np.zeros(int(family.max()) + 1, dtype=np.int64)
    keeper[family[old]] = old
    return np.where(born == 0, np.arange(len(family)), keeper[family])


def pick(table: NDArray[np.float64], row: NDArray[Any], point: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each (row, point in [0, 1)): the column of `table` (rows sum to 1) where the row's sum passes the point."""
    steps = np.cumsum(table, axis=1)
    steps = np.minimum(steps / steps[:, -1:], 1.0) + np.arange(len(table))[:, None]
    found = np.searchsorted(steps.ravel(), row + point, side="right") - row * table.shape[1]
    column: NDArray[np.int64] = np.clip(found, 0, table.shape[1] - 1)
    return column


def pick_in_family(shop: Shop, family: NDArray[np.int64], point: NDArray[np.float64]) -> NDArray[np.int64]:
    members = np.argsort(shop.family, kind="stable")
    mass = np.concatenate(([0.0], np.cumsum(shop.weight[members])))
    edge = np.searchsorted(shop.family[members], np.arange(shop.trait_family.shape[1] + 1))
    low, high = mass[edge[family]], mass[edge[family + 1]]
    place = np.searchsorted(mass, low + point * (high - low), side="right") - 1
    item: NDArray[np.int64] = members[np.clip(place, edge[family], edge[family + 1] - 1)]
    return item


def funnel_rates(shop: Shop, signals: frozenset[str]) -> NDArray[np.float64]:
    """(n_traits + 1, 3) funnel rates, with the noise's set to 0 for actions that only traits cause."""
    rates = shop.funnel.copy()
    rates[-1, [action in signals for action in ACTIONS[1:]]] = 0.0
    return rates


def events_per_visit(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4) expected number of view, cart, remove and buy events of one visit."""
    cart, remove, buy = rates.T
    return np.stack([np.ones_like(cart), cart, cart * remove, cart * (1 - remove) * buy], axis=1)


def trait_tokens(shop: Shop) -> NDArray[np.float64]:
    """(n_traits, 4 * n_items) P(token | trait), new items counted as often as they are in the shop."""
    n_traits, n_families = shop.trait_family.shape
    mass = np.bincount(shop.family, weights=shop.weight, minlength=n_families)
    items = shop.trait_family[:, shop.family] * (shop.weight / mass[shop.family])
    present = np.asarray([1.0, 1.0 - LATE_ITEMS_FROM, 0.0])[shop.born]
    seen = items * present
    np.add.at(seen.T, shop.stand_in, (items * (1 - present)).T)
    actions = events_per_visit(shop.funnel[:-1])
    tokens: NDArray[np.float64] = (seen[:, :, None] * actions[:, None, :]).reshape(n_traits, -1)
    tokens /= tokens.sum(axis=1, keepdims=True)
    return tokens


def draw_texts(rng: np.random.Generator, shop: Shop) -> NDArray[np.str_]:
    """Descriptions: colour by item, style and noun by family, e.g. "blue striped kitchen jug"."""
    style = rng.integers(0, len(_STYLE_WORDS), len(shop.category))
    noun = rng.integers(0, 7, len(shop.category))
    colour = rng.integers(0, len(_COLOURS), len(shop.family))
    names = shop.category_names.tolist()
    kinds = [
        f"{_STYLE_WORDS[s]} {names[c]} {_CATEGORIES[names[c]].split()[n]}"
        for s, c, n in zip(style, shop.category, noun)
    ]
    return np.asarray([f"{_COLOURS[c]} {kinds[f]}" for c, f in zip(colour, shop.family)])


def draw_prices(rng: np.random.Generator, shop: Shop) -> NDArray[np.float64]:
    level = rng.normal(2.5, 0.8, len(shop.category))[shop.family]
    return np.asarray(np.round(np.exp(level + rng.normal(0, 0.2, len(shop.family))), 2), dtype=np.float64)


def draw_content(rng: np.random.Generator, shop: Shop, size: int) -> NDArray[np.float32]:
    centre = (
        0.6 * rng.normal(size=(len(shop.category_names), size))[shop.category]
        + 0.6 * rng.normal(size=(len(shop.trait_family), size))[shop.home]
        + rng.normal(size=(len(shop.category), size))
    )
    content: NDArray[np.float64] = centre[shop.family] + 0.5 * rng.normal(size=(len(shop.family), size))
    content /= np.linalg.norm(content, axis=1, keepdims=True)
    return content.astype(np.float32)
