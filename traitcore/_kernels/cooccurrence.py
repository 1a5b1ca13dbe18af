# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="call-arg, unreachable"
# (An intrinsic is called without the typing context that its definition takes.)
"""Windowed co-occurrence counts: the corpus inverted (the places of each token), then one dense row at a time.

No list of pairs is ever made: a row's counts are summed in a dense accumulator that stays in cache, and its columns
come out in order through a two-level bitmap instead of a sort.
"""

from __future__ import annotations

import numpy as np

from . import kernel
from .intrinsics import prefetch, trailing_zeros

_ONE = np.uint64(1)
_SIX = np.uint64(6)
_LOW6 = np.uint64(63)
_NONE = np.uint64(0)
# Occurrences between the fetch of a token's surroundings and their use.
_AHEAD = 12


@kernel()
def sort_columns(columns, m, low, high):
    """Sort columns[:m] in place; `low` and `high` are zeroed bitmaps (a bit per column, a bit per word of `low`)."""
    if m <= 32:
        for k in range(1, m):
            column = columns[k]
            j = k - 1
            while j >= 0 and columns[j] > column:
                columns[j + 1] = columns[j]
                j -= 1
            columns[j + 1] = column
        return
    for k in range(m):
        column = np.uint64(columns[k])
        word = column >> _SIX
        low[word] |= _ONE << (column & _LOW6)
        high[word >> _SIX] |= _ONE << (word & _LOW6)
    k = 0
    for h in range(len(high)):
        words = high[h]
        high[h] = 0
        while words != _NONE:
            w = (np.uint64(h) << _SIX) + trailing_zeros(words)
            words &= words - _ONE
            bits = low[w]
            low[w] = 0
            base = w << _SIX
            while bits != _NONE:
                columns[k] = np.int32(base + trailing_zeros(bits))
                bits &= bits - _ONE
                k += 1


@kernel()
def emit_row(row, columns, m, sums, keep_self, min_count, indices, data, used):
    """Write the sorted columns[:m] and their sums, pruned, from `used` on; zero the sums; the new end."""
    for k in range(m):
        column = columns[k]
        value = sums[column]
        sums[column] = 0
        if value >= min_count and value > 0 and (keep_self or column != row):
            indices[used] = column
            data[used] = value
            used += 1
    return used


@kernel()
def count_rows(
    row, stop, starts, places, padded, back, ahead, keep_self, min_count,
    sums, columns, low, high, lengths, indices, data, used, pause, work,
):
    """Rows [row, stop) of the counts, until the buffers might not hold the next one, or `work` contexts were counted.

    `back` and `ahead` are the weights by distance, one longer than the window (entry 0 unused). Returns the row
    reached and the end of what is written. `pause` (4,) int64 carries a row that isn't finished to the next call: the
    occurrences counted, the columns listed, and in the weighted kernel the columns of the current sequence's part and
    one more than its number; all 0 at the start of a row.
    """
    left, right = len(back) - 1, len(ahead) - 1
    while row < stop:
        bound = min(len(sums), (starts[row + 1] - starts[row]) * (left + right))
        if used + bound > len(indices):
            break
        m = np.uint64(pause[1])
        for p in range(starts[row] + pause[0], starts[row + 1]):
            if work < 0:
                pause[0], pause[1] = p - starts[row], m
                return row, used
            # The next ones lie anywhere in the corpus, but where is known. (Past the end of `places` is `here` again.)
            soon = min(p + _AHEAD, len(places) - 1)
            prefetch(padded, places[soon])
            here = places[p]
            distance = 0
            for distance in range(1, right + 1):
                token = padded[np.uint64(here + distance)]
                if token < 0:
                    break
                column = np.uint64(token)  # unsigned: a signed index would be tested for counting from the end
                columns[m] = token
                before = sums[column]
                m += np.uint64(before == 0)
                sums[column] = before + ahead[np.uint64(distance)]
            work -= distance
            distance = 0
            for distance in range(1, left + 1):
                token = padded[np.uint64(here - distance)]
                if token < 0:
                    break
                column = np.uint64(token)
                columns[m] = token
                before = sums[column]
                m += np.uint64(before == 0)
                sums[column] = before + back[np.uint64(distance)]
            work -= distance
        pause[:] = 0
        sort_columns(columns, m, low, high)
        end = emit_row(row, columns, m, sums, keep_self, min_count, indices, data, used)
        lengths[row] = end - used
        used = end
        row += 1
    return row, used


@kernel()
def flush_part(part, touched, n, cap, sums, columns, m):
    """Add one sequence's part to the row, no more than `cap` for a pair; the number of columns now in use."""
    for k in range(n):
        column = touched[k]
        columns[m] = column
        m += sums[column] == 0
        sums[column] += min(part[column], cap)
        part[column] = 0
    return m


@kernel()
def count_rows_weighted(
    row, stop, starts, places, padded, back, ahead, keep_self, min_count,
    sums, columns, low, high, lengths, indices, data, used, pause, work,
    sequence, sequence_weights, actions, action_weights, cap, part, touched,
):
    """`count_rows` with a weight per sequence, a weight per pair of actions, and a cap per sequence and pair.

    An empty `sequence_weights` or `actions` means 1; `action_weights[first, second]` is by order in the sequence.
    """
    left, right = len(back) - 1, len(ahead) - 1
    while row < stop:
        bound = min(len(sums), (starts[row + 1] - starts[row]) * (left + right))
        if used + bound > len(indices):
            break
        m = pause[1]
        n = pause[2]
        current = pause[3] - 1
        for p in range(starts[row] + pause[0], starts[row + 1]):
            if work < 0:
                pause[0], pause[1], pause[2], pause[3] = p - starts[row], m, n, current + 1
                return row, used
            here = places[p]
            if sequence[here] != current:
                m = flush_part(part, touched, n, cap, sums, columns, m)
                n = 0
                current = sequence[here]
            scale = sequence_weights[current] if len(sequence_weights) else 1.0
            for side in range(2):
                step = 1 if side == 0 else -1
                weights = ahead if side == 0 else back
                distance = 0
                for distance in range(1, len(weights)):
                    there = here + step * distance
                    column = padded[there]
                    if column < 0:
                        break
                    weight = scale * weights[distance]
                    if len(actions):
                        if side == 0:
                            weight *= action_weights[actions[here], actions[there]]
                        else:
                            weight *= action_weights[actions[there], actions[here]]
                    if weight > 0:
                        touched[n] = column
                        n += part[column] == 0
                        part[column] += weight
                work -= distance
        pause[:] = 0
        m = flush_part(part, touched, n, cap, sums, columns, m)
        sort_columns(columns, m, low, high)
        end = emit_row(row, columns, m, sums, keep_self, min_count, indices, data, used)
        lengths[row] = end - used
        used = end
        row += 1
    return row, used
