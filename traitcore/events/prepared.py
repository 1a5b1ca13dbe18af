"""A corpus prepared on disk: sequences, vocabulary and reports of a log that may be larger than memory.

The log is read once into buckets on disk (`partition.py`), each with whole customers. Each bucket is split into
sessions and coded as a log in memory is (`disk_parts.py`), and the parts are joined in order of the customers' ids. So
the result is that of `read_events`, `split_sessions` and `tokenize`, to the last byte, for any number of buckets.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _disk as disk
from .._errors import TableError
from .._progress import Progress
from .action_names import buying
from .array_files import (
    ArrayFile,
    map_array,
    map_ids,
    new_folder,
    read_manifest,
    write_array,
    write_ids,
    write_manifest,
)
from .coded import keep
from .corpus import TokenReport
from .disk_parts import DiskParts
from .log_plan import LogPlan, plan_files
from .log_report import LogReport, RejectedRows
from .partition import PartitionBuilder, PartitionedLog
from .readers import LogFiles
from .scratch import scratch_folder
from .sequences import Sequences
from .session_report import SessionReport
from .sessions import SessionRules, check_sessions
from .spilled_columns import ReadAgain
from .tokens import TokenRules
from .vocabulary import Vocabulary

_KIND = "traitcore corpus"
_PIECE = 1 << 20  # tokens renumbered at a time
SEQUENCES = "sequences"


@dataclass(frozen=True, eq=False)
class PreparedCorpus:
    """Sequences and their vocabulary in a folder, with the reports on all that became of the log's rows.

    Attributes
    ----------
    path : the folder. sequences : Sequences, mapped. vocabulary : Vocabulary.
    log_report, session_report, token_report : as of `read_events`, `split_sessions` and `tokenize`.
    settings : what the sessions and tokens were made by.
    bought : (customers, items as places in the third, ids of the log's items) of all that was bought, whether or not it
        became a token; None: no action means buying, or there are no customers.
    fingerprint : sha256 over the hashes of all files.

    See Also
    --------
    prepare_log : makes it. fit_pipeline : learns from it.

    Examples
    --------
    >>> import tempfile, traitcore as tc
    >>> folder = tempfile.mkdtemp()
    >>> tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0).log.to_csv(f"{folder}/events.csv")
    >>> made = tc.prepare_log(f"{folder}/events.csv", f"{folder}/corpus", min_count=2)
    >>> again = tc.PreparedCorpus.open(f"{folder}/corpus", verify=True)
    >>> len(again.sequences) == len(made.sequences), again.settings["min_count"]
    (True, 2)
    """

    path: Path
    sequences: Sequences
    vocabulary: Vocabulary
    log_report: LogReport
    session_report: SessionReport
    token_report: TokenReport
    settings: dict[str, Any]
    bought: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[Any]] | None = None
    fingerprint: str = ""

    @property
    def report(self) -> LogReport:
        """What became of the log's rows, by the name that an EventLog has for it."""
        return self.log_report

    @property
    def item_ids(self) -> NDArray[Any]:
        """Ids of the items that have tokens."""
        return self.vocabulary.item_ids

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the tokens' actions."""
        return self.vocabulary.actions

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: bool = False) -> PreparedCorpus:
        """What `prepare_log` wrote; TableError where it is damaged. verify : compare every file with its hash."""
        place = Path(path)
        with disk.Folder(place) as folder:
            fields = read_manifest(folder, _KIND)
            files = fields["files"]
            arrays = {file.removesuffix(".npy"): map_array(folder, file, files[file], verify=verify) for file in files}
            items = map_ids(folder, "log_items", files, verify=False)
            try:
                reports = fields["reports"]
                aside = {reason: RejectedRows(one["count"], tuple(one["first"]), tuple(one["files"]))
                         for reason, one in reports["log"]["set_aside"].items()}
                log = LogReport(**{**reports["log"], "set_aside": aside, "notes": tuple(reports["log"]["notes"])})
                sessions, tokens = SessionReport(**reports["sessions"]), TokenReport(**reports["tokens"])
            except (KeyError, TypeError) as error:
                raise TableError(f"{place} does not describe a corpus: {error}.") from error
        bought = None if items is None else (arrays["bought_owner"], arrays["bought_item"], items)
        own = {name.removeprefix("vocabulary_"): a for name, a in arrays.items() if name.startswith("vocabulary_")}
        digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode())
        with disk.Folder(place / SEQUENCES) as folder:
            digest.update(json.dumps(read_manifest(folder, "traitcore sequences")["files"], sort_keys=True).encode())
        return cls(
            place, Sequences.open(place / SEQUENCES, verify=verify), Vocabulary.from_arrays(own), log, sessions, tokens,
            fields["settings"], bought, digest.hexdigest(),
        )

    @classmethod
    def is_at(cls, path: str | os.PathLike[str]) -> bool:
        """Is the folder `path` a prepared corpus?"""
        try:
            with disk.Folder(Path(path)) as folder:
                return bool(read_manifest(folder, _KIND))
        except (TableError, OSError):
            return False


@dataclass(frozen=True)
class Preparing:
    """What `prepare_files` makes of a log: the parameters of `split_sessions` and `tokenize`, checked, and `settings`,
    which are recorded."""

    sessions: SessionRules
    kind: str
    action_map: Mapping[str, str | None] | None
    min_count: int
    min_length: int
    settings: dict[str, Any]


def prepare_files(
    asked: LogFiles, out: Path, how: Preparing, *, memory: int, scratch: str | os.PathLike[str] | None,
    progress: Progress | None, after: Vocabulary | None = None, n_buckets: int | None = None,
) -> PreparedCorpus:
    """Prepare the corpus of these files in the new folder `out`.

    after : the vocabulary that its own is added to. n_buckets : None: as the plan says.
    """
    if out.exists():
        raise FileExistsError(17, "there is something of this name already; name a new folder", os.fspath(out))
    plan = plan_files(asked, memory)
    plan.check(out, scratch)
    with scratch_folder(scratch) as work, new_folder(out) as made:
        log = partition(asked, work / "buckets", n_buckets or plan.n_buckets, plan, progress)
        os.mkdir(made / SEQUENCES)
        rules = TokenRules.of(log.actions if log.actions else None, how.kind, how.action_map)
        bought = [log.actions.index(name) for name in buying(log.actions, how.action_map)]
        parts = DiskParts(work / "parts", made / SEQUENCES, log, how.sessions, rules, plan.most_rows, bought, progress)
        kept = keep(parts, how.min_count, how.min_length, how.sessions.workers,
                    seen=lambda: check_sessions(parts.report(), how.sessions, stacklevel=5))
        corpus = rules.corpus(kept, parts.owner_ids, log.item_ids, log.item_texts, parts.pair_ids())
        files, vocabulary = parts.files, corpus.vocabulary
        if after is not None:
            vocabulary = after.extended(vocabulary)
            rows = vocabulary.rows_from(corpus.vocabulary)
            files = files | {"tokens.npy": _renumbered(made / SEQUENCES / "tokens.npy", corpus.sequences.tokens, rows)}
        if corpus.sequences.owner_ids is not None:
            files = files | write_ids(made / SEQUENCES, "owner_ids", corpus.sequences.owner_ids)
        write_manifest(made / SEQUENCES, "traitcore sequences", files)
        arrays = {f"vocabulary_{name}": array for name, array in vocabulary.to_arrays().items()}
        more: dict[str, dict[str, Any]] = {}
        if parts.bought_pairs is not None:
            arrays |= dict(zip(("bought_owner", "bought_item"), parts.bought_pairs))
            more = write_ids(made, "log_items", log.item_ids)
        reports = {"log": log.report.as_dict(), "sessions": parts.report().as_dict(), "tokens": corpus.report.as_dict()}
        write_manifest(
            made, _KIND,
            {f"{name}.npy": write_array(made / f"{name}.npy", array) for name, array in arrays.items()} | more,
            reports=json.loads(json.dumps(reports, default=_plain)), settings=how.settings,
        )
    return PreparedCorpus.open(out)


def _renumbered(path: Path, tokens: NDArray[np.int32], rows: NDArray[np.int32]) -> dict[str, Any]:
    """Write tokens, which are those of the file `path`, by their new rows in its place; the manifest's entry."""
    new = path.with_name("renumbered.npy")
    file = ArrayFile(new, np.int32, len(tokens))
    with contextlib.closing(file):
        for start in range(0, len(tokens), _PIECE):
            file.write(rows[tokens[start : start + _PIECE]])
        entry = file.entry()
    os.replace(new, path)
    return entry


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is not for JSON")


def partition(
    asked: LogFiles, folder: Path, n_buckets: int, plan: LogPlan, progress: Progress | None
) -> PartitionedLog:
    """Read the files into buckets; once more where their first rows say something else of the times than all do."""
    known: ReadAgain | None = None
    with asked.opened(progress, memory_mb=plan.duckdb_mb, scratch=folder.parent) as opened:
        while True:
            place = folder.with_name(f"{folder.name}-{'first' if known is None else 'again'}")
            builder = asked.builder(PartitionBuilder, opened, folder=place, n_buckets=n_buckets, known=known)
            opened.read(builder)
            try:
                return builder.finish_partition(asked.action_value)
            except ReadAgain as again:
                known = again
                builder.discard()
