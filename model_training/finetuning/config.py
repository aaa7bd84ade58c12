"""The configuration of a training run, ``conf/train.yaml``: checked as a whole before anything starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from model_training.data.tier_fit import TierFit
from model_training.evaluation.metrics import METRICS, Metric
from ulvspark.contract.config import Seed, Strict, load_config
from ulvspark.contract.heads import HeadName
from ulvspark.contract.spec import NetworkSpec, TextSpec
from ulvspark.model.bundle.serving_precision import ServingPrecision


class Optimiser(Strict):
    """How weights are learned in one phase of training."""

    name: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(gt=0)
    """Of the base's weights (and adapters); of everything where ``head_learning_rate`` is not given."""
    head_learning_rate: float | None = Field(None, gt=0)
    """Of the projection and the heads."""
    weight_decay: float = Field(0.01, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of sgd."""
    batch_size: int = Field(ge=1)
    """Rows of one optimiser step, over all devices and accumulated batches."""
    accumulation: int = Field(1, ge=1)
    """Batches that a step is split into, to need less memory."""
    epochs: float = Field(gt=0)
    evaluations_per_epoch: int = Field(1, ge=1)
    """Evaluations are on held-out users; with each one a checkpoint is saved, from which a killed run goes on."""
    warmup_share: float = Field(0.1, ge=0, lt=1)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    clip_norm: float = Field(1.0, gt=0)


class TopLayers(Strict):
    """Only the last ``top`` layers of the base learn."""

    top: int = Field(ge=1)


class Lora(Strict):
    """Low-rank updates (Hu et al. 2021, arXiv 2106.09685). Merged into the weights before saving."""

    kind: Literal["lora"]
    rank: int = Field(8, ge=1)
    alpha: float = Field(16, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[str, ...] | None = None
    """Names of the linear layers; all of them where not given."""


class AdaLora(Strict):
    """LoRA that prunes the ranks that matter least (Zhang et al. 2023, arXiv 2303.10512). Merged before saving."""

    kind: Literal["adalora"]
    first_rank: int = Field(12, ge=1)
    final_rank: int = Field(4, ge=1)
    """Mean rank at the end."""
    alpha: float = Field(16, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    orthogonality: float = Field(0.5, gt=0)
    targets: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _shrinks(self) -> Self:
        if self.final_rank >= self.first_rank:
            raise ValueError("final_rank must be less than first_rank")
        return self


class Prefix(Strict):
    """Learned keys and values before every layer (Li and Liang 2021, arXiv 2101.00190). Kept in the bundle."""

    kind: Literal["prefix"]
    tokens: int = Field(10, ge=1)


class Ia3(Strict):
    """Learned factors on activations (Liu et al. 2022, arXiv 2205.05638). Merged before saving."""

    kind: Literal["ia3"]
    targets: tuple[str, ...] | None = None
    feedforward: tuple[str, ...] | None = None
    """The ``targets`` that belong to the feed-forward part of a layer."""

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.targets is None) != (self.feedforward is None):
            raise ValueError("give targets and feedforward together, or neither")
        return self


Adapter = Annotated[Lora | AdaLora | Prefix | Ia3, Field(discriminator="kind")]


class Tuning(Strict):
    """What learns in the base; the heads always learn."""

    freeze: Literal["head", "all"] | TopLayers = "head"
    """Which weights of the base learn: ``head`` none, ``all`` all, ``{top: n}`` its last n layers."""
    layer_decay: float | None = Field(None, gt=0, le=1)
    """Each layer learns this many times as fast as the one above it."""
    dropout: float | None = Field(None, ge=0, lt=1)
    """Dropout within the base; its own where not given."""
    adapter: Adapter | None = None
    """New weights in the base that learn while its own stay frozen."""
    start: Literal["fitted_heads", "new_heads"] = "fitted_heads"
    """Tune from the heads fitted to the frozen base (Kumar et al. 2022, arXiv 2202.10054), or from random ones."""
    optimiser: Optimiser

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.adapter is not None and self.freeze != "head":
            raise ValueError("an adapter learns beside a frozen base, so give freeze: head with it")
        return self

    @property
    def touches_base(self) -> bool:
        """Whether anything in the base is learned."""
        return self.freeze != "head" or self.adapter is not None


class Loss(Strict):
    """How errors are weighted."""

    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    """A weight for each tier, lowest first; ``balanced`` weighs a rare tier as much as a common one."""
    head_weights: dict[HeadName, float] = Field(default_factory=dict)
    """A weight for each head, 1 where not given."""


class Validation(Strict):
    """The users held out of training, on whom the best checkpoint is chosen."""

    held_out_share: float = Field(0.1, gt=0, lt=1)
    metric: Metric = "spearman"
    patience: int | None = Field(None, ge=1)
    """Evaluations without progress after which training stops; null: it never stops early."""


class TrainConfig(Strict):
    """``conf/train.yaml`` and ``conf/recipes/*.yaml``."""

    base: str = "minilm"
    """A folder or Hugging Face name of an encoder or a GPT-like decoder; ``minilm`` is the packaged MiniLM."""
    start_from: str | None = None
    """The folder of a bundle to start from: its weights and the statistics of its numbers. It must have been trained
    with the same ``network`` (dropout may differ), base, ``text``, history and number of tiers. Useful where labels are
    few, with a bundle of other platforms."""
    text: TextSpec = Field(default_factory=lambda: TextSpec.model_validate({}))
    network: NetworkSpec = Field(default_factory=lambda: NetworkSpec.model_validate({}))
    tiers: TierFit
    min_users: int = Field(200, ge=2)
    """Training on fewer users is refused."""
    heads: Optimiser
    """The heads phase: fits the heads to the frozen base, which runs once. The only phase unless the base is tuned."""
    tuning: Tuning
    """The tuning phase, which follows where weights of the base are to learn."""
    loss: Loss = Field(default_factory=lambda: Loss.model_validate({}))
    validation: Validation = Field(default_factory=lambda: Validation.model_validate({}))
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """The precision of training; ``auto`` is bf16 where the hardware multiplies it, else fp32."""
    serving_precision: ServingPrecision = "fp32"
    """The precision in which the base reads for scores; ``auto`` is the fastest that gives the tiers of fp32."""
    tf32: bool = True
    """Let NVIDIA GPUs multiply fp32 in tf32."""
    gradient_checkpointing: bool = False
    group_by_length: bool = True
    """Put texts of similar length into a batch, which saves padding."""
    seed: Seed = 7
    trackers: tuple[Literal["wandb", "mlflow"], ...] = ()
    """Trackers beside TensorBoard, which is always written."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        metric = self.validation.metric
        needed = METRICS[metric].heads
        if set(needed).isdisjoint(self.network.heads):
            raise ValueError(f"validation.metric {metric} needs {' or '.join(needed)} among network.heads")
        if self.tuning.touches_base and not self.network.use_text:
            raise ValueError("tuning.freeze must be head and tuning.adapter null where network.use_text is false")
        weights = self.loss.class_weights
        if isinstance(weights, tuple) and len(weights) != len(self.tiers.names):
            raise ValueError(f"loss.class_weights has {len(weights)} weights for {len(self.tiers.names)} tiers")
        return self


def load_train_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Raises ExpectedError naming all mistakes at once, each with its dotted path."""
    return load_config(TrainConfig, path, overrides)
