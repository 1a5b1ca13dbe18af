"""traitcore on Spark: the log stays where it is, our kernels run inside Spark's workers, the answers are the same.

Spark is the engine (the extra `spark`: pyspark 3.5 or newer, pyarrow, pandas), classic or Spark Connect; this package
is adapters only.

    from traitcore import spark as ts

    corpus = ts.sessions(df, user="customer", timestamp="at", item="product", action=None, min_count=5)
    counts = ts.count_cooccurrences(corpus, window=5)     # the same bytes as on one machine
"""

from .corpus import SparkCorpus, sessions
from .counts import count_cooccurrences
from .customers import customer_traits, customer_vectors
from .fit import SparkFit, fit

__all__ = [
    "SparkCorpus", "SparkFit", "count_cooccurrences", "customer_traits", "customer_vectors", "fit", "sessions",
]
