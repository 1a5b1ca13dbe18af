"""Publication of a run: its tables become a release, or nothing changes."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .._errors import GuardrailError, TableError
from .._protocols import Report
from ..events.log import EventLog
from ..events.log_report import LogReport
from ..events.prepared import PreparedCorpus
from ..quality.comparison import TableComparison
from ..quality.guardrails import Verdict, judge
from ..serving.releases import Release
from ..serving.store import TableStore
from ..serving.table import EmbeddingTable, check_metadata
from .config import PipelineConfig
from .refits import KEY, as_metadata, kept_refits
from .stages import Run

TABLES = ("tokens", "items", "customers")  # in the order of publication: readers start from the last


@dataclass(frozen=True)
class LogSource:
    """What is published about the log of a run: the report of its rows, and a fingerprint of what was learned from."""

    report: LogReport | None
    fingerprint: str


def publish_tables(
    tables: Mapping[str, EmbeddingTable], store: TableStore, *, config: PipelineConfig, log: LogSource,
    force: tuple[str, str] | None, refits: list[TableComparison], run: Run,
) -> tuple[Verdict, Release]:
    """The verdict on the items, which holds for all tables of the run, and the release.

    A failing verdict without `force` is a GuardrailError that lists the changed settings and how to force. This run is
    judged by the previous run's refits; `refits` are kept for the next run.
    """
    with run.stage("guardrails") as kept:
        previous = _previous(store)
        tables["items"].metadata[KEY] = as_metadata(refits)
        verdict = judge(
            tables["items"], previous, refits=kept_refits(previous), random_state=config.seed, workers=config.workers
        )
        kept["report"] = "".join([verdict.status, *(f"\n{reason}" for reason in verdict.reasons)])
    if verdict.status == "fail" and force is None:
        raise GuardrailError(_refusal(verdict, previous, config), verdict.as_dict())
    with run.stage("publish") as kept:
        release = store.releases.publish(
            tables, report=verdict, parameters=asdict(config), seed=config.seed, input_fingerprint=log.fingerprint,
            forced_by=force and force[0], force_reason=force and force[1], run=run_report(log, run),
        )
        kept["report"] = str(release)
    return verdict, release


def run_report(log: LogSource, run: Run) -> dict[str, Any]:
    """What a machine should read about a run so far: what became of the log's rows, and each stage."""
    return {
        "log": None if log.report is None else log.report.as_dict(),
        "stages": [
            {"name": s.name, "seconds": round(s.seconds, 3),
             "report": s.report.as_dict() if isinstance(s.report, Report) else s.report and str(s.report)}
            for s in run.stages
        ],
    }


def _refusal(verdict: Verdict, previous: EmbeddingTable | None, config: PipelineConfig) -> str:
    reasons = sorted(map(str, verdict.reasons))  # "fail: ..." before "warn: ..."
    settings = ""
    if previous is not None:
        changed = changed_settings(previous.metadata.get("config"), config)
        settings = f" No setting differs from those of items {previous.version}."
        if changed:
            listed = ", ".join(f"{name} {old!r} -> {new!r}" for name, (old, new) in changed.items())
            settings = f" Settings that differ from those of items {previous.version}: {listed}."
    force = "If this is intended, --force WHY (in Python force=(who, why)) publishes anyway and records it."
    others = f" Also {'; '.join(reasons[1:5])}." if len(reasons) > 1 else ""
    return f"The guardrails failed, and nothing was published: {reasons[0]}.{settings} {force}{others}"


def changed_settings(recorded: Any, config: PipelineConfig) -> dict[str, tuple[Any, Any]]:
    """{setting: (recorded, now)} where a published configuration and this one differ; {} where none is recorded.

    `workers` changes no result and isn't compared, nor are settings that the older version didn't have. Of a mapping
    only the keys that differ are named.
    """
    found: dict[str, tuple[Any, Any]] = {}
    if not isinstance(recorded, dict):
        return found
    for name, new in check_metadata(asdict(config)).items():
        old = recorded.get(name)
        if name == "workers" or name not in recorded or old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            keys = [key for key in old | new if (key in old, old.get(key)) != (key in new, new.get(key))]
            found |= {f"{name}[{key!r}]": (old.get(key, key), new.get(key, key)) for key in keys}
        else:
            found[name] = (old, new)
    return found


def _previous(store: TableStore) -> EmbeddingTable | None:
    """The items published before this run."""
    try:
        return store.open("items") if _has(store, "items") else None
    except TableError as error:
        raise TableError(
            f"{error} Nothing was published, for there is no table to judge the new one by: `traitcore store repair "
            f"--store {shlex.quote(str(store.root))}` makes the newest whole version the latest."
        ) from error


def _has(store: TableStore, name: str) -> bool:
    return (store.root / name / "LATEST").exists()


def log_source(log: EventLog | PreparedCorpus) -> LogSource:
    """Of a log in memory, or prepared on disk."""
    return LogSource(log.report, log_fingerprint(log))


def log_fingerprint(log: EventLog | PreparedCorpus) -> str:
    """sha256 over the coded events and ids: equal logs, equal fingerprint. Of a prepared corpus: over its files."""
    if isinstance(log, PreparedCorpus):
        return log.fingerprint
    digest = hashlib.sha256()
    for name in ("item", "user", "action", "timestamp_us", "session", "position"):
        column = getattr(log, name)
        if column is not None:
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(column).tobytes())
    for ids in (log.item_ids, log.user_ids, log.session_ids):
        if ids is not None:
            digest.update(ids.tobytes() if ids.dtype.kind == "i" else "\0".join(ids.tolist()).encode())
    digest.update("\0".join(log.actions).encode())
    return digest.hexdigest()
