"""Unit `event`: flat arrays of events, vectors of texts found by key, and users read as sequences."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests import tiny
from ulvspark.contract.spec import HistorySpec, NetworkSpec, SequenceSpec
from ulvspark.history.text import event_texts
from ulvspark.model.bundle import golden_users
from ulvspark.model.inference.reader import EventReader
from ulvspark.model.network.event_arrays import READ, Events
from ulvspark.model.network.sequence import read_events
from ulvspark.model.network.text_vectors import TextVectors, places
from ulvspark.model.predictor import Predictor

USERS = golden_users.make_users(HistorySpec())
NETWORK = NetworkSpec(unit="event", vector_size=16, hidden_size=8, sequence=SequenceSpec(width=16, layers=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_bert) -> Path:
    return tiny.bundle_folder(tmp_path_factory.mktemp("event") / "b", tiny_bert, tiny.facts(NETWORK))


def event(**fields) -> dict:
    return {name.name: None for name in READ.value_type} | fields


def test_events_are_read_as_flat_arrays():
    first = [
        event(event_type="purchase", order_id="0", gap_days=0, quantity=3.0, product_key=7),
        event(event_type="purchase", order_id="0", gap_days=9, price_relation="below", product_key=5),
        event(event_type="review", text_key=8, product_key=5),
    ]
    second = [event(event_type="purchase", order_id="0"), event(event_type="unheard of", order_id="1")]
    events = Events.from_histories([{"events": first}, {"events": second}])
    assert events.starts.tolist() == [0, 3, 5]
    assert events.codes["event_type"].tolist() == [1, 1, 7, 1, 0]
    assert events.codes["price_relation"].tolist() == [0, 1, 0, 0, 0]
    assert events.same_order.tolist() == [0, 1, 0, 0, 0], "an order never goes on into the next history"
    np.testing.assert_allclose(events.measures[:2], [[0, 1, np.log(4)], [np.log(10), 1, 0]], rtol=1e-6)
    assert events.measures[2].tolist() == [0, 0, 0]
    assert events.product.tolist() == [7, 5, 5, 0, 0]
    assert events.text.tolist() == [0, 0, 8, 0, 0]


def test_a_slice_of_arrow_reads_as_the_whole_does():
    whole = pa.array([[event(product_key=number)] * (number + 1) for number in range(1, 5)], READ)
    assert Events.from_lists(whole[2:]).product.tolist() == Events.from_lists(whole).product[5:].tolist()


def test_padding_holds_nothing():
    padded = Events.from_histories([{"events": [event(product_key=7, quantity=2.0)] * many} for many in (1, 3)]).padded(
        np.array([1, 0])
    )
    assert padded.mask.tolist() == [[True] * 3, [True, False, False]]
    assert padded.product.tolist() == [[7, 7, 7], [7, 0, 0]]
    assert not padded.measures[1, 1:].any()
    inputs, used = padded.inputs()
    assert used.tolist() == [7]
    assert inputs["product"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_texts_are_found_by_key():
    known = TextVectors.from_unsorted(np.array([30, 10, 20]), np.float16([[3], [1], [2]]))
    assert places(known.keys, np.array([20, 0, 30])).tolist() == [2, 0, 3]
    assert known.states[:, 0].tolist() == [1, 2, 3]
    with pytest.raises(KeyError, match="no vector of text 25"):
        places(known.keys, np.array([20, 25]))
    with pytest.raises(KeyError, match="99"):
        places(known.keys, np.array([99]))


def test_vectors_do_not_depend_on_company(folder):
    scorer = Predictor.load(folder)
    together = scorer.encode(USERS.histories)
    alone = np.vstack([Predictor.load(folder).encode([history]) for history in USERS.histories[:6]])
    np.testing.assert_allclose(alone, together[:6], atol=1e-5, rtol=0)
    order = np.random.default_rng(0).permutation(len(USERS.histories))
    shuffled = scorer.encode([USERS.histories[row] for row in order])
    np.testing.assert_allclose(shuffled, together[order], atol=1e-5, rtol=0)


def test_a_user_is_what_was_done_in_its_order(folder):
    scorer = Predictor.load(folder)
    history = USERS.histories[5]
    turned = {**history, "events": history["events"][::-1]}
    one, other = scorer.encode([history, turned])
    assert np.abs(one - other).max() > 1e-3
    renamed = {**history, "events": [{**each, "title": "other", "product_key": 4} for each in history["events"]]}
    assert np.abs(scorer.encode([renamed])[0] - one).max() > 1e-3


def test_keys_alone_read_as_words_and_keys_do(folder):
    reader = Predictor.load(folder).reader
    assert isinstance(reader, EventReader)
    texts = event_texts(USERS.histories)
    known = TextVectors.from_unsorted(np.array(list(texts)), reader.encode_texts(list(texts.values())))
    keyed = read_events(reader.encoder, Events.from_histories(USERS.histories), known)
    np.testing.assert_allclose(keyed, reader.encode(USERS.histories), atol=1e-6, rtol=0)


def test_a_text_is_read_once(folder, monkeypatch):
    reader = Predictor.load(folder).reader
    read: list[str] = []
    real = reader.engine.encode

    def counted(tokens, pad_token_id):
        read.extend(map(str, tokens.input_ids))
        return real(tokens, pad_token_id)

    monkeypatch.setattr(reader.engine, "encode", counted)
    reader.encode(USERS.histories * 2)
    distinct = set(event_texts(USERS.histories).values())
    assert len(read) == len(distinct)
    reader.encode(USERS.histories[::-1])
    assert len(read) == len(distinct)


def test_the_bundle_tests_itself_and_knows_its_encoders(folder, tmp_path, tiny_bert):
    scorer = Predictor.load(folder)
    scorer.self_test()
    about = tiny.facts(NETWORK)
    base = tiny.network(about, tiny_bert)
    with torch.no_grad():
        base.encoder.projection[0].weight.mul_(2)
    tiny.save(tmp_path / "b", base, tiny_bert, about)
    other = Predictor.load(tmp_path / "b").manifest
    assert other.text_encoder_version == scorer.manifest.text_encoder_version, "no text is to be read again"
    assert other.user_encoder_version != scorer.manifest.user_encoder_version
