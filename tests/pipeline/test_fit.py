"""The pipeline: what goes in comes out in the tables, whole or not at all."""

from __future__ import annotations

import os
import warnings
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traitcore import EventLog, InputError, TableError, split_sessions, tokenize
from traitcore.events.log_report import InputWarning
from traitcore.events.sequences import Sequences
from traitcore.events.session_report import BASKET_WINDOW, WINDOW, TiedEventsWarning
from traitcore.events.simulate import Simulation, simulate_events
from traitcore.items.content import content_features
from traitcore.pipeline import Catalogue, PipelineConfig, PipelineResult, fit_pipeline, prepare_corpus, read_catalogue
from traitcore.pipeline.catalogue import complete_vectors
from traitcore.pipeline.many_customers import latest_tokens
from traitcore.pipeline.publish import changed_settings
from traitcore.pipeline.tables import vocabulary_of
from traitcore.serving.store import TableStore

SMALL: dict[str, Any] = {"n_traits": 3, "trait_method": "counts", "vector_size": 16, "epochs": 3}


@pytest.fixture(scope="module")
def shop() -> Simulation:
    return simulate_events(n_users=150, n_items=60, n_traits=3, sessions_per_user=6)


@pytest.fixture(scope="module")
def result(shop: Simulation) -> PipelineResult:
    return fit_pipeline(shop.log, **SMALL)


def test_tables_hold_what_the_stages_made(result: PipelineResult) -> None:
    vocabulary, sequences = result.vocabulary, result.sequences
    assert result.customers is not None
    assert result.model is not None
    assert result.tokens.ids.tolist() == vocabulary.tokens.tolist()
    assert result.tokens.vectors.shape == (len(vocabulary), 16)
    assert result.tokens.context_vectors is not None
    np.testing.assert_array_equal(result.tokens.arrays["loadings"].T, result.model.token_rates_)
    assert result.customers.ids.tolist() == list(sequences.owner_ids)  # type: ignore[arg-type]
    np.testing.assert_array_equal(result.profiles, result.model.profiles_)
    assert len(result.traits) == len(result.customers.metadata["traits"]) == 3
    assert result.customers.arrays["events"].sum() == sequences.n_tokens
    assert {s.name for s in result.stages} >= {"sessions", "tokens", "item2vec", "customers", "traits", "tables"}
    assert result.published == {}


def test_an_item_is_the_mean_of_its_tokens_by_count(result: PipelineResult) -> None:
    vocabulary = result.vocabulary
    assert result.items.ids.tolist() == vocabulary.item_ids.tolist()
    for item in (0, len(vocabulary.item_ids) - 1):
        rows = np.flatnonzero(vocabulary.token_item == item)
        weights = vocabulary.counts[rows]
        expected = np.average(result.tokens.vectors[rows], axis=0, weights=weights)
        np.testing.assert_allclose(result.items.vectors[item], expected, rtol=1e-4, atol=1e-6)
        assert result.items.arrays["counts"][item] == weights.sum()


def test_bought_and_recent_are_what_the_customer_did(result: PipelineResult) -> None:
    customers, vocabulary, sequences = result.customers, result.vocabulary, result.sequences
    assert customers is not None
    owner = np.repeat(sequences.owners(), np.diff(sequences.offsets))
    for row in (0, 7, len(customers) - 1):
        mine = sequences.tokens[owner == row]
        recent = customers.arrays["recent"][row]
        shown = mine[::-1][:20]
        assert recent[: len(shown)].tolist() == shown.tolist()
        assert (recent[len(shown) :] == -1).all()
        start, stop = customers.arrays["bought_offsets"][row : row + 2]
        buys = vocabulary.token_item[mine[vocabulary.token_action[mine] == vocabulary.actions.index("buy")]]
        assert customers.arrays["bought_items"][start:stop].tolist() == sorted(set(buys.tolist()))


def test_latest_tokens_with_interleaved_owners() -> None:
    sequences = Sequences.from_lists([[1, 2], [3], [4, 5], []], owner=[1, 0, 1, 2])
    assert latest_tokens(sequences, 3).tolist() == [[3, -1, -1], [5, 4, 2], [-1, -1, -1]]
    assert latest_tokens(sequences, 0).shape == (3, 0)


def test_same_seed_same_tables(shop: Simulation, result: PipelineResult) -> None:
    again = fit_pipeline(shop.log, **SMALL)
    assert again.tokens.fingerprint == result.tokens.fingerprint
    np.testing.assert_allclose(again.profiles, result.profiles, atol=1e-4)


@pytest.mark.parametrize("method", ["ppmi", "walks"])
def test_other_methods_make_the_same_kind_of_tables(shop: Simulation, result: PipelineResult, method: str) -> None:
    other = fit_pipeline(shop.log, method=method, customers="none", **SMALL)
    assert other.tokens.ids.tolist() == result.tokens.ids.tolist()
    assert other.items.vectors.shape == result.items.vectors.shape
    assert not np.allclose(other.tokens.vectors, result.tokens.vectors)


def session_log() -> EventLog:
    rng = np.random.default_rng(0)
    session = np.repeat(np.arange(40), 4)
    columns = {"s": session, "place": np.tile(np.arange(4), 40), "i": rng.integers(0, 8, 160) + 8 * (session % 2)}
    return EventLog.from_columns(columns, user=None, timestamp=None, action=None, item="i", session="s", order="place")


def test_sessions_without_users_make_items_only_or_are_customers_by_choice() -> None:
    items_only = fit_pipeline(session_log(), min_count=1, **SMALL)
    assert items_only.customers is None
    assert items_only.traits == ()
    with pytest.raises(InputError, match="no customers"):
        _ = items_only.profiles
    as_customers = fit_pipeline(session_log(), min_count=1, customers="sessions", **SMALL)
    assert as_customers.customers is not None
    assert as_customers.customers.ids.tolist() == list(range(40))
    with pytest.raises(InputError, match="customers='users' needs a log with users"):
        fit_pipeline(session_log(), customers="users", **SMALL)


def test_each_session_of_users_as_a_customer(shop: Simulation) -> None:
    corpus = prepare_corpus(shop.log, PipelineConfig(customers="sessions"))
    assert corpus.sequences.n_owners == len(corpus.sequences) > 150


def test_bots_leave_by_the_limits() -> None:
    sim = simulate_events(n_users=150, n_items=60, n_traits=3, bot_share=0.02)
    bots = set(sim.truth.customer_ids[sim.truth.bots].tolist())
    kept = {
        limit: set(prepare_corpus(sim.log, PipelineConfig(max_events_per_minute=limit)).sequences.owner_ids.tolist())
        for limit in (None, 30)
    }
    assert len(bots) == 3
    assert bots <= kept[None]
    assert kept[None] - kept[30] == bots


# -- baskets -----------------------------------------------------------------------------------------------------------


def test_the_order_of_an_instant_is_that_of_split_sessions() -> None:
    user = np.repeat(np.arange(40), 5)
    log = EventLog.from_columns(
        {"user_id": user, "timestamp": user * 86_400, "item_id": np.tile(np.arange(5), 40)}, action=None,
        timestamp_unit="s",
    )
    for ties, seed in (("shuffle", 3), ("content", 3), ("row", 3)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TiedEventsWarning)
            wanted = tokenize(split_sessions(log, ties=ties, seed=seed)).sequences
        found = prepare_corpus(log, PipelineConfig(ties=ties, seed=seed, min_count=1)).sequences
        assert found.tokens.tolist() == wanted.tokens.tolist()


def test_baskets_get_the_wide_window() -> None:
    columns = {"user_id": np.repeat(np.arange(5), 6), "timestamp": np.repeat(np.arange(10) * 86_400, 3),
               "item_id": np.tile(np.arange(6), 5)}
    log = EventLog.from_columns(columns, action=None, timestamp_unit="s")
    config = PipelineConfig(min_count=1)
    assert prepare_corpus(log, config).window == BASKET_WINDOW
    assert prepare_corpus(log, replace(config, window=3)).window == 3
    apart = EventLog.from_columns(columns | {"timestamp": np.arange(30) * 60}, action=None, timestamp_unit="s")
    assert prepare_corpus(apart, config).window == WINDOW


# -- catalogue ---------------------------------------------------------------------------------------------------------


def test_new_items_get_vectors_from_the_catalogue(shop: Simulation) -> None:
    truth = shop.truth
    catalogue = Catalogue(truth.item_ids, texts=truth.item_text, vectors=truth.content_vectors)
    result = fit_pipeline(shop.log, catalogue=catalogue, customers="none", **SMALL)
    items = result.items
    assert set(items.ids.tolist()) == set(truth.item_ids.tolist())
    assert items.ids[: len(result.vocabulary.item_ids)].tolist() == result.vocabulary.item_ids.tolist()
    names = items.metadata["sources"]
    source = [names[code] for code in items.arrays["source"].tolist()]
    n_old = len(result.vocabulary.item_ids)
    assert set(source[:n_old]) == {"behaviour"}
    assert set(source[n_old:]) == {"content"}
    assert (items.arrays["counts"][n_old:] == 0).all()
    texts = dict(zip(truth.item_ids.tolist(), truth.item_text.tolist()))
    assert items.metadata["texts"] == [texts[i] for i in items.ids.tolist()]


@pytest.mark.parametrize("content", ["backfill", "fuse", "none"])
def test_content_is_computed_once_and_the_refits_take_it(
    shop: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    made: list[Any] = []

    def counted(**fields: Any) -> Any:
        made.append(content_features(**fields))
        return made[-1]

    monkeypatch.setattr("traitcore.pipeline.catalogue.content_features", counted)
    texts = Catalogue(shop.truth.item_ids, texts=shop.truth.item_text)
    how: dict[str, Any] = {"customers": "none", "content": content, **SMALL}
    found = fit_pipeline(shop.log, catalogue=texts, store=tmp_path / "a", **how)
    assert len(made) == (0 if content == "none" else 1)
    assert texts.vectors is None
    if made:  # the same tables as by those vectors, given
        given = Catalogue(shop.truth.item_ids, texts=shop.truth.item_text, vectors=made[0])
        same = fit_pipeline(shop.log, catalogue=given, store=tmp_path / "b", **how)
        assert same.items.fingerprint == found.items.fingerprint
        assert same.items.metadata["refits"] == found.items.metadata["refits"]
        assert len(made) == 1


def test_fusing_weighs_content_more_for_rare_items(shop: Simulation) -> None:
    truth = shop.truth
    catalogue = Catalogue(truth.item_ids, vectors=truth.content_vectors)
    rng = np.random.default_rng(0)
    ids, vectors = truth.item_ids[:40], rng.normal(size=(40, 8)).astype(np.float32)
    counts = np.arange(1, 41, dtype=np.int64)
    _, own, fused = complete_vectors(ids, vectors, counts, catalogue, content="fuse", behaviour_weight=0.7, seed=0)
    assert own[:40].tolist() == list(range(40))
    assert (own[40:] == -1).all()
    assert (np.diff(fused.behaviour_weight[:40]) > 0).all()
    assert set(fused.source[:40].tolist()) == {"fused"}


def test_what_costs_nothing_has_a_known_price() -> None:
    catalogue = Catalogue(np.array([7, 8, 9]), texts=["a", "", None], prices=[0.0, 2.5, np.nan])
    asked = np.array([8, 7, 9, 1])
    assert catalogue.of(asked, "texts") == [None, "a", None, None]
    np.testing.assert_array_equal(np.array(catalogue.of(asked, "prices"), np.float64), [2.5, 0.0, np.nan, np.nan])


def test_catalogue_from_csv(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,text,category,price\n7,"a, b",garden,1.5\n8,,,\n', encoding="utf-8")
    catalogue = read_catalogue(path, integer_ids=True)
    assert catalogue.item_ids.tolist() == [7, 8]
    assert catalogue.texts == ["a, b", ""]
    codes = catalogue.category_codes()
    assert codes is not None
    assert codes[0] >= 0
    assert codes[1] == -1
    assert np.isnan(catalogue.prices[1])
    assert read_catalogue(path).item_ids.tolist() == ["7", "8"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,text\n1,a\n", "column 'item_id', wanted as item, is missing"),
        ("item_id\n1\n", "none of the columns"),
        ("item_id,text\n", "has no items"),
        ("item_id,text\n1,a\n1,b\n", "items.csv, line 3: item_id 1 is in items.csv, line 2"),
        ("item_id,text\nx,a\n", "line 2: column 'item_id' is not an integer"),
        ("item_id,price\n1,cheap\n", "line 2: column 'price' is not a number"),
    ],
)
def test_bad_catalogues_are_named_by_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "items.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_catalogue(path, integer_ids=True)


def test_a_catalogue_of_other_ids_is_refused(shop: Simulation) -> None:
    with pytest.raises(InputError, match="must be strings"):
        fit_pipeline(shop.log, catalogue=Catalogue([1, 2], texts=["a", "b"]), customers="none", **SMALL)
    with pytest.raises(ValueError, match="distinct"):
        Catalogue(["a", "a"])
    with pytest.raises(ValueError, match="'texts' parameter of Catalogue must be of 2 items"):
        Catalogue(["a", "b"], texts=["x"])


# -- publication -------------------------------------------------------------------------------------------------------


def test_published_tables_read_back_with_their_versions(shop: Simulation, tmp_path: Path) -> None:
    store = TableStore(tmp_path / "store")
    result = fit_pipeline(shop.log, store=store, **SMALL)
    assert dict(result.published) == {"tokens": "v000001", "items": "v000001", "customers": "v000001"}
    customers = store.open("customers")
    assert customers.metadata["versions"] == {"tokens": "v000001", "items": "v000001"}
    assert customers.fingerprint == result.customers.fingerprint  # type: ignore[union-attr]
    vocabulary = vocabulary_of(store.open("tokens"))
    assert vocabulary.tokens.tolist() == result.vocabulary.tokens.tolist()
    assert store.describe("tokens")["input_fingerprint"] == store.describe("customers")["input_fingerprint"]
    with pytest.raises(TableError, match="holds no vocabulary"):
        vocabulary_of(customers)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("victim", ["tokens", "items", "customers"])
def test_nothing_is_published_when_one_table_cannot_be(
    shop: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str, first: bool
) -> None:
    store = TableStore(tmp_path / "store")
    if not first:
        fit_pipeline(shop.log, store=store, **SMALL)
    publish = TableStore._publish

    def full(self: TableStore, table: Any, name: str, *args: Any, **kwargs: Any) -> str:
        if name == victim:
            raise TableError("disk full")
        return publish(self, table, name, *args, **kwargs)

    monkeypatch.setattr(TableStore, "_publish", full)
    with pytest.raises(TableError, match="disk full"):
        fit_pipeline(shop.log, store=store, **SMALL)
    for name in ("tokens", "items", "customers"):
        latest = tmp_path / "store" / name / "LATEST"
        assert latest.exists() is not first
        if not first:
            assert latest.read_text(encoding="ascii") == "v000001\n"
    monkeypatch.undo()
    again = fit_pipeline(shop.log, store=store, **SMALL)
    assert store.open("customers").version == again.published["customers"]


def test_a_full_disk_changes_nothing(shop: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TableStore(tmp_path / "store")
    before = fit_pipeline(shop.log, store=store, **SMALL)
    write = os.write

    def no_space(fd: int, data: Any) -> int:
        if len(data) > 4096:
            raise OSError(28, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", no_space)
    with pytest.raises(TableError, match="No space left on device"):
        fit_pipeline(shop.log, store=store, **SMALL)
    monkeypatch.undo()
    assert store.open("tokens").fingerprint == before.tokens.fingerprint
    assert [info.version for info in store.list("tokens")] == ["v000001"]


def test_guardrails_refuse_before_anything_is_written_unless_forced(shop: Simulation, tmp_path: Path) -> None:
    store = TableStore(tmp_path / "store")
    fit_pipeline(shop.log, store=store, **SMALL)
    rows = np.flatnonzero(shop.log.item < len(shop.log.item_ids) // 2)  # half of the items gone: a broken export
    with pytest.raises(TableError, match="ids are missing"):
        fit_pipeline(shop.log.take(rows), store=store, **SMALL)
    assert [info.version for info in store.list()] == ["v000001"] * 3
    forced = fit_pipeline(shop.log.take(rows), store=store, force=("me", "half of the shop is closed"), **SMALL)
    assert forced.verdict is not None
    assert forced.verdict.status == "fail"
    assert store.describe("items")["forced"] == {"by": "me", "reason": "half of the shop is closed"}


@pytest.mark.filterwarnings("ignore:.* keeps no pair of so few items")
def test_a_refusal_names_changed_settings_and_how_to_publish(shop: Simulation, tmp_path: Path) -> None:
    store = TableStore(tmp_path / "store")
    fit_pipeline(shop.log, store=store, **SMALL)
    changed = SMALL | {"min_count": 120, "vector_size": 8, "workers": 2}
    actions = PipelineConfig().action_map
    with pytest.raises(TableError) as refused:
        fit_pipeline(shop.log, store=store, **changed, action_map={**actions, "view": None, "buy": "cart"})
    reason = str(refused.value)
    assert "ids are missing" in reason
    assert "items v000001: action_map['view'] 'view' -> None, action_map['buy'] 'buy' -> 'cart', " in reason
    assert "min_count 5 -> 120, vector_size 16 -> 8. " in reason
    assert "If this is intended, --force WHY (in Python force=(who, why)) publishes anyway" in reason[:600]
    assert "workers" not in reason
    rows = np.flatnonzero(shop.log.item < len(shop.log.item_ids) // 2)
    with pytest.raises(TableError, match=r"No setting differs from those of items v000001\. If this is"):
        fit_pipeline(shop.log.take(rows), store=store, **SMALL)
    assert [info.version for info in store.list()] == ["v000001"] * 3


def test_settings_that_no_version_recorded_are_not_compared() -> None:
    config = PipelineConfig(vector_size=8)
    assert changed_settings(None, config) == changed_settings({}, config) == changed_settings([1], config) == {}
    assert changed_settings({"vector_size": 64, "workers": 9, "gone": 1}, config) == {"vector_size": (64, 8)}


# -- options -----------------------------------------------------------------------------------------------------------


def test_unknown_and_bad_options_are_named(shop: Simulation) -> None:
    with pytest.raises(TypeError, match=r"fit_pipeline has no option 'epoch'\. It has gap_seconds"):
        fit_pipeline(shop.log, epoch=3)
    with pytest.raises(ValueError, match="'method' parameter of fit_pipeline must be one of"):
        fit_pipeline(shop.log, method="word2vec")
    with pytest.raises(TypeError, match="'log' parameter of fit_pipeline must be an EventLog"):
        fit_pipeline([1, 2])  # type: ignore[arg-type]


def test_every_option_is_in_the_docstring() -> None:
    assert PipelineConfig.__doc__ is not None
    for field in fields(PipelineConfig):
        assert field.name in PipelineConfig.__doc__, field.name


def test_progress_names_the_stages(shop: Simulation) -> None:
    calls: list[str] = []
    fit_pipeline(shop.log, progress=lambda stage, done, total: calls.append(stage), **SMALL)
    order = list(dict.fromkeys(calls))
    assert order == ["sessions", "tokens", "coverage", "item2vec", "customers", "traits", "descriptions", "tables"]


def test_refits_report_their_purpose(shop: Simulation, tmp_path: Path) -> None:
    calls: list[tuple[str, float, float]] = []
    done = fit_pipeline(shop.log, store=tmp_path, progress=lambda *one: calls.append(one), **SMALL)
    assert [one for one in calls if "guardrails" in one[0] and "refits" in one[0]] == [
        ("refits, for guardrails", number, 3) for number in range(4)
    ]
    report = next(stage.report for stage in done.stages if stage.name == "refits")
    assert report.startswith("3 on nine tenths of the sessions: the differences expected by the next run")


def test_what_was_bought_is_known_before_min_count_and_under_any_name() -> None:
    """Each customer buys items that nobody else buys: as tokens the purchases are too rare, as purchases they count."""
    rng = np.random.default_rng(0)
    rows = [(u, 1_600_000_000 + 3000 * u + 60 * k, "view", f"X{i}") for u in range(60)
            for k, i in enumerate(rng.integers(0, 20, 8).tolist())]
    wanted = {7: {"X5", "X6", "X7"}, 8: {"X1"}}
    rows += [(u, 1_600_000_500 + 3000 * u, "transaction" if u == 7 else "Order Completed", i)
             for u, items in wanted.items() for i in sorted(items)]
    columns = dict(zip(("user_id", "timestamp", "action", "item_id"), zip(*rows)))
    log = EventLog.from_columns(columns)
    for how in ({}, {"action_map": None}, {"tokens": "item"}):
        result = fit_pipeline(log, method="ppmi", vector_size=4, n_traits=2, trait_method="counts", **how)
        customers, items = result.customers, result.items
        offsets, bought = customers.arrays["bought_offsets"], customers.arrays["bought_items"]
        found = {int(u): set(items.ids[bought[offsets[r] : offsets[r + 1]]].tolist())
                 for r, u in enumerate(customers.ids.tolist()) if offsets[r] < offsets[r + 1]}
        assert found == wanted
        assert "no action of the log means buying" not in str([stage.report for stage in result.stages])
    views = EventLog.from_columns({name: column[:480] for name, column in columns.items()})
    result = fit_pipeline(views, method="ppmi", vector_size=4, n_traits=2, trait_method="counts")
    assert "no action of the log means buying: 'view'" in str([stage.report for stage in result.stages])


def test_a_catalogue_of_other_ids_is_noted() -> None:
    shop = simulate_events(n_users=60, n_items=30, n_traits=2, seed=0)
    catalogue = Catalogue(np.array(["SKU-1", "SKU-2"], dtype=object), texts=["a", "b"])
    with pytest.warns(InputWarning, match="None of the catalogue's ids, such as 'SKU-1', is an item of the log"):
        fit_pipeline(shop.log, catalogue=catalogue, method="ppmi", vector_size=4, n_traits=2, trait_method="counts")
