"""Simulates the event log: users' visits, with views, clicks, searches, carts, purchases, returns and reviews."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ulvspark.simulation.catalogue import CATEGORIES, discount, list_price, noun, product_name
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Draws

PRAISE = ("lovely quality, will order again", "fast delivery and just as described", "a perfect gift, very happy")
SHRUGS = ("does the job", "fine for the price", "as expected")
COMPLAINTS = (
    "arrived broken and support was slow",
    "cheap material, not buying here again",
    "wrong item, disappointed",
)

_ITEMS_PER_VISIT = 1.6
_FAVOURITES = 3


def event_log(people: DataFrame, config: SimulationConfig) -> DataFrame:
    """The platform's event log: one row an event, as a source table (see ``conf/sources/simulated.yaml``)."""
    end = F.date_add(F.lit(config.start), config.days).cast("timestamp")
    return events(looks(visits(people, config), config), config).where(F.col("event_time") < end)


def visits(people: DataFrame, config: SimulationConfig) -> DataFrame:
    """One row a visit, at a uniform moment between joining and leaving, as in a Poisson process of a known count."""
    draws, user = Draws(config.seed), F.col("id")
    until = F.least(F.col("left"), F.lit(float(config.days)))
    life = F.greatest(until - F.col("joined"), F.lit(0.0))
    number = draws.count(F.col("visits_per_day") * life, "visits", user)
    moment = F.col("joined") + draws.uniform("moment", user, F.col("visit")) * life
    return (
        people.withColumn("visit", F.explode(F.when(number > 0, F.sequence(F.lit(1), number))))
        .withColumn("moment", moment)
        .withColumn("day", F.floor("moment"))
    )


def looks(visits: DataFrame, config: SimulationConfig) -> DataFrame:
    """One row for each product looked at in a visit: its price that day, and whether it was bought."""
    draws, key = Draws(config.seed), (F.col("id"), F.col("visit"), F.col("item"))
    number = 1 + draws.count(F.lit(_ITEMS_PER_VISIT - 1), "items", F.col("id"), F.col("visit"))
    product, day = F.col("product"), F.col("day")
    log_odds = -0.6 - 0.15 * F.col("elasticity") + 2.0 * F.col("elasticity") * F.col("discount")
    return (
        visits.withColumn("item", F.explode(F.sequence(F.lit(1), number)))
        .withColumn("product", _product_looked_at(config, draws, key))
        .withColumn("list_price", list_price(product, day, draws))
        .withColumn("discount", discount(product, day, config, draws))
        .withColumn("bought", draws.uniform("buy", *key) < 1 / (1 + F.exp(-log_odds)))
        .withColumn("mood", F.col("satisfaction") + 0.7 * draws.normal("mood", *key))
    )


def _product_looked_at(config: SimulationConfig, draws: Draws, key: tuple[Column, ...]) -> Column:
    """Draws mostly popular products (low ranks) of the user's few favourite categories."""
    favourite = draws.below(_FAVOURITES, "favourite", *key)
    category = draws.below(len(CATEGORIES), "taste", F.col("id"), favourite)
    rank = F.floor(F.pow(draws.uniform("rank", *key), 2.0) * (config.products // len(CATEGORIES)))
    return category + len(CATEGORIES) * rank


def events(looks: DataFrame, config: SimulationConfig) -> DataFrame:
    """One row for each event of a look: always a view, sometimes a purchase, a return or a review as well."""
    draws, key = Draws(config.seed), (F.col("id"), F.col("visit"), F.col("item"))
    chance = {what: draws.uniform(what, *key) for what in ("click", "search", "cart", "return", "review")}
    happened = {
        "search": chance["search"] < 0.15,
        "view": F.lit(True),
        "click": F.col("bought") | (chance["click"] < 0.3),
        "cart": F.col("bought") | (chance["cart"] < 0.1),
        "purchase": F.col("bought"),
        "return": F.col("bought") & (chance["return"] < 0.08 / (1 + F.exp(F.col("mood")))),
        "review": F.col("bought") & (chance["review"] < 0.12),
    }
    steps = F.array(*(F.when(true, _step(kind, n)) for n, (kind, true) in enumerate(happened.items())))
    rows = looks.withColumn("step", F.explode(F.filter(steps, lambda step: step.isNotNull())))
    # The latent columns are dropped here, so that little is shuffled and written.
    return rows.select(*_columns(config, draws, key))


def _step(kind: str, position: int) -> Column:
    return F.struct(F.lit(kind).alias("kind"), F.lit(position).alias("position"))


def _columns(config: SimulationConfig, draws: Draws, key: tuple[Column, ...]) -> list[Column]:
    kind, priced = F.col("step.kind"), F.col("step.kind").isin("purchase", "return")
    # Returns and reviews come days after the purchase.
    later = F.when(kind.isin("return", "review"), 2 + 12 * draws.uniform("later", *key)).otherwise(0.0)
    seconds = (F.col("moment") + later) * 86400 + 20 * F.col("item") + F.col("step.position")
    start = F.unix_timestamp(F.lit(config.start).cast("timestamp"))
    quantity = 1 + F.floor(F.col("spending_power") * draws.uniform("quantity", *key) * 2)
    visit = F.concat_ws("-", F.col("user_id"), F.col("visit"))
    return [
        F.concat_ws("-", visit, F.col("item"), kind).alias("event_id"),
        F.col("user_id"),
        visit.alias("order_id"),
        F.timestamp_seconds(F.floor(start + seconds)).alias("event_time"),
        kind.alias("event_type"),
        F.when(kind != "search", product_name(F.col("product"))).alias("product_id"),
        F.when(priced, quantity).alias("quantity"),
        F.when(kind != "search", F.round(F.col("list_price") * (1 - F.col("discount")), 2)).alias("unit_price"),
        F.when(kind != "search", F.col("list_price")).alias("list_price"),
        _text(draws, key).alias("text"),
    ]


def _text(draws: Draws, key: tuple[Column, ...]) -> Column:
    mood = F.col("mood")
    review = (
        F.when(mood > 0.5, draws.pick(PRAISE, "words", *key))
        .when(mood < -0.5, draws.pick(COMPLAINTS, "words", *key))
        .otherwise(draws.pick(SHRUGS, "words", *key))
    )
    return F.when(F.col("step.kind") == "search", noun(F.col("product"), draws)).when(
        F.col("step.kind") == "review", review
    )
