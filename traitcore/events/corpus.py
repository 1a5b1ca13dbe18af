"""Corpus: what `tokenize` makes of sessions, with the report of what was left out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .._looks import html_facts
from .sequences import Sequences
from .vocabulary import Vocabulary


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

    def __repr__(self) -> str:
        r = self.report
        return f"Corpus({r.tokens:,} tokens of {r.vocabulary:,} kinds in {r.sequences:,} sequences)"

    def _repr_html_(self) -> str:
        return html_facts("Corpus", self.report.as_dict())
