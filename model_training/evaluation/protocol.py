"""Which users and dates an evaluation is of, and whether a bundle may be judged on them."""

from dataclasses import replace
from datetime import date

from model_training.data.dataset import TrainingSet, cut_date, restrict
from model_training.data.platforms import Learned, learned
from model_training.evaluation.results import EvaluationProtocol
from ulvspark.contract.errors import ExpectedError
from ulvspark.model.bundle.manifest import Manifest
from ulvspark.model.predictor import Predictor


def check_fits(predictor: Predictor, training_set: TrainingSet, cut: date) -> None:
    """Raises ExpectedError where ``cut`` has no rows, or the bundle reads other numbers, or learned from its future."""
    meta, manifest = training_set.meta, predictor.manifest
    if not (training_set.rows["as_of_date"] == cut).any():
        raise ExpectedError(
            f"the training set has no users as of {cut}; its window must have closed by {meta.protocol.closes(cut)}: "
            "run jobs/build_training_set.py with data that reach so far, or choose the other cut"
        )
    if manifest.history != meta.history_spec:
        raise ExpectedError(
            f"bundle {manifest.version} reads other behaviour than the training set holds; build the training set "
            f"with the history spec of the bundle: {manifest.history.model_dump_json()}"
        )
    calibration = predictor.scorer.parts.calibration
    home, *others = learned(manifest)
    home = replace(home, origins=(*home.origins, *(calibration.windows if calibration else ())))
    late = [
        origin
        for platform in (home, *others) if _is(platform, training_set)
        for origin in platform.origins if meta.protocol.closes(origin) > cut
    ]  # fmt: skip
    if late:
        raise ExpectedError(
            f"bundle {manifest.version} learned from labels as of {max(late)}, which were not known on {cut}; evaluate "
            "it on a later cut, or train one with --cut validation"
        )


def same_platform(manifest: Manifest, training_set: TrainingSet) -> bool:
    """Whether the bundle was trained on this platform, as far as currency, time zone and dates tell."""
    return any(_is(platform, training_set) for platform in learned(manifest))


def _is(platform: Learned, training_set: TrainingSet) -> bool:
    meta = training_set.meta
    first, last = min(meta.protocol.dates), meta.protocol.closes(max(meta.protocol.dates))
    here = any(first <= origin <= last for origin in platform.origins)
    return here and (platform.currency, platform.time_zone) == (meta.currency, meta.time_zone)


def describe(training_set: TrainingSet, cut_name: str, manifest: Manifest) -> EvaluationProtocol:
    """Dates and counts."""
    meta = training_set.meta
    cut = cut_date(meta.protocol, cut_name)
    counts = restrict(training_set, cut).rows.groupby("as_of_date").size()
    users = training_set.rows[training_set.rows["as_of_date"] == cut]
    return EvaluationProtocol(
        cut=cut_name,
        as_of=cut.isoformat(),
        closes=meta.protocol.closes(cut).isoformat(),
        horizon_days=meta.protocol.horizon_days,
        dates=str(meta.protocol),
        training_rows={origin.isoformat(): int(counts[origin]) for origin in meta.protocol.origins_closed_by(cut)},
        users=len(users),
        spenders_share=float((users["spend"] > 0).mean()),
        spend=float(users["spend"].sum()),
        currency=meta.currency,
        data_versions={**meta.data_versions, "training_set": training_set.version},
        same_platform=same_platform(manifest, training_set),
        bundle_origins=tuple(origin.isoformat() for origin in manifest.training_origins),
        bundle_horizon_days=manifest.horizon_days,
        bundle_platforms=len(learned(manifest)),
    )
