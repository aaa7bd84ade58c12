"""The renderer: what it says, and what holds for any history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulvspark.contract import schema
from ulvspark.contract.spec import TextSpec
from ulvspark.history.text import MAX_CHARACTERS, Rendered, product_text, render

SPEC = TextSpec()

WORDS = st.none() | st.text(max_size=40) | st.sampled_from(["Red  Woolly\tHottie", "🎁👩‍👩‍👧", "经典红茶", "İ ǅ Σ"])
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "event_type": st.sampled_from([*schema.EVENT_TYPES, "unheard_of"]) | WORDS,
        "order_id": st.none() | st.sampled_from("012"),
        "gap_days": st.none() | st.integers(0, 3000),
        "quantity": st.none() | st.floats(),
        "price_relation": st.none() | st.sampled_from(schema.PRICE_RELATIONS),
        "price_level": st.none() | st.sampled_from(schema.PRICE_LEVELS),
        "title": WORDS,
        "category": WORDS | st.just("Home > Kitchen > Mugs"),
        "brand": WORDS,
        "text": WORDS,
    },
)
HISTORIES = st.fixed_dictionaries(
    {}, optional={"profile": st.none() | st.dictionaries(st.text(max_size=8), WORDS), "events": st.lists(EVENTS)}
)


def event(kind: str = "purchase", title: str | None = "Mug", **fields: object) -> dict[str, object]:
    return {"event_type": kind, "title": title, **fields}


def events_text(*events: dict[str, object]) -> str:
    return render({"profile": {}, "events": list(events)}, SPEC).events


def test_it_reads_well() -> None:
    history = {
        "profile": {"income": "50-74K", "country": "United Kingdom", "age": "45-54", "home_owner": None},
        "events": [
            event(
                title="WHITE HANGING  HEART", quantity=6.0, order_id="0", price_relation="below", price_level="cheap"
            ),
            event(title="Red Woolly Hottie", order_id="0", gap_days=22, price_relation="at", price_level="mid-priced"),
            event("return", "Mug", order_id="1", gap_days=0, brand="ACME"),
            event("search", None, text="Gift  Bags", gap_days=1),
            event("review", "Mug", text="Chipped,\nbut nice"),
        ],
    }
    rendered = render(history, SPEC)
    assert rendered.profile == "customer from united kingdom, age 45-54, income 50-74k"
    assert rendered.events == (
        "bought cheap white hanging heart x6 below usual price; red woolly hottie; 3 weeks earlier: returned acme mug; "
        "searched 'gift bags'; 1 day earlier: reviewed mug: 'chipped, but nice'"
    )
    assert words(rendered, "events")[:5] == [
        ("event_type", "bought"), ("price_level", "cheap"), ("title", "white hanging heart"), ("quantity", "x6"),
        ("price_relation", "below usual price"),
    ]  # fmt: skip
    assert words(rendered, "profile") == [("country", "united kingdom"), ("age", "45-54"), ("income", "50-74k")]


def words(rendered: Rendered, segment: str) -> list[tuple[str, str]]:
    text = getattr(rendered, segment)
    return [(span.field, text[span.start : span.end]) for span in rendered.spans if span.segment == segment]


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (1, "1 day"), (6, "6 days"), (7, "1 week"), (62, "8 weeks"), (63, "2 months"), (729, "24 months"),
        (730, "2 years"), (1100, "3 years"),
    ],
)  # fmt: skip
def test_gaps_are_coarse(days: int, said: str) -> None:
    assert events_text(event(gap_days=days), event()) == f"bought mug; {said} earlier: bought mug"


def test_the_verb_is_said_once_an_order() -> None:
    assert events_text(event(order_id="0", gap_days=0), event(order_id="0"), event(order_id="1")) == (
        "bought mug; mug; bought mug"
    )


def test_a_product_without_title_goes_by_category_and_brand() -> None:
    assert events_text(event(title=None, category="Home > Mugs", brand="ACME")) == "bought acme mugs"
    assert events_text(event(title="ACME mug", brand="Acme")) == "bought acme mug"
    assert events_text(event(title=None)) == "bought something"


@pytest.mark.parametrize(
    ("title", "brand", "said"),
    [
        ("Printer cartridge", "Art", "art printer cartridge"), ("Art set", "Art", "art set"),
        ("Smart art set", "art", "smart art set"), ("Mug (ACME), red", "Acme", "mug (acme), red"),
        ("Le Creuset pan", "le  creuset", "le creuset pan"), ("Le Creusets", "Le Creuset", "le creuset le creusets"),
        ("C++ primer", "C++", "c++ primer"), ("Mug", None, "mug"),
    ],
)  # fmt: skip
def test_a_brand_is_left_out_where_whole_words_of_the_title_say_it(title, brand, said) -> None:
    assert events_text(event(title=title, brand=brand)) == f"bought {said}"
    assert product_text({"title": title, "brand": brand}) == said


def test_long_reviews_cost_little_and_are_cut() -> None:
    assert len(events_text(event("review", text="too small " * 5_000))) < 2 * MAX_CHARACTERS
    assert len(events_text(event("review", text="很" * 50_000))) < 2 * MAX_CHARACTERS


def test_the_profile_is_cut_at_words() -> None:
    profile = {"country": "United Kingdom", "age": "45-54"}
    for n, text in ((0, ""), (3, "customer from united"), (6, "customer from united kingdom, age 45-54")):
        rendered = render({"profile": profile, "events": []}, TextSpec(profile_max_words=n))
        assert rendered.profile == text
        assert all(span.end <= len(text) for span in rendered.spans)


@given(HISTORIES)
def test_any_history_renders_to_one_clean_line(history: dict) -> None:
    rendered = render(history, SPEC)
    for text in (rendered.profile, rendered.events):
        assert text == " ".join(text.split())
        assert text == text.lower()
    assert len(rendered.events) <= 1100 * len(history.get("events") or [])
    assert rendered == render(history, SPEC)


@given(HISTORIES)
def test_spans_are_in_order_and_hold_words(history: dict) -> None:
    rendered = render(history, SPEC)
    for segment, text in (("profile", rendered.profile), ("events", rendered.events)):
        spans = [span for span in rendered.spans if span.segment == segment]
        assert all(text[span.start : span.end].strip() for span in spans)
        ends = [0, *(span.end for span in spans)]
        assert all(end <= span.start for end, span in zip(ends, spans, strict=False))
        assert ends[-1] <= len(text)


@given(st.lists(EVENTS, min_size=1), st.lists(EVENTS))
def test_older_events_only_add_to_the_end(newer: list, older: list) -> None:
    whole = render({"events": [*newer, *older]}, SPEC).events
    assert whole.startswith(render({"events": newer}, SPEC).events)


@given(HISTORIES, st.integers(0, 30))
def test_fewer_profile_words_are_a_prefix(history: dict, n: int) -> None:
    cut = render(history, TextSpec(profile_max_words=n)).profile
    assert render(history, TextSpec(profile_max_words=1000)).profile.startswith(cut)
    assert len(cut.split()) <= n


@given(HISTORIES)
def test_pairs_and_mappings_are_the_same_profile(history: dict) -> None:
    pairs = {**history, "profile": list((history.get("profile") or {}).items())}
    assert render(pairs, SPEC) == render(history, SPEC)
