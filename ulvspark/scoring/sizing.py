"""What a night cost, and what it would have cost without the texts and histories that earlier nights read."""

from collections.abc import Mapping

READ = {"encode": "histories", "texts": "texts"}
"""Stages that read only what is new, and what they count as ``..._encoded`` and ``..._reused``."""


def sizing(counts: Mapping[str, int], seconds: Mapping[str, float]) -> dict[str, float]:
    """Rates and totals of a run from its counts and the seconds of its stages.

    ``seconds_without_cache`` is extrapolated: what was reused would have been read at the rate of what was read.
    """
    total = sum(seconds.values())
    found = {"seconds_total": total, "users_per_second": counts["users"] / total}
    unspared = 0.0
    for stage, what in READ.items():
        encoded = counts.get(f"{what}_encoded", 0)
        if encoded:
            found[f"{what}_per_second"] = encoded / seconds[stage]
            unspared += counts[f"{what}_reused"] * seconds[stage] / encoded
    return found | {"seconds_without_cache": total + unspared}
