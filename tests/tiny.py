"""Tiny random models: a WordPiece tokenizer of letters and a few words, and a BERT of two narrow layers."""

from datetime import date
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from ulvspark.contract.spec import HistorySpec, NetworkSpec, TextSpec, TierSpec
from ulvspark.history.features import feature_names
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.bundle import BundleFacts
from ulvspark.model.encoder.backbone import load_backbone
from ulvspark.model.encoder.batching import Tokens
from ulvspark.model.encoder.tokenizing import load_tokenizer
from ulvspark.model.network.network import UserValueNetwork, build_network

SENTENCE = (
    "customer from bought returned viewed clicked put in cart searched reviewed something usual price below above "
    "cheap inexpensive pricey dear day days week weeks month months year years earlier red white woolly holder mug"
)
WORDS = SENTENCE.split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = [chr(code) for code in range(33, 127) if not chr(code).isupper()]


def tokenizer() -> PreTrainedTokenizerFast:
    pieces = [*SPECIAL, *WORDS, *CHARACTERS, *(f"##{character}" for character in CHARACTERS)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def bert_folder(folder: Path) -> Path:
    """A base model as Hugging Face saves it: random BERT and its tokenizer."""
    return base_folder(folder, "bert")


def base_folder(folder: Path, family: str) -> Path:
    """A random base model of a family (bert, roberta, modernbert, gpt2) with a tokenizer that fits it."""
    torch.manual_seed(0)
    words = tokenizer()
    config = AutoConfig.for_model(
        family, **SIZES, vocab_size=len(words), intermediate_size=64, n_inner=64, max_position_embeddings=512,
        pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3, classifier_pooling="mean",
        type_vocab_size=2 if family == "bert" else 1,
    )  # fmt: skip
    AutoModel.from_config(config).save_pretrained(folder)
    if family != "bert":
        words.model_input_names = ["input_ids", "attention_mask"]
    if family == "gpt2":
        # As GPT-2's own: no padding token, and nothing around or between the segments.
        words = PreTrainedTokenizerFast(tokenizer_object=_bare(words.backend_tokenizer), eos_token="[SEP]")
    words.save_pretrained(folder)
    return folder


def _bare(core: Tokenizer) -> Tokenizer:
    core.post_processor = processors.Sequence([])
    return core


def facts(network: NetworkSpec | None = None, text: TextSpec | None = None) -> BundleFacts:
    """Facts of a made-up bundle with three tiers."""
    return BundleFacts(
        history=HistorySpec(), text=text or TextSpec(),
        network=network or NetworkSpec(unit="history", vector_size=16, hidden_size=8),
        tiers=TierSpec(names=("low", "mid", "high"), bounds=(0.5, 2.0), unit="platform_scale", means=(0.1, 1.0, 5.0)),
        horizon_days=90, currency="GBP", time_zone="Europe/London", base_model="tiny-bert",
        data_versions={"events": 3, "products": 1, "users": 1}, training_origins=(date(2020, 1, 1), date(2020, 2, 1)),
        metrics={"spearman": 0.5}, seed=7, code_version="0.1.0", config={"epochs": 1},
    )  # fmt: skip


def network(about: BundleFacts, base: Path | None) -> UserValueNetwork:
    """A random network for ``about``, whose features have been given statistics."""
    torch.manual_seed(about.seed)
    backbone = load_backbone(base) if about.network.use_text and base is not None else None
    made = build_network(about.network, backbone, about.history, len(about.tiers.names))
    features = len(feature_names(about.history))
    made.decider.fit_statistics(np.random.default_rng(0).normal(1, 2, (50, features)).astype(np.float32))
    return made


def bundle_folder(folder: Path, base: Path, about: BundleFacts | None = None) -> Path:
    """A saved bundle of a random network around the base model in ``base``."""
    about = about or facts()
    return save(folder, network(about, base), base, about)


def save(folder: Path, made: UserValueNetwork, base: Path, about: BundleFacts) -> Path:
    """``made`` as a bundle, with the tokenizer of ``base``."""
    bundle.save(folder, made, load_tokenizer(base) if about.network.use_text else None, about)
    return folder


def some_tokens(number: int = 40, longest: int = 60) -> Tokens:
    """Token ids of texts of any length, each in two segments."""
    dice = np.random.default_rng(0)
    lengths = dice.integers(1, longest, number)
    ids = [dice.integers(5, 60, length).tolist() for length in lengths]
    return Tokens(ids, [[int(place > 3) for place in range(length)] for length in lengths])
