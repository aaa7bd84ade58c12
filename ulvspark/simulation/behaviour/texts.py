"""What users write: searches whose topic and reviews whose verdict tell their mood."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from ulvspark.simulation.behaviour.looks import Looks
from ulvspark.simulation.catalogue import words
from ulvspark.simulation.catalogue.products import products
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Bools, Draws, Ints
from ulvspark.simulation.users.people import People

OWN_WORDS = 0.17
"""Share of users who have words of their own, a name or a model, which nobody else writes."""

_OWN_IN_SEARCHES, _OWN_IN_REVIEWS = 0.3, 0.1
_RATING_BOUNDS = (-1.4, -0.6, 0.2, 1.1)
_TOPIC_BOUNDS = (-0.6, 0.6)


def ratings(made: Looks) -> Ints:
    """The rating of each look's review, from 1 to 5."""
    return 1 + np.searchsorted(_RATING_BOUNDS, made.said)


def searches(config: SimulationConfig, users: People, made: Looks, rows: Ints) -> pa.StringArray:
    """The words of a search that led to these looks: a topic, the kind of product, or the user's own words."""
    draws, key = Draws(config.seed), made.key[rows]
    topic = np.searchsorted(_TOPIC_BOUNDS, made.said[rows])
    kind = products(config).kind[made.product[rows]]
    first = draws.zipf(len(words.TOPICS["plain"]), 2.0, "word of search", key)
    common = (topic * len(words.NOUNS) + kind) * len(words.TOPICS["plain"]) + first
    ids = users.ids[made.user[rows]]
    own = _own(draws, ids, key, "search", _OWN_IN_SEARCHES)
    return _written(np.where(own, -1 - (ids * len(words.TOPICS) + topic), common), lambda code: _search(draws, code))


def reviews(config: SimulationConfig, users: People, made: Looks, rows: Ints) -> pa.StringArray:
    """The words of the reviews of these looks: a verdict by the rating, and what it is about, or the user's own."""
    draws, key = Draws(config.seed), made.key[rows]
    rating = ratings(made)[rows] - 1
    verdict = draws.zipf(len(words.VERDICTS[0]), 1.0, "verdict", key)
    aspect = draws.zipf(len(words.ASPECTS), 1.0, "aspect", key)
    common = (rating * len(words.VERDICTS[0]) + verdict) * len(words.ASPECTS) + aspect
    ids = users.ids[made.user[rows]]
    own = _own(draws, ids, key, "review", _OWN_IN_REVIEWS)
    return _written(np.where(own, -1 - (ids * len(words.VERDICTS) + rating), common), lambda code: _review(draws, code))


def _own(draws: Draws, ids: Ints, key: Ints, where: str, share: float) -> Bools:
    """Whether the user writes words of their own here."""
    return (draws.uniform("own words", ids) < OWN_WORDS) & (draws.uniform(f"own words in {where}", key) < share)


def _written(codes: Ints, write: Callable[[int], str]) -> pa.StringArray:
    """The text of each code; each distinct one is written once."""
    distinct, places = np.unique(codes, return_inverse=True)
    return pa.array([write(code) for code in distinct.tolist()], pa.string()).take(pa.array(places))


def _search(draws: Draws, code: int) -> str:
    topics = list(words.TOPICS.values())
    if code < 0:
        user, topic = divmod(-1 - code, len(topics))
        own_kind = words.NOUNS[int(draws.below(len(words.NOUNS), "kind of own words", user)[0])]
        return f"{topics[topic][0]} {own_kind} {_own_words(draws, user)}".strip()
    rest, first = divmod(code, len(topics[0]))
    topic, kind = divmod(rest, len(words.NOUNS))
    return f"{topics[topic][first]} {words.NOUNS[kind]}".strip()


def _review(draws: Draws, code: int) -> str:
    if code < 0:
        user, rating = divmod(-1 - code, len(words.VERDICTS))
        return f"{words.VERDICTS[rating][0]}, {_own_words(draws, user)}"
    rest, aspect = divmod(code, len(words.ASPECTS))
    rating, verdict = divmod(rest, len(words.VERDICTS[0]))
    return f"{words.VERDICTS[rating][verdict]}, {words.ASPECTS[aspect]}"


def _own_words(draws: Draws, user: int) -> str:
    """Two rare words; the first by a law with a long tail, so that some are seen often."""
    first, second = draws.uniform("rare word", user, np.arange(2))
    return f"{words.rare_word(int(first**4 * words.RARE_WORDS))} {words.rare_word(int(second * words.RARE_WORDS))}"
