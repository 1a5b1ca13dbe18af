"""Rows of a log in files on disk, by a hash of whose they are: each file holds whole customers, and fits into memory.

A bucket is one file of records. A record is a number of rows and then their columns, one after the other, as raw
numbers. Texts that are ids lie in a second file, each text once in every record that has it; rows point at them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ids import chain_hashes, code_integers

# A hash of its own: rows of one bucket, split again, must not all go into one part again.
_SALTS = np.arange(1, 33, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
_Columns = dict[str, NDArray[Any]]


def bucket_of(hashes: NDArray[np.uint64], n: int, level: int = 0) -> NDArray[np.uint16]:
    """(len(hashes),) bucket in [0, n) of each hashed key; another cut at each level."""
    mixed = chain_hashes(np.full(len(hashes), _SALTS[level]), hashes)
    return ((mixed >> np.uint64(32)) * np.uint64(n) >> np.uint64(32)).astype(np.uint16)


class TextIds:
    """Ids that are texts, as UTF-8 end to end and the (n + 1,) ends of each, from 0."""

    def __init__(self, data: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, texts: list[str]) -> TextIds:
        """Encode texts."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        ends = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, encoded), dtype=np.int64, count=len(texts)), out=ends[1:])
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def texts(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Those of [start, stop) as strs."""
        ends = self.ends[start : (len(self) if stop is None else stop) + 1].tolist()
        raw = self.data[ends[0] : ends[-1]].tobytes() if ends else b""
        first = ends[0] if ends else 0
        if raw.isascii():
            text = raw.decode("ascii")
            return [text[a - first : b - first] for a, b in pairwise(ends)]
        return [raw[a - first : b - first].decode("utf-8", "surrogatepass") for a, b in pairwise(ends)]


class Buckets:
    """Files of rows in `folder`.

    columns : dtype of each column. text_ids : columns of which rows may point at texts; those are int64.
    """

    def __init__(self, folder: Path, n: int, columns: Mapping[str, Any], text_ids: tuple[str, ...]) -> None:
        self.folder, self.n = folder, n
        self.columns = {name: np.dtype(dtype) for name, dtype in columns.items()}
        self.text_ids = text_ids
        self.n_rows = np.zeros(n, dtype=np.int64)
        self._n_texts = {name: np.zeros(n, dtype=np.int64) for name in text_ids}
        os.makedirs(folder)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row on disk."""
        return sum(dtype.itemsize for dtype in self.columns.values())

    def append(
        self, bucket: NDArray[np.uint16], rows: Mapping[str, NDArray[Any]], texts: Mapping[str, TextIds]
    ) -> None:
        """Add rows. Of a column in `texts`, they are numbers of these texts."""
        order = np.argsort(bucket, kind="stable")
        edges = np.searchsorted(bucket[order], np.arange(self.n + 1))
        sorted_rows = {name: rows[name][order] for name in self.columns}
        for k in np.flatnonzero(np.diff(edges)).tolist():
            part = slice(int(edges[k]), int(edges[k + 1]))
            own = {name: column[part] for name, column in sorted_rows.items()}
            for name, known in texts.items():
                local, used = code_integers(own[name])
                own[name] = local.astype(np.int64) + self._n_texts[name][k]
                self._append_texts(k, name, known, used)
            with open(self._rows_file(k), "ab") as file:
                file.write(np.int64(part.stop - part.start).tobytes())
                for name, dtype in self.columns.items():
                    file.write(np.ascontiguousarray(own[name], dtype=dtype).data)
            self.n_rows[k] += part.stop - part.start

    def _append_texts(self, k: int, name: str, known: TextIds, used: NDArray[np.int64]) -> None:
        lengths = np.diff(known.ends)[used]
        ends = np.concatenate(([0], np.cumsum(lengths)))
        places = np.arange(int(ends[-1])) + np.repeat(known.ends[used] - ends[:-1], lengths)
        with open(self._texts_file(k, name), "ab") as file:
            file.write(np.array([len(used), ends[-1]], dtype=np.int64).tobytes())
            file.write(lengths.astype(np.int32).data)
            file.write(known.data[places].data)
        self._n_texts[name][k] += len(used)

    def read(self, k: int) -> dict[str, NDArray[Any]]:
        """The columns of a bucket."""
        out = {name: np.empty(int(self.n_rows[k]), dtype=dtype) for name, dtype in self.columns.items()}
        at = 0
        for n, file in self._records(k):
            for column in out.values():
                _fill(file, column[at : at + n])
            at += n
        return out

    def _records(self, k: int) -> Iterator[tuple[int, Any]]:
        """(rows of the next record, the file that they are to be read from) for each record."""
        if self.n_rows[k]:
            with open(self._rows_file(k), "rb", buffering=0) as file:
                while head := file.read(8):
                    yield int(np.frombuffer(head, dtype=np.int64)[0]), file

    def _pieces(self, k: int) -> Iterator[tuple[dict[str, NDArray[Any]], dict[str, TextIds]]]:
        """Records one by one, each with its own texts, which its rows then number from 0."""
        segments = {name: self._segments(k, name) for name in self.text_ids if self._n_texts[name][k]}
        before = dict.fromkeys(segments, 0)
        for n, file in self._records(k):
            columns = {name: np.empty(n, dtype=dtype) for name, dtype in self.columns.items()}
            for column in columns.values():
                _fill(file, column)
            known = {}
            for name, each in segments.items():
                known[name] = next(each)
                columns[name] -= before[name]
                before[name] += len(known[name])
            yield columns, known

    def _segments(self, k: int, name: str) -> Iterator[TextIds]:
        """The texts of each record."""
        with open(self._texts_file(k, name), "rb", buffering=0) as file:
            while head := file.read(16):
                n, size = np.frombuffer(head, dtype=np.int64).tolist()
                lengths, data = np.empty(n, dtype=np.int32), np.empty(size, dtype=np.uint8)
                _fill(file, lengths)
                _fill(file, data)
                yield TextIds(data, np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))))

    def texts(self, k: int, name: str) -> TextIds:
        """The texts that a column of bucket k points at; some are there more than once."""
        parts = list(self._segments(k, name)) if self._n_texts[name][k] else []
        lengths = [np.diff(part.ends) for part in parts]
        ends = np.concatenate(([0], np.cumsum(np.concatenate(lengths)))) if parts else np.zeros(1, dtype=np.int64)
        return TextIds(np.concatenate([np.zeros(0, dtype=np.uint8), *(part.data for part in parts)]), ends)

    def turn_to_texts(self, name: str) -> None:
        """Integers of a column become texts, in all buckets: an id came that isn't one."""
        for k in np.flatnonzero(self.n_rows).tolist():
            self._rewrite(k, lambda columns, known: {**known, name: _as_texts(columns, name)})

    def _rewrite(self, k: int, change: Callable[[_Columns, dict[str, TextIds]], dict[str, TextIds]]) -> None:
        """Each record of a bucket anew, changed in place, with the texts that `change` gives."""
        old = Buckets.__new__(Buckets)
        vars(old).update(vars(self))
        old.folder, old.n_rows = self.folder / f"{k:05d}-old", self.n_rows.copy()
        old._n_texts = {name: counts.copy() for name, counts in self._n_texts.items()}
        os.makedirs(old.folder)
        for file in self._files(k):
            if file.exists():
                os.rename(file, old.folder / file.name)
        self._forget(k)
        for columns, known in old._pieces(k):
            texts = change(columns, known)
            self.append(np.full(len(columns[next(iter(columns))]), k, dtype=np.uint16), columns, texts)
        shutil.rmtree(old.folder)

    def split(
        self, k: int, n: int, key_of: Callable[[_Columns, dict[str, TextIds]], NDArray[np.uint64]], level: int
    ) -> Buckets:
        """Bucket k as n buckets by another hash, record by record; nothing is left of it here.

        key_of : the hashes of a record's keys.
        """
        parts = Buckets(self.folder / f"{k:05d}-parts", n, self.columns, self.text_ids)
        for columns, known in self._pieces(k):
            parts.append(bucket_of(key_of(columns, known), n, level), columns, known)
        self.remove(k)
        return parts

    def _forget(self, k: int) -> None:
        self.n_rows[k] = 0
        for counts in self._n_texts.values():
            counts[k] = 0

    def remove(self, k: int) -> None:
        """Delete a bucket's files."""
        for file in self._files(k):
            file.unlink(missing_ok=True)
        self._forget(k)

    def _files(self, k: int) -> list[Path]:
        return [self._rows_file(k), *(self._texts_file(k, name) for name in self.text_ids)]

    def _rows_file(self, k: int) -> Path:
        return self.folder / f"{k:05d}.rows"

    def _texts_file(self, k: int, name: str) -> Path:
        return self.folder / f"{k:05d}.{name}"


def _fill(file: Any, array: NDArray[Any]) -> None:
    """Read a whole array."""
    view = memoryview(array.view(np.uint8).data)
    done = 0
    while done < len(view):
        got = file.readinto(view[done:])
        if not got:
            raise OSError(f"{file.name} ends early: it was changed by somebody else.")
        done += got


def _as_texts(columns: dict[str, NDArray[Any]], name: str) -> TextIds:
    codes, values = code_integers(columns[name])
    columns[name] = codes.astype(np.int64)
    return TextIds.of([str(value) for value in values.tolist()])
