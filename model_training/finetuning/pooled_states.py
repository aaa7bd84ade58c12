"""Read all texts once with a frozen base: its pooled states stand for the texts while the heads are fitted."""

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

from model_training.data.examples import Texts
from model_training.runs.devices import autocast, processes
from model_training.runs.progress import Progress
from ulvspark.model.encoder.batching import batches, pad
from ulvspark.model.encoder.text_encoder import TextEncoder
from ulvspark.model.network.network import UserValueNetwork

MAX_CACHED_FILES = 4
"""So many sets of pooled states stay on disk, the ones used last: a search reads its texts in a few ways, and each set
may take a gigabyte."""


def pooled_states(encoder: TextEncoder, texts: Texts, precision: str, cache: Path) -> Tensor:
    """(texts, D): what the frozen base makes of each text.

    Kept in the folder ``cache`` for runs that go on or that read the same texts with the same base; where it holds more
    than ``MAX_CACHED_FILES`` files, those that were not used for longest are removed.
    """
    cached = cache / f"{_key(encoder, texts, precision)}.safetensors"
    if cached.exists():
        os.utime(cached)
        return load_file(cached)["pooled"]
    pooled = _read_together(encoder, texts, precision)
    state = processes()
    if state.is_main_process:
        cache.mkdir(parents=True, exist_ok=True)
        partial = cached.with_suffix(f".{os.getpid()}")
        save_file({"pooled": pooled}, partial)
        partial.rename(cached)
        _remove_unused(cache)
    state.wait_for_everyone()
    return pooled


def _key(encoder: TextEncoder, texts: Texts, precision: str) -> str:
    """A hash of the base's weights, the token ids, and how they are read."""
    digest = hashlib.sha256(f"{encoder.pooling} {precision}".encode())
    for name, weight in encoder.backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.cpu().contiguous().view(torch.uint8).numpy())
    for ids_of_texts in (texts.tokens.input_ids, texts.tokens.token_type_ids or []):
        for ids in ids_of_texts:
            digest.update(np.asarray([-1, *ids], dtype=np.int32).tobytes())
    return digest.hexdigest()[:24]


def _read_together(encoder: TextEncoder, texts: Texts, precision: str) -> Tensor:
    """Every process reads its share of the batches; each text is read by one process, so the sum holds all of them."""
    state = processes()
    encoder = encoder.to(state.device).eval()
    pooled = torch.zeros(len(texts.tokens.input_ids), encoder.state_size)
    share = batches(texts.tokens.lengths)[state.process_index :: state.num_processes]
    progress = Progress("read texts", sum(map(len, share)), "text", show=state.is_main_process, keep=True)
    with torch.no_grad(), autocast(precision), progress:
        for rows in share:
            padded = pad(texts.tokens, rows, texts.pad_token_id)
            inputs = {name: tensor.to(state.device) for name, tensor in padded.items()}
            pooled[torch.from_numpy(rows)] = encoder.pooled(**inputs).float().cpu()
            progress.update(len(rows))
    return cast(Tensor, reduce(pooled.to(state.device), "sum")).cpu()


def _remove_unused(cache: Path) -> None:
    for path in sorted(cache.iterdir(), key=_last_used, reverse=True)[MAX_CACHED_FILES:]:
        path.unlink(missing_ok=True)


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process removed it, or has just given it its name
        return 0.0


def without_backbone(network: UserValueNetwork) -> UserValueNetwork:
    """A network for pooled states that shares all weights but the base's with ``network``."""
    light = UserValueNetwork(None, network.decider, network.class_weights, network.head_weights)
    if network.encoder is not None:
        light.encoder = copy.copy(network.encoder)
        light.encoder._modules = {**network.encoder.beside_backbone()}
    return light
