"""The architecture as a test: the order of the rooms, who imports the native core, which file tests which module."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import traitcore

PACKAGE = Path(traitcore.__file__).parent
# `spark` runs the rooms before it in a cluster's workers and ends in the pipeline's tables; nothing imports it.
# `report` makes a page of plain facts and knows no tables; `shop` collects the facts, answers questions of a run's
# tables, and is all that `cli` asks: so both stand between the run and the command line.
ROOMS = [
    "events", "factorization", "items", "customers", "serving", "quality", "pipeline", "spark", "report", "shop", "cli",
]
GROUND = {
    "_errors", "_frames", "_looks", "_validate", "_params", "_transformer", "_parallel", "_rows", "_kernels", "_core",
    "_progress", "_files", "_protocols", "_csr", "_disk", "_npy", "_manifest", "_assignment",
}
# What the ground floor may import of ours: kernels and the native core nothing but themselves.
GROUND_MAY = {
    "_validate": {"_errors", "_frames", "_parallel", "_csr"},
    "_csr": {"_parallel", "_core"},
    "_frames": set(),
    "_looks": {"_frames"},
    "_transformer": {"_errors", "_frames", "_params", "_validate"},
    "_params": {"_errors", "_looks"},
    "_parallel": {"_errors"},
    "_kernels": {"_kernels"},
    "_progress": {"_errors"},
    "_protocols": {"_progress"},
    "_disk": {"_errors", "_npy", "_validate"},
    "_manifest": {"_errors"},
}


def imports_of(path: Path) -> set[str]:
    """Top-level names inside traitcore that a module imports, anywhere in it, lazily or not."""
    package = list(path.relative_to(PACKAGE).parts[:-1])
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                parts = base + (node.module.split(".") if node.module else [])
                found |= {parts[0]} if parts else {alias.name for alias in node.names}
            elif node.module and node.module.split(".")[0] == "traitcore":
                parts = node.module.split(".")[1:]
                found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {parts[1] for parts in names if parts[0] == "traitcore" and len(parts) > 1}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_left(path: Path) -> None:
    room = room_of(path)
    imported = imports_of(path) - {"__version__", "get_cmake_dir", "get_include"}
    if room == "__main__":
        assert imported <= {"cli"}
    elif room in GROUND:
        assert imported <= GROUND_MAY.get(room, set())
    else:
        allowed = set(ROOMS[: ROOMS.index(room) + 1]) | GROUND
        assert imported <= allowed, f"{room} reaches to its right: {sorted(imported - allowed)}"


def modules_imported_by(path: Path) -> set[Path]:
    """Modules of ours that a module imports when it is itself imported: not inside functions, not for types only."""
    found: set[Path] = set()
    package = path.parent
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package
            for _ in range(node.level - 1):
                base = base.parent
            base = base.joinpath(*(node.module.split(".") if node.module else []))
            found |= {base.with_suffix(".py"), *(base / f"{alias.name}.py" for alias in node.names)}
    return {one for one in found if one.exists()}


def test_no_module_imports_itself_by_way_of_others() -> None:
    after = {path: modules_imported_by(path) for path in MODULES}
    assert sum(map(len, after.values())) > 200
    while leaves := [path for path, imported in after.items() if not imported & set(after)]:
        for path in leaves:
            del after[path]
    assert not after, f"in a circle, or behind one: {sorted(str(path.relative_to(PACKAGE)) for path in after)}"


# Each native kernel has one Python module that calls it.
CALLERS_OF_THE_CORE = {
    "_csr.py", "events/arrow.py", "events/coded.py", "events/ids.py", "events/occurrences.py", "events/sessions.py",
    "events/timestamps.py", "events/tokens.py", "factorization/eigen.py", "factorization/engine.py",
    "factorization/products.py", "factorization/starts.py", "factorization/svd.py", "items/cooccurrence.py",
    "items/count_parts.py", "items/graph.py", "items/next_item_live.py", "items/next_item_model.py", "items/ppmi.py",
    "items/sgns_trainer.py", "customers/pooling.py", "serving/live_customers.py", "serving/live_traits.py",
    "serving/neighbors.py",
}


def test_only_these_modules_import_the_native_core() -> None:
    assert {str(p.relative_to(PACKAGE)) for p in MODULES if "_core" in imports_of(p)} == CALLERS_OF_THE_CORE


# Tests mirror the tree: tests/<room>/test_<module>.py tests traitcore/<room>/<module>.py. These modules have no file of
# their own; the file named (in the room's folder of tests) tests them.
TESTED_IN = {
    "events/occurrences.py": "test_tokens.py",
    "events/array_files.py": "test_prepared.py",
    "events/array_likes.py": "test_log.py",
    "events/arrow.py": "test_log.py",
    "events/buckets.py": "test_prepared.py",
    "events/coded.py": "test_tokens.py",
    "events/columns.py": "test_log.py",
    "events/corpus.py": "test_tokens.py",
    "events/csv_records.py": "test_readers.py",
    "events/csv_source.py": "test_readers.py",
    "events/disk_parts.py": "test_prepared.py",
    "events/duck.py": "test_readers.py",
    "events/excel_source.py": "test_readers.py",
    "events/file_blocks.py": "test_readers.py",
    "events/followed.py": "../cli/test_follow.py",
    "events/id_coder.py": "test_readers.py",
    "events/id_text.py": "test_readers.py",
    "events/item_texts.py": "test_log.py",
    "events/json_source.py": "test_readers.py",
    "events/ids.py": "test_log.py",
    "events/log_builder.py": "test_readers.py",
    "events/log_plan.py": "../pipeline/test_prepare.py",
    "events/log_report.py": "test_readers.py",
    "events/parquet_source.py": "test_readers.py",
    "events/partition.py": "test_prepared.py",
    "events/reading.py": "test_readers.py",
    "events/session_report.py": "test_sessions.py",
    "events/set_aside.py": "test_readers.py",
    "events/source_files.py": "test_readers.py",
    "events/spilled_columns.py": "test_prepared.py",
    "events/text_table.py": "test_readers.py",
    "events/time_column.py": "test_timestamps.py",
    "events/simulated_catalogue.py": "test_simulate.py",
    "factorization/engine.py": "test_descent.py",
    "factorization/lanczos.py": "test_svd.py",
    "factorization/products.py": "test_svd.py",
    "factorization/result.py": "test_nmf.py",
    "factorization/svd_operators.py": "test_svd.py",
    "factorization/svd_result.py": "test_svd.py",
    "items/content_map.py": "test_fusion.py",
    "items/count_parts.py": "test_cooccurrence.py",
    "items/merge_counts.py": "test_cooccurrence.py",
    "items/next_item_encoder.py": "test_next_item_model.py",
    "items/next_item_queries.py": "test_next_item_blend.py",
    "items/next_item_ranking.py": "test_next_item_model.py",
    "items/next_item_training.py": "test_next_item_model.py",
    "items/sgns_report.py": "test_sgns.py",
    "customers/counts_recipe.py": "test_traits.py",
    "customers/recipes.py": "test_traits.py",
    "customers/tuning.py": "test_spectral.py",
    "serving/manifest.py": "test_store_corruption.py",
    "serving/next_model.py": "../pipeline/test_next_choice.py",
    "serving/publication.py": "test_store.py",
    "serving/published_version.py": "test_store.py",
    "serving/ranking.py": "test_recommend.py",
    "serving/row_ids.py": "test_table.py",
    "quality/comparison.py": "test_guardrails.py",
    "quality/n_traits.py": "test_traits.py",
    "quality/trait_coherence.py": "test_traits.py",
    "quality/trait_prediction.py": "test_traits.py",
    "quality/trait_stability.py": "test_traits.py",
    "pipeline/catalogue.py": "test_fit.py",
    "pipeline/config.py": "test_fit.py",
    "pipeline/corpus.py": "test_fit.py",
    "pipeline/left_out.py": "test_coverage.py",
    "pipeline/publish.py": "test_fit.py",
    "pipeline/refits.py": "test_live_from_tokens.py",
    "pipeline/stages.py": "test_fit.py",
    "pipeline/tables.py": "test_fit.py",
    "report/charts.py": "test_page.py",
    "report/colours.py": "test_page.py",
    "report/facts.py": "test_page.py",
    "report/glossary.py": "test_page.py",
    "shop/answers.py": "test_shop.py",
    "shop/cautions.py": "test_survey.py",
    "shop/drift.py": "test_survey.py",
    "shop/evaluation.py": "test_front.py",
    "shop/items.py": "test_shop.py",
    "shop/people.py": "test_shop.py",
    "shop/recommending.py": "test_shop.py",
    "shop/search.py": "test_shop.py",
    "shop/tables.py": "test_shop.py",
    "spark/count_task.py": "test_tasks.py",
    "spark/customer_task.py": "test_counts.py",
    "spark/customers.py": "test_counts.py",
    "spark/encode_task.py": "test_tasks.py",
    "spark/engine.py": "test_corpus.py",
    "spark/events.py": "test_corpus.py",
    "spark/fit.py": "test_counts.py",
    "spark/log_chunks.py": "test_tasks.py",
    "spark/session_task.py": "test_tasks.py",
    "spark/vocabularies.py": "test_tasks.py",
    "spark/wire.py": "test_tasks.py",
    "cli/verify.py": "../pipeline/test_verify.py",
}
TESTS = Path(__file__).parent


def test_every_module_has_a_test_file_of_its_name_or_is_listed() -> None:
    modules = [p.relative_to(PACKAGE) for p in MODULES if p.parent.name in ROOMS and p.name != "__init__.py"]
    without = {str(m) for m in modules if not (TESTS / m.parent / f"test_{m.name}").exists()}
    assert without == set(TESTED_IN), "add the test file, or correct TESTED_IN"
    for module, file in TESTED_IN.items():
        assert (TESTS / Path(module).parent / file).exists(), f"{module}: {file} is missing"


def test_no_kernel_uses_parallel_numba() -> None:
    for path in (PACKAGE / "_kernels").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "parallel":
                raise AssertionError(f"{path.name}:{node.value.lineno} sets parallel=")


def test_import_is_cheap_and_quiet() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import traitcore; t = time.perf_counter() - start;"
        "heavy = {'numba', 'scipy', 'numpy', 'llvmlite'} & set(sys.modules); print(t, sorted(heavy))"
    )
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split(maxsplit=1)
    assert out[1].strip() == "[]"


def test_every_public_name_resolves() -> None:
    for name in traitcore.__all__:
        assert getattr(traitcore, name) is not None
    assert set(traitcore.__all__) <= set(dir(traitcore))
