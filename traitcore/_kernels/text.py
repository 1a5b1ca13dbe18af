"""Text in bytes: records and fields of CSV, ids hashed to codes, numbers and ISO 8601 times parsed.

A field is a span [start, stop) of a byte buffer; nothing here makes a Python object.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import kernel

Bytes = NDArray[np.uint8]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]

QUOTE, NEWLINE, RETURN = 34, 10, 13
MORE, FULL, UNCLOSED = 0, 1, 2
FINE, EMPTY, WRONG = 0, 1, 2


@kernel()
def _copy_quoted(buffer: Bytes, at: int, stop: int, delimiter: int, out: int) -> tuple[int, int]:
    """Copy a quoted field whose quote opened before `at` to buffer[out:], halving doubled quotes.

    What follows the closing quote belongs to the field up to the delimiter, as in Python's csv module. Returns
    (place of the delimiter or line end, end of the copy); the caller knows that the closing quote is there.
    """
    inside = True
    while at < stop:
        c = buffer[at]
        if inside and c == QUOTE:
            if at + 1 < stop and buffer[at + 1] == QUOTE:
                at += 1
            else:
                inside = False
                at += 1
                continue
        elif not inside and c in (delimiter, NEWLINE, RETURN):
            break
        buffer[out] = c
        out += 1
        at += 1
    return at, out


@kernel()
def scan_records(
    buffer: Bytes, at: int, stop: int, last: bool, delimiter: int, slot_of_field: Int32, arena: int,
    starts: Int64, stops: Int64, n_slots: int, fields: Int32, lines: Int64, begins: Int64,
    line: int,
) -> tuple[int, int, int, int, int]:
    """Find the records of buffer[at:stop] and the spans of the fields wanted.

    slot_of_field (n_fields,) int32: the slot of each field, -1 where it isn't wanted; starts, stops (rows * n_slots,):
    the span of slot k of row r at r * n_slots + k; fields (rows,): fields met; lines and begins (rows,): the line on
    which a row begins, the first being `line`, and its place. Fields with doubled quotes are copied to
    buffer[arena:], which is as long as the text. `last`: no text follows. Records end at LF, CR or CRLF; blank lines
    are skipped. Returns (rows, place after the last whole record, next line, arena, state): MORE text is wanted, the
    row arrays are FULL, or a quote is UNCLOSED.
    """
    rows = 0
    while at < stop and rows < len(fields):
        if buffer[at] == NEWLINE or buffer[at] == RETURN:
            if buffer[at] == RETURN and at + 1 < stop and buffer[at + 1] == NEWLINE:
                at += 1
            at, line = at + 1, line + 1
            continue
        begin, breaks, field = at, 0, 0
        ended = False
        while not ended:
            copied = False
            if at < stop and buffer[at] == QUOTE:
                at += 1
                first = at
                while at < stop:
                    c = buffer[at]
                    if c == QUOTE:
                        if at + 1 < stop and buffer[at + 1] == QUOTE:
                            copied = True
                            at += 1
                        else:
                            break
                    elif c == NEWLINE or (c == RETURN and not (at + 1 < stop and buffer[at + 1] == NEWLINE)):
                        breaks += 1
                    at += 1
                if at >= stop:
                    return rows, begin, line, arena, UNCLOSED if last else MORE
                end = at
                at += 1
                if at < stop and buffer[at] != delimiter and buffer[at] != NEWLINE and buffer[at] != RETURN:
                    copied = True
                if copied:
                    at, until = _copy_quoted(buffer, first, stop, delimiter, arena)
                    first, end, arena = arena, until, until
            else:
                first = at
                while at < stop and buffer[at] != delimiter and buffer[at] != NEWLINE and buffer[at] != RETURN:
                    at += 1
                end = at
            if at >= stop and not last:
                return rows, begin, line, arena, MORE
            if field < len(slot_of_field) and slot_of_field[field] >= 0:
                starts[rows * n_slots + slot_of_field[field]] = first
                stops[rows * n_slots + slot_of_field[field]] = end
            field += 1
            ended = at >= stop or buffer[at] != delimiter
            at += not ended
        if at < stop and buffer[at] == RETURN:
            if at + 1 >= stop and not last:
                return rows, begin, line, arena, MORE  # a line feed may follow
            if at + 1 < stop and buffer[at + 1] == NEWLINE:
                at += 1
        fields[rows], lines[rows], begins[rows] = field, line, begin
        line += breaks + 1
        at += 1
        rows += 1
    return rows, min(at, stop), line, arena, FULL if rows == len(fields) else MORE


@kernel()
def hash_spans(
    buffer: Bytes, starts: Int64, stops: Int64, begin: int, slots: Int32, hashes: NDArray[np.uint64], arena: Bytes,
    ends: Int64, n_distinct: int, codes: Int32,
) -> tuple[int, int]:
    """Code spans begin ... by order of first sight (an empty span is -1); stop early when a table is full.

    slots (power of two,) int32: code + 1 or 0; hashes: FNV-1a of each code; arena and ends (n + 1,): the bytes of each.
    Returns (first span not coded yet, number of distinct texts).
    """
    mask = np.uint64(len(slots) - 1)
    limit = min(len(slots) // 2, len(hashes), len(ends) - 1)
    for i in range(begin, len(starts)):
        length = stops[i] - starts[i]
        if length <= 0:
            codes[i] = -1
            continue
        h = np.uint64(0xCBF29CE484222325)
        for at in range(starts[i], stops[i]):
            h = (h ^ np.uint64(buffer[at])) * np.uint64(0x100000001B3)
        h ^= h >> np.uint64(32)
        place = h & mask
        code = -1
        while slots[place] != 0:
            known = slots[place] - 1
            if hashes[known] == h and ends[known + 1] - ends[known] == length:
                same = True
                for k in range(length):
                    if arena[ends[known] + k] != buffer[starts[i] + k]:
                        same = False
                        break
                if same:
                    code = known
                    break
            place = (place + np.uint64(1)) & mask
        if code < 0:
            used = ends[n_distinct]
            if n_distinct >= limit or used + length > len(arena):
                return i, n_distinct
            for k in range(length):
                arena[used + k] = buffer[starts[i] + k]
            code = n_distinct
            hashes[code] = h
            n_distinct += 1
            ends[n_distinct] = used + length
            slots[place] = n_distinct
        codes[i] = code
    return len(starts), n_distinct


@kernel()
def fill_slots(hashes: NDArray[np.uint64], n_distinct: int, slots: Int32) -> None:
    """Enter codes 0 ... n_distinct - 1 into an empty table."""
    mask = np.uint64(len(slots) - 1)
    for code in range(n_distinct):
        place = hashes[code] & mask
        while slots[place] != 0:
            place = (place + np.uint64(1)) & mask
        slots[place] = code + 1


@kernel()
def fixed_stops(buffer: Bytes, width: int, stops: Int64) -> None:
    """stops[i]: end of the i-th text of `width` bytes without the NULs that fill it."""
    for i in range(len(stops)):
        stop = (i + 1) * width
        while stop > i * width and buffer[stop - 1] == 0:
            stop -= 1
        stops[i] = stop


@kernel()
def parse_decimals(
    buffer: Bytes, starts: Int64, stops: Int64, whole: Int64, nanos: Int64, status: Bytes
) -> None:
    """Spans such as -12 or 1430623510.25, spaces around allowed, as whole (towards zero) and billionths.

    status: FINE, EMPTY or WRONG. At most 18 digits before the point; digits after the ninth are cut.
    """
    for i in range(len(starts)):
        at, stop = starts[i], stops[i]
        while at < stop and buffer[at] == 32:
            at += 1
        while stop > at and buffer[stop - 1] == 32:
            stop -= 1
        whole[i], nanos[i] = 0, 0
        if at == stop:
            status[i] = EMPTY
            continue
        negative = buffer[at] == 45
        at += int(negative)
        value, digits, fraction, scale = 0, 0, 0, 1_000_000_000
        good = True
        point = False
        while at < stop:
            digit = int(buffer[at]) - 48
            if digit == -2 and not point:
                point = True
            elif digit < 0 or digit > 9:
                good = False
                break
            elif point:
                scale //= 10
                fraction += digit * scale
            else:
                value = value * 10 + digit
                digits += 1
                if digits > 18:
                    good = False
                    break
            at += 1
        good = good and digits > 0
        status[i] = FINE if good else WRONG
        if good:
            whole[i] = -value if negative else value
            nanos[i] = -fraction if negative else fraction


@kernel()
def _two_digits(buffer: Bytes, at: int, stop: int) -> int:
    """Number of the two digits at `at`, or -1000."""
    if at + 2 > stop:
        return -1000
    a, b = int(buffer[at]) - 48, int(buffer[at + 1]) - 48
    return a * 10 + b if 0 <= a <= 9 and 0 <= b <= 9 else -1000


@kernel()
def _date_us(buffer: Bytes, at: int, stop: int) -> int:
    """Microseconds of the date YYYY-MM-DD at `at`, or -2**63. Days of the civil calendar after Hinnant 2013."""
    year = _two_digits(buffer, at, stop) * 100 + _two_digits(buffer, at + 2, stop)
    month, day = _two_digits(buffer, at + 5, stop), _two_digits(buffer, at + 8, stop)
    if year < 1 or month < 1 or month > 12 or day < 1 or buffer[at + 4] != 45 or buffer[at + 7] != 45:
        return -(2**63)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = 28 + leap if month == 2 else 30 if month in (4, 6, 9, 11) else 31
    if day > days:
        return -(2**63)
    y = year - (month <= 2)
    era = y // 400
    year_of_era = y - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return (era * 146_097 + day_of_era - 719_468) * 86_400_000_000


@kernel()
def _clock(buffer: Bytes, at: int, stop: int) -> tuple[int, int]:
    """(microseconds of HH:MM[:SS[.fraction]] at `at`, place after it); -1 where it isn't one."""
    hour, minute, second, fraction = _two_digits(buffer, at, stop), _two_digits(buffer, at + 3, stop), 0, 0
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or buffer[at + 2] != 58:
        return -1, at
    at += 5
    if at < stop and buffer[at] == 58:
        second = _two_digits(buffer, at + 1, stop)
        if second < 0 or second > 59:
            return -1, at
        at += 3
        if at < stop and (buffer[at] == 46 or buffer[at] == 44):
            at += 1
            scale, digits = 1_000_000, 0
            while at < stop and 48 <= buffer[at] <= 57:
                scale //= 10
                fraction += (int(buffer[at]) - 48) * scale
                digits += 1
                at += 1
            if digits == 0:
                return -1, at
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction, at


@kernel()
def parse_iso_times(buffer: Bytes, starts: Int64, stops: Int64, us: Int64, status: Bytes) -> None:
    """Spans YYYY-MM-DD[(T or space)HH:MM[:SS[.fraction]][Z or +-HH[[:]MM]]] as microseconds since 1970 UTC.

    Without a zone: UTC. Digits after the sixth of the fraction are cut. status: FINE, EMPTY or WRONG.
    """
    for i in range(len(starts)):
        at, stop = starts[i], stops[i]
        us[i], status[i] = 0, WRONG
        if at == stop:
            status[i] = EMPTY
            continue
        if stop - at < 10:
            continue
        value = _date_us(buffer, at, stop)
        at += 10
        good = value != -(2**63)
        if good and at < stop:
            clock, at = _clock(buffer, at + 1, stop) if buffer[at] == 84 or buffer[at] == 32 else (-1, at)
            good = clock >= 0
            value += clock
            if good and at < stop:
                c = buffer[at]
                if c == 90 or c == 122:
                    at += 1
                elif c == 43 or c == 45:
                    hours, minutes = _two_digits(buffer, at + 1, stop), 0
                    at += 3
                    if at < stop:
                        at += int(buffer[at] == 58)
                        minutes = _two_digits(buffer, at, stop)
                        at += 2
                    good = 0 <= hours <= 23 and 0 <= minutes <= 59
                    value -= (44 - int(c)) * (hours * 60 + minutes) * 60_000_000
        if good and at == stop:
            us[i], status[i] = value, FINE


@kernel()
def gather_views(views: Bytes, which: int, data: Bytes, out: Bytes, offsets: Int64) -> None:
    """Copy Arrow string views (16 bytes each) whose bytes lie in data buffer `which` (-1: in the view) to out."""
    words = views.view(np.int32)
    for i in range(len(offsets) - 1):
        length = offsets[i + 1] - offsets[i]
        if length == 0:
            continue
        if length <= 12:
            if which == -1:
                for k in range(length):
                    out[offsets[i] + k] = views[16 * i + 4 + k]
        elif words[4 * i + 2] == which:
            at = np.int64(words[4 * i + 3])
            for k in range(length):
                out[offsets[i] + k] = data[at + k]
