"""Content vectors: what is near what, missing fields, new items, the same bytes everywhere, bad input."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traitcore as tc

TEXTS = ["red ceramic mug", "Blue ceramic MUG", "garden hose", "garden rake", "wool scarf", "", None, "red wool scarf"]


def cosines(vectors: np.ndarray) -> np.ndarray:
    return vectors @ vectors.T


def test_rows_have_norm_one_or_are_zero() -> None:
    vectors = tc.content_features(texts=TEXTS, n_components=6)
    assert vectors.shape == (8, 6)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 1, 1, 0, 0, 1], atol=1e-6)


def test_all_components_keep_the_tf_idf_cosines() -> None:
    texts = [t for t in TEXTS if t]
    vectors = tc.ContentEncoder(n_components=64, ngrams=(1, 1)).fit_transform(texts=texts)
    words = [t.lower().split() for t in texts]
    names = sorted({w for row in words for w in row})
    df = {w: sum(w in row for row in words) for w in names}
    dense = np.array([[row.count(w) * (np.log((1 + len(words)) / (1 + df[w])) + 1) for w in names] for row in words])
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    np.testing.assert_allclose(cosines(vectors), dense @ dense.T, atol=1e-4)
    assert not vectors[:, 6:].any()  # six texts have six directions; the width stays as asked


def test_repeated_words_count_by_their_logarithm() -> None:
    encoder = tc.ContentEncoder(n_components=4, ngrams=(1, 1))
    vectors = encoder.fit_transform(texts=["a a a b", "a", "b"])
    share = 1 + np.log(3)
    np.testing.assert_allclose(vectors[0] @ vectors[1], share / np.hypot(share, 1), atol=1e-5)


def test_fields_share_the_cosine_by_their_weights() -> None:
    encoder = tc.ContentEncoder(
        n_components=16, text_weight=3.0, category_weight=2.0, brand_weight=1.0, price_weight=4.0, n_price_bands=2
    )
    vectors = encoder.fit_transform(
        texts=["mug", "mug", "hose", "hose"],
        categories=["kitchen", "garden", "kitchen", "garden"],
        brands=["x", "x", "x", "y"],
        prices=[1.0, 1.0, 1.0, 100.0],
    )
    got = cosines(vectors)
    np.testing.assert_allclose(got[0, 1], (3 + 1 + 4) / 10, atol=1e-5)
    np.testing.assert_allclose(got[0, 2], (2 + 1 + 4) / 10, atol=1e-5)
    np.testing.assert_allclose(got[0, 3], 0.0, atol=1e-5)


def test_levels_of_a_category_are_shared_in_part() -> None:
    paths = [("home", "kitchen"), ["home", "garden"], ("toys", "kitchen"), ("books", "novels")]
    got = cosines(tc.content_features(categories=paths, n_components=8))
    assert 0.2 < got[0, 1] < 0.8
    np.testing.assert_allclose(got[0, 3], 0.0, atol=1e-5)
    numbers = cosines(tc.content_features(categories=np.array([3, 3, 4]), n_components=3))
    np.testing.assert_allclose(numbers, [[1, 1, 0], [1, 1, 0], [0, 0, 1]], atol=1e-5)


def test_a_category_and_a_brand_of_one_name_are_two_things() -> None:
    encoder = tc.ContentEncoder(n_components=4)
    vectors = encoder.fit_transform(categories=["apple", None], brands=[None, "apple"])
    np.testing.assert_allclose(cosines(vectors), np.eye(2), atol=1e-6)


def test_prices_are_near_where_prices_are_near() -> None:
    vectors = tc.content_features(prices=[1, 1.1, 5, 20, 100, np.nan, 0], n_components=7)
    got = cosines(vectors)
    assert got[0, 1] > got[0, 2] >= got[0, 4]
    assert not vectors[5].any()
    one_price = tc.content_features(prices=[3.0, 3.0, None], n_components=2)
    np.testing.assert_allclose(cosines(one_price)[:2, :2], 1.0, atol=1e-6)
    assert not tc.content_features(prices=[np.nan, np.nan], n_components=2).any()


def test_character_ngrams_match_misspelt_and_joined_words() -> None:
    texts = ["lunchbox", "lunchboxes", "umbrella", "収納ボックス", "収納ボックス大"]
    words = cosines(tc.ContentEncoder(n_components=5).fit_transform(texts=texts))
    characters = cosines(tc.ContentEncoder(n_components=5, analyzer="char", ngrams=(2, 4)).fit_transform(texts=texts))
    np.testing.assert_allclose(words[0, 1], 0.0, atol=1e-5)
    assert characters[0, 1] > 0.5
    assert characters[3, 4] > 0.5
    np.testing.assert_allclose(characters[0, 2], 0.0, atol=0.05)


def test_new_items_get_the_vectors_of_what_they_resemble() -> None:
    encoder = tc.ContentEncoder(n_components=6).fit(texts=TEXTS, brands=["a"] * 8)
    whole = encoder.fit_transform(texts=TEXTS, brands=["a"] * 8)
    np.testing.assert_allclose(encoder.transform(texts=TEXTS, brands=["a"] * 8), whole, atol=1e-6)
    new = encoder.transform(texts=["garden hose xylophone", "xylophone"], brands=[None, "never seen"])
    assert (new[0] @ whole.T).argmax() == 2
    assert not new[1].any()  # only words and brands that fit never saw
    assert encoder.transform(texts=[], brands=[]).shape == (0, 6)


def test_rare_terms_can_be_left_out() -> None:
    vectors = tc.ContentEncoder(n_components=3, ngrams=(1, 1), min_df=2).fit_transform(texts=["a b", "a c", "d"])
    np.testing.assert_allclose(cosines(vectors), [[1, 1, 0], [1, 1, 0], [0, 0, 0]], atol=1e-5)


@given(
    texts=st.lists(st.one_of(st.none(), st.text(max_size=12)), min_size=1, max_size=8),
    analyzer=st.sampled_from(["word", "char"]), hashes=st.sampled_from([1, 7, 1 << 18]),
)
def test_any_text_is_accepted(texts: list[str | None], analyzer: str, hashes: int) -> None:
    vectors = tc.ContentEncoder(n_components=4, analyzer=analyzer, n_hashes=hashes).fit_transform(texts=texts)
    norms = np.linalg.norm(vectors, axis=1)
    assert np.all((np.abs(norms - 1) < 1e-5) | (norms == 0))
    assert not vectors[[t is None for t in texts]].any()


def test_permuting_items_permutes_the_result() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), 4)) for _ in range(60)]
    order = rng.permutation(60)
    plain = tc.content_features(texts=texts, n_components=64)
    moved = tc.content_features(texts=[texts[i] for i in order], n_components=64)
    np.testing.assert_allclose(cosines(moved), cosines(plain)[np.ix_(order, order)], atol=1e-3)


def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "import traitcore as tc, sys;"
        "v = tc.content_features(texts=['red mug', 'blue mug', 'hose'], categories=['k', 'k', 'g'], n_components=3);"
        "sys.stdout.write(v.tobytes().hex())"
    )
    results = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(results) == 1
    assert results.pop()


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({}, ValueError, "'texts' parameter of ContentEncoder must be given"),
        ({"texts": "mug"}, TypeError, "'texts' parameter .* a value for each item"),
        ({"texts": ["mug", 3]}, TypeError, "'texts' .* Got '3 at 1'"),
        ({"texts": [b"mug"]}, TypeError, "'texts' .* at 0"),
        ({"categories": [1.5]}, TypeError, "'categories' .* at 0"),
        ({"brands": [["a", True]]}, TypeError, "'brands' .* at 0"),
        ({"prices": [1.0, -2.0]}, ValueError, "'prices' .* Got '-2.0 at 1'"),
        ({"prices": [np.inf]}, ValueError, "'prices'"),
        ({"prices": ["cheap"]}, TypeError, "'prices'"),
        ({"texts": ["a", "b"], "prices": [1.0]}, ValueError, r"'prices' .* \(2\). Got '1 items'"),
    ],
)
def test_bad_fields(fields: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tc.content_features(**fields)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"n_components": 0}, ValueError), ({"n_components": 2.0}, TypeError), ({"min_df": 0}, ValueError),
        ({"n_hashes": 0}, ValueError), ({"n_price_bands": 0}, ValueError), ({"analyzer": "bytes"}, ValueError),
        ({"ngrams": (2, 1)}, ValueError), ({"ngrams": 2}, TypeError), ({"ngrams": (0, 1)}, ValueError),
        ({"text_weight": -1.0}, ValueError), ({"price_weight": np.nan}, ValueError), ({"random_state": -1}, ValueError),
        ({"workers": 0}, ValueError),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=f"'{next(iter(parameters))}"):
        tc.ContentEncoder(**parameters).fit(texts=["a"])


def test_transform_needs_a_fit_and_the_same_fields() -> None:
    with pytest.raises(tc.NotFittedError):
        tc.ContentEncoder().transform(texts=["a"])
    encoder = tc.ContentEncoder(n_components=2).fit(texts=["a", "b"])
    with pytest.raises(ValueError, match="as in fit"):
        encoder.transform(texts=["a"], brands=["b"])


def test_all_weights_zero_give_zero_vectors() -> None:
    encoder = tc.ContentEncoder(n_components=2, text_weight=0.0)
    assert not encoder.fit_transform(texts=["a", "b"]).any()
