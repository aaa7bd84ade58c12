"""Simulates users and what drives them: activity, spending power, satisfaction, churn hazard and price elasticity."""

import math

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Draws

COUNTRIES = ("Germany", "France", "Netherlands", "Spain", "Ireland")


def people(spark: SparkSession, config: SimulationConfig) -> DataFrame:
    """One row a user with everything that drives behaviour.

    Satisfaction is standard normal; it lowers the hazard of leaving and shows in reviews. Visits a day and the hazard
    are lognormal around the medians of the configuration. Elasticity, the weight of a discount in the log odds of
    buying, is lognormal. ``joined`` and ``left`` are days since the start; the platform does not know the day on which
    a user has ``left``.
    """
    draws, user = Draws(config.seed), F.col("id")
    satisfaction = draws.normal("satisfaction", user)
    visits = config.visits_per_day * F.exp(0.8 * draws.normal("visits", user))
    hazard = config.hazard_per_day * F.exp(-0.7 * F.col("satisfaction") + 0.4 * draws.normal("hazard", user))
    life = draws.exponential(F.col("hazard"), "life", user)
    return (
        spark.range(config.users)
        .withColumn("user_id", F.concat(F.lit("u"), user.cast("string")))
        .withColumn("country", draws.pick(COUNTRIES, "country", user))
        .withColumn("satisfaction", satisfaction)
        .withColumn("visits_per_day", visits)
        .withColumn("hazard", hazard)
        .withColumn("spending_power", F.exp(0.6 * draws.normal("power", user)))
        .withColumn("elasticity", F.exp(math.log(3.0) + 0.6 * draws.normal("elasticity", user)))
        .withColumn("joined", F.floor(draws.uniform("joined", user) * (0.8 * config.days)).cast("int"))
        .withColumn("left", F.col("joined") + life)
    )


def members(people: DataFrame, config: SimulationConfig) -> DataFrame:
    """What the platform knows of its users: user_id, signup and country."""
    signup = F.date_add(F.lit(config.start), F.col("joined"))
    return people.select("user_id", signup.alias("signup"), "country")


def truth(people: DataFrame, config: SimulationConfig) -> DataFrame:
    """What only a simulator knows of its users, one row a user: latent rates, and the day the user left for good."""
    left = F.date_add(F.lit(config.start), F.least(F.col("left"), F.lit(36500.0)).cast("int"))
    return people.select(
        "user_id",
        "satisfaction",
        "visits_per_day",
        "spending_power",
        F.col("hazard").alias("churn_hazard"),
        F.col("elasticity").alias("price_elasticity"),
        (F.col("visits_per_day") * F.col("spending_power")).alias("latent_value"),
        left.alias("left_on"),
    )
