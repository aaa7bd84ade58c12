"""Write the results of benchmarks.bench as JSON and as Markdown tables, with a description of the machine."""

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
    """How one contender scored one set of users."""

    name: str
    users: int = 0
    seconds: list[float] = field(default_factory=list)
    """One value a round."""
    equal_tiers: float | None = None
    """Share of users who get the same tier as from the baseline, the first contender."""
    memory: dict[str, float] = field(default_factory=dict)
    """Of one worker, in megabytes: ``peak_mb``, ``share_of_weights_mb`` and others of ``memory``."""
    note: str = ""
    """Why there is no rate."""

    @property
    def rate(self) -> float | None:
        """Users a second in the median round; None if the contender did not run."""
        return self.users / statistics.median(self.seconds) if self.seconds else None


@dataclass(frozen=True)
class Comparison:
    """All contenders on one set of users."""

    users: str
    """Describes the users and the lengths of their texts."""
    mean_tokens: float | None
    """Of a user's text; None where no text is encoded."""
    results: list[Result]
    """The first is that of the baseline."""


def machine(cores: int) -> dict[str, Any]:
    """The hardware, its load and the versions of packages; the name of the host is left out."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = dict(line.split("\t: ", 1) for line in (line.replace("\t\t", "\t") for line in lines) if "\t: " in line)
    flags = facts.get("flags", "").split()
    return {
        "cpu": facts.get("model name", platform.processor()),
        "family": f"{facts.get('cpu family', '?')}, model {facts.get('model', '?')}",
        "cores": os.cpu_count(),
        "cores_used": cores,
        "fast_instructions": [name for name in ("avx512_bf16", "avx512_vnni", "amx_tile") if name in flags],
        "load": round(os.getloadavg()[0], 1),
        "packages": {name: version(name) for name in PACKAGES},
    }


def table(comparison: Comparison, bare_rates: dict[str, float]) -> str:
    """Markdown: each contender compared with the first. ``bare_rates``: tokens a second of matrix products alone."""
    baseline, tokens = comparison.results[0].rate, comparison.mean_tokens
    bounds = [
        Result(f"upper bound: {name} matrix products alone", 1, [tokens / rate])
        for name, rate in bare_rates.items()
        if tokens
    ]
    rows = as_table(_row(result, baseline) for result in (*comparison.results, *bounds))
    return f"{comparison.users}:\n\n{markdown_table(rows)}\n"


def _row(result: Result, baseline: float | None) -> dict[str, str]:
    memory = {name: f"{megabytes:,.0f}" for name, megabytes in result.memory.items()}
    return {
        "contender": result.name,
        "users/s": result.note if result.rate is None else _rate(result.rate),
        "ratio": "" if result.rate is None else _ratio(result.rate, baseline),
        "equal tiers": "" if result.equal_tiers is None else f"{result.equal_tiers:.2%}",
        "peak MB a worker": memory.get("peak_mb", ""),
        "its share of the weights, MB": memory.get("share_of_weights_mb", ""),
    }


def _rate(rate: float) -> str:
    return f"{rate:,.1f}" if rate < 100 else f"{rate:,.0f}"


def _ratio(rate: float, baseline: float | None) -> str:
    return f"{_rate(rate / baseline)}x" if baseline else ""


def heading(facts: dict[str, Any]) -> str:
    """The machine, in one line."""
    fast = ", ".join(facts["fast_instructions"]) or "none of AVX-512 BF16, VNNI, AMX"
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    return (
        f"{facts['cpu']} (family {facts['family']}; {fast}), {facts['cores_used']} of {facts['cores']} cores, "
        f"load {facts['load']}; median of {facts['rounds']} rounds; {packages}.\n"
    )


def write(folder: Path, facts: dict[str, Any], comparisons: list[Comparison]) -> Path:
    """Write ``bench.json`` and ``bench.md`` and return the path of ``bench.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": facts,
        "comparisons": [as_json(comparison) for comparison in comparisons],
    }
    (folder / "bench.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    page = [
        heading(facts),
        *(table(comparison, facts["bare_tokens_per_second"]) for comparison in comparisons),
    ]
    (folder / "bench.md").write_text("\n".join(page), encoding="utf-8")
    return folder / "bench.md"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison with the rate of each result."""
    results = [asdict(result) | {"users_per_second": result.rate} for result in comparison.results]
    return asdict(comparison) | {"results": results}
