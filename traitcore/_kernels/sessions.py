"""Sessions: bring the rows of each group together, sort each group by time, cut it, compact what stays.

The sort is a radix sort whose first digit is the whole group code (a counting scatter); what is left, the few
rows of one group, fits the cache. Serial work on [start, stop) blocks; no result depends on how blocks are cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import kernel
from .ids import chain, mix

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
Int16 = NDArray[np.int16]
UInt8 = NDArray[np.uint8]
UInt64 = NDArray[np.uint64]

# What became of an event; the two first are kept. sessions.py names the others.
KEPT, STARTS, SHORT, LONG, FAST, DAY, REPEAT, DUPLICATE = range(8)
# Order of events of one time: that of their rows, of their content, or random.
ROW, CONTENT, SHUFFLE = range(3)


@kernel()
def count_groups(start: int, stop: int, group: Int32, counts: Int64) -> None:
    """counts[g] += 1 for the rows start ... stop - 1."""
    for i in range(start, stop):
        counts[group[i]] += 1


@kernel()
def scatter_rows(
    start: int, stop: int, group: Int32, time: Int64, cursor: Int64, order: Int64, grouped_time: Int64
) -> None:
    """Write each row's number and time at its group's cursor, which moves on: a stable counting sort.

    The time goes along because to fetch it later would be a read at random. It may have no elements.
    """
    for i in range(start, stop):
        place = cursor[group[i]]
        order[place] = i
        if len(time):
            grouped_time[place] = time[i]
        cursor[group[i]] = place + 1


@kernel()
def _insertion_sort(keys: Int64, rows: Int64, low: int, high: int) -> None:
    for i in range(low + 1, high):
        key, row = keys[i], rows[i]
        j = i
        while j > low and keys[j - 1] > key:
            keys[j], rows[j] = keys[j - 1], rows[j - 1]
            j -= 1
        keys[j], rows[j] = key, row


@kernel()
def _radix_sort(keys: Int64, rows: Int64, spare_keys: Int64, spare_rows: Int64, low: int, high: int) -> None:
    """LSD radix sort, 11 bits a pass, over the bits in which keys[low:high] differ; spare arrays start at 0."""
    n = high - low
    least, most = keys[low], keys[low]
    for i in range(low, high):
        least, most = min(least, keys[i]), max(most, keys[i])
    span = np.uint64(most) - np.uint64(least)
    counts = np.empty(2049, dtype=np.int64)
    shift = np.uint64(0)
    while shift < np.uint64(64) and (span >> shift) != np.uint64(0):
        counts[:] = 0
        for i in range(low, high):
            counts[((np.uint64(keys[i]) - np.uint64(least)) >> shift & np.uint64(2047)) + np.uint64(1)] += 1
        for d in range(1, 2049):
            counts[d] += counts[d - 1]
        for i in range(low, high):
            digit = (np.uint64(keys[i]) - np.uint64(least)) >> shift & np.uint64(2047)
            place = counts[digit]
            counts[digit] = place + 1
            spare_keys[place], spare_rows[place] = keys[i], rows[i]
        for i in range(n):
            keys[low + i], rows[low + i] = spare_keys[i], spare_rows[i]
        shift += np.uint64(11)


@kernel()
def _merge_sort(keys: Int64, rows: Int64, spare_keys: Int64, spare_rows: Int64, low: int, high: int) -> None:
    """Bottom-up merge sort of runs of 16; spare arrays start at 0."""
    n = high - low
    for run in range(low, high, 16):
        _insertion_sort(keys, rows, run, min(run + 16, high))
    width = 16
    while width < n:
        for left in range(0, n, 2 * width):
            middle, end = min(left + width, n), min(left + 2 * width, n)
            if middle >= end or keys[low + middle - 1] <= keys[low + middle]:
                continue
            for i in range(left, middle):
                spare_keys[i], spare_rows[i] = keys[low + i], rows[low + i]
            a, b, out = left, low + middle, low + left
            while a < middle:
                if b >= low + end or spare_keys[a] <= keys[b]:
                    keys[out], rows[out] = spare_keys[a], spare_rows[a]
                    a += 1
                else:
                    keys[out], rows[out] = keys[b], rows[b]
                    b += 1
                out += 1
        width *= 2


@kernel()
def _stable_sort(keys: Int64, rows: Int64, spare_keys: Int64, spare_rows: Int64, low: int, high: int) -> None:
    """Sort rows[low:high] by keys[low:high], both in place; equal keys keep their order."""
    rising = True
    for i in range(low + 1, high):
        if keys[i - 1] > keys[i]:
            rising = False
            break
    if rising:
        return
    if high - low <= 24:
        _insertion_sort(keys, rows, low, high)
    elif high - low <= 4096:
        _merge_sort(keys, rows, spare_keys, spare_rows, low, high)
    else:
        _radix_sort(keys, rows, spare_keys, spare_rows, low, high)


@kernel()
def _tie_keys(
    rows: Int64, salt: np.uint64, position: Int64, action: Int16, item: Int32, ties: int, item_hash: UInt64, keys: Int64
) -> None:
    """keys[i] by which rows of one time are sorted: (action, item) for CONTENT, (hash of the item, action) for SHUFFLE.

    48 bits of the hash lead, so that equal events, and the actions with one item, stay together. Two items of one
    instant have the same ones once in 3e14 pairs, and then keep the order of their rows.
    """
    for i in range(len(rows)):
        row = rows[i]
        acted = np.int64(action[row]) if len(action) else 0
        if ties == CONTENT:
            keys[i] = np.int64(item[row]) + (acted << 32)
        else:
            place = chain(salt, np.uint64(position[row])) if len(position) else salt
            keys[i] = (np.int64(chain(place, item_hash[item[row]]) >> np.uint64(1)) & ~np.int64(0x7FFF)) + acted


@kernel()
def _sort_ties(
    order: Int64, low: int, high: int, salt: np.uint64, position: Int64, action: Int16, item: Int32, ties: int,
    item_hash: UInt64, keys: Int64, spare_keys: Int64, spare_rows: Int64,
) -> None:
    """Order rows of one time (or of no time): as `ties` says, then stably by position, so that position leads."""
    rows = order[low:high]
    n = high - low
    if ties != ROW:
        _tie_keys(rows, salt, position, action, item, ties, item_hash, keys)
        _stable_sort(keys, rows, spare_keys, spare_rows, 0, n)
    if len(position):
        for i in range(n):
            keys[i] = position[rows[i]]
        _stable_sort(keys, rows, spare_keys, spare_rows, 0, n)


@kernel()
def sort_groups(
    start: int, stop: int, bounds: Int64, order: Int64, sorted_time: Int64, position: Int64, action: Int16,
    item: Int32, ties: int, seed: np.uint64, group_hash: UInt64, item_hash: UInt64,
) -> None:
    """Sort the rows of groups start ... stop - 1 by (time, position), then as `ties` says: ROW, CONTENT or SHUFFLE.

    order[bounds[g]:bounds[g + 1]] holds the rows of group g, sorted_time their times; both are sorted in place.
    `sorted_time`, `position` and `action` may have no elements: the log lacks them. Without time and position the
    rows keep their order; equal rows always do. group_hash (groups,) and item_hash (items,) are used by SHUFFLE alone.
    """
    longest = 0
    for g in range(start, stop):
        longest = max(longest, bounds[g + 1] - bounds[g])
    spare_keys = np.empty(longest, dtype=np.int64)
    spare_rows = np.empty(longest, dtype=np.int64)
    tie_keys = np.empty(longest, dtype=np.int64)
    for g in range(start, stop):
        low, high = bounds[g], bounds[g + 1]
        salt = chain(mix(seed), group_hash[g]) if ties == SHUFFLE else seed
        if len(sorted_time) == 0:
            if len(position):
                _sort_ties(
                    order, low, high, salt, position, action, item, ties, item_hash, tie_keys, spare_keys, spare_rows
                )
            continue
        _stable_sort(sorted_time, order, spare_keys, spare_rows, low, high)
        if ties == ROW and len(position) == 0:
            continue
        i = low
        while i < high:
            j = i + 1
            while j < high and sorted_time[j] == sorted_time[i]:
                j += 1
            if j - i > 1:
                instant = chain(salt, np.uint64(sorted_time[i]))
                _sort_ties(
                    order, i, j, instant, position, action, item, ties, item_hash, tie_keys, spare_keys, spare_rows
                )
            i = j


@kernel()
def ban_busy_owners(start: int, stop: int, bounds: Int64, sorted_time: Int64, limit: int, banned: UInt8) -> None:
    """banned[o] = 1 where owner o (rows bounds[o] ... bounds[o + 1] - 1) has more than `limit` events on a UTC day."""
    day_us = 86_400_000_000
    for o in range(start, stop):
        low, high = bounds[o], bounds[o + 1]
        if high - low <= limit:
            continue
        days = sorted_time[low:high] // day_us
        days.sort()  # ready-made sessions of one owner may overlap in time
        for i in range(len(days) - limit):
            if days[i] == days[i + limit]:
                banned[o] = 1
                break


@kernel()
def _too_fast(sorted_time: Int64, low: int, high: int, limit: int, window_us: int) -> bool:
    """Do any `limit` + 1 events of a session lie within less than window_us?"""
    for i in range(low, high - limit):  # noqa: SIM110 (numba has no any() over a generator)
        if sorted_time[i + limit] - sorted_time[i] < window_us:
            return True
    return False


@kernel()
def _mark_repeats(
    order: Int64, low: int, high: int, sorted_time: Int64, position: Int64, action: Int16, item: Int32,
    merge: bool, drop: bool, state: UInt8,
) -> tuple[int, int]:
    """Mark what of a session merges into the row before it; returns (events kept, exact duplicates met)."""
    kept, duplicates = 1, 0
    state[low] = STARTS
    for i in range(low + 1, high):
        twin = len(sorted_time) + len(position) > 0 and (len(sorted_time) == 0 or sorted_time[i - 1] == sorted_time[i])
        if not (twin or merge):
            state[i] = KEPT  # without a look at the row, which lies anywhere in memory
            kept += 1
            continue
        a, b = order[i - 1], order[i]
        same = item[a] == item[b] and (len(action) == 0 or action[a] == action[b])
        twin = twin and same and (len(position) == 0 or position[a] == position[b])
        duplicates += twin
        if twin and drop:
            state[i] = DUPLICATE
        elif same and merge:
            state[i] = REPEAT
        else:
            state[i] = KEPT
            kept += 1
    return kept, duplicates


@kernel()
def cut_groups(
    start: int, stop: int, bounds: Int64, group_owner: Int32, order: Int64, sorted_time: Int64, position: Int64,
    action: Int16, item: Int32, banned: UInt8, gap_us: int, max_events: int, max_window: int, window_us: int,
    merge: bool, drop: bool, min_length: int, state: UInt8, events: Int64, sessions: Int64,
) -> int:
    """Cut groups where time stands still for more than gap_us, and say in `state` what became of each event.

    gap_us, max_events and max_window below 0 mean no such rule; `banned` (owners,) may have no elements. events and
    sessions (8,) are raised by what was found of each state. Returns the exact duplicates met in sessions kept.
    """
    duplicates = 0
    for g in range(start, stop):
        low, last = bounds[g], bounds[g + 1]
        while low < last:
            high = low + 1
            while high < last and (gap_us < 0 or sorted_time[high] - sorted_time[high - 1] <= gap_us):
                high += 1
            found, fate = 0, KEPT
            if len(banned) and banned[group_owner[g]]:
                fate = DAY
            elif 0 <= max_events < high - low:
                fate = LONG
            elif max_window >= 0 and _too_fast(sorted_time, low, high, max_window, window_us):
                fate = FAST
            else:
                kept, found = _mark_repeats(
                    order, low, high, sorted_time, position, action, item, merge, drop, state
                )
                if kept < min_length:
                    fate = SHORT
            if fate != KEPT:
                state[low:high] = fate
                events[fate] += high - low
            else:
                duplicates += found
                for i in range(low, high):
                    events[state[i]] += 1
            sessions[fate] += 1
            low = high
    return duplicates


@kernel()
def compact_sessions(
    bounds: Int64, group_owner: Int32, state: UInt8, order: Int64, sorted_time: Int64, position: Int64, offsets: Int64,
    owner: Int32,
) -> tuple[int, int]:
    """Close the gaps that removed events leave in order and sorted_time, in place; fill offsets and owner.

    Returns (events kept, those of the same time and position as the one before them in their session).
    offsets (sessions + 1,), owner (sessions,) or no elements.
    """
    ordered = len(sorted_time) > 0 or len(position) > 0
    out, session, tied = 0, 0, 0
    for g in range(len(bounds) - 1):
        for i in range(bounds[g], bounds[g + 1]):
            if state[i] > STARTS:
                continue
            order[out] = order[i]
            if len(sorted_time):
                sorted_time[out] = sorted_time[i]
            if state[i] == STARTS:
                offsets[session] = out
                if len(owner):
                    owner[session] = group_owner[g]
                session += 1
            elif ordered and (len(sorted_time) == 0 or sorted_time[out] == sorted_time[out - 1]):
                tied += len(position) == 0 or position[order[out]] == position[order[out - 1]]
            out += 1
    offsets[session] = out
    return out, tied
