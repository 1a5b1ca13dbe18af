# mypy: allow-untyped-defs, allow-untyped-calls
"""Scores of next items from a sparse matrix: sums of a session's rows, its own items lifted."""

from __future__ import annotations

from . import kernel
from .cooccurrence import sort_columns


@kernel()
def raise_counts(start, stop, indptr, indices, data, count_power, column_sums):
    """Rows [start, stop) in place: data ** count_power, added to column_sums. Sums take the rows in order."""
    for e in range(indptr[start], indptr[stop]):
        data[e] = data[e] ** count_power
        column_sums[indices[e]] += data[e]


@kernel()
def scale_counts(start, stop, indptr, indices, data, column_power, row_power, column_sums):
    """Rows [start, stop) in place: over the column's sum ** column_power, then over the row's sum ** row_power.

    Where a power is so large that nothing is left of a sum, what would be divided by it becomes 0.
    """
    for i in range(start, stop):
        total = 0.0
        for e in range(indptr[i], indptr[i + 1]):
            scale = column_sums[indices[e]] ** column_power
            data[e] = data[e] / scale if scale > 0.0 else 0.0
            total += data[e]
        scale = total**row_power
        for e in range(indptr[i], indptr[i + 1]):
            data[e] = data[e] / scale if scale > 0.0 else 0.0


@kernel()
def score_session(tokens, begin, end, indptr, indices, data, decay, repeat, sums, columns):
    """Add up a session's scores in `sums` (zero before); the number of items scored, listed in `columns`."""
    m = 0
    weight = 1.0
    for t in range(end - 1, begin - 1, -1):
        if weight < 1e-12:
            break
        row = tokens[t]
        for e in range(indptr[row], indptr[row + 1]):
            column = indices[e]
            columns[m] = column
            m += sums[column] == 0
            sums[column] += weight * data[e]
        weight *= decay
    # Each item once, however often the session has it: sums are never negative, so a sign marks those lifted.
    for t in range(begin, end):
        if sums[tokens[t]] > 0:
            sums[tokens[t]] *= -repeat
    for t in range(begin, end):
        sums[tokens[t]] = abs(sums[tokens[t]])
    return m


@kernel()
def write_scores(
    start, stop, tokens, offsets, indptr, indices, data, decay, repeat, sums, columns, low, high, lengths, out, values
):
    """Scores of sessions [start, stop), columns in order, until `out` might be too short: session reached, end."""
    used = 0
    for s in range(start, stop):
        if used + len(sums) > len(out) and s > start:
            return s, used
        m = score_session(
            tokens, offsets[s], offsets[s + 1], indptr, indices, data, decay, repeat, sums, columns
        )
        sort_columns(columns, m, low, high)
        for k in range(m):
            out[used + k] = columns[k]
            values[used + k] = sums[columns[k]]
            sums[columns[k]] = 0.0
        lengths[s] = m
        used += m
    return stop, used


@kernel()
def best_items(
    start, stop, tokens, offsets, indptr, indices, data, decay, repeat, skip_seen, sums, columns, items, scores
):
    """The highest scores of sessions [start, stop), of equals the smaller item; -1 and 0 where there are fewer."""
    n = items.shape[1]
    for s in range(start, stop):
        m = score_session(
            tokens, offsets[s], offsets[s + 1], indptr, indices, data, decay, repeat, sums, columns
        )
        if skip_seen:
            for t in range(offsets[s], offsets[s + 1]):
                sums[tokens[t]] = 0.0
        held = 0
        for k in range(m):
            column = columns[k]
            value = sums[column]
            sums[column] = 0.0
            if value <= 0:
                continue
            if held == n and (value < scores[s, n - 1] or (value == scores[s, n - 1] and column > items[s, n - 1])):
                continue
            place = min(held, n - 1)
            while place > 0 and (
                scores[s, place - 1] < value or (scores[s, place - 1] == value and items[s, place - 1] > column)
            ):
                scores[s, place] = scores[s, place - 1]
                items[s, place] = items[s, place - 1]
                place -= 1
            scores[s, place] = value
            items[s, place] = column
            held = min(held + 1, n)


@kernel()
def rank_targets(
    start, stop, tokens, offsets, targets, indptr, indices, data, decay, repeat, sums, columns, ranks
):
    """Rank of each session's target among all items, from 1; ties get the mean of their ranks."""
    for s in range(start, stop):
        m = score_session(
            tokens, offsets[s], offsets[s + 1], indptr, indices, data, decay, repeat, sums, columns
        )
        wanted = sums[targets[s]]
        above = 0
        equal = 0
        for k in range(m):
            value = sums[columns[k]]
            sums[columns[k]] = 0.0
            above += value > wanted
            equal += value == wanted
        if wanted == 0:
            equal += len(sums) - m
        ranks[s] = above + (equal + 1) / 2


@kernel()
def rank_targets_by_repeat(
    start, stop, tokens, offsets, targets, indptr, indices, data, decay, repeats, sums, columns, own, ranks
):
    """`rank_targets` for each of `repeats`, into ranks (n_sessions, n_repeats); `own` holds a session's items."""
    for s in range(start, stop):
        m = score_session(tokens, offsets[s], offsets[s + 1], indptr, indices, data, decay, 1.0, sums, columns)
        target = sums[targets[s]]
        held = 0
        repeated = False
        for t in range(offsets[s], offsets[s + 1]):
            repeated = repeated or tokens[t] == targets[s]
            if sums[tokens[t]] > 0:
                own[held] = sums[tokens[t]]
                sums[tokens[t]] = 0.0
                held += 1
        for r in range(len(repeats)):
            wanted = target * repeats[r] if repeated else target
            above = 0
            equal = 0
            for k in range(m):
                value = sums[columns[k]]
                above += value > wanted
                equal += value == wanted
            if wanted == 0:
                equal += len(sums) - m
            for k in range(held):
                # Its entry in `columns` counted as 0 above.
                value = own[k] * repeats[r]
                above += value > wanted
                equal += (value == wanted) - (wanted == 0)
            ranks[s, r] = above + (equal + 1) / 2
        for k in range(m):
            sums[columns[k]] = 0.0
