"""Prompts for pictures: from their own parameters, a captioner, or what can be measured, said plainly."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from bot.config import Settings
from bot.domain.prompt import parse
from bot.services import describer as describing
from bot.services import metadata
from bot.services.describer import Captioner, Describer
from bot.services.looks import colour_name, looks
from engine.api import EngineError
from engine.fake import FakeEngine

ENGINE = FakeEngine()


def png(colour: str | tuple[int, int, int] = "red", size: tuple[int, int] = (60, 40)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def describer(caption: Captioner | None = None) -> Describer:
    return Describer(Settings(), ENGINE.models, caption)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((255, 0, 0), "red"),
        ((0, 0, 0), "black"),
        ((255, 255, 255), "white"),
        ((128, 128, 128), "gray"),
        ((20, 40, 200), "blue"),
        ((120, 70, 30), "brown"),
        ((30, 90, 40), "dark green"),
        ((255, 220, 40), "yellow"),
    ],
)
def test_colours_have_everyday_names(rgb: tuple[int, int, int], name: str) -> None:
    assert colour_name(*rgb) == name


def test_what_can_be_measured() -> None:
    seen = looks(png((20, 40, 200), (160, 90)))
    assert seen.colours == ("blue",) and seen.ratio == (16, 9)
    assert seen.texture == "simple shapes" and "low contrast" in seen.light


async def test_without_anything_four_guesses_that_say_so() -> None:
    found = await describer().describe(png(), {})
    assert len(set(found.prompts)) == 4
    assert all("red" in prompt and prompt.endswith("--ar 3:2") for prompt in found.prompts)
    assert "guesses from colours, light and shape alone" in found.method
    again = await describer().describe(png(), {}, turn=1)
    assert not set(again.prompts) & set(found.prompts), "another turn gives others"
    for prompt in (*found.prompts, *again.prompts):
        parse(prompt)


async def test_a_pictures_own_parameters_come_first() -> None:
    texts = {
        "parameters": "a red fox in snow, highly detailed\nSteps: 20, Sampler: Euler a, Seed: 7, Size: 64x64"
    }
    found = await describer(_never).describe(png(), texts)
    assert found.method == "From the parameters that stable-diffusion-webui wrote into the picture."
    assert (
        found.prompts[0].startswith("a red fox in snow, highly detailed") and "--seed 7" in found.prompts[0]
    )
    assert "--seed" not in found.prompts[1] and len(set(found.prompts)) == 4
    assert len((await describer().describe(png(), texts, 1)).prompts) == 4


async def _never(picture: bytes, count: int) -> tuple[str, ...]:
    raise AssertionError("nobody needed a captioner")


async def test_a_captioner_is_asked_when_there_is_one() -> None:
    """Its words are words: nothing of them is a flag."""

    async def caption(picture: bytes, count: int) -> tuple[str, ...]:
        return ("a fox --ar 9:1 in snow",)[:count]

    found = await describer(caption).describe(png(), {})
    assert found.prompts == ("a fox ar 9:1 in snow --ar 3:2",)
    assert found.method == "By the captioner of this server."


async def test_a_captioner_that_fails_is_told() -> None:
    async def caption(picture: bytes, count: int) -> tuple[str, ...]:
        raise EngineError("out of memory")

    found = await describer(caption).describe(png(), {})
    assert len(found.prompts) == 4 and "The captioner failed (out of memory)" in found.method


async def test_the_loop_reads_no_text_of_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes long would hold up everybody."""
    threads = []
    for place, name in ((metadata, "of_texts"), (describing, "_around")):
        original = getattr(place, name)

        def noted(*args: Any, original: Callable[..., Any] = original, **options: Any) -> Any:
            threads.append(threading.current_thread())
            return original(*args, **options)

        monkeypatch.setattr(place, name, noted)
    texts = {"parameters": "a red apple\nSteps: 20, Sampler: Euler, Seed: 5, Size: 64x64"}
    described = await describer().describe(png(), texts)
    assert described.prompts[0].startswith("a red apple")
    assert len(threads) == 2 and threading.main_thread() not in threads


async def test_what_the_model_here_cannot_do_is_left_out_and_told() -> None:
    texts = {"parameters": "a fox\nSteps: 20, Sampler: Nobody knows it, CFG scale: 7, Seed: 3, Size: 99999x9"}
    origin = await describer().origin(texts)
    assert origin is not None
    assert origin.left_out == ("--sampler nobody knows it",)
    assert origin.prompt == "a fox --seed 3 --steps 20 --cfg 7"
    assert await describer().origin({"Author": "me"}) is None
