"""What can be seen of simulated users on a date, and what they do after it: frames with a row a user."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from ulvspark.simulation.catalogue import words
from ulvspark.simulation.catalogue.products import product_table
from ulvspark.simulation.catalogue.relations import brand_table, relation_table
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.platform import Platform
from ulvspark.simulation.truth import product_truth
from ulvspark.simulation.users.people import PERIOD_DAYS, STATES

HORIZON_DAYS = 91
RECENT_DAYS = 70
"""What users say and look at is read of as many days before the date."""


@dataclass(frozen=True)
class Seen:
    """A platform split at a date: everything before it, and the window after it."""

    users: pd.DataFrame
    """Those who did something before the date, indexed by user_id."""
    before: pd.DataFrame
    recent: pd.DataFrame
    after: pd.DataFrame
    as_of: pd.Timestamp


def split(platform: Platform, as_of: date) -> Seen:
    """The platform on a date."""
    events = platform.events.to_pandas()
    day = pd.Timestamp(as_of, tz="UTC")
    before = events[events.event_time < day]
    after = events[(events.event_time >= day) & (events.event_time < day + timedelta(days=HORIZON_DAYS))]
    users = platform.users.to_pandas().set_index("user_id").loc[before.user_id.unique()]
    return Seen(users, before, before[before.event_time >= day - timedelta(days=RECENT_DAYS)], after, day)


def spend(seen: Seen, events: pd.DataFrame) -> pd.Series:
    """What each user paid, less returns."""
    sign = events.event_type.map({"purchase": 1.0, "return": -1.0}).fillna(0.0)
    paid = (sign * events.quantity.fillna(0.0) * events.unit_price.fillna(0.0)).groupby(events.user_id).sum()
    return paid.reindex(seen.users.index).fillna(0.0)


def numbers(seen: Seen) -> pd.DataFrame:
    """Recency, frequency and money, as any platform has them."""
    bought = seen.before[seen.before.event_type == "purchase"]
    columns = {"tenure": (seen.as_of.tz_localize(None) - pd.to_datetime(seen.users.signup)).dt.days}
    for days in (30, 91, 182, 3650):
        since = seen.as_of - timedelta(days=days)
        late, orders = seen.before[seen.before.event_time >= since], bought[bought.event_time >= since]
        columns[f"views_{days}"] = late[late.event_type == "view"].groupby("user_id").size()
        columns[f"orders_{days}"] = orders.groupby("user_id").order_id.nunique()
        columns[f"spend_{days}"] = spend(seen, late)
    for name, events in (("seen", seen.before), ("bought", bought)):
        columns[f"days_since_{name}"] = (seen.as_of - events.groupby("user_id").event_time.max()).dt.days
    columns["mean_price"] = bought.groupby("user_id").unit_price.mean()
    return pd.DataFrame(columns).reindex(seen.users.index)


def said(seen: Seen) -> pd.DataFrame:
    """What searches and reviews say: how lavish the topics are, and how content the verdicts."""
    topic = {first: level for level, firsts in enumerate(words.TOPICS.values()) for first in firsts}
    verdict = {first: level for level, firsts in enumerate(words.VERDICTS) for first in firsts}
    searches = seen.recent[seen.recent.event_type == "search"]
    reviews = seen.recent[seen.recent.event_type == "review"]
    lavish = searches.text.map(lambda text: _longest_start(text, topic, 1))
    content = reviews.text.map(lambda text: verdict.get(text.split(",")[0], 2))
    return pd.DataFrame({
        "lavish": lavish.groupby(searches.user_id).mean(), "searches": searches.groupby("user_id").size(),
        "content": content.groupby(reviews.user_id).mean(), "reviews": reviews.groupby("user_id").size(),
    }).reindex(seen.users.index)  # fmt: skip


def _longest_start(text: str, levels: dict[str, int], otherwise: int) -> int:
    return next((level for first, level in levels.items() if first and text.startswith(f"{first} ")), otherwise)


def profile(seen: Seen) -> pd.DataFrame:
    """Country, age band, channel and loyalty as numbers; unknown ones are -1."""
    columns = ("country", "age_band", "channel", "loyalty")
    return pd.DataFrame({name: seen.users[name].astype("category").cat.codes for name in columns})


def clicked(seen: Seen) -> pd.DataFrame:
    """The share of looks that were clicked on."""
    count = seen.recent.pivot_table(index="user_id", columns="event_type", values="event_id", aggfunc="count")
    return pd.DataFrame({"click_share": count["click"].fillna(0) / count["view"], "clicks": count["click"]}).reindex(
        seen.users.index
    )


def styles(seen: Seen, config: SimulationConfig) -> pd.DataFrame:
    """The mean style of the products looked at, as somebody who sees each picture rightly would say."""
    axis = product_truth(config).to_pandas().set_index("product_id").style_axis
    return _mean_looked_at(seen, axis, "style")


def qualities(seen: Seen, config: SimulationConfig) -> pd.DataFrame:
    """The mean grade of the brands looked at; of a product without a brand that of its substitutes."""
    grade = brand_table(config).to_pandas().set_index("brand").grade.map({"entry": -1, "middle": 0, "top": 1})
    products = product_table(config).to_pandas().set_index("product_id").brand.map(grade)
    relations = relation_table(config).to_pandas().query("relation == 'substitute'")
    of_substitutes = relations.related_id.map(products).groupby(relations.product_id).mean()
    return _mean_looked_at(seen, products.fillna(of_substitutes), "quality")


def _mean_looked_at(seen: Seen, value: pd.Series, name: str) -> pd.DataFrame:
    views = seen.recent[seen.recent.event_type == "view"]
    looked = views.product_id.map(value).groupby(views.user_id)
    return pd.DataFrame({name: looked.mean(), f"{name}_known": looked.count()}).reindex(seen.users.index)


def bargains(events: pd.DataFrame) -> pd.DataFrame:
    """By user, the share of purchases that were on promotion, and their number."""
    bought = events[events.event_type == "purchase"]
    below = (bought.unit_price < 0.95 * bought.list_price).astype(float)
    return below.groupby(bought.user_id).agg(["mean", "size"]).rename(columns={"mean": "bargains", "size": "bought"})


def states(platform: Platform, seen: Seen, config: SimulationConfig) -> pd.DataFrame:
    """The truth of what moves each user on the date, and in the period before."""
    truth = platform.truth_users.to_pandas().set_index("user_id").loc[seen.users.index]
    period = config.day(seen.as_of.date()) // PERIOD_DAYS
    return pd.DataFrame(
        {f"{name}_{ago}": np.stack(truth[name])[:, period - ago] for name in STATES for ago in (0, 1, 2)},
        index=truth.index,
    )
