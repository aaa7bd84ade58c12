"""A small picture of each product, whose style only the picture tells; some give their readers trouble.

Drawing needs Pillow, of the extra ``pictures``.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ulvspark.contract.errors import ExpectedError
from ulvspark.simulation.catalogue.products import STYLES, Products
from ulvspark.simulation.config import SimulationConfig
from ulvspark.simulation.draws import Draws, Floats, Ints

if TYPE_CHECKING:
    from PIL import Image

FINE = "fine"
TROUBLES = ("missing", "broken", "cmyk", "animated", "huge")

HUGE_PIXELS = 6000
"""Width and height of a huge picture."""

_A_FOLDER = 1000


def troubles(config: SimulationConfig, number: Ints) -> list[str]:
    """What is wrong with the picture of each product: one of ``TROUBLES``, or that it is fine."""
    shares = [getattr(config.pictures, name) for name in TROUBLES]
    names = (*TROUBLES, FINE)
    return [names[place] for place in Draws(config.seed).choice([*shares, 1 - sum(shares)], "picture trouble", number)]


def picture_path(config: SimulationConfig, number: int, trouble: str) -> str:
    """Where the picture of a product is, below the simulation's folder, or should be."""
    png = trouble in ("animated", "huge") or (trouble != "cmyk" and number % 2 == 0)
    return f"pictures/{number // _A_FOLDER:04d}/p{number}.{'png' if png else 'jpg'}"


def write_pictures(config: SimulationConfig, sold: Products, numbers: Sequence[int], root: str) -> int:
    """Write the pictures of some products below the folder ``root``; returns how many files there are of them.

    Raises ExpectedError where Pillow is not installed.
    """
    written = 0
    for number, trouble in zip(numbers, troubles(config, np.asarray(numbers)), strict=True):
        if trouble == "missing":
            continue
        file = Path(root) / picture_path(config, number, trouble)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(config, sold, number, trouble))
        written += 1
    return written


def picture(config: SimulationConfig, sold: Products, number: int, trouble: str = FINE) -> bytes:
    """The picture of a product as the content of a PNG or JPEG file; a broken one ends in the middle."""
    drawn = _image(pixels(config, sold, number))
    content = BytesIO()
    if trouble == "cmyk":
        drawn.convert("CMYK").save(content, "JPEG")
    elif trouble == "animated":
        drawn.save(content, "PNG", save_all=True, append_images=[drawn.rotate(90)], duration=200)
    elif trouble == "huge":
        drawn.resize((HUGE_PIXELS, HUGE_PIXELS), 0).save(content, "PNG")
    else:
        drawn.save(content, "PNG" if picture_path(config, number, trouble).endswith("png") else "JPEG")
    return content.getvalue()[: content.tell() // 2] if trouble == "broken" else content.getvalue()


def pixels(config: SimulationConfig, sold: Products, number: int) -> Floats:
    """The picture as an array (pixels, pixels, 3) of numbers from 0 to 255.

    The hue is the product's own. Plain styles are nearly even; the more lavish a style, the more rings and contrast.
    """
    size, style = config.pictures.pixels, int(sold.style[number])
    draws = Draws(config.seed)
    hue = 60 + 140 * draws.uniform("hue", number, np.arange(3))
    across = np.linspace(-1, 1, size)
    centre = 0.6 * draws.uniform("centre", number, np.arange(2)) - 0.3
    distance = np.hypot(across[:, None] - centre[0], across - centre[1])
    rings = np.cos(2 * np.pi * (1 + style) * distance)
    noise = 12 * draws.normal("grain", number, np.arange(size * size)).reshape(size, size)
    contrast = 8 + 60 * style / (STYLES - 1)
    values: Floats = np.clip(hue + (contrast * rings + noise)[..., None], 0, 255)
    return values


def _image(values: Floats) -> "Image.Image":
    try:
        from PIL import Image  # noqa: PLC0415 - optional
    except ImportError:
        raise ExpectedError("pictures need Pillow: pip install 'ulvspark[pictures]'") from None
    return Image.fromarray(values.astype(np.uint8), "RGB")
