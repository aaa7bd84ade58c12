"""Teach a base model the language of behaviour, without labels; the result is a base for fine-tuning.

    python -m model_training.pretrain --warehouse ROOT --out FOLDER [--config conf/pretrain.yaml] [a.b=value ...]
    python -m model_training.finetune --warehouse ROOT base=FOLDER ...

Reads the texts of users as of the cut and of earlier dates, and no label.
"""

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase, PrinterCallback, set_seed

from model_training.data.dataset import cut_date, read_training_set
from model_training.data.ordering import OrderedTrainer
from model_training.finetuning.bases import base_files, resolve_base
from model_training.finetuning.freezing import build_optimiser
from model_training.finetuning.trainer_arguments import training_arguments
from model_training.pretraining.config import PretrainConfig
from model_training.pretraining.denoising import DenoisingAutoencoder
from model_training.pretraining.methods import Collator, load_model, make_collator
from model_training.pretraining.report import REPORT, PretrainReport
from model_training.pretraining.texts import Corpus, read_corpus
from model_training.runs.code_version import code_fingerprint
from model_training.runs.devices import chosen_precision, processes
from model_training.runs.folders import latest_checkpoint
from model_training.runs.training_progress import TrainingProgress
from ulvspark.contract.arguments import add_config, add_cut, add_overrides, add_warehouse, command_parser
from ulvspark.contract.config import load_config
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.contract.source.source import TrainingSetMeta
from ulvspark.contract.storage.disk import full_disk_as_expected_error
from ulvspark.model.bundle.checksums import digest
from ulvspark.model.encoder.quiet import quiet_transformers
from ulvspark.model.encoder.tokenizing import load_tokenizer


def main(argv: Sequence[str] | None = None) -> int:
    """Pre-train and save; raises ExpectedError for bad input."""
    args = parser().parse_args(argv)
    config = load_config(PretrainConfig, args.config, args.overrides)
    report = pretrain(config, args.warehouse, Path(args.out), args.cut)
    if processes().is_main_process:
        print(f"{report.sentence()}\n{args.out} is a base now: fine-tune with base={args.out}")
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = command_parser("model_training.pretrain", __doc__)
    add_config(command, "conf/pretrain.yaml")
    add_warehouse(command)
    command.add_argument("--out", required=True, metavar="FOLDER", help="the new base; must not be there yet")
    add_cut(command)
    add_overrides(command)
    return command


def pretrain(config: PretrainConfig, warehouse: str, out: Path, cut_name: str) -> PretrainReport:
    """Train, and write the new base to ``out`` as a whole or not at all; until then checkpoints lie beside it.

    Raises ExpectedError for bad input, where ``out`` is there already, and where the disk is full.
    """
    started = time.perf_counter()
    if out.exists():
        raise ExpectedError(f"{out} is there already; remove it or name another folder with --out")
    set_seed(config.seed)
    tokenizer = load_tokenizer(resolve_base(config.base))
    model, new_head = load_model(config, tokenizer)
    training_set = read_training_set(warehouse)
    cut = cut_date(training_set.meta.protocol, cut_name)
    corpus = read_corpus(training_set, cut, config.held_out_share, tokenizer, config.text)
    work = _work_folder(out, config, training_set.meta, cut_name)
    with full_disk_as_expected_error(f"pre-training in {work}"):
        before, after = _train(config, model, corpus, make_collator(config, corpus, tokenizer), work)
        report = PretrainReport(
            method=config.method,
            base=Path(config.base).name,
            texts=len(corpus.fit),
            held_out_texts=len(corpus.held_out),
            loss_before=before,
            loss_after=after,
            perplexity_before=math.exp(before),
            perplexity_after=math.exp(after),
            new_head=new_head,
            minutes=(time.perf_counter() - started) / 60,
        )
        if processes().is_main_process:
            _save(model, tokenizer, report, out)
            shutil.rmtree(work)
        processes().wait_for_everyone()
    return report


def _work_folder(out: Path, config: PretrainConfig, meta: TrainingSetMeta, cut_name: str) -> Path:
    """A folder beside ``out``, named by what tells this run from another, whose checkpoints are not to be used."""
    content = {
        "code": code_fingerprint(),
        "config": config.model_dump(mode="json"),
        "base": base_files(config.base),
        "data": meta.model_dump(mode="json"),
        "cut": cut_name,
    }
    return out.with_name(f".{out.name}.{digest(content)[:12]}.checkpoints")


def _train(
    config: PretrainConfig, model: nn.Module, corpus: Corpus, collate: Collator, work: Path
) -> tuple[float, float]:
    """The held-out loss before and after; ``model`` ends with the weights of its best checkpoint."""
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
        callbacks=[TrainingProgress(config.method, "loss")] if processes().is_main_process else [],
        optimizers=(build_optimiser(model, config.optimiser), None),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    before = trainer.evaluate()["eval_loss"]
    trainer.train(resume_from_checkpoint=latest_checkpoint(work))
    return before, trainer.evaluate()["eval_loss"]


def _save(model: nn.Module, tokenizer: PreTrainedTokenizerBase, report: PretrainReport, out: Path) -> None:
    """Write everything into a temporary folder first, which then gets the name ``out``."""
    base: Any = model.backbone if isinstance(model, DenoisingAutoencoder) else model
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        partial = Path(scratch) / out.name
        with quiet_transformers():
            base.cpu().save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        (partial / REPORT).write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
        partial.rename(out)


if __name__ == "__main__":
    run_as_job(main)
