"""The training set: read from Delta without Spark, and split by date and by user."""

import json
import logging
import os
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from model_training.data.outcome import Outcome
from ulvspark.contract.config import validate
from ulvspark.contract.errors import ExpectedError
from ulvspark.contract.heads import HEADS, Head
from ulvspark.contract.protocol import Protocol
from ulvspark.contract.schema import LABELS, POPULATIONS, TRAINING_SET
from ulvspark.contract.source.source import TRAINING_SET_META, TrainingSetMeta
from ulvspark.contract.spec import TierSpec
from ulvspark.contract.tier_bounds import label_tiers
from ulvspark.history.features import feature_matrix
from ulvspark.history.numbers import check_numbers
from ulvspark.history.population import Population

logger = logging.getLogger(__name__)

Rows = npt.NDArray[np.int64]


PLATFORM = "platform"
"""The column of ``TrainingSet.rows`` with the number of the platform: 0 is home, n is the n-th of the others."""


@dataclass(frozen=True)
class Platform:
    """Another platform that is learned from: how its training set was made, and its populations."""

    meta: TrainingSetMeta
    version: int
    origins: tuple[date, ...]
    """The dates of its rows."""
    populations: dict[date, Population]


@dataclass(frozen=True)
class TrainingSet:
    """Behaviour and labels of eligible users at each date.

    ``rows`` has the columns of the table, and ``PLATFORM``; ``history`` holds mappings and ``as_of_date`` dates.
    """

    meta: TrainingSetMeta
    version: int
    rows: pd.DataFrame
    populations: dict[date, Population]
    elsewhere: tuple[Platform, ...] = ()
    """Other platforms, whose rows follow those of this one."""

    def by_population(self, rows: Rows | None = None) -> Iterator[tuple[Population, Rows]]:
        """Each platform's population on each date, and which of ``rows`` (all where None) are within it."""
        chosen = self.rows if rows is None else self.rows.iloc[rows]
        platforms, dates = chosen[PLATFORM].to_numpy(), chosen["as_of_date"].to_numpy()
        for number, populations in enumerate((self.populations, *(other.populations for other in self.elsewhere))):
            for as_of, population in populations.items():
                places = np.flatnonzero((platforms == number) & (dates == as_of))
                if len(places):
                    yield population, places

    def scales(self) -> npt.NDArray[np.float64]:
        """(n,) the platform scale on each row's date."""
        scales = np.empty(len(self.rows))
        for population, places in self.by_population():
            scales[places] = population.platform_scale
        return scales

    def features(self) -> npt.NDArray[np.float32]:
        """(n, F), each row within the population of its platform and date."""
        spec = self.meta.history_spec
        matrix = np.empty((len(self.rows), len(spec.numbers)), dtype=np.float32)
        for population, places in self.by_population():
            matrix[places] = feature_matrix(self.rows.iloc[places][list(spec.numbers)], population, spec)
        return matrix

    def outcome(self, tiers: TierSpec) -> Outcome:
        """What the users of all rows did in their windows."""
        scales = self.scales()
        return Outcome({name: self._label(head, tiers, scales) for name, head in HEADS.items()})

    def _label(self, head: Head, tiers: TierSpec, scales: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        values = self.rows[head.label].to_numpy(np.float64, na_value=np.nan)
        match head.kind:
            case "classes":
                return label_tiers(tiers, values, scales).astype(np.int64)
            case "amount":
                return values / scales
            case "count" | "probability" | "share":
                return values


@dataclass(frozen=True)
class Split:
    """Row numbers: to fit on, held out (other users, same dates), and of the cut (a later date, home platform only)."""

    fit: Rows
    held_out: Rows
    cut: Rows


def read_training_set(warehouse: str) -> TrainingSet:
    """Read ``training_set`` and its populations below ``warehouse``, a folder or ``s3://`` (``s3a://``) address.

    Raises ExpectedError where they are missing or hold NaN or infinity.
    """
    table = open_table(warehouse, TRAINING_SET)
    meta = _meta(table)
    arrow = table.to_pyarrow_table()
    _check_numbers(arrow, meta)
    rows = arrow.drop_columns(["history"]).to_pandas()
    # to_pylist gives plain mappings; to_pandas would make arrays of the events.
    rows["history"] = arrow["history"].to_pylist()
    rows[PLATFORM] = 0
    # Spark writes rows in another order each time; trained in the same order, equal rows give equal models.
    rows = rows.sort_values(["as_of_date", "user_id"], ignore_index=True)
    logger.info("read %s version %d: %d rows", table.table_uri, table.version(), len(rows))
    return TrainingSet(meta, table.version(), rows, _read_populations(warehouse, meta))


def read_meta(warehouse: str) -> TrainingSetMeta:
    """How ``training_set`` below ``warehouse`` was made. Raises ExpectedError where there is none."""
    return _meta(open_table(warehouse, TRAINING_SET))


def _meta(table: DeltaTable) -> TrainingSetMeta:
    text = table.metadata().configuration.get(TRAINING_SET_META)
    if text is None:
        raise ExpectedError(f"{table.table_uri} does not say how it was made; run jobs/build_training_set.py")
    try:
        meta = validate(TrainingSetMeta, json.loads(text), f"{table.table_uri}, property {TRAINING_SET_META}")
    except ExpectedError as error:
        raise ExpectedError(f"{error}; {BUILD_AGAIN}") from None
    check_numbers(meta.numbers, meta.numbers_version, meta.history_spec, table.table_uri, BUILD_AGAIN)
    return meta


BUILD_AGAIN = "build it again with jobs/build_training_set.py"
BUILD = "run jobs/build_training_set.py or correct --warehouse"


def open_table(warehouse: str, name: str, advice: str = BUILD) -> DeltaTable:
    """The table ``name`` below a folder or ``s3://`` address; where there is none, ExpectedError with ``advice``."""
    if warehouse.startswith("catalog:"):
        raise ExpectedError(f"{warehouse}: training reads tables without Spark; give the folder or s3:// address")
    root = warehouse.replace("s3a://", "s3://", 1).rstrip("/")
    plain_http = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    options = {"allow_http": "true"} if root.startswith("s3://") and plain_http else None
    try:
        return DeltaTable(f"{root}/{name}", storage_options=options)
    except TableNotFoundError:
        raise ExpectedError(f"no Delta table {name} below {warehouse}; {advice}") from None
    except OSError as error:
        said = str(error).splitlines()[0]
        raise ExpectedError(f"{warehouse} cannot be read ({said}); check the address and the AWS_ variables") from None


def _read_populations(warehouse: str, meta: TrainingSetMeta) -> dict[date, Population]:
    rows = open_table(warehouse, POPULATIONS.name).to_pyarrow_table(filters=[("run_id", "=", meta.run_id)])
    populations = [Population.from_row(row) for row in rows.to_pylist()]
    return {population.as_of: population for population in populations}


def _check_numbers(table: pa.Table, meta: TrainingSetMeta) -> None:
    """Unknown numbers are null; NaN and infinity come from a mistake upstream."""
    labels = [label.name for label in LABELS if label.type == "DOUBLE"]
    for name in (*meta.history_spec.numbers, *labels):
        wrong = pc.sum(pc.invert(pc.is_finite(table[name]))).as_py()
        if wrong:
            raise ExpectedError(
                f"training set: column {name} holds NaN or infinity in {wrong} rows; write null for what is unknown"
            )


def restrict(training_set: TrainingSet, cut: date) -> TrainingSet:
    """Only the rows that a model for ``cut`` may see: origins whose labels are known by then, and the cut itself.

    Rows of other platforms stay as they are.
    """
    dates = {*training_set.meta.protocol.origins_closed_by(cut), cut}
    visible = training_set.rows["as_of_date"].isin(dates) | (training_set.rows[PLATFORM] > 0)
    populations = {as_of: known for as_of, known in training_set.populations.items() if as_of in dates}
    return replace(training_set, rows=training_set.rows[visible].reset_index(drop=True), populations=populations)


def cut_date(protocol: Protocol, name: str) -> date:
    """The date that ``validation`` or ``test`` stands for."""
    return protocol.validation_cut if name == "validation" else protocol.test_cut


def split(rows: pd.DataFrame, cut: date, held_out_share: float, min_users: int) -> Split:
    """Split by date, and users by a hash of their id, so that a user is on one side at every date.

    Raises ExpectedError where too few users are left to train on.
    """
    at_cut = at_home(rows, (cut,))
    chosen = held_out(rows, held_out_share)
    fit = ~at_cut & ~chosen
    watched = ~at_cut & chosen
    users = rows.loc[fit, "user_id"].nunique()
    if users < min_users or not watched.any() or not at_cut.any():
        raise ExpectedError(
            f"training set: {users} users to train on, {watched.sum()} rows held out and {at_cut.sum()} rows on {cut};"
            f" at least {min_users} users (min_users) and a row of each are needed, so load more data or add origins"
        )
    return Split(*(np.flatnonzero(rows_of) for rows_of in (fit, watched, at_cut)))


def at_home(rows: pd.DataFrame, dates: Collection[date]) -> npt.NDArray[np.bool_]:
    """(n,) which rows are of the home platform and one of ``dates``."""
    return np.asarray(rows["as_of_date"].isin(dates) & (rows[PLATFORM] == 0), dtype=np.bool_)


def held_out(rows: pd.DataFrame, share: float) -> npt.NDArray[np.bool_]:
    """(n,) whose users belong to the ``share`` that is never trained on, by a hash of their id."""
    return np.array([zlib.crc32(user.encode()) / 2**32 < share for user in rows["user_id"]], dtype=np.bool_)


def check_spend(spend: npt.NDArray[np.float64]) -> None:
    """Raises ExpectedError where nobody spends anything after the training dates: there is nothing to learn."""
    if not (spend > 0).any():
        raise ExpectedError(
            "training set: nobody spends anything in the label windows; lengthen the horizon or check the purchases"
        )
