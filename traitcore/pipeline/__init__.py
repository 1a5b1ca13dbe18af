"""The whole way: event log -> sessions -> tokens -> item vectors -> customers -> traits -> published tables.

It owns no maths: each stage is a call into its room. What a stage left out is in its report, and all reports are in
the result and in what is published.
"""

from .config import PipelineConfig
from .corpus import prepare_corpus
from .fit import PipelineResult, fit_pipeline, make_embedder
from .publish import TABLES
from .stages import Stage
from .tables import vocabulary_of

__all__ = [
    "TABLES", "PipelineConfig", "PipelineResult", "Stage", "fit_pipeline", "make_embedder", "prepare_corpus",
    "vocabulary_of",
]  # fmt: skip
