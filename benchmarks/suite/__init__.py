"""asv classes, and the simulated corpora that tests and comparisons share."""

import sys
from pathlib import Path

# asv imports this folder as the top-level package "suite"; what it shares with benchmarks/compare needs the root too.
_ROOT = str(Path(__file__).resolve().parents[2])
if _ROOT not in sys.path:
    sys.path.append(_ROOT)
