"""Customers by the block: what has a row for each of them is made a few at a time, in files the system can page out.

Nothing here depends on how much memory there is: a log read in memory and one prepared on disk give the same bytes.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._progress import Progress
from .._rows import rows_to_shares, sorted_unique
from ..customers.attention import AttentionPooling
from ..customers.customer_subsets import take_owners
from ..customers.describe import TraitDescription, describe_traits
from ..customers.pooling import customer_vectors, owner_document_frequencies
from ..customers.traits import TraitModel
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from .config import PipelineConfig

# Customers whose histories shape the traits; of more, as many drawn at random do, and the traits of all are then read
# one block after another. For time and memory only: no other number was tried. A trait that one customer in a thousand
# has is still shaped by some 250 of them.
SAMPLE = 250_000
_AT_ONCE = 1 << 22  # tokens of a block
_LARGE = 64 << 20  # bytes from which an array lies in a file
_SHARE = 0.3  # of a customer's profile from which on the trait counts the customer


def empty_rows(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array to be filled; a large one in a nameless temporary file, which goes with the array."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    if size < _LARGE or not hasattr(os, "posix_fallocate"):
        return np.empty(shape, dtype=kind)
    with tempfile.TemporaryFile(prefix="traitcore-rows-") as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here; in a map it would kill the process
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype=kind).reshape(shape)


def owner_blocks(sequences: Sequences) -> Iterator[tuple[int, int, Sequences]]:
    """(first owner, last + 1, their sequences with owners from 0), some owners at a time, all in order.

    All at once where the sequences are not in the order of their owners.
    """
    n, owner, offsets = sequences.n_owners, sequences.owner, sequences.offsets
    if owner is not None and (owner[1:] < owner[:-1]).any():
        yield 0, n, sequences
        return
    first = np.arange(n + 1) if owner is None else np.searchsorted(owner, np.arange(n + 1, dtype=np.int32))
    ends = offsets[first]
    edges = np.searchsorted(ends, np.arange(0, sequences.n_tokens, _AT_ONCE))
    for low, high in pairwise(np.unique([0, *edges.tolist(), n]).tolist()):
        a, z, begin, end = int(first[low]), int(first[high]), int(ends[low]), int(ends[high])
        times = sequences.timestamps_us
        yield low, high, Sequences(
            sequences.tokens[begin:end], offsets[a : z + 1] - begin, None if owner is None else owner[a:z] - low,
            None if times is None else times[begin:end], np.arange(low, high),
        )


def take_sequences(sequences: Sequences, rows: NDArray[np.int64]) -> Sequences:
    """`sequences.take(rows)`, with its arrays as `empty_rows` makes them."""
    lengths = (sequences.offsets[1:] - sequences.offsets[:-1])[rows]
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    tokens = empty_rows((int(offsets[-1]),), np.int32)
    times = None if sequences.timestamps_us is None else empty_rows(tokens.shape, np.int64)
    edges = [0, *np.unique(np.searchsorted(offsets, np.arange(0, len(tokens), _AT_ONCE)[1:])).tolist(), len(rows)]
    for a, z in pairwise(edges):
        part, place = sequences.take(rows[a:z]), slice(int(offsets[a]), int(offsets[z]))
        tokens[place] = part.tokens
        if times is not None:
            times[place] = part.timestamps_us
    return Sequences(tokens, offsets, sequences.owners()[rows], times, sequences.owner_ids)


def pool_customers(
    sequences: Sequences, vectors: NDArray[np.float32], vocabulary: Vocabulary, config: PipelineConfig,
    attention: AttentionPooling | None,
) -> tuple[NDArray[np.float32], int]:
    """((n_customers, d) float32 vectors, customers whose vector is zero: none of their tokens has one)."""
    documents: dict[str, Any] = {}
    if config.pooling == "tfidf":
        # The vocabulary's counts are of these customers, unless sessions became customers.
        counted = vocabulary.n_documents == sequences.n_owners
        documents = {
            "document_frequencies": vocabulary.document_frequencies if counted else owner_document_frequencies(
                sequences, len(vectors)),
            "n_documents": sequences.n_owners,
        }
    out, n_empty = empty_rows((sequences.n_owners, vectors.shape[1]), np.float32), 0
    for low, high, part in owner_blocks(sequences):
        pooled = customer_vectors(
            part, vectors, method=config.pooling, workers=config.workers, attention=attention, **documents
        )
        out[low:high] = pooled.vectors
        n_empty += int((~pooled.vectors.any(axis=1)).sum())
    return out, n_empty


def fit_traits(
    sequences: Sequences, vocabulary: Vocabulary, vectors: NDArray[np.float32], config: PipelineConfig,
    progress: Progress | None, previous: NDArray[np.float32] | None = None,
) -> tuple[TraitModel, Sequences, NDArray[np.int64] | None]:
    """(the model, the customers who shaped it, which these are of all: None where they are all).

    previous : (k, n_tokens) loadings of the traits published before, which these continue.
    """
    n, sample, drawn = sequences.n_owners, sequences, None
    if n > SAMPLE:
        drawn = np.sort(np.random.default_rng([config.seed, 17]).permutation(n)[:SAMPLE])
        sample = take_owners(sequences, drawn)
    model = TraitModel(
        config.trait_count(), method=config.trait_method, random_state=config.seed, workers=config.workers
    ).fit(sample, vocabulary, item_vectors=vectors, previous=previous, progress=progress)
    return model, sample, drawn


def read_traits(model: TraitModel, sequences: Sequences) -> None:
    """Give a model that a sample has shaped the weights and profiles of all customers."""
    shape = sequences.n_owners, model.raw_profiles_.shape[1]
    raw, shares = empty_rows(shape, np.float32), empty_rows(shape, np.float32)
    n_empty = 0
    for low, high, part in owner_blocks(sequences):
        raw[low:high] = model.transform_raw(part)
        shares[low:high] = rows_to_shares(raw[low:high])
        n_empty += high - low - len(sorted_unique(part.owners()[part.offsets[1:] > part.offsets[:-1]]))
    model.raw_profiles_, model.profiles_, model.n_empty_ = raw, shares, n_empty
    model._fitted = replace(model._fitted, raw_profiles=raw)


def describe(
    model: TraitModel, sample: Sequences, drawn: NDArray[np.int64] | None, vocabulary: Vocabulary,
    categories: Sequence[Any] | None,
) -> tuple[TraitDescription, ...]:
    """The traits in words, by the customers who shaped them; how many customers have each is of all."""
    weights = model.raw_profiles_ if drawn is None else model.raw_profiles_[drawn]
    found = describe_traits(weights, sample, vocabulary, item_category=categories, threshold=_SHARE)
    if drawn is None:
        return tuple(found)
    return told_of_all(found, drawn, model.profiles_)


def told_of_all(
    found: Sequence[TraitDescription], drawn: NDArray[np.int64], profiles: NDArray[np.float32]
) -> tuple[TraitDescription, ...]:
    """Traits described by some customers, told of all: `drawn` are their rows among all, whose profiles are given."""
    return tuple(
        replace(one, prevalence=float(share.mean()), customers=int((share > _SHARE).sum()),
                exemplars=tuple(int(drawn[row]) for row in one.exemplars))
        for one, share in zip(found, profiles.T)
    )


def latest_tokens(sequences: Sequences, n_latest: int) -> NDArray[np.int32]:
    """(n_owners, n_latest) int32: each owner's last tokens, the latest first, then -1."""
    latest = empty_rows((sequences.n_owners, n_latest), np.int32)
    for low, high, part in owner_blocks(sequences):
        owner_of_event = np.repeat(part.owners(), np.diff(part.offsets))
        # An owner's sequences are in order of time, which a stable sort keeps.
        order = np.argsort(owner_of_event, kind="stable")
        ends = np.cumsum(np.bincount(owner_of_event, minlength=high - low))
        back = ends[owner_of_event[order]] - 1 - np.arange(len(order))
        near = back < n_latest
        latest[low:high] = -1
        latest[low + owner_of_event[order][near], back[near]] = part.tokens[order][near]
    return latest


def count_events(sequences: Sequences) -> NDArray[np.int64]:
    """(n_owners,) int64: tokens of each owner."""
    counts = np.zeros(sequences.n_owners, dtype=np.int64)
    for low, high, part in owner_blocks(sequences):
        lengths = np.diff(part.offsets)
        counts[low:high] = np.bincount(part.owners(), weights=lengths, minlength=high - low).astype(np.int64)
    return counts


def item_histories(
    sequences: Sequences, token_item: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(offsets, items): the items of each customer's events, each once, rising."""
    items = empty_rows((sequences.n_tokens,), np.int32)
    offsets = np.zeros(sequences.n_owners + 1, dtype=np.int64)
    end = 0
    for low, high, part in owner_blocks(sequences):
        owner = np.repeat(part.owners(), np.diff(part.offsets)).astype(np.int64)
        pairs = sorted_unique(owner << 32 | token_item[part.tokens])
        offsets[low + 1 : high + 1] = end + np.searchsorted(pairs >> 32, np.arange(1, high - low + 1))
        items[end : end + len(pairs)] = pairs & 0xFFFFFFFF
        end += len(pairs)
    return offsets, items[:end]
