"""Make a bundle with untrained heads for benchmarks: it scores as fast as a trained one."""

from datetime import date
from pathlib import Path

import numpy as np
import torch

from model_training.finetuning.bases import load_base
from ulvspark.contract.spec import HistorySpec, NetworkSpec, TextSpec, TierSpec, Unit
from ulvspark.history.features import feature_names
from ulvspark.model.bundle import bundle
from ulvspark.model.bundle.bundle import BundleFacts
from ulvspark.model.network.network import build_network


def untrained_bundle(base: str, max_tokens: int, folder: Path, unit: Unit = "history") -> Path:
    """Save a bundle of an untrained network with the base encoder ``base``, in fp32, to ``folder``; returns ``folder``.

    Its tiers differ from user to user.
    """
    torch.manual_seed(0)
    text, network = TextSpec.model_validate({"max_tokens": max_tokens}), NetworkSpec.model_validate({"unit": unit})
    facts = BundleFacts(
        history=HistorySpec.model_validate({}), text=text, network=network, horizon_days=91, currency="EUR",
        time_zone="UTC",
        tiers=TierSpec(names=("low", "mid", "high"), bounds=(0.5, 2.0), unit="platform_scale", means=(0.1, 1.0, 5.0)),
        base_model=base, data_versions={}, training_origins=(date(2020, 1, 1),), metrics={}, seed=0,
        code_version="benchmark", config={},
    )  # fmt: skip
    loaded = load_base(base, text, network.pooling)
    built = build_network(network, loaded.backbone, facts.history, len(facts.tiers.names))
    features = len(feature_names(facts.history))
    built.decider.fit_statistics(np.random.default_rng(0).normal(1, 2, (50, features)).astype(np.float32))
    # With the default weights all users would get the same tier, which would hide any change of their vectors.
    torch.nn.init.normal_(built.decider.heads["tier"].weight)  # type: ignore[arg-type]
    bundle.save(folder, built, loaded.tokenizer, facts)
    return folder
