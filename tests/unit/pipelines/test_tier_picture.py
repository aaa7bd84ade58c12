import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from matplotlib.axes import Axes

from ulvspark.contract.errors import ExpectedError
from ulvspark.pipelines.tier_picture import tier_picture

SUMS = pd.DataFrame(
    {"users": [1624, 644, 0], "predicted": [334522.85, 466072.17, np.nan], "actual": [362724.96, 497722.2, 0.0]},
    index=["low", "mid", "no tier"],
)


@pytest.fixture
def written(monkeypatch) -> list[str]:
    """The figures that are written beside bars."""
    texts: list[str] = []
    original = Axes.bar_label

    def keep(axes, bars, labels, **settings):
        texts.extend(labels)
        return original(axes, bars, labels, **settings)

    monkeypatch.setattr(Axes, "bar_label", keep)
    return texts


def test_the_picture_shows_users_and_predicted_beside_actual_spend(written, tmp_path):
    tier_picture(SUMS, "USD", tmp_path / "tiers.png")
    pixels = image.imread(tmp_path / "tiers.png")
    assert pixels.shape[1] > 1000
    colours = {tuple(colour) for colour in np.unique((pixels[..., :3] * 255).round().reshape(-1, 3), axis=0)}
    assert {(0, 114, 178), (230, 159, 0)} <= colours
    assert written == [
        "1,624  (72%)", "644  (28%)", "0  (0%)", "334,523", "466,072", "unknown", "362,725", "497,722", "0",
    ]  # fmt: skip


def test_before_the_window_has_passed_only_predictions_are_drawn(written, tmp_path):
    tier_picture(SUMS[["users", "predicted"]], "USD", tmp_path / "tiers.png")
    assert written[3:] == ["334,523", "466,072", "unknown"]


def test_without_matplotlib_the_error_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ExpectedError, match=r"pip install 'ulvspark\[train\]'"):
        tier_picture(SUMS, "USD", tmp_path / "tiers.png")
    assert not (tmp_path / "tiers.png").exists()
