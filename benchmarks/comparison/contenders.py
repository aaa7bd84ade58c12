"""The text encoders that the benchmarks compare, as a Spark worker runs them: four usual recipes and this project's."""

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
from ulvspark.model.encoder.cpu_engine import CpuEngine
from ulvspark.model.encoder.precision import PRECISIONS, Precision
from ulvspark.model.encoder.text_encoder import pool
from ulvspark.model.encoder.tokenizing import load_tokenizer, tokenize
from ulvspark.model.inference.reader import HistoryReader
from ulvspark.model.predictor import Predictor

Encode = Callable[[Sequence[str], Sequence[str]], np.ndarray]
"""Takes the profiles and the events of n users as texts; returns their vectors: (n, vector_size) float32."""

BATCH = 32
"""Texts in a batch, for recipes with a fixed batch size: the number that most examples use."""

ONNX_FILE = "encoder.onnx"


@lru_cache(maxsize=1)
def predictor(bundle: str) -> Predictor:
    """The bundle's predictor, loaded once a worker. Every contender uses its heads."""
    return Predictor.load(bundle, threads=1)


def reader(bundle: str) -> HistoryReader:
    """Tokenizer and encoder of the bundle, which must be of unit history."""
    history_reader = predictor(bundle).reader
    if not isinstance(history_reader, HistoryReader):
        raise TypeError("the benchmark of texts needs a bundle of unit history")
    return history_reader


@lru_cache(maxsize=1)
def backbone(bundle: str) -> nn.Module:
    """The base encoder as transformers loads it."""
    base: nn.Module = load_backbone(f"{bundle}/encoder").eval()  # type: ignore[no-untyped-call]
    return base


def padded(bundle: str, padding: str) -> Encode:
    """transformers on batches of ``BATCH`` texts in the order they come.

    ``padding`` is the tokenizer's: "max_length" pads to the bundle's limit, "longest" to the batch's longest text.
    """
    history_reader, base, tokenizer = reader(bundle), backbone(bundle), load_tokenizer(f"{bundle}/encoder")
    limit = history_reader.spec.max_tokens

    def encode(profiles: Sequence[str], events: Sequence[str]) -> np.ndarray:
        vectors = []
        with torch.inference_mode():
            for start in range(0, len(events), BATCH):
                batch = slice(start, start + BATCH)
                inputs = tokenizer(
                    list(profiles[batch]), list(events[batch]),
                    padding=padding, truncation="only_second", max_length=limit, return_tensors="pt",
                )  # fmt: skip
                states = base(**inputs).last_hidden_state
                vectors.append(
                    _vectors(history_reader, pool(states, inputs["attention_mask"], history_reader.encoder.pooling))
                )
        return np.concatenate(vectors)

    return encode


def _vectors(history_reader: HistoryReader, pooled: Tensor) -> np.ndarray:
    """Pooled states of the base encoder to users' vectors."""
    with torch.inference_mode():
        return history_reader.encoder.projection(pooled).numpy()  # type: ignore[no-any-return]


def sentence_transformers(bundle: str) -> Encode:
    """sentence-transformers, which sorts texts by length. It takes one text a user: profile and events joined."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - may not be installed
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer  # noqa: PLC0415

    history_reader = reader(bundle)
    transformer = Transformer(f"{bundle}/encoder", max_seq_length=history_reader.spec.max_tokens)
    model = SentenceTransformer(
        modules=[transformer, Pooling(history_reader.encoder.state_size, history_reader.encoder.pooling)], device="cpu"
    )

    def encode(profiles: Sequence[str], events: Sequence[str]) -> np.ndarray:
        joined = [f"{profile}\n{text}" for profile, text in zip(profiles, events, strict=True)]
        states = model.encode(joined, batch_size=BATCH, show_progress_bar=False)
        return _vectors(history_reader, torch.from_numpy(states))

    return encode


def export_onnx(bundle: str) -> None:
    """Write the base encoder as ONNX beside the bundle's folder."""
    history_reader = reader(bundle)
    # One of the texts is padded: with none, the exporter would drop the mask as constant.
    mask = (torch.arange(8) < torch.tensor([[8], [4]])).long()
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * (
        "token_type_ids" in history_reader.tokenizer.model_input_names
    )
    axes = {name: {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")} for name in names}
    with torch.inference_mode():
        torch.onnx.export(
            _States(backbone(bundle)).eval(), kwargs={name: mask.clone() for name in names},
            f=str(Path(bundle).parent / ONNX_FILE), input_names=names, output_names=["states"], dynamic_shapes=axes,
            dynamo=True, verbose=False,
        )  # fmt: skip


class _States(nn.Module):
    """The base encoder with its last hidden states as the only output, as the exporter needs it."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        states: Tensor = self.base(input_ids=input_ids, attention_mask=attention_mask, **segments).last_hidden_state
        return states


def onnx(bundle: str) -> Encode:
    """ONNX Runtime in fp32, on batches of texts sorted by length."""
    import onnxruntime  # type: ignore[import-not-found] # noqa: PLC0415 - may not be installed

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(Path(bundle).parent / ONNX_FILE), options)
    history_reader = reader(bundle)

    def encode(profiles: Sequence[str], events: Sequence[str]) -> np.ndarray:
        tokens = tokenize(history_reader.tokenizer, _rendered(profiles, events), history_reader.spec)
        states = np.empty((len(events), history_reader.encoder.state_size), dtype=np.float32)
        for rows in batches(tokens.lengths, 2048, MAX_BATCH):
            inputs = pad(tokens, rows, history_reader.tokenizer.pad_token_id)
            (hidden,) = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
            states[rows] = pool(
                torch.from_numpy(hidden), inputs["attention_mask"], history_reader.encoder.pooling
            ).numpy()
        return _vectors(history_reader, torch.from_numpy(states))

    return encode


def ulvspark_engine(bundle: str, precision: Precision) -> Encode:
    """This project's engine for CPUs."""
    history_reader = reader(bundle)
    engine = CpuEngine(history_reader.encoder, precision)

    def encode(profiles: Sequence[str], events: Sequence[str]) -> np.ndarray:
        tokens = tokenize(history_reader.tokenizer, _rendered(profiles, events), history_reader.spec)
        return _vectors(history_reader, torch.from_numpy(engine.encode(tokens, history_reader.tokenizer.pad_token_id)))

    return encode


def _rendered(profiles: Sequence[str], events: Sequence[str]) -> list[Rendered]:
    return [Rendered(profile, event, ()) for profile, event in zip(profiles, events, strict=True)]


def tiers(bundle: str, vectors: np.ndarray, numbers: pd.Series, population: Population) -> np.ndarray:
    """The most likely tier of each user."""
    heads = predictor(bundle)
    table = pd.DataFrame(np.stack(numbers.to_list()), columns=list(heads.manifest.history.numbers))
    probabilities = heads.decide(vectors, table, population)["tier_probabilities"]
    if probabilities is None:
        raise TypeError("the benchmark of texts needs a bundle with tiers")
    likeliest: np.ndarray = probabilities.argmax(axis=1)
    return likeliest


BASELINE = "iterator pandas UDF, padded to the limit, fp32"
"""The usual recipe, which the others are compared with."""
PREDICT_BATCH = "predict_batch_udf, padded to the batch, fp32"
ENCODERS: dict[str, Callable[[str], Encode]] = {
    BASELINE: partial(padded, padding="max_length"),
    PREDICT_BATCH: partial(padded, padding="longest"),
    "sentence-transformers in a pandas UDF, fp32": sentence_transformers,
    "ONNX Runtime in a pandas UDF, sorted, fp32": onnx,
    **{
        f"ulvspark, unit history, {precision}": partial(ulvspark_engine, precision=precision)
        for precision in PRECISIONS
    },
}
"""Each contender by name: a function that takes the bundle's folder and loads the encoder."""
PACKAGES = {"sentence-transformers in": ("sentence_transformers",), "ONNX": ("onnxruntime", "onnx", "onnxscript")}
"""Packages that a contender needs, by the start of its name."""


def missing_packages(name: str) -> list[str]:
    """Packages that the contender ``name`` needs and that are not installed."""
    needed = next((packages for start, packages in PACKAGES.items() if name.startswith(start)), ())
    return [package for package in needed if find_spec(package) is None]


@cache
def encoder(name: str, bundle: str) -> Encode:
    """The contender ``name`` of ``ENCODERS``, loaded once a worker, on one thread."""
    torch.set_num_threads(1)
    return ENCODERS[name](bundle)
