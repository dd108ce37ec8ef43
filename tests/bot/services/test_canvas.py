"""Canvases for zoom, pan and square: the picture is there, and exactly what is around it is marked."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops

from bot.errors import UserError
from bot.services.canvas import GRAIN, Canvas, panned, squared, zoomed


def png(width: int, height: int) -> bytes:
    """Red on the left, blue on the right, with a green dot in the middle."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    image.putpixel((width // 2, height // 2), (0, 255, 0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def holds(canvas: Canvas, picture: Image.Image, left: int, top: int) -> bool:
    """Whether the picture lies there, untouched, and exactly what is around it is marked."""
    box = (left, top, left + picture.width, top + picture.height)
    kept = opened(canvas.png).crop(box)
    mask = opened(canvas.mask)
    expected = Image.new("L", (canvas.width, canvas.height), 255)
    expected.paste(0, box)
    assert mask.mode == "L" and opened(canvas.png).size == mask.size == (canvas.width, canvas.height)
    assert ImageChops.difference(mask, expected).getbbox() is None
    return ImageChops.difference(kept, picture).getbbox() is None


@pytest.mark.parametrize(
    ("direction", "size", "corner"),
    [
        ("left", (60, 30), (20, 0)),
        ("right", (60, 30), (0, 0)),
        ("up", (40, 45), (0, 15)),
        ("down", (40, 45), (0, 0)),
    ],
)
def test_a_pan_grows_to_one_side(direction: str, size: tuple[int, int], corner: tuple[int, int]) -> None:
    canvas = panned(png(40, 30), direction)
    assert (canvas.width, canvas.height) == size
    assert holds(canvas, opened(png(40, 30)), *corner)


@pytest.mark.parametrize(("width", "height", "corner"), [(40, 30, (0, 5)), (30, 41, (5, 0))])
def test_a_square_of_the_longer_side(width: int, height: int, corner: tuple[int, int]) -> None:
    canvas = squared(png(width, height))
    assert canvas.width == canvas.height == max(width, height)
    assert holds(canvas, opened(png(width, height)), *corner)


@pytest.mark.parametrize(("factor", "inner"), [(2.0, (20, 15)), (1.5, (27, 20))])
def test_a_zoom_keeps_the_size(factor: float, inner: tuple[int, int]) -> None:
    canvas = zoomed(png(40, 30), factor)
    assert (canvas.width, canvas.height) == (40, 30)
    small = opened(png(40, 30)).resize(inner, Image.Resampling.LANCZOS)
    assert holds(canvas, small, (40 - inner[0]) // 2, (30 - inner[1]) // 2)


def test_a_zoom_into_another_shape_has_about_the_area_and_cuts_nothing() -> None:
    canvas = zoomed(png(40, 40), 1, ratio=(4, 1))
    assert (canvas.width, canvas.height) == (80, 20)
    assert holds(canvas, opened(png(40, 40)).resize((20, 20), Image.Resampling.LANCZOS), 30, 0)


def test_new_ground_begins_like_the_edge_under_noise() -> None:
    canvas = opened(panned(png(40, 30), "left").png)
    ground = canvas.crop((0, 0, 20, 30))
    for channel, colour in zip(ground.split(), (255, 0, 0), strict=True):
        assert max(abs(value - colour) for value in channel.tobytes()) <= GRAIN
    assert len(set(ground.tobytes())) > GRAIN
    assert panned(png(40, 30), "left").png == panned(png(40, 30), "left").png


def test_what_makes_no_sense() -> None:
    with pytest.raises(UserError, match="This picture is square already; use Zoom Out"):
        squared(png(30, 30))
    with pytest.raises(UserError, match="A zoom by 1 in the same shape leaves nothing to paint; choose more"):
        zoomed(png(30, 30), 1)
    with pytest.raises(ValueError):
        zoomed(png(8, 8), 0.5)
    with pytest.raises(ValueError):
        zoomed(png(8, 8), float("nan"))
    with pytest.raises(ValueError):
        panned(png(8, 8), "back")
    with pytest.raises(ValueError):
        panned(png(8, 8), "up", 0)
