"""Planted traits: are they found again, are they the same for every seed, and is their number found?

Simulated shops with 16 traits and 35% noise, 2,000 customers and the simulator's other defaults, once with its 12
sessions a customer and once with 30. Beside each stands what the log itself can show: the shares that someone finds who
knows every trait's true token probabilities and needs no fit ("oracle": maximum likelihood, Hofmann 1999's fold-in).
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

import traitcore as tc
from traitcore.customers.counts import count_tokens
from traitcore.customers.customer_subsets import take_owners
from traitcore.quality.traits import matched_correlation, matched_cosine

if TYPE_CHECKING:
    from benchmarks.versus import Bench

N_TRAITS, NOISE = 16, 0.35
CANDIDATES = (8, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 24)


def run(bench: Bench) -> None:
    n_users, n_seeds = (400, 2) if bench.quick else (2_000, 10)
    for sessions in (12, 30):
        title = f"planted, {sessions} sessions a customer"
        if not bench.wants(title):
            continue
        shops = [shop(n_users, sessions, seed) for seed in range(n_seeds)]
        oracles = [matched_correlation(shares, oracle(*rest)) for shares, *rest in shops]
        bench.row(f"{title}: recovered", "oracle", correlation=float(np.mean(oracles)), low=min(oracles))
        for method in ("spectral", "counts"):
            found = [matched_correlation(s, model(method).fit(corpus, v).profiles_) for s, corpus, v, _ in shops]
            bench.row(
                f"{title}: recovered", method, correlation=float(np.mean(found)), low=min(found),
                of_oracle=float(np.mean(found) / np.mean(oracles)), bar="correlation at least .95",
            )
            bench.row(f"{title}: stable", method, **stability(method, shops[0][1], shops[0][2], n_seeds),
                      bar="over 10 seeds at least .95")
        for corpus, vocabulary in [s[1:3] for s in shops[: 1 if bench.quick else 3]]:
            choice = tc.choose_n_traits(
                corpus, vocabulary, candidates=CANDIDATES[2::4] if bench.quick else CANDIDATES, model=model("spectral")
            )
            bench.row(f"{title}: number", "choose_n_traits", chosen=choice.n_traits, bar="16, within 1")


def model(method: str, seed: int = 0) -> tc.TraitModel:
    return tc.TraitModel(N_TRAITS, method=method, random_state=seed)


def shop(n_users: int, sessions: int, seed: int) -> tuple[Any, tc.Sequences, tc.Vocabulary, Any]:
    """Planted shares (n_customers, 16) of the customers of a corpus, the corpus, P(token | trait) (16, n_tokens)."""
    made = tc.simulate_events(
        n_users=n_users, n_traits=N_TRAITS, noise=NOISE, sessions_per_user=sessions, seed=seed
    )
    corpus, truth = tc.tokenize(tc.split_sessions(made.log), min_count=5), made.truth
    customer = {name: row for row, name in enumerate(truth.customer_ids.tolist())}
    column = {name: row for row, name in enumerate(truth.tokens)}
    owners = np.asarray(corpus.sequences.owner_ids).tolist()
    shares = truth.customer_shares[[customer[name] for name in owners]]
    chances = truth.trait_tokens[:, [column[token] for token in corpus.vocabulary.tokens.tolist()]]
    return shares, corpus.sequences, corpus.vocabulary, chances


def oracle(corpus: tc.Sequences, vocabulary: tc.Vocabulary, chances: Any, steps: int = 60) -> np.ndarray:
    """(n_customers, 16) shares of maximum likelihood, with the shop's popularity as one more source: the noise."""
    counts = count_tokens(corpus, n_tokens=len(vocabulary)).astype(np.float64)
    popularity = np.asarray(counts.sum(axis=0)).ravel()
    sources = np.vstack([chances, popularity])
    sources /= sources.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    shares = np.full((counts.shape[0], len(sources)), 1.0 / len(sources))
    for _ in range(steps):
        expected = np.einsum("ek,ke->e", shares[rows], sources[:, counts.indices])
        ratio = sparse.csr_array((counts.data / expected, counts.indices, counts.indptr), shape=counts.shape)
        shares *= ratio @ sources.T
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
    traits = shares[:, :-1]
    return np.asarray(traits / np.maximum(traits.sum(axis=1, keepdims=True), 1e-300))


def stability(method: str, corpus: tc.Sequences, vocabulary: tc.Vocabulary, n_seeds: int) -> dict[str, float]:
    """Matched cosine of everyone's weights, mean and least over all pairs: of fits with `n_seeds` seeds on all
    customers, and of as many fits on random 80% of them."""
    everyone, part = [], []
    rng = np.random.default_rng(0)
    for seed in range(n_seeds):
        everyone.append(model(method, seed).fit(corpus, vocabulary).raw_profiles_)
        drawn = np.sort(rng.permutation(corpus.n_owners)[: int(0.8 * corpus.n_owners)])
        part.append(model(method, seed).fit(take_owners(corpus, drawn), vocabulary).transform_raw(corpus))
    seeds, bootstrap = ([matched_cosine(a, b) for a, b in combinations(w, 2)] for w in (everyone, part))
    return {
        "seeds": float(np.mean(seeds)), "seeds_low": min(seeds), "bootstrap": float(np.mean(bootstrap)),
        "bootstrap_low": min(bootstrap),
    }
