"""What conf/tiers.yaml may say, by itself and to a bundle."""

import re
from pathlib import Path

import pytest

from tests import tiny
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import NetworkSpec
from ulvspark.model.bundle.manifest import Manifest
from ulvspark.scoring.tiers import TierDecision, check_fits

COSTS = {"low": {"low": 0, "mid": 1, "high": 2}, "mid": {"low": 2, "mid": 0, "high": 1},
         "high": {"low": 8, "mid": 3, "high": 0}}  # fmt: skip

SHIPPED = Path(__file__).parents[3] / "conf/tiers.yaml"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected keys and values"),
        ("hysteresis_margin: -0.1", "hysteresis_margin: Input should be greater"),
        ("hysteresis_margin: 1.5", "hysteresis_margin is a share unless costs are given; give 0 to 1"),
        ("hysteresis_margin: 0\nquotas: {high: 0}", r"quotas\.high: Input should be greater than 0"),
        ("hysteresis_margin: 0\nquotas: {high: 0.4, mid: 0.6}", "the quotas must sum to less than 1"),
        ("hysteresis_margin: 0.1\nquotas: {high: 0.1, mid: 0.3}", r"margin of 0\.1 keeps users out of a tier of 0\.1"),
        ("hysteresis_margin: 0.1\nquotas: {high: 0.4, mid: 0.52}", r"margin of 0\.1 keeps users out .* of 0\.08"),
        ("hysteresis_margin: 0\ncosts: {a: {a: 0, b: much}, b: {a: 1, b: 0}}", r"costs\.a\.b: Input should be a valid"),
        ("hysteresis_margin: 0\ncosts: {a: {a: 0, b: .inf}, b: {a: 1, b: 0}}", r"costs\.a\.b: .* finite"),
        ("hysteresis_margin: 0\ncosts: {a: {a: 0, b: 1}, b: {a: 1}}", r"costs\.b must name the same tiers"),
        (
            "hysteresis_margin: 0\nquotas: {b: 0.1}\ncosts: {a: {a: 0, b: 1}, b: {a: 1, b: 0}}",
            "costs and quotas are two rules; give one of them",
        ),
    ],
)
def test_a_rule_that_makes_no_sense_is_a_sentence(tmp_path, content, message):
    (tmp_path / "tiers.yaml").write_text(content)
    with pytest.raises(ExpectedError, match=message) as caught:
        load_config(TierDecision, tmp_path / "tiers.yaml")
    assert "\n" not in str(caught.value)


def test_costs_take_any_margin_in_their_own_unit():
    assert TierDecision(hysteresis_margin=2.5, costs=COSTS).hysteresis_margin == 2.5


def manifest(*heads: str) -> Manifest:
    facts = tiny.facts(NetworkSpec(heads=heads or ("tier", "spend")))
    return Manifest.model_construct(version="v1", tiers=facts.tiers, network=facts.network)


@pytest.mark.parametrize(
    ("rule", "heads", "message"),
    [
        ({"costs": {"low": {"low": 0, "gold": 1}, "gold": {"low": 1, "gold": 0}}}, (),
         "the costs are of the tiers low, gold; bundle v1 has low, mid, high: name each of these"),
        ({"costs": COSTS}, ("spend",), "costs weigh tier probabilities, which bundle v1 does not give"),
        ({"quotas": {"high": 0.1}}, (), "the quotas are of the tiers high; bundle v1 has low, mid, high: name each of"
         " these but the lowest, low, which takes the rest"),
        ({"quotas": {"high": 0.1, "mid": 0.3, "low": 0.5}}, (), "the quotas are of the tiers high, mid, low; bundle"),
        ({"quotas": {"high": 0.1, "mid": 0.3}}, ("churn",), "quotas order users by expected value, which bundle v1"),
    ],
)  # fmt: skip
def test_a_rule_for_another_bundle_is_a_sentence(rule, heads, message):
    with pytest.raises(ExpectedError, match=re.escape(message)):
        check_fits(TierDecision(hysteresis_margin=0, **rule), manifest(*heads))


@pytest.mark.parametrize(
    ("rule", "heads"),
    [
        ({}, ("churn",)),
        ({"costs": COSTS}, ("tier",)),
        ({"quotas": {"mid": 0.3, "high": 0.1}}, ("spend",)),
        ({"quotas": {"mid": 0.3, "high": 0.1}}, ("tier",)),
    ],
)
def test_a_rule_that_fits_passes(rule, heads):
    check_fits(TierDecision(hysteresis_margin=0, **rule), manifest(*heads))


@pytest.mark.parametrize("rule", ["costs", "quotas"])
def test_the_examples_of_the_shipped_file_are_rules(tmp_path, rule):
    (example,) = re.findall(rf"^# {rule}:.*\n(?:#   .*\n)*", SHIPPED.read_text(), re.MULTILINE)
    (tmp_path / "tiers.yaml").write_text(f"extends: {SHIPPED}\n" + example.replace("# ", ""))
    decision = load_config(TierDecision, tmp_path / "tiers.yaml")
    assert getattr(decision, rule)
    check_fits(decision, manifest())
