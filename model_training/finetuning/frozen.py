"""A frozen backbone runs once: its pooled states stand for the texts while the heads are fitted."""

import copy
import hashlib
import os
from pathlib import Path
from typing import cast

import numpy as np
import torch
from accelerate.utils import reduce
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm

from model_training.data.examples import Texts
from model_training.runs.devices import autocast, processes
from ulvspark.model.encoder.batching import batches, pad
from ulvspark.model.encoder.text_encoder import TextReader
from ulvspark.model.network.network import UserValueNetwork


def pooled_states(encoder: TextReader, texts: Texts, precision: str, cache: Path) -> Tensor:
    """(texts, D): what the frozen backbone makes of each text.

    Kept in the folder ``cache`` by what goes in, for runs that are resumed or differ in other things.
    """
    kept = cache / f"{_key(encoder, texts, precision)}.safetensors"
    if kept.exists():
        return load_file(kept)["pooled"]
    pooled = _shared_out(encoder, texts, precision)
    state = processes()
    if state.is_main_process:
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        save_file({"pooled": pooled}, partial)
        partial.rename(kept)
    state.wait_for_everyone()
    return pooled


def _key(encoder: TextReader, texts: Texts, precision: str) -> str:
    """A hash of the backbone's weights, the token ids, and how they are read."""
    found = hashlib.sha256(f"{encoder.pooling} {precision}".encode())
    for name, weight in encoder.backbone.state_dict().items():
        found.update(name.encode())
        found.update(weight.cpu().contiguous().view(torch.uint8).numpy())
    for kind in (texts.tokens.input_ids, texts.tokens.token_type_ids or []):
        for ids in kind:
            found.update(np.asarray([-1, *ids], dtype=np.int32).tobytes())
    return found.hexdigest()[:24]


def _shared_out(encoder: TextReader, texts: Texts, precision: str) -> Tensor:
    """Every process reads its share of the batches; their sum is the whole, since each text is read by one."""
    state = processes()
    encoder = encoder.to(state.device).eval()
    pooled = torch.zeros(len(texts.tokens.input_ids), encoder.state_size)
    groups = batches(texts.tokens.lengths)[state.process_index :: state.num_processes]
    bar = tqdm(total=sum(map(len, groups)), desc="read texts", unit="text", disable=not state.is_main_process)
    with torch.no_grad(), autocast(precision), bar:
        for rows in groups:
            inputs = {name: each.to(state.device) for name, each in pad(texts.tokens, rows, texts.pad_token_id).items()}
            pooled[torch.from_numpy(rows)] = encoder.pooled(**inputs).float().cpu()
            bar.update(len(rows))
    return cast(Tensor, reduce(pooled.to(state.device), "sum")).cpu()


def without_backbone(network: UserValueNetwork) -> UserValueNetwork:
    """A network for pooled states that shares all weights but the backbone with ``network``."""
    light = UserValueNetwork(None, network.decider, network.class_weights, network.head_weights)
    if network.encoder is not None:
        light.encoder = copy.copy(network.encoder)
        light.encoder._modules = {**network.encoder.beside_backbone()}
    return light
