"""Adapters of the peft library: a few new weights in the base that learn while its own stay frozen."""

from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from model_training.finetuning.config import AdaLora, Adapter, Ia3, Lora, Prefix
from ulvspark.contract.errors import ExpectedError

ALLOCATOR = "rank_allocator.safetensors"
AVERAGES = ("ipt", "exp_avg_ipt", "exp_avg_unc")


def add_adapter(backbone: nn.Module, adapter: Adapter, steps: int) -> nn.Module:
    """The base with an adapter, whose weights alone learn. AdaLoRA plans by ``steps``, the length of the training.

    Raises ExpectedError where the method does not work with this family of models, or peft is not installed.
    """
    try:
        import peft  # noqa: PLC0415 - an extra, needed only here
    except ImportError:
        raise ExpectedError("tuning.adapter needs the extra peft; run `pip install 'ulvspark[peft]'`") from None
    untyped: Any = backbone
    family = untyped.config.model_type
    try:
        adapted = peft.get_peft_model(untyped, _peft_config(peft, adapter, steps))
        if isinstance(adapter, Prefix):
            # A second name for the base's embeddings, which a prefix never reads; checkpoints could not be saved.
            adapted.word_embeddings = None
        _try_out(adapted)
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ExpectedError(
            f"tuning.adapter {adapter.kind} does not work with the base's family {family} ({reason}); "
            "name its targets, choose another adapter, or tune the top layers"
        ) from error
    return cast(nn.Module, adapted)


def _peft_config(peft: Any, adapter: Adapter, steps: int) -> Any:  # noqa: ANN401 - peft is optional
    task = peft.TaskType.FEATURE_EXTRACTION
    match adapter:
        case Lora():
            return peft.LoraConfig(
                task_type=task, r=adapter.rank, lora_alpha=adapter.alpha, lora_dropout=adapter.dropout,
                target_modules=_listed(adapter.targets) or "all-linear",
            )  # fmt: skip
        case AdaLora():
            return peft.AdaLoraConfig(
                task_type=task, init_r=adapter.first_rank, target_r=adapter.final_rank, lora_alpha=adapter.alpha,
                lora_dropout=adapter.dropout, orth_reg_weight=adapter.orthogonality, total_step=steps,
                # Full ranks for a tenth of the steps, final ranks for the last third; the budget falls in between.
                tinit=max(1, steps // 10), tfinal=max(1, steps // 3), deltaT=max(1, steps // 100),
                target_modules=_listed(adapter.targets) or "all-linear",
            )  # fmt: skip
        case Prefix():
            return peft.PrefixTuningConfig(task_type=task, num_virtual_tokens=adapter.tokens)
        case Ia3():
            return peft.IA3Config(
                task_type=task,
                target_modules=_listed(adapter.targets),
                feedforward_modules=_listed(adapter.feedforward),
            )


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


def _try_out(adapted: nn.Module) -> None:
    """Run a few tokens forward and backward: some methods fail only then, or the family's code ignores their weights.

    Raises ValueError where a new weight has no effect.
    """
    device = next(adapted.parameters()).device
    ids = torch.zeros(1, 3, dtype=torch.long, device=device)
    states = adapted(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    if not states.requires_grad:
        raise ValueError("its code ignores the new weights")
    states.sum().backward()
    idle = [name for name, weight in adapted.named_parameters() if weight.requires_grad and weight.grad is None]
    adapted.zero_grad()
    if idle:
        raise ValueError(f"its code ignores {idle[0]}")


def merge_adapter(backbone: nn.Module) -> nn.Module:
    """The base with the adapter merged into its own weights; unchanged where the method cannot be merged (prefix)."""
    untyped: Any = backbone
    if not hasattr(untyped, "merge_and_unload"):
        return backbone
    try:
        return cast(nn.Module, untyped.merge_and_unload())
    except AttributeError:
        # A prefix adds keys and values, not weights.
        return backbone


def orthogonality(backbone: nn.Module, weight: float) -> Tensor:
    """AdaLoRA's regulariser: how far P and Q are from orthogonal, as a mean over matrices (equation 4 of the paper).

    peft adds it only to models that return a loss themselves, which a base encoder does not.
    """
    distances = []
    for name, matrix in backbone.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            product = matrix @ matrix.T if "lora_A" in name else matrix.T @ matrix
            distances.append(torch.linalg.matrix_norm(product - torch.eye(len(product), device=product.device)))
    return weight * torch.stack(distances).mean()


class RankUpdates(TrainerCallback):
    """Calls AdaLoRA's rank update after every step, and keeps its state in the checkpoints.

    peft leaves this call to the training loop; without it AdaLoRA prunes nothing.
    """

    def __init__(self, adapted: nn.Module) -> None:
        self._adalora: Any = cast(Any, adapted).base_model

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        saved = _checkpoint(args, state) / ALLOCATOR
        if saved.exists():
            self._restore(load_file(saved))

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        # Trainer counts the step afterwards; the gradients are still there.
        self._adalora.update_and_allocate(state.global_step + 1)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        if state.is_world_process_zero:
            save_file(self._state(), _checkpoint(args, state) / ALLOCATOR)

    def _state(self) -> dict[str, Tensor]:
        allocator = self._adalora.rankallocator
        averages = {f"{kind}/{name}": value for kind in AVERAGES for name, value in getattr(allocator, kind).items()}
        kept_ranks = (self._config.rank_pattern or {}).items()
        ranks = {f"ranks/{name}": torch.tensor(kept) for name, kept in kept_ranks}
        return {name: tensor.clone() for name, tensor in (averages | ranks).items()}

    def _restore(self, saved: dict[str, Tensor]) -> None:
        parts: dict[str, dict[str, Tensor]] = {kind: {} for kind in (*AVERAGES, "ranks")}
        for key, tensor in saved.items():
            kind, _, name = key.partition("/")
            parts[kind][name] = tensor
        for kind in AVERAGES:
            setattr(self._adalora.rankallocator, kind, parts[kind])
        if parts["ranks"]:
            self._config.rank_pattern = {name: kept.tolist() for name, kept in parts["ranks"].items()}

    @property
    def _config(self) -> Any:  # noqa: ANN401 - peft is optional
        return self._adalora.peft_config[self._adalora.trainable_adapter_name]


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"


def final_ranks(adapted: nn.Module) -> dict[str, int]:
    """How many of its ranks each AdaLoRA layer still uses."""
    return {
        name.removesuffix(".default"): int(torch.count_nonzero(values))
        for name, values in adapted.named_parameters()
        if ".lora_E" in name
    }
