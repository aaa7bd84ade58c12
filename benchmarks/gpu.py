"""How fast a GPU reads texts: tokens and users a second of MiniLM and of a BERT-base, and where the time goes.

    python -m benchmarks.gpu [--users 20000] [--rounds 3] [--json FILE]

Texts are made up, with lognormal lengths, as in benchmarks.bench. BERT-base has random weights, which changes no speed.
Each is read in float32 and in 16 bits, beside bare matrix products of the same layers; without a GPU the CPU computes,
which only shows that the benchmark runs.
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

from benchmarks import contenders, matrix_speed, texts
from benchmarks.untrained import untrained_bundle
from ulvspark.history.text import Rendered
from ulvspark.model.encoder.batching import Tokens
from ulvspark.model.encoder.gpu_engine import GpuEngine, GpuPrecision
from ulvspark.model.encoder.text_encoder import TextEncoder
from ulvspark.model.encoder.tokenizing import tokenize

SERVED: tuple[GpuPrecision, ...] = get_args(GpuPrecision)


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    with tempfile.TemporaryDirectory() as scratch:
        bundle = str(untrained_bundle("minilm", 256, Path(scratch) / "bundle"))
        own = contenders.reader(bundle)
        users = texts.synthetic(args.users, own.tokenizer, own.spec, contenders.predictor(bundle).manifest.history)
        rendered = [Rendered(*each, ()) for each in zip(users.rows["profile"], users.rows["events"], strict=True)]
        started = time.perf_counter()
        tokens = tokenize(own.tokenizer, rendered, own.spec)
        tokenizing = time.perf_counter() - started
        encoders = {"MiniLM": own.encoder, "BERT-base": bert_base(own.tokenizer.vocab_size)}
        found = [
            {"encoder": name, "precision": precision, "tokenizing_seconds": tokenizing}
            | measured(encoder, precision, device, tokens, own.tokenizer.pad_token_id, args.rounds)
            for name, encoder in encoders.items()
            for precision in SERVED
        ]
    described = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU: the CPU"
    print(f"{described}; {users.describe()}; tokenizing {tokenizing:.1f} s")
    for each in found:
        print(line(each))
    if args.json:
        Path(args.json).write_text(json.dumps({"device": described, "found": found}, indent=1) + "\n", encoding="utf-8")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    found.add_argument("--users", type=int, default=20_000)
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--json", metavar="FILE", help="where the figures go as well")
    return found


def bert_base(vocabulary: int) -> TextEncoder:
    return TextEncoder(BertModel(BertConfig(vocab_size=vocabulary), add_pooling_layer=False).train(False), "mean")


def measured(
    encoder: TextEncoder, precision: GpuPrecision, device: torch.device, tokens: Tokens, pad: int, rounds: int
) -> dict[str, float]:
    engine = GpuEngine(encoder, precision, device)
    engine.encode(tokens, pad)
    seconds = [timed(engine, tokens, pad) for _ in range(rounds)]
    took, number = statistics.median(seconds), int(tokens.lengths.sum())
    [rate] = matrix_speed.tokens_per_second(engine.backbone, rounds, [precision]).values()
    return {
        "seconds": took,
        "users_per_second": len(tokens.lengths) / took,
        "tokens_per_second": number / took,
        "share_of_bare_matrix_speed": number / took / rate,
        "share_on_the_gpu": on_gpu(engine, tokens, pad) / took,
    }


def timed(engine: GpuEngine, tokens: Tokens, pad: int) -> float:
    started = time.perf_counter()
    engine.encode(tokens, pad)
    return time.perf_counter() - started


def on_gpu(engine: GpuEngine, tokens: Tokens, pad: int) -> float:
    """Seconds of kernels; what is missing to the whole is padding and sending, which the GPU waits for."""
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds[: 1 + torch.cuda.is_available()]) as profile:
        engine.encode(tokens, pad)
    # Kernels alone: the operations that launched them carry their time once more.
    kernels = [each for each in profile.key_averages() if each.device_type.name == "CUDA"]
    return float(sum(each.self_device_time_total for each in kernels if not each.is_user_annotation)) / 1e6


def line(found: Mapping[str, Any]) -> str:
    return (
        f"{found['encoder']:<10} {found['precision']}: {found['tokens_per_second']:>10,.0f} tokens/s, "
        f"{found['users_per_second']:>8,.0f} users/s, {found['share_of_bare_matrix_speed']:.0%} of the bare matrix "
        f"speed, kernels {found['share_on_the_gpu']:.0%} of the time"
    )


if __name__ == "__main__":
    raise SystemExit(main())
