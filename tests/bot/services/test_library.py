"""Files that are whole or absent, and uploads that always fit."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image

from bot.config import load
from bot.services import specs
from bot.services.library import Attachment, Library
from engine.api import GenerationSpec
from engine.fake import SKETCH
from tests.bot.services.test_specs import job

JOB = job("a cat --seed 7", seeds=(7, 8, 9, 10))
SPEC: GenerationSpec = specs.build(JOB, SKETCH, load(None, {}))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    made = Library(tmp_path)
    yield made
    made.close()


def noise(side: int, seed: int = 0) -> Image.Image:
    return Image.frombytes("RGB", (side, side), random.Random(seed).randbytes(side * side * 3))


async def test_pictures_are_kept_with_their_parameters(library: Library) -> None:
    rows = await library.keep(JOB, SPEC, [noise(64, seed) for seed in range(4)])
    assert [row.file for row in rows] == [f"aa/{index}_{'a' * 32}.png" for index in range(4)]
    with Image.open(library.picture(rows[3]).path) as picture:
        assert picture.tobytes() == noise(64, 3).tobytes()
        assert "Seed: 10, Size: 64x64" in picture.info["parameters"]
        assert json.loads(picture.info["tessera"])["prompt"] == "a cat --seed 7"
    assert not list(library.folder.rglob("*.part"))


async def test_a_write_that_fails_leaves_nothing(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        await library.keep(JOB, SPEC, [noise(64)])
    assert not [path for path in library.folder.rglob("*") if path.is_file()]


def _opened(attachment: Attachment) -> Image.Image:
    picture = Image.open(io.BytesIO(attachment.data))
    picture.load()
    return picture


async def test_a_single_picture_is_its_own_file(library: Library) -> None:
    rows = await library.keep(JOB, SPEC, [noise(64)])
    sent = await library.attachment(JOB, [library.picture(rows[0])], 10**7)
    assert sent.filename == f"a_cat_{UUID('a' * 32)}.png"
    assert sent.data == library.picture(rows[0]).path.read_bytes()


async def test_uploads_get_smaller_and_never_fail(library: Library) -> None:
    rows = await library.keep(JOB, SPEC, [noise(128, seed) for seed in range(4)])
    pictures = [library.picture(row) for row in rows]
    whole = await library.attachment(JOB, pictures, 10**7)
    assert _opened(whole).format == "PNG" and _opened(whole).size == (256, 256)
    seen = []
    for limit in (len(whole.data) - 1, 100_000, 5_000, 500):
        sent = await library.attachment(JOB, pictures, limit)
        assert len(sent.data) <= limit and sent.filename.endswith(f"_{UUID('a' * 32)}.webp")
        seen.append(_opened(sent).size[0])
    assert seen[1] == 256 and seen == sorted(seen, reverse=True)


async def test_a_picture_above_the_limit_keeps_its_parameters(library: Library) -> None:
    """As WebP, where the PNG's text would be lost."""
    rows = await library.keep(JOB, SPEC, [noise(128)])
    sent = await library.attachment(JOB, [library.picture(rows[0])], 40_000)
    assert sent.filename.endswith(".webp")
    comment = _opened(sent).getexif().get_ifd(0x8769)[0x9286]
    assert f"Seed: {SPEC.seeds[0]}" in comment.removeprefix(b"UNICODE\0").decode("utf-16-be")


async def test_several_starting_pictures_are_averaged(library: Library) -> None:
    files = []
    for colour in ("black", "white"):
        buffer = io.BytesIO()
        Image.new("RGB", (30, 20), colour).save(buffer, "PNG")
        files.append(await library.keep_input(buffer.getvalue()))
    blended = Image.open(io.BytesIO(await library.starting_picture(files, 16, 16)))
    assert blended.size == (16, 16) and blended.getpixel((0, 0)) == (127, 127, 127)


async def test_a_picture_that_another_order_uses_is_not_thrown_away(library: Library) -> None:
    """Two orders bring the same picture; the first is refused, the second is not a row yet."""
    first = await library.keep_input(b"the same")
    assert await library.keep_input(b"the same") == first
    library.let_go([first])
    library.discard([first])
    assert library.exists(first) and library.hold(first)
    for _ in range(2):
        library.let_go([first])
    library.discard([first])
    assert not library.exists(first) and not library.hold(first)
    assert await library.keep_input(b"the same") == first and library.exists(first)
