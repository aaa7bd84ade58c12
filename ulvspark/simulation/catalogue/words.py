"""The vocabulary of a simulated platform: what products are called, and what users write."""

KINDS = {
    "home > kitchen": (
        "teapot", "mug", "baking tin", "kettle", "apron", "cutlery set", "frying pan", "chopping board", "salad bowl",
        "spice rack", "bread bin", "water jug",
    ),
    "home > decoration": (
        "lantern", "picture frame", "candle holder", "cushion", "wall clock", "vase", "mirror", "rug", "garland",
        "table lamp", "doormat", "wall hook",
    ),
    "garden > tools": (
        "trowel", "watering can", "garden fork", "plant pot", "hose", "bird feeder", "pruning shears", "wheelbarrow",
        "seed tray", "rain gauge", "hedge trimmer", "garden bench",
    ),
    "toys > games": (
        "jigsaw", "card game", "wooden blocks", "doll house", "kite", "board game", "toy train", "soft toy", "puppet",
        "marble run", "skipping rope", "paint set",
    ),
    "clothing > accessories": (
        "scarf", "leather belt", "sun hat", "gloves", "tote bag", "socks", "umbrella", "wallet", "necklace",
        "hair clip", "sunglasses", "slippers",
    ),
    "electronics > audio": (
        "headphones", "radio", "speaker", "charging cable", "microphone", "alarm clock", "record player",
        "voice recorder", "sound bar", "headphone case", "tuner", "power bank",
    ),
    "beauty > care": (
        "hand cream", "soap set", "shampoo", "face mask", "lip balm", "bath salts", "perfume", "nail polish",
        "hairbrush", "body lotion", "shaving kit", "sun lotion",
    ),
    "stationery > paper": (
        "notebook", "gift wrap", "greeting card", "calendar", "stickers", "letter set", "fountain pen", "pencil case",
        "sketchbook", "desk tidy", "photo album", "address book",
    ),
}  # fmt: skip
"""By category, a path from coarse to fine, the kinds of its products."""

CATEGORIES = tuple(KINDS)
NOUNS = tuple(noun for nouns in KINDS.values() for noun in nouns)
KINDS_A_CATEGORY = 12

SIZES = ("small", "large", "tall", "slim", "mini", "classic", "folding", "wide")
COLOURS = (
    "red", "blue", "green", "white", "black", "yellow", "grey", "pink", "navy", "cream", "orange", "purple", "silver",
    "gold", "turquoise", "brown",
)  # fmt: skip
MATERIALS = (
    "wooden", "cotton", "steel", "glass", "ceramic", "bamboo", "leather", "linen", "paper", "felt", "copper", "wool",
)  # fmt: skip
LOOKS = ("vintage", "striped", "soft", "floral", "modern", "rustic", "checked", "plain", "dotted", "hand-painted")

BRANDS = (
    "Alder", "Brightwell", "Corvin", "Dunmore", "Elsted", "Fenwick", "Garrow", "Hollis", "Ivelet", "Jarrow", "Kestrel",
    "Lindale", "Marlow", "Norvik", "Ostara", "Pembury", "Quillon", "Rosedale", "Selwyn", "Tamsin", "Ulverton", "Verity",
    "Wexcombe", "Yarrow",
)  # fmt: skip

TOPICS = {
    "bargain": ("cheap", "discount", "budget", "clearance", "low price", "second choice"),
    "plain": ("", "new", "nice", "good", "simple", "usual"),
    "lavish": ("luxury", "designer", "premium", "handmade", "elegant", "exclusive"),
}
"""What users write before the kind of product they search for, most frequent first."""

VERDICTS = (
    ("broke on the first day", "arrived broken", "never again", "asked for my money back", "worst purchase this year",
     "completely disappointed"),
    ("poor quality for the money", "not as described", "smaller than it looks", "expected more", "came too late",
     "cheap feel"),
    ("does the job", "fine for the price", "as expected", "it is all right", "nothing special", "will do"),
    ("nice piece", "good value", "pleased with it", "well made", "arrived quickly", "would buy again"),
    ("absolutely love it", "perfect gift", "lovely quality", "best I ever had", "will order more", "exceeded my hopes"),
)  # fmt: skip
"""What a review says, by its rating from 1 to 5, most frequent first."""

ASPECTS = (
    "the material", "the colour", "delivery", "the packing", "customer support", "the size", "the smell", "the finish",
    "my daughter", "the kitchen", "the price", "the handle",
)  # fmt: skip
"""What a review speaks of besides, most frequent first."""

SYLLABLES = (
    "ba", "ko", "mi", "ra", "tu", "le", "so", "ni", "va", "du", "pe", "zo", "li", "ka", "me", "ro", "ta", "vi", "no",
    "sa", "be", "gi", "fu", "ho", "je", "lo", "mu", "ne", "pa", "ri", "su", "te",
)  # fmt: skip
"""Rare words (names, models, places) are made of four of these, of which there are about a million."""

RARE_WORDS = len(SYLLABLES) ** 4


def rare_word(number: int) -> str:
    """The rare word of a number in [0, RARE_WORDS)."""
    digits = (number // len(SYLLABLES) ** place % len(SYLLABLES) for place in range(4))
    return "".join(SYLLABLES[digit] for digit in digits)
