"""The pipeline: event log -> sessions -> tokens -> item vectors -> customers -> traits -> published tables.

It has no mathematics of its own: each stage calls one package. A stage's report counts what it dropped; all reports are
in the result and in the published metadata.
"""

from .catalogue import Catalogue, read_catalogue
from .config import PipelineConfig
from .corpus import TokenizedLog, prepare_corpus
from .coverage import Coverage
from .fit import PipelineResult, fit_pipeline, make_embedder, publish_result
from .left_out import LeftOut
from .live_from_tokens import live_customers
from .next_choice import recorded_choice
from .prepare import plan_log, prepare_log
from .publish import TABLES
from .stages import Stage
from .tables import vocabulary_of
from .verify import RunComparison, verify_run

__all__ = [
    "TABLES", "Catalogue", "Coverage", "LeftOut", "PipelineConfig", "PipelineResult", "RunComparison", "Stage",
    "TokenizedLog", "fit_pipeline", "live_customers", "make_embedder", "plan_log", "prepare_corpus", "prepare_log",
    "publish_result", "read_catalogue", "recorded_choice", "verify_run", "vocabulary_of",
]
