"""Event types under the names that shops, web analytics and public data sets give them."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from ulvspark.contract.schema import EVENT_TYPES

SYNONYMS = {
    "purchase": (
        "buy", "bought", "purchased", "purchases", "order", "orders", "ordered", "order placed", "place order",
        "placed order", "order created", "order completed", "orders create", "orders paid", "checkout completed",
        "complete checkout", "complete purchase", "ecommerce purchase", "in app purchase", "sale", "sold",
        "transaction", "transactions",
    ),
    "return": (
        "returned", "returns", "refund", "refunded", "refunds", "order refunded", "refunded order", "refunds create",
        "order returned", "product returned",
    ),
    "view": (
        "views", "viewed", "view item", "view item list", "view product", "viewed product", "view content",
        "view category", "product view", "product viewed", "product list viewed", "collection viewed", "product detail",
        "detail", "detail view", "page view", "page viewed", "screen view",
    ),
    "click": (
        "clicks", "clicked", "select item", "select promotion", "item click", "product click", "product clicked",
        "promotion clicked",
    ),
    "cart": (
        "add to cart", "added to cart", "add cart", "cart add", "add to basket", "added to basket", "add to bag",
        "basket", "product added", "product added to cart",
    ),
    "search": (
        "searched", "searches", "search submitted", "view search results", "products searched", "site search",
    ),
    "review": (
        "reviews", "reviewed", "product reviewed", "review submitted", "submit review", "rating", "ratings", "rated",
    ),
}  # fmt: skip
"""Type -> other names for it, found in any case and with any of blank, hyphen, underscore, slash or nothing between.

Among them are those of GA4, Shopify, Segment, Klaviyo, Meta's pixel, REES46 and Retailrocket.
"""

_BETWEEN_WORDS = " -_/."


def event_type(name: Column) -> Column:
    """The type that a trimmed ``name`` stands for; in lower case as it is where it is none."""
    lowered = F.lower(name)
    compact = F.translate(lowered, _BETWEEN_WORDS, "")
    known = F.when(lowered.isin(*EVENT_TYPES), lowered)
    for kind, names in SYNONYMS.items():
        known = known.when(compact.isin([each.replace(" ", "") for each in names]), kind)
    return known.otherwise(lowered)
