"""Pooled states of a frozen base are kept, but not for ever."""

import os

import numpy as np
import torch

from model_training.data.examples import HistoryTexts
from model_training.finetuning import pooled_states
from tests import tiny
from ulvspark.model.encoder.batching import Tokens


def texts(seed: int) -> HistoryTexts:
    ids = np.random.default_rng(seed).integers(5, 60, (3, 4)).tolist()
    return HistoryTexts(Tokens(ids, None), np.arange(3), 0)


def test_sets_that_were_not_used_for_longest_are_removed(tmp_path, tiny_bert, monkeypatch):
    encoder = tiny.network(tiny.facts(), tiny_bert).encoder
    read, cache = [], tmp_path / "pooled"
    read_together = pooled_states._read_together
    monkeypatch.setattr(pooled_states, "_read_together", lambda *args: read.append(args) or read_together(*args))
    (cache).mkdir()
    left_by_a_killed_process = cache / "abc.1234"
    left_by_a_killed_process.touch()
    os.utime(left_by_a_killed_process, (0, 0))

    def use(seed: int, at: int) -> torch.Tensor:
        before = {path: path.stat().st_mtime for path in cache.iterdir()}
        pooled = pooled_states.pooled_states(encoder, texts(seed), "fp32", cache)
        [used] = [path for path in cache.iterdir() if before.get(path) != path.stat().st_mtime]
        os.utime(used, (at, at))
        return pooled

    first = use(0, at=1)
    for seed in range(1, pooled_states.MAX_CACHED_FILES):
        use(seed, at=1 + seed)
    assert torch.equal(use(0, at=100), first)
    assert len(read) == pooled_states.MAX_CACHED_FILES, "read once"
    assert not left_by_a_killed_process.exists()
    use(50, at=101)
    assert len(list(cache.iterdir())) == pooled_states.MAX_CACHED_FILES
    assert torch.equal(use(0, at=102), first)
    assert len(read) == pooled_states.MAX_CACHED_FILES + 1, "the set used last is still there"
    use(1, at=103)
    assert len(read) == pooled_states.MAX_CACHED_FILES + 2, "the set unused for longest is not"
