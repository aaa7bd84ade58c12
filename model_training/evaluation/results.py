"""The results of an evaluation as plain figures: what the report shows and ``evaluation.json`` holds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationProtocol:
    """The dates that were learned from, and the users that the figures are about."""

    cut: str
    """``validation`` or ``test``."""
    as_of: str
    closes: str
    """The first date after the label window."""
    horizon_days: int
    dates: str
    """All dates of the training set, in words."""
    training_rows: dict[str, int]
    """Rows by origin, of origins whose windows close by the cut."""
    users: int
    spenders_share: float
    spend: float
    currency: str
    data_versions: dict[str, int]
    same_platform: bool
    """Whether the bundle was trained on this platform, as far as currency, time zone and dates tell."""
    bundle_origins: tuple[str, ...]
    bundle_horizon_days: int
    bundle_platforms: int
    """How many platforms the bundle learned from."""


@dataclass(frozen=True)
class Figure:
    """A measure of a model, with its 95 % interval where it has one."""

    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Difference:
    """How much better the bundle is than another model, in units of the measure; negative where it is worse."""

    value: float
    interval: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` where the interval excludes 0, else ``equal``."""
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return "equal"
        return "better" if self.value > 0 else "worse"


@dataclass(frozen=True)
class Comparison:
    """A measure of the bundle beside the best of the baselines and LightGBM; None where these do not have it.

    ``against_others`` are differences to other bundles, by the name they were given.
    """

    figure: Figure
    best_baseline: str | None
    against_best: Difference | None
    against_lightgbm: Difference | None
    against_others: dict[str, Difference]


@dataclass(frozen=True)
class Segment:
    """Some users: how many, what they spend, and measures of the bundle among them."""

    group: str
    name: str
    users: int
    mean_spend: float
    figures: dict[str, Figure]
    against_lightgbm: dict[str, Difference]


@dataclass(frozen=True)
class Bin:
    """Users with similar predictions: the mean prediction, and the mean of what happened."""

    users: int
    predicted: float
    actual: float


@dataclass(frozen=True)
class TierRow:
    """A tier: users predicted in it, users who ended in it, and spend of the predicted ones."""

    name: str
    predicted_users: int
    actual_users: int
    predicted_spend: float
    actual_spend: float
    left: float
    """Share of the predicted ones who left."""


@dataclass(frozen=True)
class Curves:
    """What the charts show. A head that the bundle lacks leaves its part empty."""

    gains: dict[str, list[float]]
    """By model: share of all spend among the first 0, 5, ... 100 % of users by predicted value."""
    deciles: list[Bin]
    """By predicted value, highest first; amounts are means."""
    tiers: dict[str, list[Bin]]
    """Calibration of each tier's probability."""
    heads: dict[str, list[Bin]]
    """By head: probabilities, shares and counts beside what happened, by tenth of users; lowest prediction first."""
    confusion: list[list[int]]
    """Users by actual (rows) and predicted tier, lowest first."""
    tier_table: list[TierRow]


@dataclass(frozen=True)
class Recovery:
    """How well each model orders users by something, and the bundle beside the best baseline."""

    title: str
    models: dict[str, Figure]
    best_baseline: str | None
    against_best: Difference | None


@dataclass(frozen=True)
class KnownTruth:
    """Of a simulated platform: rank correlations with the truth, and what the truth itself reaches on what happened."""

    recovered: list[Recovery]
    ceilings: list[Recovery]


@dataclass(frozen=True)
class Evaluation:
    """The whole evaluation of a bundle."""

    bundle: str
    heads: tuple[str, ...]
    coverage: float | None
    """The share of users that the bundle's intervals were fitted to hold; None where it has none."""
    made_at: str
    protocol: EvaluationProtocol
    models: dict[str, dict[str, Figure]]
    """By model, the bundle first, then other bundles and baselines; by measure."""
    baselines: tuple[str, ...]
    missing: dict[str, str]
    """Baselines without figures, and why."""
    undefined: dict[str, str]
    """Measures of the bundle that are not defined here, and why."""
    comparisons: dict[str, Comparison]
    segments: list[Segment]
    small_segments: list[str]
    """Segments of too few users to say anything of."""
    curves: Curves
    truth: KnownTruth | None
    """None where there is no truth to compare with."""
    seconds: dict[str, float]
