"""Measure the memory of several worker processes that hold the same model at the same time.

python -m benchmarks.comparison.memory CONTENDER BUNDLE TEXTS    (one worker; benchmarks.bench starts them)
"""

import json
import os
import subprocess
import sys
from pathlib import Path

WORKERS = 4
KB_PER_MB = 1024
ROOT = Path(__file__).parents[2]


def measure(name: str, bundle: str, texts: Path) -> dict[str, float]:
    """Let ``WORKERS`` processes encode ``texts`` with the contender ``name``; returns means over the workers, in MB.

    ``peak_mb``, ``libraries_mb``, ``mapped_weights_mb`` and ``share_of_weights_mb``, as ``worker_memory`` has them.
    """
    command = [sys.executable, "-m", "benchmarks.comparison.memory", name, bundle, str(texts)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    workers = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        for _ in range(WORKERS)
    ]  # fmt: skip
    for worker in workers:
        worker.stdout.readline()  # type: ignore[union-attr]
    # All workers have encoded the texts before any is measured, and none ends before all are measured.
    answers = [_ask(worker) for worker in workers]
    for worker in workers:
        worker.communicate("\n")
    return {key: sum(answer[key] for answer in answers) / WORKERS for key in answers[0]}


def _ask(worker: "subprocess.Popen[str]") -> dict[str, float]:
    """Have a worker measure itself."""
    assert worker.stdin is not None  # noqa: S101
    assert worker.stdout is not None  # noqa: S101
    worker.stdin.write("\n")
    worker.stdin.flush()
    answer: dict[str, float] = json.loads(worker.stdout.readline())
    return answer


def main() -> None:
    """One worker: encode, report readiness, measure when a line comes in, and end with the next line."""
    name, bundle, texts = sys.argv[1:]
    import pandas as pd  # noqa: PLC0415 - the memory that imports take is measured

    from benchmarks.comparison import contenders  # noqa: PLC0415

    libraries = status("VmRSS")
    rows = pd.read_parquet(texts)
    contenders.encoder(name, bundle)(rows["profile"].tolist(), rows["events"].tolist())
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(worker_memory(libraries, Path(bundle))), flush=True)
    sys.stdin.readline()


def worker_memory(libraries: float, bundle: Path) -> dict[str, float]:
    """In MB: the most this process took, what it took after imports, and the mapped file of weights (``weights``)."""
    return {"peak_mb": status("VmHWM"), "libraries_mb": libraries} | weights(bundle)


def status(field: str) -> float:
    """A field of this process's ``/proc/self/status``, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / KB_PER_MB for line in lines if line.startswith(f"{field}:"))


def weights(bundle: Path) -> dict[str, float]:
    """The bundle's file of weights in this process's memory, in MB: resident pages, and this process's share of them.

    A page that n processes map counts 1/n in the share.
    """
    file = str((bundle / "encoder/model.safetensors").resolve())
    of_weights, sizes = False, {"Rss": 0.0, "Pss": 0.0}
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if not first.endswith(":"):
            # The head of a mapping: its address first, its file last. Lines with its sizes follow.
            of_weights = line.endswith(file)
        elif of_weights and first[:-1] in sizes:
            sizes[first[:-1]] += int(line.split()[1]) / KB_PER_MB
    return {"mapped_weights_mb": sizes["Rss"], "share_of_weights_mb": sizes["Pss"]}


if __name__ == "__main__":
    main()
