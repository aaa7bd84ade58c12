"""Teach a base model the language of behaviour, without labels; the result is a base for fine-tuning.

    python -m model_training.pretrain --warehouse ROOT --out FOLDER [--config conf/pretrain.yaml] [a.b=value ...]
    python -m model_training.finetune --warehouse ROOT base=FOLDER ...

Reads the histories that were known by the cut and no label at all.
"""

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, PrinterCallback, set_seed

from model_training.data.dataset import cut_date, read_training_set
from model_training.data.ordering import OrderedTrainer
from model_training.finetuning.arguments import training_arguments
from model_training.finetuning.bases import base_files, load_base, resolve_base
from model_training.finetuning.freezing import build_optimiser
from model_training.pretraining.config import PretrainConfig
from model_training.pretraining.denoising import DenoisingAutoencoder, Noise
from model_training.pretraining.masking import Masking, load_masked_model
from model_training.pretraining.texts import Corpus, read_corpus
from model_training.runs.devices import chosen_precision, processes
from model_training.runs.folders import latest_checkpoint
from model_training.runs.progress import Progress
from ulvspark.contract.config import load_config
from ulvspark.contract.disk import told_when_full
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.contract.source import TrainingSetMeta
from ulvspark.model.bundle.manifest import digest
from ulvspark.model.encoder.quiet import quiet_transformers
from ulvspark.model.encoder.tokenizing import check_fit, load_tokenizer

REPORT = "pretraining.json"

Collate = Callable[[Sequence[int]], dict[str, Tensor]]


@dataclass(frozen=True)
class PretrainReport:
    """``pretraining.json`` in the new base: mean loss of a guessed token on texts of held-out users."""

    method: str
    base: str
    texts: int
    held_out_texts: int
    loss_before: float
    loss_after: float
    perplexity_before: float
    perplexity_after: float
    new_head: bool
    """Whether the part that guesses began at random, which makes the loss before that of a beginner."""
    minutes: float

    def sentence(self) -> str:
        """For the terminal."""
        began = " (with a new, untrained head)" if self.new_head else ""
        return (
            f"{self.method} on {self.texts:,} texts: held-out loss {self.loss_before:.3f}{began} -> "
            f"{self.loss_after:.3f}, perplexity {self.perplexity_before:.1f} -> {self.perplexity_after:.1f}, "
            f"{self.minutes:.1f} min"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Pre-train and save; raises ExpectedError for bad input."""
    args = parser().parse_args(argv)
    report = pretrain(
        load_config(PretrainConfig, args.config, args.overrides), args.warehouse, Path(args.out), args.cut
    )
    if processes().is_main_process:
        print(f"{report.sentence()}\n{args.out} is a base now: fine-tune with base={args.out}")
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(prog="model_training.pretrain", description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--config", default="conf/pretrain.yaml", metavar="YAML", help="default: %(default)s")
    arguments.add_argument(
        "--warehouse", required=True, metavar="ROOT", help="where training_set is: a folder or s3://"
    )
    arguments.add_argument("--out", required=True, metavar="FOLDER", help="the new base; must not be there yet")
    arguments.add_argument(
        "--cut", choices=("validation", "test"), default="validation",
        help="read histories known by this date of the protocol (default: validation)",
    )  # fmt: skip
    arguments.add_argument("overrides", nargs="*", metavar="a.b=value", help="changes to the configuration")
    return arguments


def pretrain(config: PretrainConfig, warehouse: str, out: Path, cut_name: str) -> PretrainReport:
    """Train and write the base ``out``, whole or not at all; checkpoints lie beside it until then.

    Raises ExpectedError for bad input, where ``out`` is there already, and where the disk is full.
    """
    started = time.perf_counter()
    if out.exists():
        raise ExpectedError(f"{out} is there already; remove it or name another folder with --out")
    set_seed(config.seed)
    place = resolve_base(config.base)
    tokenizer = load_tokenizer(place)
    model, new_head = _model(config, place, tokenizer)
    training_set = read_training_set(warehouse)
    cut = cut_date(training_set.meta.protocol, cut_name)
    corpus = read_corpus(training_set, cut, config.held_out_share, tokenizer, config.text)
    work = _work_folder(out, config, training_set.meta, cut_name)
    with told_when_full(f"pre-training in {work}"):
        before, after = _train(config, model, corpus, _collator(config, corpus, tokenizer), work)
        report = PretrainReport(
            config.method, Path(config.base).name, len(corpus.fit), len(corpus.held_out), before, after,
            math.exp(before), math.exp(after), new_head, (time.perf_counter() - started) / 60,
        )  # fmt: skip
        if processes().is_main_process:
            _save(model, tokenizer, report, out)
            shutil.rmtree(work)
        processes().wait_for_everyone()
    return report


def _work_folder(out: Path, config: PretrainConfig, meta: TrainingSetMeta, cut_name: str) -> Path:
    """Beside ``out``, a folder by what the run is, so that no checkpoint of another run is gone on from."""
    content = {
        "config": config.model_dump(mode="json"), "base": base_files(config.base),
        "data": meta.model_dump(mode="json"), "cut": cut_name,
    }  # fmt: skip
    return out.with_name(f".{out.name}.{digest(content)[:12]}.checkpoints")


def _model(config: PretrainConfig, place: str, tokenizer: PreTrainedTokenizerBase) -> tuple[nn.Module, bool]:
    if config.method == "mlm":
        model, new_head = load_masked_model(place, tokenizer)
        check_fit(tokenizer, model, config.text)
        return model, new_head
    backbone = load_base(config.base, config.text, config.pooling).backbone
    return DenoisingAutoencoder(backbone, config.pooling, config.text.max_tokens, config.decoder_layers), True


def _collator(config: PretrainConfig, corpus: Corpus, tokenizer: PreTrainedTokenizerBase) -> Collate:
    if config.method == "mlm":
        return Masking(corpus, tokenizer, config.mask_share)
    return Noise(corpus, tokenizer, config.text, config.delete_share)


def _train(
    config: PretrainConfig, model: nn.Module, corpus: Corpus, collate: Collate, work: Path
) -> tuple[float, float]:
    """Held-out loss before and after; the model ends as it was best."""
    trainer = OrderedTrainer(
        model,
        corpus.tokens.lengths[corpus.fit],
        config.optimiser.batch_size,
        args=training_arguments(
            work, config.optimiser, len(corpus.fit), chosen_precision(config.precision), config.seed, config.tf32,
            metric_for_best_model="loss", greater_is_better=False, label_names=["labels"], prediction_loss_only=True,
            report_to=[], activation_checkpointing=config.gradient_checkpointing,
        ),
        data_collator=collate,
        train_dataset=corpus.fit.tolist(),
        eval_dataset=corpus.held_out.tolist(),
        callbacks=[Progress(config.method, "loss")] if processes().is_main_process else [],
        optimizers=(build_optimiser(model, config.optimiser), None),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    before = trainer.evaluate()["eval_loss"]
    trainer.train(resume_from_checkpoint=latest_checkpoint(work))
    return before, trainer.evaluate()["eval_loss"]


def _save(model: nn.Module, tokenizer: PreTrainedTokenizerBase, report: PretrainReport, out: Path) -> None:
    whole: Any = model.backbone if isinstance(model, DenoisingAutoencoder) else model
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        partial = Path(scratch) / out.name
        with quiet_transformers():
            whole.cpu().save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        (partial / REPORT).write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
        partial.rename(out)


if __name__ == "__main__":
    run_as_job(main)
