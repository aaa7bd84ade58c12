"""The benchmark's figures: rates, ratios and agreement, as JSON and as a Markdown table, with the machine named."""

import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "pyspark")


@dataclass
class Result:
    """One way on one set of users."""

    name: str
    users: int = 0
    seconds: list[float] = field(default_factory=list)
    """Of each round."""
    equal_tiers: float | None = None
    """Share of users with the tier that the usual recipe gives."""
    memory: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def rate(self) -> float | None:
        """Users a second, by the median round."""
        return self.users / statistics.median(self.seconds) if self.seconds else None


@dataclass(frozen=True)
class Measured:
    """All ways on one set of users, described by ``texts``."""

    texts: str
    mean_tokens: float | None
    """None where no text is read."""
    results: list[Result]


def machine(cores: int) -> dict[str, Any]:
    """What the figures depend on; no host is named."""
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
    """Markdown. ``limits``: tokens/s of bare matrix products. The first result is what the others are compared with."""
    usual = measured.results[0].rate
    tokens = measured.mean_tokens
    bare = [Result(f"limit: bare {name} products", 1, [tokens / rate]) for name, rate in limits.items() if tokens]
    lines = [
        f"{measured.texts}:", "",
        "| way | users/s | ratio | equal tiers | peak MB a worker | its share of the weights, MB |",
        "|---|---|---|---|---|---|",
        *(_line(each, usual) for each in (*measured.results, *bare)),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _line(result: Result, usual: float | None) -> str:
    if result.rate is None:
        return f"| {result.name} | {result.note} | | | | |"
    agreement = "" if result.equal_tiers is None else f"{result.equal_tiers:.2%}"
    peak, share = (
        f"{result.memory[name]:,.0f}" if name in result.memory else "" for name in ("peak_mb", "share_of_weights_mb")
    )
    return f"| {result.name} | {_number(result.rate)} | {_ratio(result.rate, usual)} | {agreement} | {peak} | {share} |"


def _number(rate: float) -> str:
    return f"{rate:,.1f}" if rate < 100 else f"{rate:,.0f}"


def _ratio(rate: float, usual: float | None) -> str:
    return "" if not usual else f"{rate / usual:,.1f}x" if rate < 100 * usual else f"{rate / usual:,.0f}x"


def heading(about: dict[str, Any]) -> str:
    """The machine in a line."""
    fast = ", ".join(about["fast"]) or "none of AVX-512 BF16, VNNI, AMX"
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    return (
        f"{about['cpu']} (family {about['family']}; {fast}), {about['cores_used']} of {about['cores']} cores, "
        f"load {about['load']}; median of {about['rounds']} rounds; {packages}.\n"
    )


def write(folder: Path, about: dict[str, Any], sets: list[Measured]) -> Path:
    """``bench.json`` and ``bench.md``; returns the latter's path."""
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
