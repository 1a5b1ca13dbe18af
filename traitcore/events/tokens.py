"""tokenize: sessions as sequences of tokens such as "view_prod_001", with their vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._errors import InputError, on_behalf_of
from .._parallel import even_blocks, run_blocks
from .._validate import Checks
from .action_names import DEFAULT_ACTION_MAP, map_actions
from .array_likes import read_column
from .coded import Coded, Kept, OnePart, keep
from .columns import code_column
from .corpus import Corpus
from .ids import code_integers
from .log import EventLog
from .sequences import Sequences
from .sessions import Sessions

_CHECK = Checks("tokenize")
# Pairs of item and action are counted in a table of all possible ones up to this size; above it they are hashed.
_PAIRS_PER_EVENT, _PAIRS_AT_LEAST = 8, 1 << 16


def tokenize(
    sessions: Sessions,
    *,
    action_map: Mapping[str, str | None] | None = DEFAULT_ACTION_MAP,
    tokens: str = "auto",
    min_count: int = 1,
    min_length: int = 1,
    workers: int = 1,
) -> Corpus:
    """Turn each event into a token: its action, as renamed by `action_map`, and its item; or its item alone.

    Parameters
    ----------
    action_map : new name by action; an action that isn't named keeps its name, one mapped to None is dropped; None:
        all keep their names.
    tokens : "action_item", "item", or "auto": action_item where the log has actions.
    min_count : tokens that occur less often are dropped.
    min_length : sequences with fewer tokens left are dropped.
    workers : threads; the result does not depend on it.

    The vocabulary counts what was kept: occurrences, and customers with at least one (sessions, where the log has
    no users). Where min_length drops sequences, a count may end below min_count.

    Raises
    ------
    InputError : nothing is left, or the log has no actions for tokens="action_item".

    See Also
    --------
    split_sessions : makes the sessions.
    encode_tokens : the same for sequences that don't come from an event log.

    Examples
    --------
    >>> import traitcore as tc
    >>> log = tc.EventLog.from_columns({"user_id": [1, 1, 2, 2], "timestamp": [0, 60, 0, 60],
    ...                                 "action": ["view", "purchase", "view", "view"], "item_id": [5, 5, 5, 8]},
    ...                                timestamp_unit="s")
    >>> corpus = tc.tokenize(tc.split_sessions(log))
    >>> corpus.vocabulary.tokens.tolist()
    ['view_5', 'buy_5', 'view_8']
    >>> [sequence.tolist() for sequence in corpus.sequences]
    [[0, 1], [0, 2]]
    """
    if not isinstance(sessions, Sessions):
        raise _CHECK.type_error("sessions", "Sessions", type(sessions).__name__)
    kind = _CHECK.choice("tokens", tokens, ("auto", "action_item", "item"))
    min_count = _CHECK.integer("min_count", min_count, 1)
    min_length = _CHECK.integer("min_length", min_length, 1)
    n_threads = _CHECK.workers(workers)
    sessions.refuse_changes()
    log = sessions.log
    rules = TokenRules.of(None if log.action is None else log.actions, kind, action_map)
    coded, pairs = rules.code(sessions, rules.few_pairs(log, len(sessions.order)), n_threads)
    kept = keep(OnePart(coded), min_count, min_length, n_threads)
    return rules.corpus(kept, log.user_ids, log.item_ids, log.item_texts, pairs)


@dataclass(frozen=True)
class TokenRules:
    """How events become tokens: with their action or not, the actions' new names, and (n_actions,) new code or -1."""

    with_actions: bool
    names: tuple[str, ...]
    new_action: NDArray[np.int16]

    @classmethod
    def of(
        cls, actions: tuple[str, ...] | None, kind: str, action_map: Mapping[str, str | None] | None
    ) -> TokenRules:
        """Those of a log with these actions, None: without; `kind` and `action_map` as of `tokenize`."""
        if kind == "action_item" and actions is None:
            raise InputError("The log has no actions: pass tokens='item', or name an action column or action_value.")
        if actions is None or kind == "item":
            return cls(False, *map_actions((), action_map))
        return cls(True, *map_actions(actions, action_map))

    def few_pairs(self, log: EventLog, n_events: int) -> bool:
        """Are there so few possible pairs of item and action that a table of all of them is worth its memory?"""
        n_pairs = len(log.item_ids) * max(1, len(self.names))
        return n_pairs <= max(_PAIRS_PER_EVENT * n_events, _PAIRS_AT_LEAST) and n_pairs < 2**31

    def code(self, sessions: Sessions, few: bool, workers: int) -> tuple[Coded, NDArray[np.int64] | None]:
        """(the sessions' events as codes of action and item; the pair of each code, or None: it is the code)."""
        pairs, n_pairs, pair_ids = _pairs(
            sessions, sessions.log, self.new_action, max(1, len(self.names)), self.with_actions, few, workers
        )
        return Coded(pairs, n_pairs, sessions.offsets, sessions.owner, sessions.timestamps_us), pair_ids

    def corpus(
        self, kept: Kept, owner_ids: NDArray[Any] | None, item_ids: NDArray[Any], item_texts: NDArray[Any] | None,
        pair_ids: NDArray[np.int64] | None,
    ) -> Corpus:
        """The corpus of the tokens kept."""
        tokens_kept = kept.present if pair_ids is None else pair_ids[kept.present]
        item, action_of = np.divmod(tokens_kept, max(1, len(self.names)))
        return kept.corpus(
            owner_ids, item_ids, item, action_of if self.names else None, self.names, item_texts,
            "action_item" if self.with_actions else "item",
        )


@on_behalf_of("encode_tokens")
def encode_tokens(
    tokens: Any,
    offsets: ArrayLike | None = None,
    *,
    owner: ArrayLike | None = None,
    min_count: int = 1,
    min_length: int = 1,
    workers: int = 1,
) -> Corpus:
    """Number the tokens (ints or strs) of given sequences by a new vocabulary, for corpora from other systems.

    Parameters
    ----------
    tokens : an iterable of sequences of tokens, as gensim takes it; or, with `offsets`, one flat array-like
        (n_tokens,) of ints or strs.
    offsets : (n_sequences + 1,) ints rising from 0 to n_tokens, or None.
    owner : (n_sequences,) ints >= 0, whose sequence it is, or None: each its own.
    min_count, min_length, workers : as in `tokenize`.

    Raises
    ------
    InputError : tokens of mixed type or null, or nothing is left; TypeError, ValueError : parameters.

    See Also
    --------
    tokenize : the same for an event log's sessions.
    Vocabulary.encode : sequences by a vocabulary that exists already.

    Examples
    --------
    >>> import traitcore as tc
    >>> corpus = tc.encode_tokens([["milk", "bread"], ["bread", "jam", "bread"]])
    >>> corpus.vocabulary.tokens.tolist()
    ['bread', 'jam', 'milk']
    >>> [sequence.tolist() for sequence in corpus.sequences]
    [[2, 0], [0, 1, 0]]
    """
    check = Checks("encode_tokens")
    min_count = check.integer("min_count", min_count, 1)
    min_length = check.integer("min_length", min_length, 1)
    n_threads = check.workers(workers)
    flat: Any
    ends: Any  # Sequences checks it
    flat, ends = (tokens, offsets) if offsets is not None else _flattened(tokens)
    column = read_column("tokens", flat)
    if len(column) == 0:
        raise InputError("There are no tokens to encode: each sequence is empty, or there is none.")
    codes, ids = code_column("tokens", column)
    if owner is not None:
        owner = check.array("owner", owner, dtype=np.int32, shape=(None,), nonnegative=False)
    # -1, a null, is not a row of a vocabulary.
    if len(codes) and codes.min() < 0:
        raise InputError(f"Tokens must not be null or empty. Got one at place {int(np.argmax(codes < 0))}.")
    checked = Sequences(tokens=codes, offsets=ends, owner=owner)
    coded = Coded(codes, len(ids), checked.offsets, checked.owner, None)
    kept = keep(OnePart(coded), min_count, min_length, n_threads)
    return kept.corpus(None, ids, kept.present, None, (), None, "item")


def _flattened(sequences: Any) -> tuple[Any, NDArray[np.int64]]:
    """(all tokens, offsets) of an iterable of sequences."""
    if isinstance(sequences, (str, bytes, Mapping)) or not isinstance(sequences, Iterable):
        rule = "an iterable of sequences of tokens, or a flat array with offsets"
        raise Checks("encode_tokens").type_error("tokens", rule, type(sequences).__name__)
    lists = sequences if isinstance(sequences, (list, tuple)) else list(sequences)
    kinds = set(map(type, lists))
    if kinds & {str, bytes} or not all(hasattr(k, "__len__") and hasattr(k, "__iter__") for k in kinds):
        wrong = next(s for s in lists if isinstance(s, (str, bytes)) or not hasattr(s, "__len__"))
        rule = "an iterable of sequences of tokens, or a flat array with offsets"
        raise Checks("encode_tokens").type_error("tokens", rule, wrong)
    offsets = np.zeros(len(lists) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, lists), dtype=np.int64, count=len(lists)), out=offsets[1:])
    if kinds and all(issubclass(kind, np.ndarray) for kind in kinds):
        return np.concatenate(lists), offsets
    return list(chain.from_iterable(lists)), offsets


def _pairs(
    sessions: Sessions, log: EventLog, new_action: NDArray[np.int16], n_actions: int, with_actions: bool, few: bool,
    workers: int,
) -> tuple[NDArray[np.int32], int, NDArray[np.int64] | None]:
    """(code of (item, action) of each event, number of codes, item * n_actions + action by code or None: the same)."""
    action = log.action if with_actions else None
    n_pairs = len(log.item_ids) * n_actions
    n = len(sessions.order)
    if few:
        pairs = np.empty(n, dtype=np.int32)
        run_blocks(
            _core.pair_codes, even_blocks(n, max(4 * workers, n >> 22)), workers, sessions.order, log.item, action,
            new_action, n_actions, pairs,
        )
        return pairs, n_pairs, None
    # Too many possible pairs for a table: number those that occur.
    items = log.item[sessions.order].astype(np.int64)
    to = new_action[action[sessions.order]] if action is not None else np.zeros(n, dtype=np.int16)
    codes, ids = code_integers(items * n_actions + to, to >= 0)
    return codes, len(ids), ids
