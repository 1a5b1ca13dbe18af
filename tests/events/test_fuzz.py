"""A few mutated files of every format; `benchmarks/fuzz_readers.py --files 2000` reads many."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fuzz_readers


@pytest.mark.parametrize("form", fuzz_readers.FORMATS)
def test_mutated_files_are_read_with_counts_that_add_up_or_refused(form: str, tmp_path: Path) -> None:
    for library in ("openpyxl", "python_calamine", "zstandard"):
        pytest.importorskip(library)
    outcomes, _ = fuzz_readers.run(form, 4, 1, tmp_path)
    assert sum(outcomes.values()) == 4
    assert outcomes["kept/kept"] >= 1  # the first is as it was
