"""The ways to traits that are compared: the package's recipes, scikit-learn's NMF and LDA, principal components."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import traitcore as tc
from benchmarks.joint.recipe import JointRecipe
from benchmarks.traits_measures import Encode, Method, Weights
from traitcore.customers.counts import count_tokens, token_idf, weigh_counts


class OfModel:
    """`TraitModel` with some parameters."""

    predicts_only = False

    def __init__(self, name: str, *, vectors: bool = False, **params: Any) -> None:
        self.name, self.vectors, self.params = name, vectors, params

    def fit(self, sequences: tc.Sequences, vocabulary: tc.Vocabulary, n_traits: int, seed: int) -> Encode:
        model = tc.TraitModel(n_traits, random_state=seed, **self.params)
        vectors = None
        if self.vectors:
            embedder = tc.PPMIEmbedder(vector_size=64, window=5, seed=seed)
            vectors = embedder.fit(sequences, n_items=len(vocabulary)).item_vectors_
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "shift" says what it costs; so does the table
            model.fit(sequences, vocabulary, item_vectors=vectors)
        return model.transform_raw


class OfRows:
    """A model with `fit` and `transform` over rows: tf-idf of unit length, or plain counts."""

    def __init__(
        self, name: str, make: Callable[[int, int], Any], *, plain: bool = False, signed: bool = False,
        predicts_only: bool = False,
    ) -> None:
        self.name, self.make, self.plain, self.signed = name, make, plain, signed
        self.predicts_only = predicts_only

    def fit(self, sequences: tc.Sequences, vocabulary: tc.Vocabulary, n_traits: int, seed: int) -> Encode:
        n_tokens = len(vocabulary)
        idf = token_idf(count_tokens(sequences, n_tokens=n_tokens))

        def rows(of: tc.Sequences) -> Any:
            counts = count_tokens(of, n_tokens=n_tokens)
            return counts if self.plain else weigh_counts(counts, idf)

        model = self.make(n_traits, seed)
        known = rows(sequences)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # limits on iterations
            model.fit(known)
        turn = upright(model.transform(known)) if self.signed else None

        def encode(of: tc.Sequences) -> Weights:
            counts = rows(of)
            read = np.asarray(model.transform(counts))
            read = read if turn is None else read * turn
            read[np.diff(counts.indptr) == 0] = 0.0
            return read

        return encode


def upright(weights: Weights) -> Weights:
    """A sign for each column, so that its long tail, which makes the name, is the positive one."""
    centred = weights - weights.mean(axis=0)
    return np.where((centred**3).sum(axis=0) < 0, -1.0, 1.0)


def scikit_nmf(k: int, seed: int) -> Any:
    from sklearn.decomposition import NMF

    return NMF(k, init="nndsvda", max_iter=200, random_state=seed)


def lda(k: int, seed: int) -> Any:
    from sklearn.decomposition import LatentDirichletAllocation

    return LatentDirichletAllocation(k, learning_method="online", max_iter=5, random_state=seed)


def pca(k: int, seed: int) -> Any:
    from sklearn.decomposition import PCA

    return PCA(k, svd_solver="arpack", random_state=seed)


def svd_64(k: int, seed: int) -> Any:
    from sklearn.decomposition import TruncatedSVD

    return TruncatedSVD(64, random_state=seed)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        OfModel("spectral (default)", method="spectral"),
        OfModel("counts", method="counts"),
        OfModel("joint", method=JointRecipe()),
        OfModel("shift", method="shift", vectors=True),
        OfRows("scikit-learn NMF", scikit_nmf),
        OfRows("LDA", lda, plain=True),
        OfRows("PCA-16", pca, signed=True),
        OfRows("tf-idf SVD-64", svd_64, signed=True, predicts_only=True),
    )
}
