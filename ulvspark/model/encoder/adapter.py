"""Saves and loads a base encoder together with an adapter that cannot be merged into its weights (a learned prefix)."""

from pathlib import Path
from typing import Any, cast

from torch import nn

from ulvspark.contract.errors import ExpectedError
from ulvspark.model.encoder.quiet import quiet_transformers

ADAPTER = "adapter"
"""The adapter's folder within the encoder's."""


def save_backbone(backbone: nn.Module, folder: Path) -> None:
    """Write the base encoder into ``folder``, and its adapter, if it has one, into a folder below."""
    untyped: Any = backbone
    with quiet_transformers():
        if not _is_adapted(backbone):
            untyped.save_pretrained(folder)
            return
        untyped.get_base_model().save_pretrained(folder)
        for config in untyped.peft_config.values():
            # A path on the training machine must not be published, and would change the encoder's version.
            config.base_model_name_or_path = None
        untyped.save_pretrained(folder / ADAPTER)
        (folder / ADAPTER / "README.md").unlink(missing_ok=True)


def _is_adapted(backbone: nn.Module) -> bool:
    return hasattr(backbone, "get_base_model")


def has_adapter(folder: Path) -> bool:
    """Whether an adapter is saved beside the base encoder in ``folder``."""
    return (folder / ADAPTER).exists()


def with_adapter(backbone: nn.Module, folder: Path) -> nn.Module:
    """``backbone`` with the adapter saved beside it in ``folder``; ``backbone`` itself where there is none.

    Raises ExpectedError where the adapter needs a library that is not installed.
    """
    if not has_adapter(folder):
        return backbone
    try:
        import peft  # noqa: PLC0415 - needed only for such bundles
    except ImportError:
        raise ExpectedError(f"{folder / ADAPTER} needs the extra peft; run `pip install 'ulvspark[peft]'`") from None
    return cast(nn.Module, peft.PeftModel.from_pretrained(cast(Any, backbone), str(folder / ADAPTER)))
