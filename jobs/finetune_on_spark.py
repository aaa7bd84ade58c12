"""Fine-tune on the machines of a Spark cluster: model_training.finetune in several processes, by TorchDistributor.

    spark-submit jobs/finetune_on_spark.py --processes 4 --gpu -- --warehouse ROOT --models ROOT --runs /shared/runs

Arguments after ``--`` are those of model_training.finetune. One process runs on each task slot (with --gpu, on each
GPU), or all of them on the driver (with --on-driver). ``--runs`` must be a folder that all machines share, and all
machines need the extra ``train``.
"""

import argparse
from collections.abc import Sequence

from pyspark.ml.torch.distributor import TorchDistributor

from model_training import finetune
from model_training.data.dataset import open_table
from model_training.finetuning.config import load_train_config
from ulvspark.contract.arguments import command_parser
from ulvspark.contract.errors import DONE, ExpectedError, run_as_job
from ulvspark.contract.schema import TRAINING_SET
from ulvspark.warehouse.session import get_session


def main(argv: Sequence[str] | None = None) -> int:
    """Start the processes and wait for them; raises ExpectedError for bad arguments or configuration before that."""
    args = _parser().parse_args(argv)
    training = finetune.parser().parse_args(args.training)
    load_train_config(training.config, training.overrides)
    open_table(training.warehouse, TRAINING_SET)
    get_session("finetune_on_spark")
    try:
        distributor = TorchDistributor(num_processes=args.processes, local_mode=args.on_driver, use_gpu=args.gpu)
    except (ValueError, RuntimeError) as error:
        raise ExpectedError(f"--processes {args.processes}{' --gpu' * args.gpu}: {error}") from None
    print(f"fine-tuning in {args.processes} processes on the {'driver' if args.on_driver else 'executors'}")
    distributor.run(finetune.main, args.training)
    return DONE


def _parser() -> argparse.ArgumentParser:
    command = command_parser("finetune_on_spark", __doc__)
    command.add_argument("--processes", type=int, required=True, metavar="N", help="how many train together")
    command.add_argument("--gpu", action="store_true", help="one GPU for each process (default: CPU)")
    command.add_argument("--on-driver", action="store_true", help="all processes on the driver's machine")
    command.add_argument("training", nargs="+", metavar="-- ...", help="arguments of model_training.finetune")
    return command


if __name__ == "__main__":
    run_as_job(main)
