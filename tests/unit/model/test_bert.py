"""BERT's layers of our own: the same states as from Hugging Face's modules."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from tests import tiny
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.encoder.backbone import load_backbone, load_to_serve
from ulvspark.model.encoder.bert import FAMILIES, Bert
from ulvspark.model.encoder.cpu_engine import CpuEngine
from ulvspark.model.encoder.precision import DTYPES, PRECISIONS
from ulvspark.model.encoder.text_encoder import TextEncoder

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_states_are_those_of_hugging_faces_modules(family: str, tmp_path: Path) -> None:
    base = tiny.base_folder(tmp_path, family)
    tokens = tiny.some_tokens() if family == "bert" else replace(tiny.some_tokens(), token_type_ids=None)
    for precision in PRECISIONS:
        dtype = DTYPES[precision]
        theirs, ours = load_backbone(base, dtype).eval(), load_to_serve(base, dtype, CPU).eval()
        assert isinstance(ours, Bert)
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        expected, states = (
            CpuEngine(TextEncoder(each, "mean"), precision).encode(tokens, 0) for each in (theirs, ours)
        )
        np.testing.assert_array_equal(states, expected)


def test_what_our_layers_cannot_do_is_left_to_hugging_face(tmp_path: Path) -> None:
    bert, modern = tiny.base_folder(tmp_path / "bert", "bert"), tiny.base_folder(tmp_path / "modern", "modernbert")
    assert isinstance(load_to_serve(bert, torch.float32, GPU), PreTrainedModel)
    assert isinstance(load_to_serve(modern, torch.float32, CPU), PreTrainedModel)
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps(config | {"hidden_act": "silu"}))
    assert isinstance(load_to_serve(bert, torch.float32, CPU), PreTrainedModel)


def test_missing_weights_are_named(tiny_bert: Path, tmp_path: Path) -> None:
    weights = load_file(tiny_bert / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    with pytest.raises(ExpectedError, match=r"lacks weights, encoder\.layer\.1\.output\.dense\.weight first; give a"):
        load_to_serve(tmp_path, torch.float32, CPU)
