"""Estimators take the corpus that `tokenize` returns, or its sequences."""

from __future__ import annotations

from .corpus import Corpus
from .sequences import Sequences


def sequences_of(given: Sequences | Corpus, n_items: int | None) -> tuple[Sequences, int | None]:
    """The sequences, and how many kinds of token there are: of a corpus as its vocabulary says, unless it is given."""
    if isinstance(given, Corpus):
        return given.sequences, len(given.vocabulary) if n_items is None else n_items
    return given, n_items
