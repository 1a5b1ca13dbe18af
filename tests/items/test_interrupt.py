"""Ctrl-C is heard within a moment: a signal sent to a process that is at work."""

from __future__ import annotations

import pytest

from tests.data.interrupts import interrupted

_START = """
import sys
import numpy as np
from traitcore import Sequences
from traitcore.items.cooccurrence import count_cooccurrences
from traitcore.items.sgns import train_sgns
from traitcore.items.sgns_counts import train_sgns_from_counts
from traitcore.items.sgns_options import SgnsOptions
n = 400_000  # every token in the window of every other: minutes of work
tokens = (np.arange(n) % 3).astype(np.int32)
seqs = Sequences(tokens, np.array([0, n]))
pairs = np.array([[0.0, 1], [1, 0]])
small = Sequences(tokens[:100], np.array([0, 100]))
"""
_JOBS = {
    "counts": "count_cooccurrences({seqs}, window=None)",
    "counts, 2 workers": "count_cooccurrences({seqs}, window=None, workers=2)",
    "weighted counts": "count_cooccurrences({seqs}, window=None, sequence_weights=np.ones(1))",
    "SGNS": "train_sgns({seqs}, SgnsOptions(window=None, sample=0.0))",
    "SGNS from counts": "train_sgns_from_counts(pairs * len({seqs}.tokens) ** 2)",
    "SGNS, 2 workers": "train_sgns({seqs}, SgnsOptions(window=None, sample=0.0, workers=2))",
}


@pytest.mark.parametrize("job", _JOBS)
def test_an_interrupt_ends_the_work(job: str) -> None:
    code = _JOBS[job]
    error = interrupted(_START, code.format(seqs="small"), code.format(seqs="seqs"))
    assert "KeyboardInterrupt" in error or "TrainingInterrupted" in error
