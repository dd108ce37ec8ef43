"""The model that comes with the package, through the real engine, against the stock pipeline."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from engine import stages
from engine.api import Finished, GenerationSpec, InitImage, Progress
from engine.models.registry import Registry
from engine.profile import ModelSource
from engine.runtime import LocalEngine
from tests.engine.stock import Stock

SIDE = 128
PROMPTS = ("a red apple", "two blue fish, night")


def job(prompt: str, **changes: object) -> GenerationSpec:
    values: dict[str, object] = {
        "seeds": (1,),
        "width": SIDE,
        "height": SIDE,
        "steps": 3,
        "guidance_scale": 3.0,
        "sampler": "ddim",
    }
    return GenerationSpec(prompt, "sketch", prompt, **{**values, **changes})  # type: ignore[arg-type]


def sources(sketch: Path) -> dict[str, ModelSource]:
    return {"sketch": ModelSource("sketch", sketch)}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other are slower than one where the processors are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def registry(sketch: Path) -> Registry:
    return Registry(sources(sketch))


def test_it_says_how_it_wants_to_be_used(registry: Registry) -> None:
    info = registry.models()["sketch"]
    assert registry.faults == {}
    assert (info.native_size, info.upscale) == (SIDE, 2)
    assert info.description
    assert info.sampler in info.samplers


@pytest.mark.parametrize("sampler", ["ddim", "dpm++ 2m"])
def test_its_pictures_are_the_stock_pipelines(sketch: Path, registry: Registry, sampler: str) -> None:
    family = registry.load("sketch", torch.device("cpu"), torch.float32)
    stock = Stock({"sketch": sketch})
    jobs = [job(prompt, sampler=sampler, negative_prompt="grey") for prompt in PROMPTS]
    rows = [stages.prepare(family, one, one.seeds) for one in jobs]
    batcher = stages.Batcher()
    while not rows[0].done:
        for part, prediction in zip(rows, batcher.predict(rows, SIDE), strict=True):
            stages.advance(part, prediction, want_clean=False)
    for one, part in zip(jobs, rows, strict=True):
        gap = (family.decode(part.latents, False) - stock.images(one)).abs().max()
        assert float(gap) <= 1e-5


async def test_a_grid_through_the_engine(sketch: Path) -> None:
    engine = LocalEngine(sources(sketch), threads=1, preview_interval=0.0)
    await engine.start()
    info = engine.models()["sketch"]
    engine.submit(
        job("a red apple", seeds=(1, 2, 3, 4), steps=info.steps, guidance_scale=info.guidance_scale)
    )
    previews = 0
    async with asyncio.timeout(900):
        async for event in engine.events():
            previews += isinstance(event, Progress) and event.preview is not None
            if isinstance(event, Finished):
                await engine.close()
                pictures = event.images
    assert previews == info.steps
    assert [picture.size for picture in pictures] == [(256, 256)] * 4
    assert len({picture.tobytes() for picture in pictures}) == 4
    assert all(np.asarray(picture).std() > 5 for picture in pictures)


def encoded(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


def drawn() -> Image.Image:
    """A white disc on purple: nothing the prompts below ask for."""
    picture = Image.new("RGB", (SIDE, SIDE), (134, 66, 196))
    ImageDraw.Draw(picture).ellipse((32, 32, 96, 96), fill="white")
    return picture


def painted(registry: Registry, one: GenerationSpec) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The picture (128, 128, 3) in 0..1 before it is enlarged."""
    family = registry.load("sketch", torch.device("cpu"), torch.float32)
    row, batcher = stages.prepare(family, one, one.seeds), stages.Batcher()
    while not row.done:
        stages.advance(row, batcher.predict([row], SIDE)[0], want_clean=False)
    return family.decode(row.latents, False)[0].permute(1, 2, 0).numpy()


def test_inpainting_keeps_what_is_masked(registry: Registry) -> None:
    source, mask = drawn(), Image.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(mask).rectangle((64, 0, 127, 127), fill=255)
    one = job("a tree on a yellow background", steps=6, init=InitImage(encoded(source), 1.0, encoded(mask)))
    change = np.abs(painted(registry, one) - np.asarray(source) / 255).mean(-1)
    assert change[:, :56].mean() < 0.1
    assert change[:, 72:].mean() > 0.2


def test_a_picture_to_start_from_is_kept_by_its_strength(registry: Registry) -> None:
    source = drawn()
    gaps = [
        float(np.abs(painted(registry, one) - np.asarray(source) / 255).mean())
        for strength in (0.2, 0.6, 1.0)
        for one in [job("a tree on a yellow background", steps=10, init=InitImage(encoded(source), strength))]
    ]
    assert gaps[0] < gaps[1] < gaps[2]
    assert gaps[0] < 0.12 < 0.25 < gaps[2]
