"""Measure how fast a GPU encodes texts with MiniLM and with BERT-base: tokens a second, and where the time goes.

    python -m benchmarks.gpu [--users 20000] [--rounds 3] [--json FILE]

Texts are made up, with lognormal lengths, as in benchmarks.bench. BERT-base has random weights, which does not change
its speed. Both encode in float32 and in 16 bits; each figure is also given as a share of the speed of the bare matrix
products of the same layers. Without a GPU everything runs on the CPU, which only shows that the benchmark works.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from transformers import BertConfig, BertModel

from benchmarks import matrix_speed
from benchmarks.comparison import contenders, texts
from benchmarks.untrained import untrained_bundle
from ulvspark.contract import arguments
from ulvspark.history.text import Rendered
from ulvspark.model.encoder.batching import Tokens
from ulvspark.model.encoder.gpu_engine import GpuEngine, GpuPrecision
from ulvspark.model.encoder.text_encoder import TextEncoder
from ulvspark.model.encoder.tokenizing import tokenize

GPU_PRECISIONS: tuple[GpuPrecision, ...] = get_args(GpuPrecision)


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    with tempfile.TemporaryDirectory() as scratch:
        bundle = str(untrained_bundle("minilm", 256, Path(scratch) / "bundle"))
        reader, history = contenders.reader(bundle), contenders.predictor(bundle).manifest.history
        users = texts.made_up_users(args.users, reader.tokenizer, reader.spec, history)
        rendered = [Rendered(*words, ()) for words in zip(users.rows["profile"], users.rows["events"], strict=True)]
        started = time.perf_counter()
        tokens = tokenize(reader.tokenizer, rendered, reader.spec)
        tokenizing = time.perf_counter() - started
        encoders = {
            # As it is loaded for a GPU: the reader's own is for the CPU engine alone.
            "MiniLM": TextEncoder(contenders.backbone(bundle), reader.encoder.pooling),
            "BERT-base": bert_base(reader.tokenizer.backend_tokenizer.get_vocab_size()),
        }
        measurements = [
            {"encoder": name, "precision": precision, "tokenizing_seconds": tokenizing}
            | measure(encoder, precision, device, tokens, reader.tokenizer.pad_token_id, args.rounds)
            for name, encoder in encoders.items()
            for precision in GPU_PRECISIONS
        ]
    described = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU: the CPU"
    print(f"{described}; {users.describe()}; tokenizing {tokenizing:.1f} s")
    for measurement in measurements:
        print(line(measurement))
    if args.json:
        content = {"device": described, "measurements": measurements}
        Path(args.json).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = arguments.command_parser("benchmarks.gpu", __doc__)
    command.add_argument("--users", type=int, default=20_000, help="users with a text each (default: %(default)s)")
    command.add_argument("--rounds", type=int, default=3, help="measurements of each figure (default: %(default)s)")
    command.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    return command


def bert_base(vocabulary: int) -> TextEncoder:
    return TextEncoder(BertModel(BertConfig(vocab_size=vocabulary), add_pooling_layer=False).train(False), "mean")


def measure(
    encoder: TextEncoder, precision: GpuPrecision, device: torch.device, tokens: Tokens, pad: int, rounds: int
) -> dict[str, float]:
    """Encode ``tokens`` once to warm up, then ``rounds`` times; returns the figures of the median round."""
    engine = GpuEngine(encoder, precision, device)
    engine.encode(tokens, pad)
    seconds = [encode_seconds(engine, tokens, pad) for _ in range(rounds)]
    median, number = statistics.median(seconds), int(tokens.lengths.sum())
    [rate] = matrix_speed.tokens_per_second(engine.backbone, rounds, [precision]).values()
    return {
        "seconds": median,
        "users_per_second": len(tokens.lengths) / median,
        "tokens_per_second": number / median,
        "share_of_bare_matrix_speed": number / median / rate,
        "share_on_the_gpu": kernel_seconds(engine, tokens, pad) / median,
    }


def encode_seconds(engine: GpuEngine, tokens: Tokens, pad: int) -> float:
    started = time.perf_counter()
    engine.encode(tokens, pad)
    return time.perf_counter() - started


def kernel_seconds(engine: GpuEngine, tokens: Tokens, pad: int) -> float:
    """Seconds that the GPU computes. For the rest of the time it waits for padding and copying."""
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds[: 1 + torch.cuda.is_available()]) as profile:
        engine.encode(tokens, pad)
    # Kernels alone: the operations that launched them count the same time a second time.
    entries = [entry for entry in profile.key_averages() if entry.device_type.name == "CUDA"]
    return float(sum(entry.self_device_time_total for entry in entries if not entry.is_user_annotation)) / 1e6


def line(measurement: Mapping[str, Any]) -> str:
    return (
        f"{measurement['encoder']:<10} {measurement['precision']}: "
        f"{measurement['tokens_per_second']:>10,.0f} tokens/s, {measurement['users_per_second']:>8,.0f} users/s, "
        f"{measurement['share_of_bare_matrix_speed']:.0%} of the bare matrix speed, "
        f"GPU computing {measurement['share_on_the_gpu']:.0%} of the time"
    )


if __name__ == "__main__":
    raise SystemExit(main())
