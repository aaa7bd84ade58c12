"""Products, prices, relations and pictures of a simulated platform."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from ulvspark.simulation.catalogue import words
from ulvspark.simulation.catalogue.pictures import (
    HUGE_PIXELS,
    TROUBLES,
    picture,
    picture_path,
    pixels,
    troubles,
    write_pictures,
)  # fmt: skip
from ulvspark.simulation.catalogue.prices import discount, list_price
from ulvspark.simulation.catalogue.products import product_table, products
from ulvspark.simulation.catalogue.relations import brand_table, category_table, relation_table
from ulvspark.simulation.config import SimulationConfig

CONFIG = SimulationConfig(products=4000)


def test_no_title_occurs_twice_and_all_nouns_are_of_their_category():
    table = product_table(SimulationConfig(products=50_000)).to_pandas()
    assert table.title.is_unique
    for row in table.head(50).itertuples():
        assert any(row.title.endswith(noun) or f" {noun} no." in row.title for noun in words.KINDS[row.category])


def test_more_products_leave_those_that_were_there():
    few, many = products(CONFIG), products(SimulationConfig(products=8000))
    for name in ("kind", "style", "price_level", "quality"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:4000])


def test_bare_titles_name_no_brand():
    table = product_table(CONFIG).to_pandas()
    bare = table[table.brand.isna()]
    assert len(bare) / len(table) == pytest.approx(0.3, abs=0.03)
    assert not bare.title.str.contains("|".join(words.BRANDS)).any()


def test_promotions_are_as_frequent_as_wanted():
    week = np.arange(4000) % 50
    taken = discount(CONFIG, np.arange(4000), week)
    assert np.mean(taken > 0) == pytest.approx(0.2, abs=0.02)
    assert set(np.unique(taken)) == {0.0, 0.1, 0.2, 0.3, 0.4}
    assert not discount(SimulationConfig.model_validate({"prices": {"promotion_share": 0}}), week, week).any()


def test_prices_lie_around_the_median():
    price = list_price(CONFIG, products(CONFIG), np.arange(4000), np.full(4000, 100))
    assert np.median(price) == pytest.approx(12, rel=0.05)
    assert price.min() >= 0.05


def test_substitutes_are_of_one_kind_and_of_brands_as_good():
    table = product_table(CONFIG).to_pandas().set_index("product_id")
    pairs = relation_table(CONFIG).to_pandas()
    sold = products(CONFIG)
    kind, quality = (dict(zip(table.index, values, strict=True)) for values in (sold.kind, sold.quality))
    same = pairs[pairs.relation == "substitute"]
    assert (same.product_id.map(kind) == same.related_id.map(kind)).all()
    assert (same.product_id.map(quality) - same.related_id.map(quality)).abs().quantile(0.9) < 0.5
    beside = pairs[pairs.relation == "complement"]
    assert (beside.product_id.map(kind) != beside.related_id.map(kind)).all()
    assert (beside.product_id.map(table.category) == beside.related_id.map(table.category)).all()


def test_each_category_has_its_parents_and_each_brand_a_grade():
    categories = category_table().to_pandas().set_index("category").parent
    assert categories["home > kitchen"] == "home"
    assert categories["home"] is None
    assert set(brand_table(CONFIG).column("grade").to_pylist()) == {"entry", "middle", "top"}


def test_the_more_lavish_a_style_the_more_contrast_its_picture_has():
    sold = products(CONFIG)
    contrast = {style: np.std(pixels(CONFIG, sold, int(np.flatnonzero(sold.style == style)[0]))[..., 0])
                for style in (0, 3, 7)}  # fmt: skip
    assert contrast[0] < contrast[3] < contrast[7]


def test_pictures_give_the_trouble_they_are_said_to_give(tmp_path):
    sold = products(CONFIG)
    for trouble in ("cmyk", "animated", "huge"):
        image = Image.open(BytesIO(picture(CONFIG, sold, 3, trouble)))
        image.load()
        assert (image.mode == "CMYK") == (trouble == "cmyk")
        assert (getattr(image, "n_frames", 1) > 1) == (trouble == "animated")
        assert (image.size == (HUGE_PIXELS, HUGE_PIXELS)) == (trouble == "huge")
    with pytest.raises((OSError, UnidentifiedImageError)):
        Image.open(BytesIO(picture(CONFIG, sold, 3, "broken"))).load()
    found = troubles(CONFIG, np.arange(4000))
    assert {name: found.count(name) / 4000 for name in TROUBLES} == pytest.approx(
        {"missing": 0.02, "broken": 0.02, "cmyk": 0.02, "animated": 0.02, "huge": 0.005}, abs=0.008
    )
    numbers = [number for number in range(300) if found[number] != "huge"]
    assert write_pictures(CONFIG, sold, numbers, str(tmp_path)) == sum(found[number] != "missing" for number in numbers)
    for number in numbers:
        assert (tmp_path / picture_path(CONFIG, number, found[number])).exists() == (found[number] != "missing")
