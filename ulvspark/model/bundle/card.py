"""The model card: a bundle's manifest for people."""

from ulvspark.contract.heads import HEADS
from ulvspark.model.bundle.manifest import BundleFacts
from ulvspark.model.parts.blend import PARTS

CARD = """# User value model

Predicts for every user of an e-commerce platform, over the next {horizon} days: {heads}.

## Data
Events, products and users at table versions {versions}. Amounts in {currency}, dates in {time_zone}.
Learned from labels as of {origins}: what followed within {horizon} days.{dates}

## Model
Reads {reads}, served in {precision}. Seed {seed}, code {code}.
Tiers, lowest first: {tiers} (lower bounds in {unit}: minus infinity, {bounds}).
{blend}
## Metrics
{metrics}

## Limits
- Levels drift: expected amounts can be too high or too low for a later period although the order of users is right.
- Price sensitivity is the share of spend seen below reference price: an association, not the effect of a discount.
- Many users spend nothing: show the median beside the mean.
- It was trained on users with a purchase before the date; users without one are unlike them.
- `golden.parquet` holds the events of made-up users and the numbers, texts and scores expected of them, which are
  computed again and compared before each run.
"""

BLEND = """
The score of a head is the weighted mean of what the parts predict, corrected as `calibration.json` says:

| head | {parts} |
|---|{lines}|
{rows}
"""


def model_card(facts: BundleFacts) -> str:
    """Markdown made from the facts of a bundle."""
    rows = [f"| {name} | {value:.4g} |" for name, value in sorted(facts.metrics.items())]
    text = f"texts of at most {facts.text.max_tokens} tokens by `{facts.base_model}`" if facts.network.use_text else ""
    numbers = f"{len(facts.history.numbers)} numbers" if facts.network.use_numbers else ""
    return CARD.format(
        heads=", ".join(HEADS[head].title for head in facts.network.heads),
        horizon=facts.horizon_days,
        versions=", ".join(f"{table} {version}" for table, version in sorted(facts.data_versions.items())),
        currency=facts.currency,
        time_zone=facts.time_zone,
        origins=", ".join(origin.isoformat() for origin in facts.training_origins),
        dates="" if facts.protocol is None else f"\nDates of its training set: {facts.protocol}.",
        reads=" and ".join(part for part in (text, numbers) if part),
        precision=facts.precision,
        seed=facts.seed,
        code=facts.code_version,
        tiers=", ".join(facts.tiers.names),
        unit=facts.tiers.unit.replace("_", " "),
        bounds=", ".join(f"{bound:.4g}" for bound in facts.tiers.bounds),
        blend=_blend(facts),
        metrics="\n".join(["| metric | value |", "|---|---|", *rows]) if rows else "None recorded.",
    )


def _blend(facts: BundleFacts) -> str:
    if facts.blend is None:
        return ""
    rows = [
        f"| {HEADS[head].title} | " + " | ".join(f"{parts.get(part, 0):.3g}" for part in PARTS) + " |"
        for head, parts in facts.blend.items()
    ]
    return BLEND.format(parts=" | ".join(PARTS), lines="|".join("---" for _ in PARTS), rows="\n".join(rows))
