"""Simulates products, prices and promotions. A price is a formula of product and date, so no join is needed."""

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Draws

CATEGORIES = {
    "home > kitchen": ("teapot", "mug", "baking tin", "kettle", "apron", "cutlery set"),
    "home > decoration": ("lantern", "picture frame", "candle holder", "cushion", "wall clock", "vase"),
    "garden > tools": ("trowel", "watering can", "garden fork", "plant pot", "hose", "bird feeder"),
    "toys > games": ("jigsaw", "card game", "wooden blocks", "doll house", "kite", "board game"),
    "clothing > accessories": ("scarf", "leather belt", "sun hat", "gloves", "tote bag", "socks"),
    "electronics > audio": ("headphones", "radio", "speaker", "charging cable", "microphone", "alarm clock"),
    "beauty > care": ("hand cream", "soap set", "shampoo", "face mask", "lip balm", "bath salts"),
    "stationery > paper": ("notebook", "gift wrap", "greeting card", "calendar", "stickers", "letter set"),
}
SIZES = ("small", "large", "tall", "slim", "mini", "classic", "folding")
LOOKS = ("red", "vintage", "striped", "blue", "wooden", "soft", "floral", "white")
BRANDS = ("Alder", "Brightwell", "Corvin", "Dunmore", "Elsted", "Fenwick")
DISCOUNTS = (0.1, 0.2, 0.3, 0.4)

_MEDIAN_PRICE = 12.0
_PRICE_SPREAD = 0.8
_QUARTERLY_DRIFT = 0.06


def category_of(product: Column) -> Column:
    """The index of a product's category."""
    return F.pmod(product, F.lit(len(CATEGORIES))).cast("int")


def list_price(product: Column, day: Column, draws: Draws) -> Column:
    """The price before promotions: the product's own level, changed a little every quarter."""
    level = _PRICE_SPREAD * draws.normal("price", product)
    drift = _QUARTERLY_DRIFT * draws.normal("drift", product, F.floor(day / 91))
    return F.round(_MEDIAN_PRICE * F.exp(level + drift), 2)


def discount(product: Column, day: Column, config: SimulationConfig, draws: Draws) -> Column:
    """The share taken off in the week of ``day``; 0 when the product is not on promotion."""
    week = F.floor(day / 7)
    depth = F.get(F.array(*map(F.lit, DISCOUNTS)), draws.below(len(DISCOUNTS), "depth", product, week))
    return F.when(draws.uniform("promotion", product, week) < config.promotion_share, depth).otherwise(F.lit(0.0))


def noun(product: Column, draws: Draws) -> Column:
    """The noun of the product's title, of one or two words."""
    nouns = F.array(*(F.array(*map(F.lit, words)) for words in CATEGORIES.values()))
    return F.get(F.get(nouns, category_of(product)), draws.below(6, "noun", product))


def catalogue(spark: SparkSession, config: SimulationConfig) -> DataFrame:
    """product_id, title, category, brand and description of every product."""
    draws = Draws(config.seed)
    product = F.col("id")
    title = F.concat_ws(
        " ", draws.pick(SIZES, "size", product), draws.pick(LOOKS, "look", product), noun(product, draws)
    )
    return spark.range(config.products).select(
        product_name(product).alias("product_id"),
        title.alias("title"),
        F.get(F.array(*map(F.lit, CATEGORIES)), category_of(product)).alias("category"),
        draws.pick(BRANDS, "brand", product).alias("brand"),
        F.lit(None).cast("string").alias("description"),
    )


def product_name(product: Column) -> Column:
    """The product's id on the platform."""
    return F.concat(F.lit("p"), product.cast("string"))
