"""Write what a benchmark measured (rates, ratios, agreement) as JSON and as Markdown tables, with the machine."""

import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model_training.report.blocks import as_table, markdown_table

PACKAGES = ("torch", "transformers", "pyspark")


@dataclass
class Result:
    """What one way of scoring took on one set of users."""

    name: str
    users: int = 0
    seconds: list[float] = field(default_factory=list)
    """One figure a round."""
    equal_tiers: float | None = None
    """Share of users who get the same tier as from the first way, the usual recipe."""
    memory: dict[str, float] = field(default_factory=dict)
    """In megabytes, by name: ``peak_mb`` and ``share_of_weights_mb`` of a worker."""
    note: str = ""
    """Why there is no rate."""

    @property
    def rate(self) -> float | None:
        """Users a second in the median round; None where the way did not run."""
        return self.users / statistics.median(self.seconds) if self.seconds else None


@dataclass(frozen=True)
class Measured:
    """All ways on one set of users."""

    texts: str
    """Describes the users' texts."""
    mean_tokens: float | None
    """None where no text is read."""
    results: list[Result]


def machine(cores: int) -> dict[str, Any]:
    """What the figures depend on, without the name of the host."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = dict(line.split("\t: ", 1) for line in (line.replace("\t\t", "\t") for line in lines) if "\t: " in line)
    flags = facts.get("flags", "").split()
    return {
        "cpu": facts.get("model name", platform.processor()),
        "family": f"{facts.get('cpu family', '?')}, model {facts.get('model', '?')}",
        "cores": os.cpu_count(),
        "cores_used": cores,
        "fast": [name for name in ("avx512_bf16", "avx512_vnni", "amx_tile") if name in flags],
        "load": round(os.getloadavg()[0], 1),
        "packages": {name: version(name) for name in PACKAGES},
    }


def table(measured: Measured, limits: dict[str, float]) -> str:
    """Markdown, each way compared with the first. ``limits``: tokens/s of matrix products alone."""
    usual = measured.results[0].rate
    tokens = measured.mean_tokens
    bare = [Result(f"limit: bare {name} products", 1, [tokens / rate]) for name, rate in limits.items() if tokens]
    rows = as_table(_row(result, usual) for result in (*measured.results, *bare))
    return f"{measured.texts}:\n\n{markdown_table(rows)}\n"


def _row(result: Result, usual: float | None) -> dict[str, str]:
    memory = {name: f"{megabytes:,.0f}" for name, megabytes in result.memory.items()}
    return {
        "way": result.name,
        "users/s": result.note if result.rate is None else _number(result.rate),
        "ratio": "" if result.rate is None else _ratio(result.rate, usual),
        "equal tiers": "" if result.equal_tiers is None else f"{result.equal_tiers:.2%}",
        "peak MB a worker": memory.get("peak_mb", ""),
        "its share of the weights, MB": memory.get("share_of_weights_mb", ""),
    }


def _number(rate: float) -> str:
    return f"{rate:,.1f}" if rate < 100 else f"{rate:,.0f}"


def _ratio(rate: float, usual: float | None) -> str:
    return "" if not usual else f"{rate / usual:,.1f}x" if rate < 100 * usual else f"{rate / usual:,.0f}x"


def heading(about: dict[str, Any]) -> str:
    """The machine, in one line."""
    fast = ", ".join(about["fast"]) or "none of AVX-512 BF16, VNNI, AMX"
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    return (
        f"{about['cpu']} (family {about['family']}; {fast}), {about['cores_used']} of {about['cores']} cores, "
        f"load {about['load']}; median of {about['rounds']} rounds; {packages}.\n"
    )


def write(folder: Path, about: dict[str, Any], sets: list[Measured]) -> Path:
    """Write ``bench.json`` and ``bench.md`` and return the path of ``bench.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    described = [
        {"texts": each.texts, "mean_tokens": each.mean_tokens, "ways": [as_json(result) for result in each.results]}
        for each in sets
    ]
    content = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": about, "sets": described}
    (folder / "bench.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    page = [heading(about), *(table(each, about["bare_tokens_per_second"]) for each in sets)]
    (folder / "bench.md").write_text("\n".join(page), encoding="utf-8")
    return folder / "bench.md"


def as_json(result: Result) -> dict[str, Any]:
    return asdict(result) | {"users_per_second": result.rate}
