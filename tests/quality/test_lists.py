"""Lists of new products: figures by the slow definition, and what they say on a shop whose traits are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import traitcore as tc
from tests.reference import serving as slow
from traitcore.quality.lists import BOTH, COUNTS, POPULAR, judge_lists, mixed
from traitcore.quality.lists import TRAITS as BY_TRAITS
from traitcore.quality.trait_prediction import Periods
from traitcore.serving.blended import TRAITS
from traitcore.serving.recommend import product_affinity

WEIGHTS = {BOTH: TRAITS, mixed(2): TRAITS, COUNTS: 0.0, BY_TRAITS: 1.0}


@pytest.fixture(scope="module")
def corpus() -> tc.Corpus:
    log = tc.simulate_events(n_users=150, n_items=60, n_traits=3, seed=0).log
    return tc.tokenize(tc.split_sessions(log), min_count=3)


def judged(corpus: tc.Corpus, **how: Any) -> dict[str, Any]:
    periods = Periods.of(corpus.sequences, len(corpus.vocabulary))
    return judge_lists(tc.TraitModel(3, method="counts"), periods, corpus.vocabulary, **how)


def test_precision_is_that_of_the_definition(corpus: tc.Corpus) -> None:
    vocabulary = corpus.vocabulary
    past: list[set[int]] = [set() for _ in range(corpus.sequences.n_owners)]
    last: dict[int, set[int]] = {}
    owners = corpus.sequences.owners().tolist()
    for row, who in enumerate(owners):
        items = {int(vocabulary.token_item[t]) for t in corpus.sequences[row]}
        if (row + 1 < len(owners) and owners[row + 1] == who) or owners.count(who) == 1:
            past[who] |= items
        else:
            last[who] = items
    model = tc.TraitModel(3, method="counts").fit(Periods.of(corpus.sequences, len(vocabulary)).past, vocabulary)
    affinity = product_affinity(
        model.token_rates_, vocabulary.token_item, vocabulary.token_action, actions=vocabulary.actions,
        n_items=len(vocabulary.item_ids),
    )
    found = judged(corpus, k=5, limits=(2,))
    asked = [who for who in last if last[who] - past[who] and past[who]]
    assert found["customers"] == len(asked) > 50
    assert set(found["lists"]) == {*WEIGHTS, POPULAR}
    for name, weight in WEIGHTS.items():
        shares, shown, n_traits = [], set(), []
        for who in asked:
            scores = slow.blended(past, past[who], model.profiles_[who], affinity, weight)[0]
            scores[sorted(past[who])] = -np.inf
            scores[np.abs(scores) < 1e-9] = 0
            traits = [slow.strongest_trait(model.profiles_[who], affinity, item) for item in range(len(scores))]
            best = slow.mixed_list(scores, traits, 2 if name == mixed(2) else 5, 5)
            shares.append(len(last[who].intersection(best)) / 5)
            shown |= set(best)
            n_traits.append(len({traits[item] for item in best} - {-1}))
        figures = found["lists"][name]
        assert figures["precision"] == pytest.approx(np.mean(shares), abs=1e-3)
        assert figures["low"] <= figures["precision"] <= figures["high"]
        assert figures["shown"] == pytest.approx(len(shown), abs=1)
        assert figures["catalogue"] == figures["shown"] / len(vocabulary.item_ids)
        assert figures["traits"] == pytest.approx(np.mean(n_traits), abs=0.02)


def test_the_blend_is_compared_customer_by_customer(corpus: tc.Corpus) -> None:
    found = judged(corpus)["lists"]
    both = found[BOTH]
    assert both["more"] == pytest.approx(both["precision"] - found[COUNTS]["precision"])
    assert both["more_low"] <= both["more"] <= both["more_high"]
    assert "more" not in found[COUNTS]
    assert both["more_high"] >= 0
    limited = judged(corpus, limits=(1, 4))["lists"]
    for most in (1, 4):
        one = limited[mixed(most)]
        assert one["than_both"] == pytest.approx(one["precision"] - both["precision"])
        assert one["than_both_low"] <= one["than_both"] <= one["than_both_high"]
        assert one["traits"] > both["traits"]
    assert "than_both" not in both
    few = judged(corpus, max_customers=20)
    assert few["customers"] == 20


def test_nobody_to_ask() -> None:
    alone = tc.encode_tokens([["a", "b"], ["b", "c"]])
    found = judged(alone)
    assert found["customers"] == 0
    assert np.isnan(found["lists"][BOTH]["precision"])
