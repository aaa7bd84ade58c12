"""The report of a run: metrics before and after tuning, what was learned, and what it cost."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

REPORT = "report.json"


@dataclass(frozen=True)
class Report:
    """``report.json`` of a run."""

    cut: str
    """The date whose users the metrics are measured on."""
    metrics: dict[str, float]
    untuned: dict[str, float] | None
    """The metrics after the heads phase; None where no tuning phase followed."""
    trainable: int
    parameters: int
    steps: int
    minutes: float
    peak_memory_gb: float
    precision: str
    bundle: str
    """Version of the bundle in the run's folder."""

    def write(self, folder: Path) -> None:
        """Write the report, as the last file of a run: a run that has one is finished."""
        partial = folder / f".{REPORT}"
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        partial.rename(folder / REPORT)

    def table(self) -> str:
        """For the terminal: the metrics, beside those of the untuned model where there is one."""
        columns = {"tuned": self.metrics} if self.untuned is None else {"untuned": self.untuned, "tuned": self.metrics}
        header = f"{'on ' + self.cut:<26}" + "".join(f"{name:>10}" for name in columns)
        lines = [
            f"{name:<26}" + "".join(f"{column.get(name, float('nan')):>10.4f}" for column in columns.values())
            for name in self.metrics
        ]
        share = self.trainable / self.parameters
        cost = (
            f"{self.trainable:,} of {self.parameters:,} parameters learned ({share:.2%}), {self.steps} steps, "
            f"{self.minutes:.1f} min, {self.peak_memory_gb:.1f} GB, {self.precision}"
        )
        return "\n".join([header, *lines, cost])


def read_report(folder: Path) -> Report | None:
    """The report of a finished run; None where there is none."""
    path = folder / REPORT
    return Report(**json.loads(path.read_bytes())) if path.exists() else None
