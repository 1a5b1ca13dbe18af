"""tokenize: sessions become sequences of tokens, "view_prod_001", with the vocabulary that names their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError, parameter_message
from .._kernels import tokens as kernels
from .._parallel import even_blocks, resolve_workers, run_blocks, run_tasks
from .._validate import check_choice, check_int
from .ids import code_integers
from .log import EventLog
from .sequences import Sequences
from .sessions import Sessions
from .vocabulary import Vocabulary

_OWNER = "tokenize"
# Actions of the spec's logs; other names stay as they are.
DEFAULT_ACTION_MAP: Mapping[str, str | None] = {
    "view": "view", "add_cart": "cart", "remove_cart": "remove", "purchase": "buy",
}  # fmt: skip


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


def tokenize(
    sessions: Sessions,
    *,
    action_map: Mapping[str, str | None] | None = DEFAULT_ACTION_MAP,
    tokens: str = "auto",
    min_count: int = 1,
    min_length: int = 1,
    workers: int = 1,
) -> Corpus:
    """Each event becomes a token: its action, as `action_map` names it, and its item; or its item alone.

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
    """
    if not isinstance(sessions, Sessions):
        raise TypeError(parameter_message("sessions", _OWNER, "Sessions", type(sessions).__name__))
    kind = check_choice("tokens", _OWNER, tokens, ("auto", "action_item", "item"))
    min_count = check_int("min_count", _OWNER, min_count, 1)
    min_length = check_int("min_length", _OWNER, min_length, 1)
    n_threads = resolve_workers(workers, _OWNER)
    log = sessions.log
    if kind == "action_item" and log.action is None:
        raise InputError("The log has no actions: pass tokens='item', or name an action column or action_value.")
    with_actions = log.action is not None and kind != "item"
    names, new_action = _map_actions(log.actions if with_actions else (), action_map)
    pairs, n_pairs, pair_ids = _pairs(sessions, log, new_action, max(1, len(names)), with_actions, n_threads)
    kind = "action_item" if with_actions else "item"
    return _build(sessions, pairs, n_pairs, pair_ids, names, min_count, min_length, n_threads, kind)


def _map_actions(
    actions: tuple[str, ...], action_map: Mapping[str, str | None] | None
) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """(new names in order of first use, (n_actions,) int16 new code or -1)."""
    if action_map is not None and not isinstance(action_map, Mapping):
        raise TypeError(parameter_message("action_map", _OWNER, "a mapping of names, or None", action_map))
    given = dict(action_map or {})
    for old, new in given.items():
        if not isinstance(old, str) or not (new is None or (isinstance(new, str) and new)):
            raise TypeError(parameter_message("action_map", _OWNER, "a mapping of str to non-empty str", {old: new}))
    mapped = [given.get(action, action) for action in actions]
    names = tuple(dict.fromkeys(name for name in mapped if name is not None))
    return names, np.array([-1 if name is None else names.index(name) for name in mapped], dtype=np.int16)


def _pairs(
    sessions: Sessions, log: EventLog, new_action: NDArray[np.int16], n_actions: int, with_actions: bool, workers: int
) -> tuple[NDArray[np.int32], int, NDArray[np.int64] | None]:
    """(code of (item, action) of each event, number of codes, item * n_actions + action by code or None: the same)."""
    action = log.action if with_actions and log.action is not None else np.zeros(0, dtype=np.int16)
    n_pairs = len(log.item_ids) * n_actions
    n = len(sessions.order)
    if n_pairs <= max(8 * n, 1 << 16) and n_pairs < 2**31:
        pairs = np.empty(n, dtype=np.int32)
        run_blocks(
            kernels.pair_codes, even_blocks(n, 4 * workers), workers, sessions.order, log.item, action, new_action,
            n_actions, pairs,
        )  # fmt: skip
        return pairs, n_pairs, None
    # Too many possible pairs for tables: code those that occur.
    to = new_action[action[sessions.order]].astype(np.int64)
    codes, ids = code_integers(log.item[sessions.order].astype(np.int64) * n_actions + to, to >= 0)
    return codes, len(ids), ids


def _count(
    tokens: NDArray[np.int32], offsets: NDArray[np.int64], owner: NDArray[np.int32], n: int, workers: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(occurrences, owners with one) of each of n tokens."""
    # A block costs three tables of n; no more of them than pay for it.
    blocks = _owner_blocks(offsets, owner, max(1, min(workers, len(tokens) // max(1, n))))
    counts = np.zeros((len(blocks), n), dtype=np.int64)
    documents = np.zeros((len(blocks), n), dtype=np.int32)
    run_tasks(
        [lambda b=b, c=c, d=d: kernels.count_tokens(*b, tokens, offsets, owner, c, d)
         for b, c, d in zip(blocks, counts, documents)], workers,
    )  # fmt: skip
    return counts.sum(axis=0), documents.sum(axis=0, dtype=np.int64)


def _owner_blocks(
    offsets: NDArray[np.int64], owner: NDArray[np.int32], n_blocks: int
) -> list[tuple[int, int]]:
    """Blocks of sequences of nearly equal work that don't part an owner's sequences."""
    edges = np.searchsorted(offsets, np.linspace(0, offsets[-1], n_blocks + 1)[1:-1])
    if len(owner):
        edges = np.searchsorted(owner, owner[np.minimum(edges, len(owner) - 1)])
    edges = np.unique(np.concatenate(([0], edges, [len(offsets) - 1])))
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def _build(
    sessions: Sessions, tokens: NDArray[np.int32], n_pairs: int, pair_ids: NDArray[np.int64] | None,
    names: tuple[str, ...], min_count: int, min_length: int, workers: int, kind: str,
) -> Corpus:  # fmt: skip
    """Count, rank, and put rows in place of pair codes (`tokens` is changed)."""
    log = sessions.log
    offsets, times = sessions.offsets, sessions.timestamps_us
    owner = np.zeros(0, dtype=np.int32) if sessions.owner is None else sessions.owner
    counts, documents = _count(tokens, offsets, owner, n_pairs, workers)
    keep = counts >= min_count
    rank = np.where(keep, np.arange(n_pairs, dtype=np.int32), np.int32(-1))
    lost = np.zeros(4, dtype=np.int64)
    lengths = np.diff(offsets)
    n_events = len(tokens)
    n_rare = int(((counts > 0) & ~keep).sum())
    drops = not keep[counts > 0].all() or counts.sum() < n_events or int(lengths.min()) < min_length
    if drops:
        offsets, owner = offsets.copy(), owner.copy()
        moved = np.zeros(0, dtype=np.int64) if times is None else times.copy()
        n, n_seq = kernels.keep_tokens(tokens, offsets, owner, moved, rank, min_length, lost)
        if n == 0:
            raise InputError(
                f"No token is left of {n_events:,} events: {lost[1]:,} are of tokens rarer than min_count={min_count}, "
                f"{lost[2]:,} in sequences shorter than min_length={min_length}, {lost[0]:,} of actions mapped to "
                "None. Lower min_count or min_length."
            )
        tokens, offsets, owner = tokens[:n].copy(), offsets[: n_seq + 1].copy(), owner[:n_seq].copy()
        times = None if times is None else moved[:n].copy()
        if lost[2]:
            counts, documents = _count(tokens, offsets, owner, n_pairs, workers)
    present = np.flatnonzero(keep & (counts > 0))
    present = present[np.argsort(-counts[present], kind="stable")]
    row = np.full(n_pairs, -1, dtype=np.int32)
    row[present] = np.arange(len(present), dtype=np.int32)
    run_blocks(kernels.map_tokens, even_blocks(len(tokens), 4 * workers), workers, tokens, row)
    return Corpus(
        Sequences(
            tokens=tokens, offsets=offsets, owner=None if sessions.owner is None else owner, timestamps_us=times,
            owner_ids=log.user_ids if sessions.owner is not None else None,
        ),
        _vocabulary(log, present if pair_ids is None else pair_ids[present], names, counts[present], documents[present],
                    int((np.diff(owner) > 0).sum()) + 1 if len(owner) else len(offsets) - 1),
        TokenReport(
            events=n_events, tokens=len(tokens), sequences=len(offsets) - 1, vocabulary=len(present),
            customers=None if sessions.owner is None else int((np.diff(owner) > 0).sum()) + 1, token_kind=kind,
            events_unmapped=int(lost[0]), tokens_rare=n_rare, events_rare=int(lost[1]),
            sequences_too_short=int(lost[3]), events_too_short=int(lost[2]),
        ),
    )  # fmt: skip


def _vocabulary(
    log: EventLog, pairs: NDArray[np.int64], names: tuple[str, ...], counts: NDArray[np.int64],
    documents: NDArray[np.int64], n_documents: int,
) -> Vocabulary:  # fmt: skip
    item, action = np.divmod(pairs, max(1, len(names)))
    used = np.unique(item)
    place = np.zeros(len(log.item_ids), dtype=np.int32)
    place[used] = np.arange(len(used), dtype=np.int32)
    return Vocabulary(
        item_ids=log.item_ids[used],
        actions=names,
        token_item=place[item],
        token_action=action.astype(np.int32) if names else np.full(len(item), -1, dtype=np.int32),
        counts=counts,
        document_frequencies=documents,
        n_documents=n_documents,
        item_texts=None if log.item_texts is None else log.item_texts[used],
    )
