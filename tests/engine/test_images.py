"""Grids of any number."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from engine.images import BLANK, columns_for, grid, jpeg

COLOURS = ["red", "lime", "blue", "white", "black", "yellow", "cyan", "magenta", "gray"]


def cells(count: int) -> list[Image.Image]:
    return [Image.new("RGB", (4, 2), colour) for colour in COLOURS[:count]]


@pytest.mark.parametrize(
    ("count", "size"),
    [
        (1, (4, 2)),
        (2, (8, 2)),
        (3, (8, 4)),
        (4, (8, 4)),
        (5, (12, 4)),
        (6, (12, 4)),
        (7, (12, 6)),
        (9, (12, 6)),
    ],
)
def test_a_grid_is_as_square_as_can_be(count: int, size: tuple[int, int]) -> None:
    assert grid(cells(count)).size == size


def test_pictures_stand_in_reading_order() -> None:
    sheet = grid(cells(4))
    corners = [sheet.getpixel(place) for place in ((0, 0), (7, 0), (0, 3), (7, 3))]
    assert corners == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def test_a_short_last_row_is_centred() -> None:
    sheet = grid(cells(3))
    assert [sheet.getpixel((x, 3)) for x in (0, 2, 5, 7)] == [BLANK, (0, 0, 255), (0, 0, 255), BLANK]


def test_columns_and_gap() -> None:
    assert grid(cells(4), columns=4, gap=1).size == (19, 2)
    assert [columns_for(count) for count in (1, 2, 4, 5, 9, 10)] == [1, 2, 2, 3, 3, 4]


def test_other_sizes_are_fitted() -> None:
    assert grid([Image.new("RGB", (4, 4)), Image.new("RGBA", (9, 9))]).size == (8, 4)


def test_no_pictures() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        grid([])


def test_jpeg() -> None:
    assert Image.open(io.BytesIO(jpeg(Image.new("RGBA", (8, 8))))).format == "JPEG"
