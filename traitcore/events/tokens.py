"""tokenize: sessions as sequences of tokens such as "view_prod_001", with their vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._errors import InputError, on_behalf_of
from .._looks import html_facts
from .._parallel import even_blocks, run_blocks
from .._validate import Checks
from .action_names import DEFAULT_ACTION_MAP
from .array_likes import read_column
from .columns import code_column
from .ids import code_integers
from .log import EventLog
from .occurrences import count_occurrences, owners_seen
from .sequences import Sequences
from .sessions import Sessions
from .vocabulary import Vocabulary

_CHECK = Checks("tokenize")
# Pairs of item and action are counted in a table of all possible ones up to this size; above it they are hashed.
_PAIRS_PER_EVENT, _PAIRS_AT_LEAST = 8, 1 << 16


@dataclass(frozen=True)
class TokenReport:
    """What became of the events: events = tokens + events_unmapped + events_rare + events_too_short."""

    events: int
    tokens: int
    sequences: int
    vocabulary: int
    customers: int | None
    token_kind: str
    events_unmapped: int = 0
    tokens_rare: int = 0
    events_rare: int = 0
    sequences_too_short: int = 0
    events_too_short: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The report as a plain dict (for JSON)."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.tokens:,} tokens of {self.vocabulary:,} kinds in {self.sequences:,} sequences "
            f"({'action and item' if self.token_kind == 'action_item' else 'items alone'})"
        ]
        if self.events_unmapped:
            lines.append(f"  dropped {self.events_unmapped:,} events: their action maps to nothing")
        if self.tokens_rare:
            lines.append(f"  dropped {self.tokens_rare:,} rare tokens, {self.events_rare:,} events: min_count")
        if self.sequences_too_short:
            lines.append(
                f"  dropped {self.sequences_too_short:,} sequences, {self.events_too_short:,} events: min_length"
            )
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Sequences of token rows, the vocabulary that names the rows, and the report of what was left out."""

    sequences: Sequences
    vocabulary: Vocabulary
    report: TokenReport

    def __repr__(self) -> str:
        r = self.report
        return f"Corpus({r.tokens:,} tokens of {r.vocabulary:,} kinds in {r.sequences:,} sequences)"

    def _repr_html_(self) -> str:
        return html_facts("Corpus", self.report.as_dict())


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
            return cls(False, *_map_actions((), action_map))
        return cls(True, *_map_actions(actions, action_map))

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
        self, kept: _Kept, owner_ids: NDArray[Any] | None, item_ids: NDArray[Any], item_texts: NDArray[Any] | None,
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


def _map_actions(
    actions: tuple[str, ...], action_map: Mapping[str, str | None] | None
) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """(new names in order of first use, (n_actions,) int16 new code or -1)."""
    if action_map is not None and not isinstance(action_map, Mapping):
        raise _CHECK.type_error("action_map", "a mapping of names, or None", action_map)
    given = dict(action_map or {})
    for old, new in given.items():
        if not isinstance(old, str) or not (new is None or (isinstance(new, str) and new)):
            raise _CHECK.type_error("action_map", "a mapping of str to non-empty str", {old: new})
    mapped = [given.get(action, action) for action in actions]
    names = tuple(dict.fromkeys(name for name in mapped if name is not None))
    return names, np.array([-1 if name is None else names.index(name) for name in mapped], dtype=np.int16)


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


@dataclass
class Coded:
    """Events in sequence order, as codes in [0, n); -1: the event has no token."""

    codes: NDArray[np.int32]
    n: int
    offsets: NDArray[np.int64]
    owner: NDArray[np.int32] | None
    times: NDArray[np.int64] | None


@dataclass
class _Lost:
    """Events of actions mapped to nothing, of rare tokens, in sequences too short; and how many those were."""

    unmapped: int = 0
    rare: int = 0
    short: int = 0
    sequences: int = 0

    def __add__(self, other: _Lost) -> _Lost:
        return _Lost(self.unmapped + other.unmapped, self.rare + other.rare, self.short + other.short,
                     self.sequences + other.sequences)


@dataclass
class _Kept:
    """What min_count and min_length left: rows in place of codes, and the codes present by falling count."""

    sequences: Coded
    present: NDArray[np.int64]
    counts: NDArray[np.int64]
    documents: NDArray[np.int64]
    events: int
    n_rare: int
    lost: _Lost

    def corpus(
        self, owner_ids: NDArray[Any] | None, item_ids: NDArray[Any], item: NDArray[np.int64],
        action: NDArray[np.int64] | None, names: tuple[str, ...], texts: NDArray[Any] | None, kind: str,
    ) -> Corpus:
        """The corpus, given the item and action of each code present."""
        kept = self.sequences
        n_owners = len(kept.offsets) - 1 if kept.owner is None else _n_distinct(kept.owner)
        used = np.zeros(len(item_ids), dtype=np.bool_)
        used[item] = True
        place = np.cumsum(used, dtype=np.int32) - np.int32(1)
        token_action = np.full(len(item), -1, dtype=np.int32) if action is None else action.astype(np.int32)
        vocabulary = Vocabulary(
            item_ids[used], names, place[item], token_action, self.counts, self.documents, n_owners,
            None if texts is None else texts[used],
        )
        report = TokenReport(
            events=self.events, tokens=len(kept.codes), sequences=len(kept.offsets) - 1, vocabulary=len(item),
            customers=None if kept.owner is None else n_owners, token_kind=kind,
            events_unmapped=self.lost.unmapped, tokens_rare=self.n_rare, events_rare=self.lost.rare,
            sequences_too_short=self.lost.sequences, events_too_short=self.lost.short,
        )
        sequences = Sequences(
            tokens=kept.codes, offsets=kept.offsets, owner=kept.owner, timestamps_us=kept.times,
            owner_ids=None if kept.owner is None else owner_ids,
        )
        return Corpus(sequences, vocabulary, report)


def _n_distinct(owner: NDArray[np.int32]) -> int:
    return int(np.count_nonzero(owners_seen(owner, int(owner.max(initial=-1)) + 1)))


class Parts(Protocol):
    """The events of a corpus in parts that share no owner: one in memory, or many on disk."""

    def __iter__(self) -> Iterator[Coded]:
        """Each part. A code means the same in all; a later part may have more codes than those before."""

    def put(self, part: Coded) -> None:
        """Keep a changed part in place of the one that was handed out last."""

    def rank(self) -> NDArray[np.int64] | None:
        """(n,) by which codes of equal counts are ordered; None: by themselves. Asked once each part has been seen."""

    def joined(self) -> Coded:
        """All of it in one, in order of the owners."""


class OnePart:
    """A corpus that is in memory."""

    def __init__(self, coded: Coded) -> None:
        self.coded = coded

    def __iter__(self) -> Iterator[Coded]:
        yield self.coded

    def put(self, part: Coded) -> None:
        self.coded = part

    def rank(self) -> NDArray[np.int64] | None:
        return None

    def joined(self) -> Coded:
        return self.coded


def keep(
    parts: Parts, min_count: int, min_length: int, workers: int, *, seen: Callable[[], None] = lambda: None
) -> _Kept:
    """Count, drop what is rare or short, rank by falling count, and put rows in place of codes (changed in place).

    `seen` is called once each part has been seen.
    """
    counts, documents, n_events, shortest = _counted(parts, workers, min_length)
    seen()
    frequent = counts >= min_count
    n_rare = int(((counts > 0) & ~frequent).sum())
    lost = _Lost()
    if n_rare or counts.sum() < n_events or shortest < min_length:
        n_left = 0
        for part in parts:
            left, more = _dropped(part, frequent[: part.n], min_length)
            n_left += len(left.codes)
            lost = lost + more
            parts.put(left)
        if n_left == 0:
            raise InputError(
                f"No token is left of {n_events:,} events: {lost.rare:,} are of tokens rarer than "
                f"min_count={min_count}, {lost.short:,} in sequences shorter than min_length={min_length}, "
                f"{lost.unmapped:,} of actions mapped to None. Lower min_count or min_length."
            )
        if lost.short:
            counts, documents, _, _ = _counted(parts, workers, min_length)
            counts, documents = _padded(counts, len(frequent)), _padded(documents, len(frequent))
    present, rank = np.flatnonzero(frequent & (counts > 0)), parts.rank()
    if rank is not None:
        present = present[np.argsort(rank[present], kind="stable")]
    present = present[np.argsort(-counts[present], kind="stable")]
    row = np.empty(len(counts), dtype=np.int32)
    row[present] = np.arange(len(present), dtype=np.int32)
    for part in parts:
        n = len(part.codes)
        run_blocks(_core.remap_codes, even_blocks(n, max(4 * workers, n >> 22)), workers, part.codes, row)
        parts.put(part)
    return _Kept(parts.joined(), present, counts[present], documents[present], n_events, n_rare, lost)


def _counted(
    parts: Parts, workers: int, min_length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """(occurrences, documents, events, length of the shortest sequence or min_length) over all parts."""
    counts, documents = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    n_events, shortest = 0, min_length
    for part in parts:
        more = _count(part, workers)
        counts, documents = _padded(counts, part.n), _padded(documents, part.n)
        counts[: part.n] += more[0]
        documents[: part.n] += more[1]
        n_events += len(part.codes)
        shortest = int(np.diff(part.offsets).min(initial=shortest))
    return counts, documents, n_events, shortest


def _padded(counts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """With zeros for codes that came later."""
    return counts if len(counts) >= n else np.concatenate((counts, np.zeros(n - len(counts), dtype=np.int64)))


def _dropped(coded: Coded, frequent: NDArray[np.bool_], min_length: int) -> tuple[Coded, _Lost]:
    """Without rare tokens and short sequences, and what they were."""
    same = np.where(frequent, np.arange(coded.n, dtype=np.int32), np.int32(-1))
    offsets = coded.offsets.copy()
    owner = None if coded.owner is None else coded.owner.copy()
    times = None if coded.times is None else coded.times.copy()
    n, n_sequences, *lost = _core.keep_tokens(coded.codes, offsets, owner, times, same, min_length)
    kept = Coded(
        coded.codes[:n].copy(), coded.n, offsets[: n_sequences + 1].copy(),
        None if owner is None else owner[:n_sequences].copy(), None if times is None else times[:n].copy(),
    )
    return kept, _Lost(*lost)


def _count(coded: Coded, workers: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return count_occurrences(coded.codes, coded.offsets, coded.owner, coded.n, workers)
