# What `import traitcore` offers, for editors and type checkers: the names that __init__.py loads when first used.
# tests/test_public_names.py holds the two equal.

from ._errors import (
    ConvergenceWarning as ConvergenceWarning,
    GuardrailError as GuardrailError,
    InputError as InputError,
    NotFittedError as NotFittedError,
    TableError as TableError,
)
from .events.log import EventLog as EventLog
from .events.readers import read_events as read_events
from .events.sessions import split_sessions as split_sessions
from .events.vocabulary import Vocabulary as Vocabulary
from .events.sequences import Sequences as Sequences
from .events.tokens import (
    encode_tokens as encode_tokens,
    tokenize as tokenize,
)
from .events.pseudonyms import pseudonyms as pseudonyms
from .events.simulate import simulate_events as simulate_events
from .factorization.svd import (
    randomized_svd as randomized_svd,
    svd_vectors as svd_vectors,
)
from .factorization.truncated_svd import TruncatedSVD as TruncatedSVD
from .factorization.nmf import (
    NMF as NMF,
    factorize_nonnegative as factorize_nonnegative,
)
from .factorization.fold_in import (
    WeightSolver as WeightSolver,
    solve_weights as solve_weights,
)
from .factorization.semi_nmf import factorize_semi_nonnegative as factorize_semi_nonnegative
from .items.cooccurrence import count_cooccurrences as count_cooccurrences
from .items.merge_counts import merge_counts as merge_counts, subtract_counts as subtract_counts
from .items.ppmi import positive_pmi as positive_pmi
from .items.sgns_options import SgnsOptions as SgnsOptions
from .items.sgns_trainer import SgnsTrainer as SgnsTrainer
from .items.sgns import train_sgns as train_sgns
from .items.sgns_counts import train_sgns_from_counts as train_sgns_from_counts
from .items.next_item import NextItemCounts as NextItemCounts
from .items.next_item_model import NextItemModel as NextItemModel
from .items.next_item_blend import NextItemBlend as NextItemBlend
from .items.graph import (
    ItemGraph as ItemGraph,
    build_item_graph as build_item_graph,
    graph_from_edges as graph_from_edges,
    graph_from_matrix as graph_from_matrix,
)
from .items.graph_files import read_graph as read_graph
from .items.walks import (
    WalkCorpus as WalkCorpus,
    random_walks as random_walks,
)
from .items.content import (
    ContentEncoder as ContentEncoder,
    content_features as content_features,
)
from .items.content_map import fit_content_map as fit_content_map
from .items.fusion import (
    backfill_vectors as backfill_vectors,
    fuse_vectors as fuse_vectors,
)
from .items.item2vec import Item2Vec as Item2Vec
from .items.ppmi_embedder import PPMIEmbedder as PPMIEmbedder
from .items.walk_embedder import WalkEmbedder as WalkEmbedder
from .customers.pooling import customer_vectors as customer_vectors
from .customers.attention import AttentionPooling as AttentionPooling
from .customers.traits import TraitModel as TraitModel
from .customers.describe import describe_traits as describe_traits
from .customers.trait_plot import plot_traits as plot_traits
from .serving.table import EmbeddingTable as EmbeddingTable
from .serving.store import TableStore as TableStore
from .serving.releases import Releases as Releases
from .serving.word2vec import (
    from_gensim as from_gensim,
    read_word2vec as read_word2vec,
    write_word2vec as write_word2vec,
)
from .serving.neighbors import top_k as top_k
from .serving.recall import measure_recall as measure_recall
from .serving.index import (
    build_index as build_index,
    open_index as open_index,
)
from .serving.next_model import next_model_of as next_model_of
from .serving.recommend import (
    find_similar_customers as find_similar_customers,
    next_items as next_items,
    product_affinity as product_affinity,
    recommend_products as recommend_products,
)
from .serving.live_customers import LiveCustomers as LiveCustomers
from .quality.retrieval import evaluate_retrieval as evaluate_retrieval
from .quality.traits import evaluate_traits as evaluate_traits
from .quality.n_traits import choose_n_traits as choose_n_traits
from .quality.guardrails import (
    compare_tables as compare_tables,
    judge as judge,
)
from .events.prepared import PreparedCorpus as PreparedCorpus
from .pipeline.prepare import (
    plan_log as plan_log,
    prepare_log as prepare_log,
)
from .pipeline import (
    fit_pipeline as fit_pipeline,
    verify_run as verify_run,
)
from .pipeline.forget import forget_customers as forget_customers
from .shop.shop import (
    Shop as Shop,
    open_shop as open_shop,
)
from .shop.front import (
    Fitted as Fitted,
    fit as fit,
)
from .shop.map_plot import plot_map as plot_map

__version__: str
__all__: list[str]

def get_cmake_dir() -> str: ...
def get_include() -> str: ...
