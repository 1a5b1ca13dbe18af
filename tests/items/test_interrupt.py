"""Ctrl-C is heard within a moment: a signal sent to a process that is at work."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_START = """
import sys
import numpy as np
from traitcore import Sequences
from traitcore.items.cooccurrence import count_cooccurrences
from traitcore.items.sgns import train_sgns
from traitcore.items.sgns_options import SgnsOptions
n = 400_000  # every token in the window of every other: minutes of work
tokens = (np.arange(n) % 3).astype(np.int32)
seqs = Sequences(tokens, np.array([0, n]))
small = Sequences(tokens[:100], np.array([0, 100]))
"""
_JOBS = {
    "counts": "count_cooccurrences({seqs}, window=None)",
    "counts, 2 workers": "count_cooccurrences({seqs}, window=None, workers=2)",
    "weighted counts": "count_cooccurrences({seqs}, window=None, sequence_weights=np.ones(1))",
    "SGNS": "train_sgns({seqs}, SgnsOptions(window=None, sample=0.0))",
    "SGNS, 2 workers": "train_sgns({seqs}, SgnsOptions(window=None, sample=0.0, workers=2))",
}


@pytest.mark.parametrize("job", _JOBS)
def test_an_interrupt_ends_the_work(job: str) -> None:
    code = _JOBS[job]
    script = f"{_START}\n{code.format(seqs='small')}\nprint('begun', flush=True)\n{code.format(seqs='seqs')}\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "begun"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)  # far more than it takes, far less than the work
    finally:
        process.kill()
    assert "KeyboardInterrupt" in error or "TrainingInterrupted" in error
