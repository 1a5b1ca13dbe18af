"""Similarity queries over a table's vectors, with the method names and results of gensim's KeyedVectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._rows import paired_cosines, unit_rows, unit_vector
from .._validate import Checks
from .neighbors import Searcher
from .row_ids import RowIds, is_id, several

CHECK = Checks("EmbeddingTable")
SIDES = ("vectors", "context_vectors")
_BLOCK = 1 << 20  # numbers compared at a time, in float64


class Similarities:
    """The similarity queries of `EmbeddingTable`. Ids are ids everywhere: an int is never a row number."""

    _ids: RowIds
    vectors: NDArray[np.float32]
    context_vectors: NDArray[np.float32] | None
    _searchers: dict[tuple[str, str], Searcher]

    def row(self, token: int | str) -> int:
        raise NotImplementedError

    def rows(self, tokens: Any, *, missing: str = "raise") -> NDArray[np.int64]:
        raise NotImplementedError

    def most_similar(
        self,
        token: Any = None,
        k: int = 10,
        *,
        positive: Any = (),
        negative: Any = (),
        metric: str = "cosine",
        against: str = "vectors",
        exclude: Any = (),
        allowed: Any = None,
    ) -> list[tuple[Any, float]]:
        """The `k` nearest rows of an id, of a vector, or of a sum of several, nearest first, ties by row.

        Parameters
        ----------
        token, positive, negative : each one id, one (d,) vector, or a list of them; `token` counts as positive. A list
            item may be a tuple (id, weight). Vectors are floats: a list or array of ints holds ids. The ids given are
            left out of the result.
        k : number of rows.
        metric : "cosine", "dot", or "euclidean" (then scores are distances, smallest first).
        against : "vectors" or "context_vectors", which of them is searched.
        exclude : one id, or several, to leave out; unknown ones are ignored.
        allowed : None, the ids that may be found (unknown ones are ignored), or an (n,) bool mask over the rows.

        For "cosine" the query is the weighted sum of the ids' unit vectors and of vectors as they are (Mikolov et al.
        2013, "Linguistic Regularities in Continuous Space Word Representations"); for the other metrics the weighted
        sum of unscaled vectors, divided by the sum of the weights where that is positive.

        Raises
        ------
        KeyError : an id that the table doesn't have.
        ValueError, TypeError : neither ids nor vectors, a vector of another width, a mask of another length, bad
            parameters.

        >>> import traitcore as tc
        >>> table = tc.EmbeddingTable(["king", "man", "woman", "queen"], [[1.0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]])
        >>> table.most_similar(positive=["king", "woman"], negative=["man"], k=1)[0][0]
        'queen'
        """
        terms = [*self._terms("token", token, 1.0), *self._terms("positive", positive, 1.0)]
        terms += self._terms("negative", negative, -1.0)
        if not terms:
            raise CHECK.value_error("positive", "given, or token or negative: ids or vectors", ())
        query = self._query(terms, CHECK.choice("metric", metric, ("cosine", "dot", "euclidean")))
        ids = np.array([self.row(what) for what, _ in terms if is_id(what)], dtype=np.int64)
        own = ids[None] if len(ids) == 1 else [np.unique(ids)]
        rows, scores = self._search(query[None], k, metric, against, own, exclude, allowed, 1)
        found = rows[0] >= 0
        return list(zip(self._ids.take(rows[0][found]).tolist(), scores[0][found].tolist()))

    def most_similar_batch(
        self, tokens: Any, k: int = 10, *, metric: str = "cosine", against: str = "vectors", exclude: Any = (),
        allowed: Any = None, workers: int = 1,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows (m, k) int64 and scores (m, k) float32 of the nearest rows of m ids, each without itself.

        `exclude` holds ids to leave out of every result, or m lists of ids, one for each; `allowed` is as in
        `most_similar`. Places past the last eligible row hold -1 and NaN. `table.ids[rows]` gives the ids.
        """
        own = self.rows(tokens)
        return self._search(self.vectors[own], k, metric, against, own[:, None], exclude, allowed, workers)

    def _search(
        self, queries: NDArray[np.float32], k: int, metric: str, against: str, own: Any, exclude: Any, allowed: Any,
        workers: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        CHECK.choice("against", against, SIDES)
        CHECK.integer("k", k, 1)
        side = self.vectors if against == "vectors" else self.context_vectors
        if side is None:
            rule = "'vectors': this table has no context vectors"
            raise CHECK.value_error("against", rule, against)
        mask, each = self._ids.restrict(exclude, allowed, len(queries), CHECK)
        if each is not None:
            own = [np.union1d(mine, theirs) for mine, theirs in zip(own, each)]
        if (against, metric) not in self._searchers:
            self._searchers[against, metric] = Searcher(side, metric, check=CHECK)
        return self._searchers[against, metric].search(queries, k, mask=mask, exclude=own, workers=workers)

    def _terms(self, name: str, value: Any, weight: float) -> list[tuple[Any, float]]:
        """(id or vector, weight) of one of the arguments of `most_similar`."""
        if value is None:
            return []
        weighed = isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], (float, np.floating))
        if is_id(value) or (weighed and is_id(value[0])) or _is_vector(value):
            items = [value]
        elif isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind == "f":
            items = list(value)
        else:
            items = list(several(value, CHECK, name))
        terms: list[tuple[Any, float]] = []
        for item in items:
            what, size = item, weight
            if isinstance(item, tuple) and len(item) == 2 and (is_id(item[0]) or _is_vector(item[0])):
                what, size = item[0], CHECK.real(name, item[1], -np.inf)
            if is_id(what):
                self._known(what, len(items))
            elif _is_vector(what):
                what = CHECK.array(name, what, dtype=np.float32, shape=(self.vectors.shape[1],))
            else:
                raise CHECK.type_error(name, "an id, a vector of floats, or a list of them", item)
            terms.append((what, size))
        return terms

    def _known(self, token: Any, n: int) -> None:
        """KeyError for an unknown id before anything is computed."""
        try:
            self.row(token)
        except KeyError as error:
            if n != self.vectors.shape[1] or isinstance(token, str):
                raise
            raise KeyError(f"{error.args[0]} A vector is given as floats; ints are ids.") from None

    def _query(self, terms: list[tuple[Any, float]], metric: str) -> NDArray[np.float32]:
        if len(terms) == 1 and terms[0][1] > 0:
            return self._vector(terms[0][0])
        total = np.zeros(self.vectors.shape[1])
        for what, weight in terms:
            vector = self._vector(what).astype(np.float64)
            total += weight * (unit_vector(vector) if metric == "cosine" and is_id(what) else vector)
        weights = sum(weight for _, weight in terms)
        if metric == "cosine":
            total = unit_vector(total)
        elif weights > 0:
            total /= weights
        with np.errstate(over="ignore"):
            query = total.astype(np.float32)
        return CHECK.array("positive", query, dtype=np.float32, shape=(None,))

    def _vector(self, what: Any) -> NDArray[np.float32]:
        return np.asarray(self.vectors[self.row(what)] if is_id(what) else what)

    # -- cosines -------------------------------------------------------------------------------------------------

    def similarity(self, a: int | str, b: int | str) -> float:
        """Cosine of the vectors of two ids; 0 where one is zero."""
        return float(self.similarities([a], [b])[0])

    def similarities(self, a: Any, b: Any) -> NDArray[np.float32]:
        """(m,) float32 cosines of pairs of ids; 0 where a vector is zero."""
        left, right = self.rows(a), self.rows(b)
        if len(left) != len(right):
            raise CHECK.value_error("b", f"as many ids as a ({len(left)})", f"{len(right)} ids")
        return paired_cosines(self.vectors[left], self.vectors[right])

    def distances(self, token: Any, others: Any = None) -> NDArray[np.float32]:
        """1 - cosine of an id or a (d,) vector of floats to `others` (ids, (m,)), or to every row (n,); float32."""
        if is_id(token):
            vector = self.vectors[self.row(token)]
        elif _is_vector(token):
            vector = CHECK.array("token", token, dtype=np.float32, shape=(self.vectors.shape[1],))
        else:
            raise CHECK.type_error("token", "an id or a vector of floats", token)
        rows = None if others is None else self.rows(others)
        n = len(self.vectors) if rows is None else len(rows)
        out = np.empty(n, dtype=np.float32)
        step = max(1, _BLOCK // max(1, len(vector)))
        for start in range(0, n, step):
            part = slice(start, start + step)
            out[part] = 1.0 - paired_cosines(vector[None], self.vectors[part if rows is None else rows[part]])
        return out

    def closer_than(self, a: int | str, b: int | str) -> list[Any]:
        """The ids whose cosine with `a` is larger than that of `b`, `a` left out, in row order."""
        distances = self.distances(a)
        closer = distances < distances[self.row(b)]
        closer[self.row(a)] = False
        return self._ids.take(np.flatnonzero(closer)).tolist()  # type: ignore[no-any-return]

    def rank(self, a: int | str, b: int | str) -> int:
        """1 + the number of ids nearer to `a`, by cosine, than `b` is.

        >>> import traitcore as tc
        >>> table = tc.EmbeddingTable(["a", "b", "c"], [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        >>> table.rank("a", "c"), table.closer_than("a", "c")
        (2, ['b'])
        """
        return 1 + len(self.closer_than(a, b))

    def doesnt_match(self, tokens: Any) -> Any:
        """The id whose cosine with the mean of the ids' unit vectors is smallest; the first of equal ones.

        KeyError for an unknown id; ValueError for no ids.

        >>> import traitcore as tc
        >>> tc.EmbeddingTable([1, 2, 3], [[1.0, 0.1], [1.0, 0.2], [-1.0, 0.5]]).doesnt_match([1, 2, 3])
        3
        """
        rows = self._some_rows("tokens", tokens)
        units = unit_rows(self.vectors[rows])
        return self._ids[int(rows[np.argmin(paired_cosines(units.mean(axis=0)[None], units))])]

    def n_similarity(self, a: Any, b: Any) -> float:
        """Cosine of the mean vectors of two sets of ids; 0 where a mean is zero."""
        left, right = self._some_rows("a", a), self._some_rows("b", b)
        means = [self.vectors[rows].mean(axis=0, dtype=np.float64)[None] for rows in (left, right)]
        return float(paired_cosines(*means)[0])

    def _some_rows(self, name: str, tokens: Any) -> NDArray[np.int64]:
        rows = self.rows(tokens)
        if not len(rows):
            raise CHECK.value_error(name, "at least one id", tokens)
        return rows


def _is_vector(value: Any) -> bool:
    """Whether a value is a vector: numbers with a float among them. Ints alone are ids."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind == "f"
    if not isinstance(value, (list, tuple)):
        return False
    real = (int, float, np.integer, np.floating)
    return any(isinstance(v, (float, np.floating)) for v in value) and all(isinstance(v, real) for v in value)
