"""PipelineConfig: every option of a run, with its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from .._validate import Checks
from ..customers.pooling import METHODS as POOLING
from ..events.action_names import DEFAULT_ACTION_MAP
from ..events.sessions import GAP_SECONDS
from ..items.sgns_options import PARALLEL

CHECK = Checks("fit_pipeline")
METHODS = ("item2vec", "ppmi", "walks")
CONTENT = ("backfill", "fuse", "none")
# What sessions and tokens are made by: settings of a prepared corpus that a fit takes over.
PREPARED_BY = (
    "gap_seconds", "max_events_per_session", "max_events_per_minute", "max_events_per_day",
    "merge_repeats", "drop_duplicates", "ties", "action_map", "tokens", "min_count", "customers",
)
CUSTOMERS = ("auto", "users", "sessions", "none")


@dataclass(frozen=True)
class PipelineConfig:
    """Every option of a run, with its default; `fit_pipeline(log, n_traits=8)` changes one.

    Attributes
    ----------
    gap_seconds, max_events_per_session, max_events_per_minute, max_events_per_day, merge_repeats, drop_duplicates,
        ties : of `split_sessions`, whose `seed` is that of the run. Limits that need times or users are ignored when
        the log has none.
    action_map, tokens, min_count : of `tokenize`. min_count counts events of all sessions, whatever their length.
    min_length : item vectors and next items are learned from sessions of at least so many tokens (1 is as 2: a token
        alone stands beside nothing). Customers keep what they did in shorter ones: their traits, vectors, histories.
    method : how token vectors are learned: "item2vec", "ppmi" or "walks" (over the graph of co-occurrences).
    vector_size, window, negative, epochs, sample : of the embedder; "ppmi" ignores the last three. window None: 5, or
        20 where most neighbouring events have the same time (baskets, whose order says nothing). epochs None: 15, or 1
        over walks. sample None: 0.001, or 0 over walks.
    content : how a catalogue is used: "backfill" gives vectors to items without events; "fuse" also mixes content into
        the others by `behaviour_weight`, more into rarer ones; "none" uses its texts only.
    customers : "users", "sessions" (each session is its own customer), "none" (item vectors only), or "auto": users
        where the log has them, else none.
    pooling : method of `customer_vectors`; "attention" is learned first and needs customers with two sessions or more.
    n_traits, trait_method : of `TraitModel`. n_traits="auto": as many as the traits that are continued, or else what
        `choose_n_traits` finds, in the time of some fifty fits; a result's config has the number.
    recent : number of latest tokens kept with each customer, for recommendations.
    workers, seed : threads (-1: all cores), which change no byte of the result, and the seed of every stage.
    parallel : of `SgnsOptions`; "hogwild" gives up that promise.
    """

    gap_seconds: float = GAP_SECONDS
    min_length: int = 2
    max_events_per_session: int | None = 1000
    max_events_per_minute: int | None = None
    max_events_per_day: int | None = 3000
    merge_repeats: bool = False
    drop_duplicates: bool = False
    ties: str = "shuffle"
    action_map: Mapping[str, str | None] | None = field(default_factory=lambda: dict(DEFAULT_ACTION_MAP))
    tokens: str = "auto"
    min_count: int = 5
    method: str = "item2vec"
    vector_size: int = 64
    window: int | None = None
    negative: int = 5
    epochs: int | None = None
    sample: float | None = None
    content: str = "backfill"
    behaviour_weight: float = 0.7
    customers: str = "auto"
    pooling: str = "tfidf"
    n_traits: int | Literal["auto"] = 16
    trait_method: str = "spectral"
    recent: int = 20
    workers: int = 1
    parallel: str = "reproducible"
    seed: int = 0

    def with_options(self, options: Mapping[str, Any]) -> PipelineConfig:
        """This configuration with some options changed; TypeError for an unknown name."""
        known = [f.name for f in fields(self)]
        for name in options:
            if name not in known:
                raise TypeError(f"{CHECK} has no option {name!r}. It has {', '.join(known)}.")
        return replace(self, **options)

    def session_options(self, *, times: bool, users: bool, sessions: bool) -> dict[str, Any]:
        """The parameters of `split_sessions`, by name, for a log that has times, users, sessions of its own or not.

        A log that has its own sessions, or no times to cut at, is not cut again; limits that it can't answer are off.
        """
        return {
            "gap_seconds": self.gap_seconds if times and not sessions else None,
            "min_length": 1,  # customers keep short sessions; `item_sessions` are those that items learn from
            "max_events_per_session": self.max_events_per_session,
            "max_events_per_minute": self.max_events_per_minute if times else None,
            "max_events_per_day": self.max_events_per_day if times and users else None,
            "merge_repeats": self.merge_repeats,
            "drop_duplicates": self.drop_duplicates,
            "ties": self.ties,
            "seed": self.seed,
        }

    def trait_count(self) -> int:
        """`n_traits`, which is a number once there is a corpus (`with_trait_count`)."""
        assert self.n_traits != "auto"
        return self.n_traits

    def recorded(self) -> dict[str, Any]:
        """The settings that shape a result, by name, as published with it: all but `workers`."""
        return {name: value for name, value in asdict(self).items() if name != "workers"}

    def check(self) -> None:
        """Check before the first stage; each stage also checks its own parameters."""
        CHECK.choice("method", self.method, METHODS)
        CHECK.choice("content", self.content, CONTENT)
        CHECK.real("behaviour_weight", self.behaviour_weight, 0.0, 1.0)
        CHECK.choice("customers", self.customers, CUSTOMERS)
        CHECK.choice("pooling", self.pooling, POOLING)
        CHECK.choice("parallel", self.parallel, PARALLEL)
        CHECK.integer("recent", self.recent, 0)
        CHECK.integer("min_length", self.min_length, 1)
        CHECK.integer("min_count", self.min_count, 1)
        if isinstance(self.n_traits, str) and self.n_traits != "auto":
            raise CHECK.value_error("n_traits", "an int, or 'auto'", self.n_traits)
        if self.n_traits != "auto":
            CHECK.integer("n_traits", self.n_traits, 1)
        CHECK.integer("vector_size", self.vector_size, 1)
        if self.sample is not None:
            CHECK.real("sample", self.sample, 0.0)
        CHECK.real("gap_seconds", self.gap_seconds, 0.0, open_low=True)
