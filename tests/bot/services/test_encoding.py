"""What a file says of itself: in each format, in any script, as other programs read it."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from bot.services import encoding

OWN = {"prompt": "ein Äpfel 🍎 龍", "seed": 7}
TEXT = {
    "parameters": "ein Äpfel 🍎 \u202e 龍\nSteps: 4, Seed: 7",
    "tessera": json.dumps(OWN, ensure_ascii=False),
    "Software": "Tessera, AI generated",
}
RED = Image.new("RGB", (16, 16), "red")


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_text_of_any_kind_survives_in_a_png() -> None:
    assert encoding.text_of(opened(encoding.png(RED, TEXT))) == TEXT


@pytest.mark.parametrize(
    "data",
    [
        encoding.webp(RED, TEXT, 80),
        encoding.webp(RED, TEXT, 0, lossless=True),
        encoding.jpeg(RED, TEXT, 90),
    ],
    ids=["webp", "lossless", "jpeg"],
)
def test_the_same_text_is_in_the_exif_of_what_is_no_png(data: bytes) -> None:
    """stable-diffusion-webui and its kin read the user comment: ``UNICODE``, then UTF-16."""
    exif = opened(data).getexif()
    comment = exif.get_ifd(0x8769)[0x9286]
    assert comment[:8] == b"UNICODE\0" and comment[8:].decode("utf-16-be") == TEXT["parameters"]
    assert json.loads(exif[0x010E]) == OWN
    assert exif[0x0131] == "Tessera, AI generated"


def test_a_jpeg_holds_less_and_keeps_the_parameters() -> None:
    exif = opened(encoding.jpeg(RED, {**TEXT, "tessera": "🍎" * 6000}, 90)).getexif()
    assert 0x010E not in exif
    assert b"S\0t\0e\0p\0s" in exif.get_ifd(0x8769)[0x9286]


def test_a_picture_without_text_is_one_all_the_same() -> None:
    assert opened(encoding.webp(RED, {}, 80)).size == (16, 16)
