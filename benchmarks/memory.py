"""Memory of workers: each a process of its own, all measured while all of them hold the model.

python -m benchmarks.memory NAME BUNDLE TEXTS    (started by benchmarks.bench)
"""

import json
import os
import subprocess
import sys
from pathlib import Path

WORKERS = 4
MB = 1024
ROOT = Path(__file__).parents[1]


def measure(name: str, bundle: str, texts: Path) -> dict[str, float]:
    """``WORKERS`` processes encode ``texts``: the peak of one, and the share of each in the mapped weights, in MB."""
    command = [sys.executable, "-m", "benchmarks.memory", name, bundle, str(texts)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    running = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        for _ in range(WORKERS)
    ]  # fmt: skip
    for worker in running:
        worker.stdout.readline()  # type: ignore[union-attr]
    # Only once all have read the texts does any of them look, and only then may any of them end.
    found = [_ask(worker) for worker in running]
    for worker in running:
        worker.communicate("\n")
    return {key: sum(each[key] for each in found) / WORKERS for key in found[0]}


def _ask(worker: "subprocess.Popen[str]") -> dict[str, float]:
    assert worker.stdin is not None  # noqa: S101
    assert worker.stdout is not None  # noqa: S101
    worker.stdin.write("\n")
    worker.stdin.flush()
    answer: dict[str, float] = json.loads(worker.stdout.readline())
    return answer


def main() -> None:
    name, bundle, texts = sys.argv[1:]
    import pandas as pd  # noqa: PLC0415 - what libraries take is measured

    from benchmarks import contenders  # noqa: PLC0415

    libraries = status("VmRSS")
    rows = pd.read_parquet(texts)
    contenders.encoder(name, bundle)(rows["profile"].tolist(), rows["events"].tolist())
    print("ready", flush=True)
    sys.stdin.readline()
    found = {"peak_mb": status("VmHWM"), "libraries_mb": libraries} | weights(Path(bundle))
    print(json.dumps(found), flush=True)
    sys.stdin.readline()


def status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / MB for line in lines if line.startswith(f"{field}:"))


def weights(bundle: Path) -> dict[str, float]:
    """The file of weights as this process maps it: all of its pages that are here, and this process's share of them."""
    here, found = False, {"Rss": 0.0, "Pss": 0.0}
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if not first.endswith(":"):
            here = line.endswith(str((bundle / "encoder/model.safetensors").resolve()))
        elif here and first[:-1] in found:
            found[first[:-1]] += int(line.split()[1]) / MB
    return {"mapped_weights_mb": found["Rss"], "share_of_weights_mb": found["Pss"]}


if __name__ == "__main__":
    main()
