"""How OpenMP's threads wait is set before torch is loaded, wherever our code computes with torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PROGRAMS = (
    "model_training.finetune", "model_training.pretrain", "model_training.blend", "model_training.evaluate",
    "jobs.score_users", "benchmarks.gpu",
)  # fmt: skip
WORKERS = (
    "ulvspark.scoring.decide",
    "ulvspark.scoring.encode",
    "ulvspark.scoring.texts",
    "benchmarks.comparison.in_spark",
)
"""Modules that Spark's Python workers import first: a task's function is pickled as a name in one of them."""

PRINT_POLICY_BEFORE_TORCH = """
import importlib, os, sys

class StopAtTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            sys.exit()

sys.meta_path.insert(0, StopAtTorch())
importlib.import_module(sys.argv[1])
print(os.environ.get("OMP_WAIT_POLICY"))
"""
"""Some modules import torch only when they need it; then the variable is set by the end of their import."""


def policy_before_torch(module: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    finished = subprocess.run(
        [sys.executable, "-c", PRINT_POLICY_BEFORE_TORCH, module],
        capture_output=True, text=True, check=False, cwd=ROOT, env=inherited | environment,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


@pytest.mark.parametrize("module", [*PROGRAMS, *WORKERS])
def test_threads_sleep_while_they_wait(module: str) -> None:
    assert policy_before_torch(module) == "PASSIVE"


def test_a_policy_that_the_user_has_set_is_kept() -> None:
    assert policy_before_torch("ulvspark.scoring.decide", OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"
