"""Names of traits: phrases of their tokens' descriptions that the rest of the catalogue seldom has."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import count

# None of the numbers below was measured.
# A phrase is looked for among this many descriptions, evenly spread over a larger catalogue.
MAX_CATALOGUE_TEXTS = 20_000
# A phrase names a trait if it is so much more common in the trait's descriptions than in the catalogue.
LEAST_RATIO = 1.5
# A phrase of at least this share of the texts that a shorter one within it is in stands in its place: "jumbo bag".
LONGER_SHARE = 0.7
# A phrase has at most so many words, a text in a name at most so many characters.
_MAX_WORDS, _MAX_CHARACTERS = 3, 40
# A phrase neither begins nor ends with one of these, which say nothing alone.
_FUNCTION_WORDS = frozenset(
    "a an and at by for from in into it its no not of off on or our per pc pcs pack set size so the this that to up "  # noqa: SIM905
    "with w x das dem den der des die ein eine für im in mit ohne und von zu au aux avec de des du en et la le les "
    "pour sans sur un une con del e el il las lo los o para por y di da".split()
)
# Words of lines that are charges, not goods: a customer who has them differs by how the order was sent or paid.
_CHARGES = frozenset(
    "postage shipping carriage freight handling delivery porto versand versandkosten livraison envio envío "  # noqa: SIM905
    "portes spedizione surcharge fee fees commission charge charges deposit pfand voucher gutschein rounding "
    "adjustment adjust manual samples discount rabatt refund".split()
)
_MAX_CHARGE_WORDS = 3


def is_charge(text: str) -> bool:
    """Whether a description is of postage, a fee, a voucher or a correction: a short one with such a word.

    By words, in a few languages: it points out, and a user decides. "Delivery van toy" is longer than such lines are.
    """
    words = words_of(text)
    return 0 < len(words) <= _MAX_CHARGE_WORDS and any(word in _CHARGES for word in words)


@cache
def _word() -> re.Pattern[str]:
    """A letter, then letters and digits, with hyphens, apostrophes and the like between them.

    And with marks, which `\\w` leaves out: the vowels of Hindi or Thai, accents that no letter includes.
    """
    marks = "".join(c for c in map(chr, range(0x300, 0x10000)) if unicodedata.category(c).startswith("M"))
    return re.compile(rf"[^\W\d_](?:[^\W_]|[{marks}\u200c\u200d]|['’&.-](?=[^\W_]))*")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; numbers are none."""
    return [word.lower() for word in _word().findall(unicodedata.normalize("NFC", text))]


def phrases_of(text: str) -> set[tuple[str, ...]]:
    """Runs of one to three neighbouring words, in lower case, that neither begin nor end with a function word.

    Punctuation, but for hyphens and apostrophes within a word, and numbers end a run.
    """
    text = unicodedata.normalize("NFC", text)
    found, run, last = set(), list[str](), 0
    for match in [*_word().finditer(text), None]:
        if match is None or text[last : match.start()].strip():
            found |= _runs(run)
            run = []
        if match is not None:
            run.append(match.group().lower())
            last = match.end()
    return found


def _runs(words: list[str]) -> set[tuple[str, ...]]:
    runs = (words[i : i + n] for n in range(1, _MAX_WORDS + 1) for i in range(len(words) - n + 1))
    return {tuple(run) for run in runs if run[0] not in _FUNCTION_WORDS and run[-1] not in _FUNCTION_WORDS}


class Phrasebook:
    """How common phrases are in a catalogue of descriptions."""

    def __init__(self, texts: Sequence[str], wanted: Iterable[str]) -> None:
        """texts : the catalogue. wanted : the descriptions whose phrases will be asked for."""
        self._of = {text: phrases_of(text) for text in wanted}
        asked = set().union(*self._of.values()) if self._of else set()
        step = max(1, -(-len(texts) // MAX_CATALOGUE_TEXTS))
        self._n = len(range(0, len(texts), step))
        self._counts = Counter(phrase for text in texts[::step] for phrase in phrases_of(text) & asked)

    def best(self, texts: Sequence[str], *, least: int = 2) -> list[str]:
        """The phrases that set these descriptions apart, best first, each of at least `least` of them.

        Ranked by n log(n N / (T c)) for a phrase of n of the T texts and c of the catalogue's N: what the phrase adds
        to the likelihood of the texts (Dunning 1993's ratio, its larger term). Of the same n the longer phrase, being
        rarer, wins. A phrase that isn't LEAST_RATIO times as common here as in the catalogue, or that shares a word
        with a better one, is left out.
        """
        counts = Counter(phrase for text in texts for phrase in self._of[text])
        scores: dict[tuple[str, ...], tuple[float, int]] = {}
        for phrase, n in counts.items():
            ratio = n * self._n / (len(texts) * max(self._counts[phrase], 1))
            if n >= least and ratio >= LEAST_RATIO:
                scores[phrase] = (n * math.log(ratio), len(phrase))
        kept: list[tuple[str, ...]] = []
        for phrase in sorted(scores, key=lambda p: (-scores[p][0], -scores[p][1], p)):
            if not any(set(phrase) & set(better) for better in kept):
                longer = [p for p in scores if set(p) >= set(phrase) and counts[p] >= LONGER_SHARE * counts[phrase]]
                kept.append(max(longer, key=lambda p: (len(p), counts[p], p)))
        return [" ".join(phrase) for phrase in kept]


def shortened(text: str) -> str:
    """A text for use in a name."""
    text = " ".join(text.split())
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1].rstrip() + "…"


def distinct(heads: Sequence[Sequence[str]]) -> list[str]:
    """One name for each list of ever longer proposals, no two alike: the shortest that nobody else would take."""
    depth = [0] * len(heads)
    while True:
        names = [list(proposals)[min(d, len(proposals) - 1)] for proposals, d in zip(heads, depth)]
        times = Counter(names)
        clash = [i for i, name in enumerate(names) if times[name] > 1 and depth[i] < len(heads[i]) - 1]
        if not clash:
            break
        for i in clash:
            depth[i] += 1
    taken: dict[str, None] = {}
    for name in names:
        numbered = (f"{name} ({n})" for n in count(2))
        taken[name if name not in taken else next(one for one in numbered if one not in taken)] = None
    return list(taken)
