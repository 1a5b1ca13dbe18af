"""Names by phrases: word order, function words, contrast with the catalogue, charges, distinctness."""

from __future__ import annotations

import pytest

from traitcore.customers.trait_names import Phrasebook, distinct, is_charge, phrases_of, shortened, words_of

CATALOGUE = [
    "JUMBO BAG PINK POLKADOT", "JUMBO BAG RED", "JUMBO BAG OWLS", "JUMBO STORAGE", "LUNCH BAG RED", "CAKE TINS",
    "SET OF 3 CAKE TINS PANTRY DESIGN", "THE KING OF THE ROAD (1996)", "THE FARGO (1996)", "THE ROCK (1996)", "SIGN",
]


def test_phrases_keep_the_order_of_words_and_end_at_numbers_and_function_words():
    found = phrases_of("Set of 3 Cake Tins, pantry-design")
    assert ("cake", "tins") in found
    assert ("pantry-design",) in found
    assert not any(phrase[0] in ("set", "of") or phrase[-1] == "of" for phrase in found)
    assert not any("3" in word for phrase in found for word in phrase)
    assert ("cake", "tins", "pantry-design") not in found
    assert phrases_of("jam of berries") == {("jam",), ("berries",), ("jam", "of", "berries")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("चाय का कप", ["चाय", "का", "कप"]),  # vowels are marks
        ("ถ้วยชา", ["ถ้วยชา"]),
        ("Cafe\u0301-Tasse fu\u0308r 2", ["café-tasse", "für"]),  # accents written apart
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("急須 2個", ["急須", "個"]),
        ("T-shirt, men's", ["t-shirt", "men's"]),
    ],
)
def test_words_of_any_script_are_whole(text, words):
    assert words_of(text) == words
    assert {word for phrase in phrases_of(text) for word in phrase} <= set(words)


def test_the_phrase_that_sets_texts_apart_is_best():
    texts = CATALOGUE[:4]
    assert Phrasebook(CATALOGUE, texts).best(texts)[0] == "jumbo bag"
    films = CATALOGUE[7:10]
    assert Phrasebook(CATALOGUE, films).best(films) == []  # "the" and "(1996)" are no names
    assert Phrasebook(CATALOGUE, CATALOGUE).best(CATALOGUE) == []  # nothing sets everything apart
    assert Phrasebook([], []).best([]) == []


@pytest.mark.parametrize(
    ("text", "charge"),
    [("POSTAGE", True), ("DOTCOM POSTAGE", True), ("Versandkosten", True), ("RED DELIVERY VAN TOY", False),
     ("CAKE TINS", False), ("", False), ("12", False)],
)
def test_charges_are_known_by_their_words(text, charge):
    assert is_charge(text) == charge


def test_names_are_distinct():
    assert distinct([["tea", "tea, cups"], ["tea", "tea, pots"], ["jam"]]) == ["tea, cups", "tea, pots", "jam"]
    assert distinct([["tea"], ["tea"]]) == ["tea", "tea (2)"]
    assert distinct([["tea"], ["tea"], ["tea (2)"], ["tea"]]) == ["tea", "tea (2)", "tea (2) (2)", "tea (3)"]
    assert shortened("a " * 40).endswith("…")
