"""What a first call waits for: numba is imported for the names listed in benchmarks/compare/first_call.py alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# None in sys.modules makes an import fail.
CODE = """
import contextlib, io, sys, warnings
sys.modules["numba"] = None
warnings.simplefilter("ignore")
from benchmarks.compare import first_call
needing = set()
for name in first_call.names():
    names = {}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for source, _ in first_call.statements_of(name):
                exec(compile(source, "example", "single"), names)
    except ImportError as error:
        assert "numba" in str(error), error
        needing.add(name)
print(*sorted(needing ^ first_call.COMPILED))
"""


def test_numba_is_imported_for_the_listed_names_alone() -> None:
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", CODE], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], "correct COMPILED, or import numba where it is used"
