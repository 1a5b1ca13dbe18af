"""traitcore: from an event log to versioned item vectors and readable customer traits.

Names are loaded when first used, so `import traitcore` is cheap: no numba, no JIT, no threads.
"""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

# The public names, in the order of the rooms. A name's module is imported when the name is first used.
_PUBLIC_NAMES: dict[str, tuple[str, ...]] = {
    "_errors": ("ConvergenceWarning", "GuardrailError", "InputError", "NotFittedError", "TableError"),
    # 1. events
    "events.log": ("EventLog",),
    "events.readers": ("read_events",),
    "events.sessions": ("split_sessions",),
    "events.vocabulary": ("Vocabulary",),
    "events.sequences": ("Sequences",),
    "events.tokens": ("encode_tokens", "tokenize"),
    "events.pseudonyms": ("pseudonyms",),
    "events.simulate": ("simulate_events",),
    # 2. factorization
    "factorization.svd": ("randomized_svd", "svd_vectors"),
    "factorization.truncated_svd": ("TruncatedSVD",),
    "factorization.nmf": ("NMF", "factorize_nonnegative"),
    "factorization.fold_in": ("WeightSolver", "solve_weights"),
    "factorization.semi_nmf": ("factorize_semi_nonnegative",),
    # 3. items
    "items.cooccurrence": ("count_cooccurrences",),
    "items.merge_counts": ("merge_counts", "subtract_counts"),
    "items.ppmi": ("positive_pmi",),
    "items.sgns_options": ("SgnsOptions",),
    "items.sgns_trainer": ("SgnsTrainer",),
    "items.sgns": ("train_sgns",),
    "items.sgns_counts": ("train_sgns_from_counts",),
    "items.next_item": ("NextItemCounts",),
    "items.next_item_model": ("NextItemModel",),
    "items.next_item_blend": ("NextItemBlend",),
    "items.graph": ("ItemGraph", "build_item_graph", "graph_from_edges", "graph_from_matrix"),
    "items.graph_files": ("read_graph",),
    "items.walks": ("WalkCorpus", "random_walks"),
    "items.content": ("ContentEncoder", "content_features"),
    "items.content_map": ("fit_content_map",),
    "items.fusion": ("backfill_vectors", "fuse_vectors"),
    "items.item2vec": ("Item2Vec",),
    "items.ppmi_embedder": ("PPMIEmbedder",),
    "items.walk_embedder": ("WalkEmbedder",),
    # 4. customers
    "customers.pooling": ("customer_vectors",),
    "customers.attention": ("AttentionPooling",),
    "customers.traits": ("TraitModel",),
    "customers.describe": ("describe_traits",),
    "customers.trait_plot": ("plot_traits",),
    # 5. serving
    "serving.table": ("EmbeddingTable",),
    "serving.store": ("TableStore",),
    "serving.releases": ("Releases",),
    "serving.word2vec": ("from_gensim", "read_word2vec", "write_word2vec"),
    "serving.neighbors": ("top_k",),
    "serving.recall": ("measure_recall",),
    "serving.index": ("build_index", "open_index"),
    "serving.next_model": ("next_model_of",),
    "serving.recommend": ("find_similar_customers", "next_items", "product_affinity", "recommend_products"),
    "serving.live_customers": ("LiveCustomers",),
    # 6. quality
    "quality.retrieval": ("evaluate_retrieval",),
    "quality.traits": ("evaluate_traits",),
    "quality.n_traits": ("choose_n_traits",),
    "quality.guardrails": ("compare_tables", "judge"),
    # all of it
    "events.prepared": ("PreparedCorpus",),
    "pipeline.prepare": ("plan_log", "prepare_log"),
    "pipeline": ("fit_pipeline", "verify_run"),
    "pipeline.forget": ("forget_customers",),
    "shop.shop": ("Shop", "open_shop"),
    "shop.front": ("Fitted", "fit"),
    "shop.map_plot": ("plot_map",),
}
_MODULE_OF = {name: module for module, names in _PUBLIC_NAMES.items() for name in names}

__all__ = ["__version__", "get_cmake_dir", "get_include", *_MODULE_OF]

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_MODULE_OF))


def get_include() -> str:
    """Directory to put on a C++ compiler's include path: `#include <traitcore/sgns.hpp>` works from there."""
    return _native_folder("include", "traitcore/version.hpp")


def get_cmake_dir() -> str:
    """Directory for CMake's `-Dtraitcore_DIR=`: `find_package(traitcore)` then finds the headers of this package."""
    return _native_folder("cmake", "traitcoreConfig.cmake")


def _native_folder(name: str, file: str) -> str:
    installed = Path(__file__).parent / name
    folder = installed if installed.is_dir() else Path(__file__).parent.parent / "csrc" / name
    if not (folder / file).is_file():
        raise FileNotFoundError(f"traitcore's {name} files are missing: {folder} has no {file!r}.")
    return str(folder)
