import json
import zlib

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from model_training.data.dataset import check_spend, cut_date, read_training_set, restrict, split
from model_training.data.examples import distinct_texts
from tests import tiny, training_set
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.source.source import TRAINING_SET_META
from ulvspark.contract.spec import TextSpec, TierSpec
from ulvspark.history.numbers import NUMBERS_VERSION
from ulvspark.history.text import render
from ulvspark.model.encoder.tokenizing import tokenize

PROTOCOL = training_set.PROTOCOL


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return read_training_set(str(training_set.write(tmp_path_factory.mktemp("warehouse"))))


def test_reading_keeps_histories_and_this_runs_populations(whole):
    assert set(whole.populations) == set(PROTOCOL.dates)
    assert len(whole.rows) == 60 * len(PROTOCOL.dates)
    assert "bought" in render(whole.rows["history"].iloc[0], TextSpec()).events
    features = whole.features()
    spec = whole.meta.history_spec
    ranks = features[:, spec.numbers.index("net_spend")]
    assert np.allclose(ranks, whole.rows["net_spend"] / 100, atol=1e-6)
    assert np.isnan(features[:, spec.numbers.index("search_events")]).all()


def test_a_model_for_a_cut_sees_no_label_window_that_closes_later(whole):
    for name in ("validation", "test"):
        cut = cut_date(PROTOCOL, name)
        seen = restrict(whole, cut).rows["as_of_date"].unique()
        assert cut in seen
        assert all(PROTOCOL.closes(as_of) <= cut for as_of in seen if as_of != cut)
    assert len(restrict(whole, PROTOCOL.test_cut).rows["as_of_date"].unique()) == 4


def test_a_user_is_held_out_at_every_date_or_at_none(whole):
    rows = restrict(whole, PROTOCOL.test_cut).rows
    parts = split(rows, PROTOCOL.test_cut, 0.3, min_users=10)
    users = {name: set(rows["user_id"].iloc[getattr(parts, name)]) for name in ("fit", "held_out", "cut")}
    assert not users["fit"] & users["held_out"]
    assert users["held_out"] == {user for user in users["cut"] if zlib.crc32(user.encode()) / 2**32 < 0.3}
    assert len(parts.fit) + len(parts.held_out) + len(parts.cut) == len(rows)
    assert set(rows["as_of_date"].iloc[parts.cut]) == {PROTOCOL.test_cut}


def test_labels_are_in_scales_and_tiers_half_open(whole):
    tiers = TierSpec(names=("low", "high"), bounds=(1.0,), unit="platform_scale", means=(0.0, 2.0))
    outcome = whole.outcome(tiers)
    assert np.allclose(outcome.spend_in_scales, whole.rows["spend"] / 20)
    assert np.array_equal(outcome.tier, (outcome.spend_in_scales >= 1).astype(int))


def test_each_distinct_history_is_tokenized_once(whole):
    texts = distinct_texts(whole.rows, tiny.tokenizer(), TextSpec(max_tokens=64), "history")
    assert len(texts.tokens.input_ids) == whole.rows["history_hash"].nunique() < len(whole.rows)
    last = render(whole.rows["history"].iloc[-1], TextSpec(max_tokens=64))
    alone = tokenize(tiny.tokenizer(), [last], TextSpec(max_tokens=64))
    assert texts.tokens.input_ids[texts.of_row[-1]] == alone.input_ids[0]


def test_bad_training_sets_are_one_sentence(tmp_path, whole):
    with pytest.raises(ExpectedError, match=r"no Delta table training_set below .*run jobs/build_training_set"):
        read_training_set(str(tmp_path))
    with pytest.raises(ExpectedError, match="without Spark"):
        read_training_set("catalog:shop")
    rows = restrict(whole, PROTOCOL.test_cut).rows
    with pytest.raises(ExpectedError, match=r"users to train on.*at least 200 users"):
        split(rows, PROTOCOL.test_cut, 0.1, min_users=200)
    with pytest.raises(ExpectedError, match="nobody spends"):
        check_spend(np.zeros(5))


SWAPPED = (*training_set.SPEC.numbers[:-2], *training_set.SPEC.numbers[:-3:-1])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"numbers_version": NUMBERS_VERSION + 1}, rf"version {NUMBERS_VERSION + 1} of their formulas"),
        ({"numbers": SWAPPED}, "has below_reference_share as number 21 of a user, where .* computes discount_share"),
        ({"numbers": training_set.SPEC.numbers[:-1]}, "has nothing as number 22"),
        ({"numbers": None}, "numbers: Field required"),
        ({"numbers_version": None}, "numbers_version: Field required"),
    ],
)
def test_a_training_set_of_other_numbers_is_refused(tmp_path, changed, said):
    training_set.write(tmp_path, training_set.frame(5))
    meta = training_set.META.model_dump(mode="json") | changed
    meta = {name: value for name, value in meta.items() if value is not None}
    properties = {TRAINING_SET_META: json.dumps(meta)}
    DeltaTable(tmp_path / "training_set").alter.set_table_properties(properties, raise_if_not_exists=False)
    with pytest.raises(ExpectedError, match=rf"{said}.*; build it again with jobs/build_training_set.py"):
        read_training_set(str(tmp_path))


def test_nan_is_not_null(tmp_path):
    table = training_set.to_arrow(training_set.frame(5))
    place = table.column_names.index("orders")
    training_set.write_table(
        tmp_path, table.set_column(place, "orders", pa.array([np.nan] * 2 + [1.0] * (len(table) - 2)))
    )
    with pytest.raises(ExpectedError, match="column orders holds NaN or infinity in 2 rows"):
        read_training_set(str(tmp_path))
