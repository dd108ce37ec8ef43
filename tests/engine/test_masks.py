"""Masks: what is marked is painted, what is far from it is kept to the last bit, the edge between is soft."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from engine.api import EngineError
from engine.masks import Mask, read_mask, read_picture, restored, softened


def square(side: int = 40, low: int = 16, high: int = 24) -> Mask:
    mask = np.zeros((side, side), np.float32)
    mask[low:high, low:high] = 1
    return mask


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("feather", [1, 2, 5, 8])
def test_the_edge_falls_outside_of_the_mask(feather: int) -> None:
    hard, soft = square(), softened(square(), feather)
    assert (soft[hard == 1] == 1).all()
    reach = np.zeros_like(hard)
    reach[16 - feather : 24 + feather, 16 - feather : 24 + feather] = 1
    assert (soft[reach == 0] == 0).all()
    assert soft[20, 16 - feather] > 0
    assert (np.diff(soft[20, :17]) >= 0).all()
    assert soft.min() >= 0 and soft.max() <= 1


def test_no_feather_is_a_hard_edge() -> None:
    assert softened(square(), 0) is not None
    assert set(np.unique(softened(square(), 0))) == {0.0, 1.0}


def test_a_mask_at_the_border_stays_one_there() -> None:
    mask = np.zeros((20, 20), np.float32)
    mask[:, :8] = 1
    soft = softened(mask, 6)
    assert (soft[:, :8] == 1).all() and (soft[:, 14:] == 0).all()
    assert (soft == soft[:1]).all()


def test_grey_is_told_apart_in_the_middle() -> None:
    image = Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8))
    assert read_mask(encoded(image), 4, 1).tolist() == [[0, 0, 1, 1]]


def test_picture_and_mask_are_fitted_alike() -> None:
    image = Image.new("L", (64, 32))
    image.paste(255, (32, 0, 64, 32))
    mask = read_mask(encoded(image), 16, 16)
    picture = np.asarray(read_picture(encoded(image), 16, 16))[..., 0]
    assert np.abs(mask * 255 - picture)[:, [0, 1, 2, 13, 14, 15]].max() <= 2


def test_what_is_kept_is_kept_to_the_bit() -> None:
    kept = Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 40, 3), np.uint8))
    painted = Image.new("RGB", (40, 40), "white")
    mask = softened(square(), 4)
    result = np.asarray(restored(painted, kept, mask))
    assert (result[mask == 0] == np.asarray(kept)[mask == 0]).all()
    assert (result[mask == 1] == 255).all()
    between = (mask > 0.1) & (mask < 0.9)
    assert (result[between] > np.asarray(kept)[between]).any()


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (b"no picture", "The mask cannot be read; send it as PNG, JPEG or WebP."),
        (
            encoded(Image.new("L", (8, 8))),
            "The mask marks nothing to paint anew; make white what should change.",
        ),
    ],
)
def test_refused(mask: bytes, sentence: str) -> None:
    with pytest.raises(EngineError) as refusal:
        read_mask(mask, 8, 8)
    assert str(refusal.value) == sentence
