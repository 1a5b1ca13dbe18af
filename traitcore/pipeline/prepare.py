"""prepare_log: a log that may be larger than memory, as a corpus on disk that `fit_pipeline` learns from."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from .._progress import Progress
from .._validate import Checks
from ..events.log_plan import LogPlan, plan_files
from ..events.prepared import PreparedCorpus, Preparing, prepare_files
from ..events.readers import LogFiles
from ..events.sessions import SessionRules
from .config import PREPARED_BY, PipelineConfig

CHECK = Checks("prepare_log")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
StrPath = str | os.PathLike[str]


def prepare_log(
    path: StrPath | Sequence[StrPath],
    out: StrPath,
    *,
    memory: int | str = "2GB",
    scratch: StrPath | None = None,
    after: PreparedCorpus | None = None,
    config: PipelineConfig | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> PreparedCorpus:
    """Read a log into sessions and tokens on disk, in bounded memory, for `fit_pipeline`.

    Sequences, vocabulary and reports are those of `read_events`, `split_sessions` and `tokenize`, to the last byte. The
    log is read once and goes to `scratch` in pieces that each hold whole customers. A single customer with more events
    than a piece still needs memory for all of them, some 100 bytes each; so do the items, and ids that are text.

    Parameters
    ----------
    path : as of `read_events`. out : the folder to make; there must be nothing of this name.
    memory : bytes that the process may take, or "2GB", "800MB". Mapped files are not counted: the system takes their
        memory back as it needs it.
    scratch : where to keep the log meanwhile, some 40 bytes an event; None: the system's folder for temporary files.
        What is there is removed at any end. A run that was killed leaves its folder, which the next one names and
        removes.
    after : a PreparedCorpus of the log so far, where this log is what came since, such as a day. Its tokens keep their
        rows, new ones follow, and the vocabulary counts both. So counts of the two corpora (`count_cooccurrences`)
        merge (`merge_counts`) to those of the whole, exactly, if no session goes on from one into the other and
        min_count is 1.
    config : PipelineConfig, of which sessions and tokens are made; None: its defaults.
    options : changes to it, by name, and the other parameters of `read_events`.

    Raises
    ------
    InputError : the log can't be read, or no session is left; the memory or a disk is too small; a file changed while
        it was read. FileExistsError : `out` is there already. OSError : a disk is full. Nothing is then left of `out`.

    See Also
    --------
    plan_log : what it will take. PreparedCorpus.open : opens what it made.

    Examples
    --------
    >>> import tempfile, traitcore as tc
    >>> folder = tempfile.mkdtemp()
    >>> tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0).log.to_csv(f"{folder}/events.csv")
    >>> corpus = tc.prepare_log(f"{folder}/events.csv", f"{folder}/corpus", memory="1GB")
    >>> corpus.sequences.n_tokens == corpus.token_report.tokens
    True
    """
    asked, how = _how(*_asked(path, config, options))
    known = None if after is None else CHECK.instance("after", after, PreparedCorpus).vocabulary
    return prepare_files(
        asked, Path(out).expanduser(), how, memory=memory_bytes(memory), scratch=scratch, progress=progress, after=known
    )


def plan_log(path: StrPath | Sequence[StrPath], *, memory: int | str = "2GB", **options: Any) -> LogPlan:
    """What `prepare_log` with these arguments will take: events, buckets, disk and time, from a quick look.

    Raises InputError where the memory is too little; the message says how much would do.

    Examples
    --------
    >>> import tempfile, traitcore as tc
    >>> path = f"{tempfile.mkdtemp()}/events.csv"
    >>> tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0).log.to_csv(path)
    >>> tc.plan_log(path, memory="1GB").n_buckets
    1
    """
    asked, _ = _asked(path, None, options)
    return plan_files(asked, memory_bytes(memory))


def memory_bytes(memory: int | str) -> int:
    """Bytes of "2GB", "800 MB", "1.5g" or an int."""
    if isinstance(memory, str):
        found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:I?B)?\s*", memory.upper())
        if found is None:
            raise CHECK.value_error("memory", "bytes as an int, or a text such as '2GB' or '800MB'", memory)
        return int(float(found[1]) * _UNITS[found[2]])
    return CHECK.integer("memory", memory, 1, 2**62)


def _asked(
    path: StrPath | Sequence[StrPath], config: PipelineConfig | None, options: dict[str, Any]
) -> tuple[LogFiles, PipelineConfig]:
    """The files, and the configuration; `options` are of either."""
    learning = {field.name for field in fields(PipelineConfig)}
    config = (PipelineConfig() if config is None else config).with_options(
        {name: value for name, value in options.items() if name in learning}
    )
    config.check()
    return LogFiles.checked(CHECK, path, **{n: value for n, value in options.items() if n not in learning}), config


def _how(asked: LogFiles, config: PipelineConfig) -> tuple[LogFiles, Preparing]:
    """As `prepare_corpus` does it for a log in memory."""
    names = asked.names
    if config.customers == "sessions" and "session" in names:
        names = {**names, "user": names["session"]}
        asked = replace(asked, names=names)
    options = config.session_options(
        times="timestamp" in names, users="user" in names, sessions="session" in names
    )
    rules = SessionRules.checked(**options, workers=config.workers)
    settings = {name: getattr(config, name) for name in PREPARED_BY}
    return asked, Preparing(rules, config.tokens, config.action_map, config.min_count, 1, settings)
