"""Measure how fast fine-tuning is, compared with bare forward and backward passes of the same network.

    python -m benchmarks.training_speed [--base minilm] [--precision auto] [--texts 960] [--rounds 3] [--peak-tflops T]

Texts are made up, with realistic lengths (lognormal, cut at --max-tokens); all weights of the base encoder are trained.
The bare passes run the same batches through the same network, forward and backward and nothing else. Rates count real
tokens, not padding. The two take turns, so that other load on the machine hits both alike. With --peak-tflops, the
bf16 peak of a GPU, the share of that peak is printed too.
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
from model_training.finetuning.training import Phase, train
from model_training.runs.devices import autocast, chosen_precision, peak_memory_gb, processes
from ulvspark.contract import arguments
from ulvspark.contract.spec import HistorySpec, TierSpec
from ulvspark.history.features import feature_names
from ulvspark.model.encoder.batching import Tokens
from ulvspark.model.network.network import UserValueNetwork, build_network

CONFIG = Path(__file__).parents[1] / "conf/recipes/history.yaml"
TIERS = TierSpec(names=("low", "mid", "high"), bounds=(0.5, 2.0), unit="platform_scale", means=(0.1, 1.0, 5.0))
HELD_OUT = 32
"""Texts that training is evaluated on."""
HISTORY = HistorySpec.model_validate({})


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    overrides = [f"base={args.base}", f"text.max_tokens={args.max_tokens}", f"precision={args.precision}"]
    overrides += ["tuning.freeze=all", "tuning.optimiser.epochs=1", "tuning.optimiser.evaluations_per_epoch=1"]
    overrides += [f"tuning.optimiser.batch_size={args.batch_size}"]
    config = load_train_config(CONFIG, overrides)
    precision = chosen_precision(config.precision)
    network, examples = make_task(config, args.texts)
    split = Split(np.arange(args.texts), np.arange(args.texts, args.texts + HELD_OUT), np.arange(0))
    tokens = int(examples.lengths(split.fit).sum())
    bare, training = [], []
    for number in range(args.rounds + 1):
        bare.append(tokens / bare_seconds(network, examples, split, config, precision))
        training.append(tokens / training_seconds(network, examples, split, config, precision))
        name = "warm-up" if number == 0 else f"round {number}"
        print(f"{name}: bare {bare[-1]:,.0f} tokens/s, training {training[-1]:,.0f} tokens/s", flush=True)
    report(network, statistics.median(bare[1:]), statistics.median(training[1:]), precision, args.peak_tflops)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = arguments.command_parser("benchmarks.training_speed", __doc__)
    command.add_argument("--base", default="minilm", help="the base encoder (default: %(default)s)")
    command.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "fp32", "bf16", "fp16"),
        help="of training (default: %(default)s)",
    )
    command.add_argument("--texts", type=int, default=960, help="made-up texts to train on (default: %(default)s)")
    command.add_argument("--max-tokens", type=int, default=128, help="tokens a text (default: %(default)s)")
    command.add_argument("--batch-size", type=int, default=32, help="texts a batch (default: %(default)s)")
    command.add_argument("--rounds", type=int, default=3, help="measurements of each figure (default: %(default)s)")
    command.add_argument("--peak-tflops", type=float, help="peak of the device in bf16, without sparsity")
    return command


def make_task(config: TrainConfig, texts: int) -> tuple[UserValueNetwork, Examples]:
    """An untrained network, and ``texts`` made-up examples followed by ``HELD_OUT`` to evaluate on."""
    base = load_base(config.base, config.text, config.network.pooling)
    random, total = np.random.default_rng(0), texts + HELD_OUT
    lengths = np.clip(random.lognormal(4.5, 0.5, total), 8, config.text.max_tokens).astype(int)
    vocabulary = len(base.tokenizer)
    tokens = Tokens([random.integers(vocabulary, size=length).tolist() for length in lengths], None)
    spend = random.lognormal(0, 1, total) * (random.random(total) < 0.6)
    labels = {"tier": np.digitize(spend, TIERS.bounds), "spend": spend, "churn": (spend == 0).astype(float)}
    outcome = Outcome(labels | {"price_sensitivity": random.random(total)})
    features = random.normal(size=(total, len(feature_names(HISTORY)))).astype(np.float32)
    network = build_network(config.network, base.backbone, HISTORY, len(TIERS.names))
    histories = HistoryTexts(tokens, np.arange(total), int(base.tokenizer.pad_token_id))
    return network, Examples(features, outcome, histories, config.network.heads)


def bare_seconds(
    network: UserValueNetwork, examples: Examples, split: Split, config: TrainConfig, precision: str
) -> float:
    """Seconds of a forward and a backward pass over all batches of the texts to train on."""
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


def training_seconds(
    network: UserValueNetwork, examples: Examples, split: Split, config: TrainConfig, precision: str
) -> float:
    """Seconds of one epoch of training, by the trainer's own clock."""
    with TemporaryDirectory() as scratch:
        phase = Phase(
            "tuning", examples, split, TIERS, config.tuning.optimiser, precision, Path(scratch) / "run",
            group_by_length=config.group_by_length,
        )  # fmt: skip
        trained = train(network, phase, config)
    # The epoch includes the optimiser, clipping, logging, one evaluation of ``HELD_OUT`` texts and one checkpoint.
    return next(entry["train_runtime"] for entry in trained.log if "train_runtime" in entry)


def report(network: UserValueNetwork, bare: float, training: float, precision: str, peak_tflops: float | None) -> None:
    """Print both rates, in tokens a second, and how they compare."""
    print(
        f"{processes().device}, {precision}, {torch.get_num_threads()} threads, peak memory {peak_memory_gb():.1f} GB"
    )
    print(
        f"bare forward and backward {bare:,.0f} tokens/s; "
        f"training {training:,.0f} tokens/s: {training / bare:.2f} of it"
    )
    if peak_tflops is not None and network.encoder is not None:
        embeddings = network.encoder.backbone.get_input_embeddings().weight.numel()  # type: ignore[operator]
        weights = sum(weight.numel() for weight in network.parameters()) - embeddings
        # A token takes two operations a weight forward and four backward.
        print(f"{6 * weights * training / (peak_tflops * 1e12):.1%} of {peak_tflops:g} TFLOP/s")


if __name__ == "__main__":
    sys.exit(main())
