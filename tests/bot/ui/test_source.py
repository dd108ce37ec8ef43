"""The picture that somebody points at, as an answer carries it."""

from __future__ import annotations

import io
import threading

import pytest
from PIL import Image

from bot.services import encoding
from bot.ui.source import SIDE, Source


async def test_an_answer_carries_it_small_and_the_loop_does_not_draw_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A large one takes seconds, in which nobody else would be answered."""
    threads = []

    def noted(picture: Image.Image, texts: dict[str, str]) -> bytes:
        threads.append(threading.current_thread())
        return original(picture, texts)

    original = encoding.png
    monkeypatch.setattr(encoding, "png", noted)
    buffer = io.BytesIO()
    Image.new("RGB", (SIDE * 2, 4)).save(buffer, "PNG")
    file = await Source(buffer.getvalue(), {"parameters": "a red apple"}).file()
    with Image.open(io.BytesIO(file.fp.read())) as small:
        assert small.size == (SIDE, 2) and small.info["parameters"] == "a red apple"
    assert len(threads) == 1 and threading.main_thread() not in threads
