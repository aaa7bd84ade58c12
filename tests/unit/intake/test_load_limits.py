"""What a load tells and refuses, from the counts of its rows."""

from ulvspark.contract.config import validate
from ulvspark.contract.source.limits import Limits
from ulvspark.intake.judging.load_limits import refusals, warnings
from ulvspark.intake.judging.outcomes import TableOutcome

LIMITS = Limits()


def outcome(good=90, bad=None, notes=None, target="events", table="lines.csv"):
    return TableOutcome(target, table, good, bad or {}, {}, notes or {})


def test_a_load_as_it_should_be_says_nothing():
    day = [outcome(bad={"impossible_price": 10}), outcome(5, target="users", table="people.csv")]
    last = {"events from lines.csv": [100, 190, 100]}
    assert (refusals(day, LIMITS, last), warnings(day, LIMITS, last)) == ([], [])


def test_too_many_quarantined_rows_refuse_the_load():
    many = [outcome(good=0, bad={"unparsable_unit_price": 300, "missing_user": 13}), outcome(good=200, table="web")]
    (sentence,) = refusals(many, LIMITS, {})
    assert sentence.startswith(
        "events from lines.csv, web: 313 of 513 rows would be quarantined (unparsable_unit_price 300, "
        "missing_user 13), allowed is a share of 0.5; correct the mapping"
    )
    assert refusals([outcome(good=1, bad={"missing_user": 1})], LIMITS, {}) == []
    allowed = validate(Limits, {"quarantined_share": {"events": 0.7}}, "shop.yaml")
    assert refusals(many, allowed, {}) == []


def test_lost_digits_are_told_and_above_a_share_refused():
    few, many = outcome(1000, notes={"lost_precision_unit_price": 10}), outcome(notes={"lost_precision_amount": 2})
    assert refusals([few], LIMITS, {}) == []
    (told,) = warnings([few], LIMITS, {})
    assert told.startswith("events from lines.csv: unit_price loses digits in 10 of 1,000 rows, since")
    (refused,) = refusals([many], LIMITS, {})
    assert "amount loses digits in 2 of 90 rows" in refused
    assert refused.endswith("allowed is a share of 0.01 of the rows (`limits: {lost_precision_share: ...}`)")


def test_fewer_rows_than_in_the_last_loads_are_told_or_refused():
    last = {"events from lines.csv": [1000, 10, 900]}
    few, none = [outcome(449)], [outcome(0)]
    for day, words in ((few, "449 rows, where the last loads had 900"), (none, "there is no row")):
        (told,) = warnings(day, LIMITS, last)
        assert words in told
        assert refusals(day, LIMITS, last) == []
        assert refusals(day, Limits(refuse_fewer_rows=True), last) == [told]
    assert warnings([outcome(450)], LIMITS, last) == []
    (told,) = warnings(none, LIMITS, {"events from lines.csv": []})
    assert "there is no row" in told
    assert warnings(none, LIMITS, {}) == [], "of which only what is new was read"


def test_the_cure_of_a_reason_is_told():
    bad = {"inexact_user_id": 3, "damaged_product_id": 2, "amount_too_large": 1}
    told = warnings([outcome(bad=bad, notes={"damaged_text": 4, "made_event_id": 5})], LIMITS, {})
    starts = [
        "events from lines.csv: inexact_user_id in 3 rows: a DOUBLE cannot tell such ids apart",
        "events from lines.csv: damaged_product_id in 2 rows: say in which encoding",
        "events from lines.csv: amount_too_large in 1 rows: raise `limits",
        "events from lines.csv: text has U+FFFD in place of letters in 4 rows",
        "events from lines.csv: 5 of 90 events have no event_id",
    ]
    assert [sentence.startswith(start) for sentence, start in zip(told, starts, strict=True)] == [True] * 5
