"""Content vectors from what shops have: texts, categories, brands and prices. No models to download."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._params import ParamsMixin
from .._rows import unit_rows
from .._validate import Checks, RandomSource
from ..factorization.svd import randomized_svd

WORD = re.compile(r"\w+")
FIELDS = ("texts", "categories", "brands", "prices")


def content_features(
    *,
    texts: Any = None,
    categories: Any = None,
    brands: Any = None,
    prices: Any = None,
    n_components: int = 256,
    random_state: RandomSource = 0,
) -> NDArray[np.float32]:
    """(n_items, n_components) float32 content vectors of a whole catalogue, new items included; rows of norm 1.

    `ContentEncoder` with its defaults, fitted and applied at once; fields, missing values and errors as there.

    See Also
    --------
    ContentEncoder : keeps what it learned, for items that come later. fuse_vectors, backfill_vectors : use the result.

    Examples
    --------
    >>> import traitcore as tc
    >>> vectors = tc.content_features(texts=["red mug", "red cup", "oak table"], n_components=2)
    >>> cosines = vectors @ vectors.T
    >>> bool(cosines[0, 1] > 0.9), bool(abs(cosines[0, 2]) < 0.1)
    (True, True)
    """
    encoder = ContentEncoder(n_components=n_components, random_state=random_state)
    return encoder.fit_transform(texts=texts, categories=categories, brands=brands, prices=prices)


class ContentEncoder(ParamsMixin):
    """Content vectors by hashed tf-idf and truncated SVD (latent semantic analysis).

    Each field gives a block of features, scaled to norm 1 per item and weighted; the SVD of all blocks together gives
    the vectors. Hashing needs no vocabulary, so an encoder stays small; features that it hasn't seen in `fit` are
    ignored in `transform`.

    Parameters
    ----------
    n_components : width of the vectors; where the catalogue has a smaller rank, the last columns are zero.
    analyzer : "word": lower-case words and their n-grams; "char": n-grams of characters inside words, for languages
        without spaces and for misspelt texts.
    ngrams : (shortest, longest) n-gram.
    min_df : n-grams, categories and brands of fewer items than this are ignored.
    n_hashes : hash buckets of each of text, categories and brands.
    n_price_bands : price bands, of equally many items each; a price between two centres belongs to both in part.
    text_weight, category_weight, brand_weight, price_weight : the share of each field in the cosine of two items that
        have all four, in any unit.
    random_state, workers : seed and threads of the SVD.

    Attributes
    ----------
    columns_ : (n_seen,) the features seen in `fit`, of 3 * n_hashes + n_price_bands.
    components_ : (n_seen, n_components) float32; singular_values_ : (n_components,) float64.
    converged_ : the SVD reached its tolerance; a `ConvergenceWarning` says so where it didn't.
    text_idf_, label_idf_ : (n_hashes,) float32, zero for buckets that were not seen often enough.
    price_knots_ : (n_price_bands,) float64 log prices of the bands' centres, empty where no price was given.
    fields_ : fields seen in `fit`; `transform` needs the same ones.

    See Also
    --------
    content_features : fit and transform at once. fit_content_map : from content to behaviour vectors.

    References
    ----------
    Deerwester et al. 1990, "Indexing by latent semantic analysis".
    Weinberger et al. 2009, "Feature hashing for large scale multitask learning".

    Examples
    --------
    >>> import traitcore as tc
    >>> encoder = tc.ContentEncoder(n_components=2)
    >>> known = encoder.fit_transform(texts=["red mug", "red cup", "oak table"])
    >>> new = encoder.transform(texts=["a blue mug"])
    >>> (known @ new[0]).round(1).tolist()[:2]  # similar to the mug, and to the cup by way of it
    [1.0, 1.0]
    """

    columns_: NDArray[np.int64]
    components_: NDArray[np.float32]
    singular_values_: NDArray[np.float64]
    converged_: bool
    text_idf_: NDArray[np.float32]
    label_idf_: NDArray[np.float32]
    price_knots_: NDArray[np.float64]
    fields_: tuple[str, ...]

    def __init__(
        self,
        *,
        n_components: int = 256,
        analyzer: str = "word",
        ngrams: tuple[int, int] = (1, 2),
        min_df: int = 1,
        n_hashes: int = 1 << 18,
        n_price_bands: int = 10,
        text_weight: float = 1.0,
        category_weight: float = 1.0,
        brand_weight: float = 0.5,
        price_weight: float = 0.25,
        random_state: RandomSource = 0,
        workers: int = 1,
    ) -> None:
        self.n_components = n_components
        self.analyzer = analyzer
        self.ngrams = ngrams
        self.min_df = min_df
        self.n_hashes = n_hashes
        self.n_price_bands = n_price_bands
        self.text_weight = text_weight
        self.category_weight = category_weight
        self.brand_weight = brand_weight
        self.price_weight = price_weight
        self.random_state = random_state
        self.workers = workers

    def fit(self, *, texts: Any = None, categories: Any = None, brands: Any = None, prices: Any = None) -> Self:
        """Learn document frequencies, price bands and the SVD; fields as in `fit_transform`."""
        self.fit_transform(texts=texts, categories=categories, brands=brands, prices=prices)
        return self

    def fit_transform(
        self, *, texts: Any = None, categories: Any = None, brands: Any = None, prices: Any = None
    ) -> NDArray[np.float32]:
        """Fit, and return the (n_items, n_components) float32 vectors of the same items.

        Parameters
        ----------
        texts : (n_items,) str, e.g. titles; None, NaN or "" where an item has none.
        categories, brands : (n_items,) str or int, or for each item a list of several (the levels of a path, say);
            None or NaN where an item has none.
        prices : (n_items,) numbers >= 0; NaN where an item has none.

        Returns
        -------
        vectors with rows of norm 1; an item of which nothing is known is a zero row.

        Raises
        ------
        ValueError, TypeError : no field at all, fields of different lengths, a negative or infinite price, a value of
            another type (named by field and place), a parameter out of range.
        """
        self._check_params()
        fields = self._check_fields(texts, categories, brands, prices, None)
        self.fields_ = tuple(fields)
        counts = {name: self._count(name, value) for name, value in fields.items() if name != "prices"}
        self.text_idf_ = _idf([counts["texts"]] if "texts" in counts else [], self.n_hashes, self.min_df)
        labels = [block for name, block in counts.items() if name != "texts"]
        self.label_idf_ = _idf(labels, self.n_hashes, self.min_df)
        self.price_knots_ = _price_knots(fields["prices"], self.n_price_bands) if "prices" in fields else np.zeros(0)
        features = self._features(fields, counts)
        self.columns_ = np.flatnonzero(np.bincount(features.indices, minlength=features.shape[1]))
        self.components_ = np.zeros((len(self.columns_), self.n_components), dtype=np.float32)
        self.singular_values_ = np.zeros(self.n_components)
        self.converged_ = True
        k = min(self.n_components, features.shape[0], len(self.columns_))
        if k:
            seen = sparse.csr_array(features[:, self.columns_])
            found = randomized_svd(seen, k, symmetric=False, random_state=self.random_state, workers=self.workers)
            self.components_[:, :k] = found.Vt.T
            self.singular_values_[:k] = found.singular_values
            self.converged_ = found.converged
        return self._project(features)

    def transform(
        self, *, texts: Any = None, categories: Any = None, brands: Any = None, prices: Any = None
    ) -> NDArray[np.float32]:
        """(n, n_components) float32 vectors of other items, by what `fit` learned; the same fields must be given."""
        self._check_fitted("components_")
        fields = self._check_fields(texts, categories, brands, prices, self.fields_)
        counts = {name: self._count(name, value) for name, value in fields.items() if name != "prices"}
        return self._project(self._features(fields, counts))

    def _project(self, features: sparse.csr_array) -> NDArray[np.float32]:
        return np.ascontiguousarray(unit_rows(features[:, self.columns_] @ self.components_), dtype=np.float32)

    def _features(self, fields: dict[str, Any], counts: dict[str, sparse.csr_array]) -> sparse.csr_array:
        """All blocks side by side, each with rows of norm 1 times the root of its weight."""
        blocks = []
        for name, value in fields.items():
            weight = float(getattr(self, WEIGHT_OF[name]))
            if name == "prices":
                block = _price_block(value, self.price_knots_)
            else:
                idf = self.text_idf_ if name == "texts" else self.label_idf_
                block = counts[name].copy()
                block.data = (1.0 + np.log(block.data)) * idf[block.indices]
            squares = np.bincount(_rows(block), block.data**2, minlength=block.shape[0])
            norm = np.sqrt(np.where(squares > 0, squares, 1.0))
            block.data = (block.data * (np.sqrt(weight) / norm[_rows(block)])).astype(np.float32)
            blocks.append(block)
        features = sparse.csr_array(sparse.hstack(blocks, format="csr"))
        features.eliminate_zeros()
        features.sort_indices()
        return features

    def _count(self, name: str, values: Sequence[Any]) -> sparse.csr_array:
        """(n, n_hashes) float32 counts of the hashed terms of a field."""
        if name == "texts":
            split = _word_ngrams if self.analyzer == "word" else _char_ngrams
            low, high = self.ngrams
            return _hash_terms(values, lambda text: split(text, low, high), self.n_hashes)
        return _hash_terms(values, lambda labels: [f"{name}\x1f{label}" for label in labels], self.n_hashes)

    def _check_params(self) -> None:
        check = Checks(type(self).__name__)
        for name, low, high in (
            ("n_components", 1, None), ("min_df", 1, None), ("n_hashes", 1, 2**30), ("n_price_bands", 1, None),
        ):
            check.integer(name, getattr(self, name), low, high)
        check.choice("analyzer", self.analyzer, ("word", "char"))
        for name in WEIGHT_OF.values():
            check.real(name, getattr(self, name), 0.0)
        check.random_state("random_state", self.random_state)
        check.workers(self.workers)
        rule = "a pair of ints (shortest, longest), 1 <= shortest <= longest"
        if not isinstance(self.ngrams, (tuple, list)) or len(self.ngrams) != 2:
            raise check.type_error("ngrams", rule, self.ngrams)
        low = check.integer("ngrams[0]", self.ngrams[0], 1)
        check.integer("ngrams[1]", self.ngrams[1], low)

    def _check_fields(
        self, texts: Any, categories: Any, brands: Any, prices: Any, expected: tuple[str, ...] | None
    ) -> dict[str, Any]:
        """The fields given, in order, in canonical form: lists of str, lists of tuples of str, float64 prices."""
        check = Checks(type(self).__name__)
        given = dict(zip(FIELDS, (texts, categories, brands, prices), strict=True))
        given = {name: value for name, value in given.items() if value is not None}
        if expected is not None and tuple(given) != expected:
            raise check.value_error("fields", f"{expected}, as in fit", tuple(given))
        if not given:
            raise check.value_error("texts", "given, or one of categories, brands, prices", None)
        clean: dict[str, Any] = {}
        n: int | None = None
        for name, value in given.items():
            if name == "prices":
                clean[name] = _check_prices(value, check)
            else:
                checked = _check_text if name == "texts" else _check_labels
                if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
                    raise check.type_error(name, "a sequence with a value for each item", value)
                clean[name] = [checked(name, check, i, item) for i, item in enumerate(value)]
            n = len(clean[name]) if n is None else n
            if len(clean[name]) != n:
                rule = f"of as many items as the other fields ({n})"
                raise check.value_error(name, rule, f"{len(clean[name])} items")
        return clean


WEIGHT_OF = {
    "texts": "text_weight", "categories": "category_weight", "brands": "brand_weight", "prices": "price_weight",
}


def is_missing(value: Any) -> bool:
    """Whether a cell of a column says that there is nothing: None, NaN, pandas' nulls, a masked one."""
    if value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType"):  # pandas' nulls
        return True
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def _check_text(name: str, check: Checks, place: int, value: Any) -> str:
    if is_missing(value):
        return ""
    if not isinstance(value, str):
        raise check.type_error(name, "str, or None where there is none", f"{value!r} at {place}")
    return value


def _check_labels(name: str, check: Checks, place: int, value: Any) -> tuple[str, ...]:
    if is_missing(value):
        return ()
    values = value if isinstance(value, (list, tuple, np.ndarray)) else (value,)
    for label in values:
        if isinstance(label, (bool, np.bool_)) or not isinstance(label, (str, int, np.integer)):
            rule = "str or int, a list of them, or None where there is none"
            raise check.type_error(name, rule, f"{value!r} at {place}")
    return tuple(str(label) for label in values)


def _check_prices(value: Any, check: Checks) -> NDArray[np.float64]:
    if isinstance(value, np.ma.MaskedArray) and value.dtype.kind in "iuf":
        value = np.where(np.ma.getmaskarray(value), np.nan, value.data)
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes, np.ndarray)):  # lists and columns of frames
        value = [np.nan if is_missing(price) else price for price in getattr(value, "to_pylist", lambda: value)()]
    prices = check.array("prices", value, dtype=np.float64, shape=(None,), finite=False)
    bad = np.flatnonzero((prices < 0) | np.isinf(prices))
    if len(bad):
        got = f"{prices[bad[0]]} at {bad[0]}"
        raise check.value_error("prices", "numbers >= 0, or NaN where there is none", got)
    return prices


def _word_ngrams(text: str, low: int, high: int) -> list[str]:
    words = WORD.findall(text.lower())
    return [" ".join(words[i : i + n]) for n in range(low, high + 1) for i in range(len(words) - n + 1)]


def _char_ngrams(text: str, low: int, high: int) -> list[str]:
    """n-grams inside words, each with a space at its ends; a word shorter than an n-gram is one whole."""
    terms = []
    for word in WORD.findall(text.lower()):
        padded = f" {word} "
        for n in range(low, high + 1):
            terms += [padded[i : i + n] for i in range(max(1, len(padded) - n + 1))]
            if len(padded) <= n:
                break
    return terms


def _hash_terms(values: Sequence[Any], split: Callable[[Any], list[str]], n_hashes: int) -> sparse.csr_array:
    """Counts of terms by bucket. CRC-32: the same on every machine and in every process, unlike `hash`."""
    bucket: dict[str, int] = {}
    columns: list[int] = []
    indptr = [0]
    for value in values:
        for term in split(value):
            if term not in bucket:
                bucket[term] = zlib.crc32(term.encode("utf-8", "surrogatepass")) % n_hashes
            columns.append(bucket[term])
        indptr.append(len(columns))
    counts = sparse.csr_array(
        (np.ones(len(columns), dtype=np.float32), np.asarray(columns, dtype=np.int32), np.asarray(indptr)),
        shape=(len(values), n_hashes),
    )
    counts.sum_duplicates()
    return counts


def _idf(blocks: list[sparse.csr_array], n_hashes: int, min_df: int) -> NDArray[np.float32]:
    """ln((1 + N) / (1 + df)) + 1 by bucket over all blocks, never negative; 0 below min_df."""
    frequency = np.zeros(n_hashes)
    n = 0
    for block in blocks:
        frequency += np.bincount(block.indices, minlength=n_hashes)
        n = block.shape[0]
    idf = np.log((1.0 + n) / (1.0 + np.minimum(frequency, n))) + 1.0
    return np.asarray(np.where(frequency >= min_df, idf, 0.0), dtype=np.float32)


def _price_knots(prices: NDArray[np.float64], n_bands: int) -> NDArray[np.float64]:
    """Log prices at the centres of bands of equally many items; equal centres are one band."""
    known = np.log1p(prices[np.isfinite(prices)])
    if not len(known):
        return np.zeros(0)
    return np.unique(np.quantile(known, (np.arange(n_bands) + 0.5) / n_bands))


def _price_block(prices: NDArray[np.float64], knots: NDArray[np.float64]) -> sparse.csr_array:
    """(n, n_bands): each price shared between the two nearest centres in proportion to its nearness."""
    known = np.isfinite(prices) & (len(knots) > 0)
    if not known.any():
        return sparse.csr_array((len(prices), max(1, len(knots))), dtype=np.float64)
    place = np.interp(np.log1p(prices[known]), knots, np.arange(len(knots)))
    low = np.minimum(place.astype(np.int64), max(0, len(knots) - 2))
    high = np.minimum(low + 1, len(knots) - 1)
    row = np.flatnonzero(known)
    data = np.concatenate([1.0 - (place - low), np.where(high > low, place - low, 0.0)])
    block = sparse.csr_array(
        (data, (np.tile(row, 2), np.concatenate([low, high]))), shape=(len(prices), len(knots))
    )
    return block


def _rows(matrix: sparse.csr_array) -> NDArray[np.int64]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
