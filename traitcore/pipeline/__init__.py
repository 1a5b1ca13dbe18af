"""The whole way: event log -> sessions -> tokens -> item vectors -> customers -> traits -> published tables.

It owns no maths: each stage is a call into its room. What a stage left out is in its report, and all reports are in
the result and in what is published.
"""

from .catalogue import Catalogue, read_catalogue
from .config import PipelineConfig
from .corpus import TokenizedLog, prepare_corpus
from .fit import PipelineResult, fit_pipeline, make_embedder
from .live_from_tokens import live_customers
from .next_choice import recorded_choice
from .publish import TABLES
from .stages import Stage
from .tables import vocabulary_of

__all__ = [
    "TABLES", "Catalogue", "PipelineConfig", "PipelineResult", "Stage", "TokenizedLog", "fit_pipeline",
    "live_customers", "make_embedder", "prepare_corpus", "read_catalogue", "recorded_choice", "vocabulary_of",
]  # fmt: skip
