"""How much of the bare speed of a model training reaches: tokens a second of fine-tuning beside forward and backward.

    python benchmarks/training_speed.py [--base minilm] [--precision auto] [--texts 960] [--rounds 3] [--peak-tflops T]

Texts are made up, with lengths as real ones have (lognormal, cut at --max-tokens); all of the base is trained. The bare
figure runs the same batches through the same network, forward and backward and nothing else. What is counted are real
tokens, not padding. Both run in turn, so that what else the machine does hits both. On a GPU, --peak-tflops (its bf16
peak) adds the fraction of it that was reached.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from accelerate.utils import send_to_device

from model_training.data.dataset import Split
from model_training.data.examples import Examples, HistoryTexts
from model_training.data.ordering import LengthGrouped
from model_training.data.outcome import Outcome
from model_training.finetuning.bases import load_base
from model_training.finetuning.config import TrainConfig, load_train_config
from model_training.finetuning.training import Stage, train
from model_training.runs.devices import autocast, chosen_precision, peak_memory_gb, processes
from ulvspark.contract.spec import HistorySpec, TierSpec
from ulvspark.history.features import feature_names
from ulvspark.model.encoder.batching import Tokens
from ulvspark.model.network.network import UserValueNetwork, build_network

CONFIG = Path(__file__).parents[1] / "conf/recipes/history.yaml"
TIERS = TierSpec(names=("low", "mid", "high"), bounds=(0.5, 2.0), unit="platform_scale", means=(0.1, 1.0, 5.0))
HELD_OUT = 32
HISTORY = HistorySpec.model_validate({})


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    overrides = [f"base={args.base}", f"text.max_tokens={args.max_tokens}", f"precision={args.precision}"]
    overrides += ["tuning.freeze=all", "tuning.optimiser.epochs=1", "tuning.optimiser.evaluations_per_epoch=1"]
    overrides += [f"tuning.optimiser.batch_size={args.batch_size}"]
    config = load_train_config(CONFIG, overrides)
    precision = chosen_precision(config.precision)
    network, examples = made_up(config, args.texts)
    split = Split(np.arange(args.texts), np.arange(args.texts, args.texts + HELD_OUT), np.arange(0))
    tokens = int(examples.lengths(split.fit).sum())
    bare, ours = [], []
    for number in range(args.rounds + 1):
        bare.append(tokens / bare_seconds(network, examples, split, config, precision))
        ours.append(tokens / our_seconds(network, examples, split, config, precision))
        name = "warm-up" if number == 0 else f"round {number}"
        print(f"{name}: bare {bare[-1]:,.0f} tokens/s, training {ours[-1]:,.0f} tokens/s", flush=True)
    report(network, statistics.median(bare[1:]), statistics.median(ours[1:]), precision, args.peak_tflops)
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    found.add_argument("--base", default="minilm")
    found.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16"))
    found.add_argument("--texts", type=int, default=960)
    found.add_argument("--max-tokens", type=int, default=128)
    found.add_argument("--batch-size", type=int, default=32)
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--peak-tflops", type=float, help="of the device, for bf16 without sparsity")
    return found


def made_up(config: TrainConfig, texts: int) -> tuple[UserValueNetwork, Examples]:
    base = load_base(config.base, config.text, config.network.pooling)
    dice, total = np.random.default_rng(0), texts + HELD_OUT
    lengths = np.clip(dice.lognormal(4.5, 0.5, total), 8, config.text.max_tokens).astype(int)
    vocabulary = len(base.tokenizer)
    tokens = Tokens([dice.integers(vocabulary, size=length).tolist() for length in lengths], None)
    spend = dice.lognormal(0, 1, total) * (dice.random(total) < 0.6)
    outcome = Outcome({
        "tier": np.digitize(spend, TIERS.bounds), "spend": spend, "churn": (spend == 0).astype(float),
        "price_sensitivity": dice.random(total),
    })  # fmt: skip
    features = dice.normal(size=(total, len(feature_names(HISTORY)))).astype(np.float32)
    network = build_network(config.network, base.backbone, HISTORY, len(TIERS.names))
    read = HistoryTexts(tokens, np.arange(total), int(base.tokenizer.pad_token_id))
    return network, Examples(features, outcome, read, config.network.heads)


def bare_seconds(
    network: UserValueNetwork, examples: Examples, split: Split, config: TrainConfig, precision: str
) -> float:
    device, size = processes().device, config.tuning.optimiser.batch_size
    network.to(device).train()
    order = list(LengthGrouped(examples.lengths(split.fit), size, config.seed))
    batches = [examples.batch(order[start : start + size]) for start in range(0, len(order), size)]
    started = time.perf_counter()
    for batch in batches:
        inputs = send_to_device(batch, device)
        with autocast(precision):
            loss = network(**inputs)["loss"]
        loss.backward()
        network.zero_grad()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def our_seconds(
    network: UserValueNetwork, examples: Examples, split: Split, config: TrainConfig, precision: str
) -> float:
    with TemporaryDirectory() as scratch:
        stage = Stage(
            "tuning", examples, split, TIERS, config.tuning.optimiser, precision, Path(scratch) / "run",
            group_by_length=config.group_by_length,
        )  # fmt: skip
        trained = train(network, stage, config)
    # Trainer's own clock: the loop with optimiser, clipping, logs, one evaluation of 32 texts, one checkpoint.
    return next(entry["train_runtime"] for entry in trained.log if "train_runtime" in entry)


def report(network: UserValueNetwork, bare: float, ours: float, precision: str, peak_tflops: float | None) -> None:
    print(f"{processes().device}, {precision}, {torch.get_num_threads()} threads, {peak_memory_gb():.1f} GB at most")
    print(f"bare forward and backward {bare:,.0f} tokens/s; training {ours:,.0f} tokens/s: {ours / bare:.2f} of it")
    if peak_tflops is not None and network.encoder is not None:
        embedded = network.encoder.backbone.get_input_embeddings().weight.numel()  # type: ignore[operator]
        weights = sum(weight.numel() for weight in network.parameters()) - embedded
        # Two operations a weight forward, four backward.
        print(f"{6 * weights * ours / (peak_tflops * 1e12):.1%} of {peak_tflops:g} TFLOP/s")


if __name__ == "__main__":
    sys.exit(main())
