import pytest

from model_training.evaluation.results import Difference, Figure
from model_training.report.formatting import difference, figure, number, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.63721, "0.637"), (-9.9994, "-9.999"), (41.46, "41.5"), (-37249.6, "-37,250"), (100.0, "100")],
)
def test_numbers_have_as_many_decimals_as_their_size_needs(value, text):
    assert number(value) == text


def test_figures_show_their_interval_where_they_have_one():
    assert figure(Figure(0.5, (0.4, 0.6))) == "0.500 [0.400, 0.600]"
    assert figure(Figure(None, None)) == "–"
    assert percent(0.6366) == "63.7 %"


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (Difference(0.2, (0.1, 0.3)), "▲ +0.200 [+0.100, +0.300]"),
        (Difference(-0.2, (-0.3, -0.1)), "▼ -0.200 [-0.300, -0.100]"),
        (Difference(-0.2, (-0.3, 0.1)), "-0.200 [-0.300, +0.100]"),
        (Difference(0.2, None), "+0.200"),
        (None, "–"),
    ],
)
def test_differences_are_marked_only_where_they_are_clear(shown, text):
    assert difference(shown) == text
