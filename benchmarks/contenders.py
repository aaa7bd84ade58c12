"""Ways to turn texts into users' vectors, as they run in a worker: what is usually written, and this project's."""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ulvspark.history.population import Population
from ulvspark.history.text import Rendered
from ulvspark.model.encoder.backbone import load_backbone
from ulvspark.model.encoder.batching import MAX_BATCH, batches, pad
from ulvspark.model.encoder.cpu_engine import Engine
from ulvspark.model.encoder.precision import PRECISIONS, Precision
from ulvspark.model.encoder.text_encoder import pool
from ulvspark.model.encoder.tokenizing import tokenize
from ulvspark.model.inference.reader import HistoryReader
from ulvspark.model.predictor import Predictor

Encode = Callable[[Sequence[str], Sequence[str]], np.ndarray]
"""Profiles and events of n users to (n, vector_size) float32."""

BATCH = 32
"""Texts at once where a recipe has a fixed number: what examples use."""

ONNX = "encoder.onnx"


@lru_cache(maxsize=1)
def predictor(bundle: str) -> Predictor:
    """Loaded once a worker, as a user's module would do too; the heads are the same for every way to encode."""
    return Predictor.load(bundle, threads=1)


def reader(bundle: str) -> HistoryReader:
    found = predictor(bundle).reader
    if not isinstance(found, HistoryReader):
        raise TypeError("the benchmark of texts needs a bundle of unit history")
    return found


@lru_cache(maxsize=1)
def backbone(bundle: str) -> nn.Module:
    """The base encoder as transformers loads it."""
    found: nn.Module = load_backbone(f"{bundle}/encoder").eval()  # type: ignore[no-untyped-call]
    return found


def padded(bundle: str, to: int | str) -> Encode:
    """The usual recipe: ``BATCH`` texts in the order they come, padded to ``to`` tokens or to the longest of them."""
    own, base = reader(bundle), backbone(bundle)
    padding = "longest" if to == "longest" else "max_length"
    limit = own.spec.max_tokens

    def encode(profiles: Sequence[str], events: Sequence[str]) -> np.ndarray:
        found = []
        with torch.inference_mode():
            for start in range(0, len(events), BATCH):
                here = slice(start, start + BATCH)
                inputs = own.tokenizer(
                    list(profiles[here]), list(events[here]),
                    padding=padding, truncation="only_second", max_length=limit, return_tensors="pt",
                )  # fmt: skip
                states = base(**inputs).last_hidden_state
                found.append(_vectors(own, pool(states, inputs["attention_mask"], own.encoder.pooling)))
        return np.concatenate(found)

    return encode


def _vectors(own: HistoryReader, pooled: Tensor) -> np.ndarray:
    with torch.inference_mode():
        return own.encoder.projection(pooled).numpy()  # type: ignore[no-any-return]


def sentences(bundle: str) -> Encode:
    """sentence-transformers, which sorts by length itself. It reads one text a user, so the two are joined."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - may not be installed
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer  # noqa: PLC0415

    own = reader(bundle)
    words = Transformer(f"{bundle}/encoder", max_seq_length=own.spec.max_tokens)
    model = SentenceTransformer(modules=[words, Pooling(own.encoder.state_size, own.encoder.pooling)], device="cpu")

    def encode(profiles: Sequence[str], events: Sequence[str]) -> np.ndarray:
        joined = [f"{profile}\n{event}" for profile, event in zip(profiles, events, strict=True)]
        states = model.encode(joined, batch_size=BATCH, show_progress_bar=False)
        return _vectors(own, torch.from_numpy(states))

    return encode


def export_onnx(bundle: str) -> None:
    """Write the base encoder as ONNX beside the bundle's folder."""
    own = reader(bundle)
    # Half of a text hidden, else the exporter takes it that nothing ever is.
    mask = (torch.arange(8) < torch.tensor([[8], [4]])).long()
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * ("token_type_ids" in own.tokenizer.model_input_names)
    axes = {name: {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")} for name in names}
    with torch.inference_mode():
        torch.onnx.export(
            _States(backbone(bundle)).eval(), kwargs={name: mask.clone() for name in names},
            f=str(Path(bundle).parent / ONNX), input_names=names, output_names=["states"], dynamic_shapes=axes,
            dynamo=True, verbose=False,
        )  # fmt: skip


class _States(nn.Module):
    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        states: Tensor = self.base(input_ids=input_ids, attention_mask=attention_mask, **segments).last_hidden_state
        return states


def onnx(bundle: str) -> Encode:
    """ONNX Runtime in fp32 on batches sorted by length."""
    import onnxruntime  # type: ignore[import-not-found] # noqa: PLC0415 - may not be installed

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(Path(bundle).parent / ONNX), options)
    own = reader(bundle)

    def encode(profiles: Sequence[str], events: Sequence[str]) -> np.ndarray:
        tokens = tokenize(own.tokenizer, _rendered(profiles, events), own.spec)
        states = np.empty((len(events), own.encoder.state_size), dtype=np.float32)
        for rows in batches(tokens.lengths, 2048, MAX_BATCH):
            inputs = pad(tokens, rows, own.tokenizer.pad_token_id)
            (found,) = session.run(None, {name: each.numpy() for name, each in inputs.items()})
            states[rows] = pool(torch.from_numpy(found), inputs["attention_mask"], own.encoder.pooling).numpy()
        return _vectors(own, torch.from_numpy(states))

    return encode


def ours(bundle: str, precision: Precision) -> Encode:
    """This project's engine."""
    own = reader(bundle)
    engine = Engine(own.encoder, precision)

    def encode(profiles: Sequence[str], events: Sequence[str]) -> np.ndarray:
        tokens = tokenize(own.tokenizer, _rendered(profiles, events), own.spec)
        return _vectors(own, torch.from_numpy(engine.read(tokens, own.tokenizer.pad_token_id)))

    return encode


def _rendered(profiles: Sequence[str], events: Sequence[str]) -> list[Rendered]:
    return [Rendered(profile, event, ()) for profile, event in zip(profiles, events, strict=True)]


def tiers(bundle: str, vectors: np.ndarray, numbers: pd.Series, population: Population) -> np.ndarray:
    """The most likely tier of each user."""
    own = predictor(bundle)
    table = pd.DataFrame(np.stack(numbers.to_list()), columns=list(own.manifest.history.numbers))
    probabilities = own.decide(vectors, table, population)["tier_probabilities"]
    if probabilities is None:
        raise TypeError("the benchmark of texts needs a bundle with tiers")
    found: np.ndarray = probabilities.argmax(axis=1)
    return found


USUAL = "iterator pandas UDF, padded to the limit, fp32"
IN_BATCHES = "predict_batch_udf, padded to the batch, fp32"
ENCODERS: dict[str, Callable[[str], Encode]] = {
    USUAL: partial(padded, to="limit"),
    IN_BATCHES: partial(padded, to="longest"),
    "sentence-transformers in a pandas UDF, fp32": sentences,
    "ONNX Runtime in a pandas UDF, sorted, fp32": onnx,
    **{f"ulvspark, unit history, {precision}": partial(ours, precision=precision) for precision in PRECISIONS},
}
NEEDS = {"sentence-transformers in": ("sentence_transformers",), "ONNX": ("onnxruntime", "onnx", "onnxscript")}


def missing(name: str) -> list[str]:
    """Packages that this way needs and that are not installed."""
    needed = next((packages for start, packages in NEEDS.items() if name.startswith(start)), ())
    return [package for package in needed if find_spec(package) is None]


@cache
def encoder(name: str, bundle: str) -> Encode:
    """One of ``ENCODERS``, loaded once a worker."""
    torch.set_num_threads(1)
    return ENCODERS[name](bundle)
