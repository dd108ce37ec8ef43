"""A second pass: enlarged by the upscaler, then painted over as the stock pipeline does, all as one job."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from engine import stages
from engine.api import GenerationSpec, Hires, InitImage, Progress
from engine.fake import gradient
from engine.models.registry import Registry
from engine.upscale import PLAIN, Upscaler
from tests.engine.conftest import Bench
from tests.engine.specs import spec
from tests.engine.stock import Stock

CPU = torch.device("cpu")
BenchMaker = Callable[..., Bench]


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def array(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(image).astype(float)


def test_two_passes_are_text_to_image_then_image_to_image(
    bench: BenchMaker, stock: Stock, registry: Registry
) -> None:
    """Each pass equals the stock pipeline's, the enlargement between them is the upscaler's."""
    job = spec(hires=Hires(1.5, 0.5), model="sketchy", seeds=(3, 4), sampler="euler a")
    here = bench()
    here.run(job, spec("other", "sketchy", user="bob"))
    plain = replace(job, hires=None)
    upscaler = Upscaler(registry.profiles["sketchy"].upscaler, CPU)
    for index, seed in enumerate(job.seeds):
        (first,) = stages.to_pictures(stock.images(replace(plain, seeds=(seed,))))
        grown = upscaler.to_size(first, (48, 48))
        second = replace(
            plain, seeds=(seed,), width=48, height=48, init=InitImage(encoded(grown), strength=0.5)
        )
        (expected,) = stages.to_pictures(stock.images(second))
        shown = upscaler.to_size(expected, (96, 96))
        assert np.abs(array(here.finished("job").images[index]) - array(shown)).max() <= 2


def told(bench: Bench) -> list[tuple[int, int]]:
    return [(event.step, event.steps) for event in bench.events if isinstance(event, Progress)]


def test_progress_counts_both_passes_and_what_is_enlarged(bench: BenchMaker) -> None:
    here = bench()
    here.run(spec(hires=Hires(2, 0.5), steps=4))
    assert told(here) == [(turn, 4 + 2 + 2) for turn in range(1, 9)]
    assert here.kinds("job")[-1] == "Finished"
    assert [image.size for image in here.finished("job").images] == [(128, 128)] * 2


@pytest.mark.parametrize(("scale", "size"), [(1.0, 64), (1.3, 83), (2.0, 128), (4.0, 256)])
def test_a_pure_enlargement_takes_no_step(bench: BenchMaker, scale: float, size: int) -> None:
    given = gradient(5, 64, 64)
    here = bench()
    here.run(spec(init=InitImage(encoded(given), 0.0), hires=Hires(scale, 0.0), seeds=(1,)))
    assert here.kinds("job") == ["Started", *["Progress"] * (scale > 1), "Finished"]
    (image,) = here.finished("job").images
    assert image.size == (size, size)
    gap = array(image.resize((64, 64), Image.Resampling.BOX)) - array(given)
    assert np.abs(gap).mean() < 8


def test_a_shown_picture_is_enlarged_from_its_own_pixels(bench: BenchMaker) -> None:
    """The sketchy model shows twice what it paints; the given picture is not made smaller first."""
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    here = bench()
    job = spec(model="sketchy", init=InitImage(encoded(Image.fromarray(noise)), 0.0), hires=Hires(1, 0))
    here.run(job)
    assert (array(here.finished("job").images[0]) == noise).all()


def test_a_creative_enlargement_stays_close_and_differs_by_seed(bench: BenchMaker) -> None:
    given = gradient(5, 64, 64)
    here = bench()
    here.run(spec(init=InitImage(encoded(given), 0.0), hires=Hires(2, 0.3), steps=10, seeds=(1, 2)))
    one, other = here.finished("job").images
    assert one.size == (128, 128) and one.tobytes() != other.tobytes()
    assert told(here) == [(turn, 2 + 3) for turn in range(1, 6)]


def test_image_i_is_the_spec_with_its_seed_alone(bench: BenchMaker) -> None:
    together, alone = bench(), bench()
    job = spec(hires=Hires(1.5, 0.5), seeds=(1, 2, 3))
    together.run(job)
    alone.run(replace(job, seeds=(3,)))
    gap = array(together.finished("job").images[2]) - array(alone.finished("job").images[0])
    assert np.abs(gap).max() <= 2


def test_a_mask_holds_through_both_passes(bench: BenchMaker) -> None:
    """With the pixels at hand, what is kept is kept to the bit at the final size."""
    given = Image.fromarray(np.random.default_rng(2).integers(0, 255, (128, 128, 3), np.uint8))
    mask = Image.new("L", (128, 128))
    mask.paste(255, (64, 0, 128, 128))
    here = bench()
    here.run(spec(init=InitImage(encoded(given), 0.8, encoded(mask), feather=4), hires=Hires(2, 0.5)))
    image = array(here.finished("job").images[0])
    assert (image[:, :56] == array(given)[:, :56]).all()
    assert (image[:, 64:] != array(given)[:, 64:]).mean() > 0.5


def test_a_second_pass_that_has_no_model_for_its_size_is_rounded_to_the_raster(registry: Registry) -> None:
    job: GenerationSpec = spec(width=72, height=64, hires=Hires(1.3, 0.5))
    second = stages.second_pass(job, registry.profiles["classic"].info.size_multiple)
    assert second is not None
    assert (second.width, second.height) == (96, 80)


def test_plain_resampling_is_an_upscaler_too() -> None:
    assert Upscaler(PLAIN, CPU).to_size(gradient(1, 8, 8), (20, 13)).size == (20, 13)
