"""The events room, slow and obvious: plain Python over dicts and lists."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any


def code_ids(values: list[Any]) -> tuple[list[int], list[Any]]:
    """Codes into the sorted distinct ids; None is -1."""
    ids = sorted({v for v in values if v is not None})
    return [-1 if v is None else ids.index(v) for v in values], ids


def split_sessions(
    rows: list[dict[str, Any]], *, gap_us: int | None, min_length: int, max_session: int | None = None,
    max_minute: int | None = None, max_day: int | None = None, merge: bool = False, drop: bool = False,
    ties: str = "shuffle", seed: int = 0,
) -> list[tuple[Any, list[int]]]:
    """[(user, row numbers)] of the sessions kept.

    A row has user, session, time, position, action, item, any of them None where the log has no such column; and, for
    ties="shuffle", user_id, session_id and item_id.
    """
    groups: dict[Any, list[int]] = defaultdict(list)
    for n, row in enumerate(rows):
        groups[(row["user"], row["session"])].append(n)
    busy = set()
    if max_day is not None:
        days = Counter((row["user"], row["time"] // 86_400_000_000) for row in rows)
        busy = {user for (user, _), count in days.items() if count > max_day}
    found = []
    for (user, session), members in groups.items():
        for piece in _cut(rows, _ordered(rows, members, ties, seed), None if session is not None else gap_us):
            start = rows[piece[0]]["time"] or 0
            if user in busy or (max_session is not None and len(piece) > max_session):
                continue
            if max_minute is not None and _too_fast(rows, piece, max_minute):
                continue
            kept = _merged(rows, piece, merge, drop)
            if len(kept) >= min_length:
                found.append(((0 if user is None else user, start, 0 if session is None else session), user, kept))
    return [(user, kept) for _, user, kept in sorted(found, key=lambda f: f[0])]


def _ordered(rows: list[dict[str, Any]], members: list[int], ties: str, seed: int) -> list[int]:
    if rows[members[0]]["time"] is None and rows[members[0]]["position"] is None:
        return members

    def key(n: int) -> tuple[Any, ...]:
        row = rows[n]
        act = -1 if row["action"] is None else row["action"]
        if ties == "shuffle":
            among: tuple[int, ...] = (chance(row, seed), act)
        else:
            among = (act, row["item"]) if ties == "content" else ()
        return (row["time"] or 0, row["position"] or 0, *among, n)

    return sorted(members, key=key)


def chance(row: dict[str, Any], seed: int) -> int:
    """48 bits by which an item of one instant is ordered: a hash of the ids of what happened."""
    h = _mix(seed)
    owners = [_bits(row[name]) for name in ("user_id", "session_id") if row[name] is not None]
    h = _chain(h, owners[0] if len(owners) == 1 else _chain(_mix(owners[0]), owners[1]))
    for name in ("time", "position"):
        h = h if row[name] is None else _chain(h, row[name])
    return _chain(h, _bits(row["item_id"])) >> 16


def _mix(h: int) -> int:
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    h = (h ^ h >> 27) * 0x94D049BB133111EB % 2**64
    return h ^ h >> 31


def _chain(h: int, value: int) -> int:
    return _mix((h + (value + 1) * 0x9E3779B97F4A7C15) % 2**64)


def _bits(value: Any) -> int:
    if isinstance(value, int):
        return value % 2**64
    h = 0xCBF29CE484222325  # FNV-1a
    for byte in value.encode("utf-8", "surrogatepass"):
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def _cut(rows: list[dict[str, Any]], members: list[int], gap_us: int | None) -> list[list[int]]:
    pieces = [[members[0]]]
    for before, n in pairwise(members):
        if gap_us is not None and rows[n]["time"] - rows[before]["time"] > gap_us:
            pieces.append([])
        pieces[-1].append(n)
    return pieces


def _too_fast(rows: list[dict[str, Any]], piece: list[int], limit: int) -> bool:
    times = [rows[n]["time"] for n in piece]
    return any(sum(t <= u < t + 60_000_000 for u in times) > limit for t in times)


def _merged(rows: list[dict[str, Any]], piece: list[int], merge: bool, drop: bool) -> list[int]:
    kept = [piece[0]]
    for before, n in pairwise(piece):
        a, b = rows[before], rows[n]
        same = (a["action"], a["item"]) == (b["action"], b["item"])
        ordered = b["time"] is not None or b["position"] is not None
        twin = same and ordered and (a["time"], a["position"]) == (b["time"], b["position"])
        if not ((merge and same) or (drop and twin)):
            kept.append(n)
    return kept


def tokenize(
    sessions: list[tuple[Any, list[Any]]], min_count: int, min_length: int
) -> tuple[list[list[Any]], list[Any], list[int], list[int], int]:
    """(sequences kept, tokens by falling count, counts, document frequencies, documents) of (owner, tokens) pairs.

    A token of None is dropped; tokens must sort in the order wanted of ties.
    """
    counts = Counter(t for _, tokens in sessions for t in tokens if t is not None)
    kept = []
    for place, (owner, tokens) in enumerate(sessions):
        left = [t for t in tokens if t is not None and counts[t] >= min_count]
        if len(left) >= min_length:
            kept.append((place if owner is None else owner, left))
    final = Counter(t for _, tokens in kept for t in tokens)
    ranked = sorted(final, key=lambda t: (-final[t], t))
    customers = {t: {owner for owner, tokens in kept if t in tokens} for t in ranked}
    return (
        [tokens for _, tokens in kept], ranked, [final[t] for t in ranked], [len(customers[t]) for t in ranked],
        len({owner for owner, _ in kept}),
    )


def read_csv(text: str, delimiter: str = ",") -> list[list[str]]:
    """Records of a CSV by Python's csv module; blank lines are skipped."""
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
