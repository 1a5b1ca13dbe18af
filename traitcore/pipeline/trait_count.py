"""How many traits a run finds where it is asked to choose (n_traits="auto")."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .._protocols import Embedder
from ..customers.traits import TraitModel, resolve_recipe
from ..events.sequences import Sequences
from ..quality.n_traits import choose_n_traits
from ..quality.trait_coherence import Embed
from .config import PipelineConfig
from .corpus import TokenizedLog
from .item_sessions import item_sessions, learn_items
from .stages import Run
from .trait_versions import PublishedTraits

Make = Callable[[PipelineConfig, int], Embedder]
STAGE = "number of traits"


def with_trait_count(
    corpus: TokenizedLog, config: PipelineConfig, make: Make, published: PublishedTraits | None, run: Run
) -> PipelineConfig:
    """The configuration with a number of traits: that of the traits which are continued, or one found now.

    make : `make_embedder`, for traits that need vectors.
    """
    if config.n_traits != "auto":
        return config
    with run.stage(STAGE) as kept:
        if published is not None:
            n = len(published.loadings)
            kept["report"] = f"{n}, as published: traits keep their identity from version to version"
        else:
            model = TraitModel(method=config.trait_method, workers=config.workers)
            choice = choose_n_traits(
                corpus.sequences, corpus.vocabulary, model=model, embed=embed_of(corpus, config, make),
                random_state=config.seed, progress=run.stage_progress(STAGE),
            )
            n, kept["report"] = choice.n_traits, choice
    return config.with_options({"n_traits": n})


def embed_of(corpus: TokenizedLog, config: PipelineConfig, make: Make) -> Embed | None:
    """Vectors of tokens, learned from part of the customers, for traits that need them."""
    n_tokens = len(corpus.vocabulary)

    def embed(part: Sequences) -> NDArray[np.float32]:
        embedder = make(config, corpus.window)
        learn_items(embedder, item_sessions(part, config.min_length), n_tokens)
        return embedder.item_vectors_

    return embed if resolve_recipe(config.trait_method).needs_vectors else None
