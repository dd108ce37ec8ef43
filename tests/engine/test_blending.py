"""Pictures mixed by a model that has no eyes for them: each counts as much, and no neighbour does."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine import blending, stages
from engine.api import BLEND_STRENGTH, EngineError, GenerationSpec, Hires, InitImage, InvalidSpec
from engine.checks import check_spec
from engine.fake import gradient
from engine.models.registry import Registry
from engine.models.stock import StockPipeline
from engine.profile import SKETCH_PATH, ModelSource
from tests import pipelines, stock_pipelines
from tests.engine.company import CPU, TOLERANCE, Company, gap
from tests.engine.conftest import Bench
from tests.engine.specs import spec
from tests.engine.stock import Stock


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = tuple(encoded(gradient(seed, 32, 32)) for seed in (3, 6, 9))


@pytest.fixture
def company(registry: Registry) -> Company:
    return Company(registry)


def blend(*pictures: bytes, **changes: object) -> GenerationSpec:
    return spec(
        "mine", "sketchy", **{"blend": pictures, "prompt": "", "seeds": (7, 8), "steps": 5, **changes}
    )


def test_the_mean_of_two_is_the_middle_of_their_slerp() -> None:
    one, other = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    other = other * (one.flatten(1).norm(dim=1) / other.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)
    middle = blending.spherical_mean([one, other])
    assert torch.allclose(middle, stages.slerp(one, other, 0.5), atol=1e-5)
    three = blending.spherical_mean([one, other, one])
    assert torch.allclose(three, blending.spherical_mean([other, one, one]))
    lengths = three.flatten(1).norm(dim=1) / one.flatten(1).norm(dim=1)
    assert torch.allclose(lengths, torch.ones(3), atol=1e-5)


@pytest.mark.parametrize("sampler", ["ddim", "euler a", "dpm++ 2m"])
def test_a_picture_with_itself_is_painted_over_as_the_stock_pipeline_does(
    company: Company, stock: Stock, sampler: str
) -> None:
    """The tiny autoencoder draws nothing, so that nothing else differs."""
    mine = blend(PICTURES[0], PICTURES[0], sampler=sampler)
    alone = replace(mine, blend=(), init=InitImage(PICTURES[0], BLEND_STRENGTH))
    (ours, _) = company.run([mine, spec("other", "sketchy", seeds=(1,))])
    assert gap(ours, stock.images(alone)) <= TOLERANCE


@pytest.mark.parametrize("model", ["classic", "sketchy"])
def test_alone_in_company_and_seed_by_seed(company: Company, model: str) -> None:
    mine = replace(blend(*PICTURES), model=model, width=64, height=64)
    neighbours = [
        spec("other", model, seeds=(1, 2), width=64, height=64),
        replace(mine, job_id="b", blend=PICTURES[:2], seeds=(9,)),
    ]
    (alone,) = company.run([mine])
    *_, together = company.run([*neighbours, mine], arrivals=[0, 1, 2])
    assert gap(alone, together) <= TOLERANCE
    for index, seed in enumerate(mine.seeds):
        (single,) = company.run([replace(mine, seeds=(seed,))])
        assert gap(alone[index : index + 1], single) <= TOLERANCE


def test_every_picture_counts_and_their_order_does_not(company: Company) -> None:
    mine = blend(*PICTURES)
    whole = company.prepare(mine).latents
    assert gap(whole, company.prepare(replace(mine, blend=PICTURES[::-1])).latents) <= TOLERANCE
    for index in range(3):
        changed = [*PICTURES]
        changed[index] = encoded(gradient(12, 48, 40))
        assert gap(whole, company.prepare(replace(mine, blend=tuple(changed))).latents) > 100 * TOLERANCE


def test_a_blend_in_the_loop_with_a_second_pass(registry: Registry) -> None:
    bench = Bench(registry)
    bench.run(blend(*PICTURES, hires=Hires(1.5, 0.5)), spec("other", "sketchy", user="bob"))
    one, other = bench.finished("mine").images
    assert one.size == (96, 96) and one.tobytes() != other.tobytes()


def test_an_inpainting_model_mixes_too(tmp_path: Path) -> None:
    registry = Registry({"nine": ModelSource("nine", pipelines.inpainter(tmp_path / "nine"))})
    bench = Bench(registry)
    bench.run(spec("mine", "nine", blend=PICTURES[:2]), spec("other", "nine"))
    assert len(bench.finished("mine").images) == 2


def test_a_picture_that_cannot_be_read_ends_its_job_alone(registry: Registry) -> None:
    bench = Bench(registry)
    bench.run(blend(PICTURES[0], PICTURES[1][:60]), spec("other", "sketchy"))
    assert isinstance(bench.failed("mine").error, EngineError)
    assert bench.finished("other").images


@pytest.mark.filterwarnings("ignore")
def test_a_stock_pipeline_starts_from_their_mean(tmp_path: Path) -> None:
    folders = {name: stock_pipelines.build(name, tmp_path / name) for name in ("if", "pixart-sigma")}
    registry = Registry({name: ModelSource(name, path) for name, path in folders.items()})
    family = registry.load("if", CPU, torch.float32)
    assert isinstance(family, StockPipeline)
    side = family.profile.info.native_size
    flat = tuple(encoded(Image.new("RGB", (side, side), (value, 90, 20))) for value in (40, 80))
    mean = encoded(Image.new("RGB", (side, side), (60, 90, 20)))
    job = spec("mine", "if", width=side, height=side, steps=3, sampler="default", seeds=(1,), blend=flat)
    plain = replace(job, blend=(), init=InitImage(mean, BLEND_STRENGTH))
    pictures = []
    for each in (job, plain):
        course = family.begin(each, each.seeds)
        while not course.done:
            course.take_turn(want_clean=False)
        pictures.append(np.asarray(course.pictures()[0]))
    assert (pictures[0] == pictures[1]).all()
    with pytest.raises(InvalidSpec, match="pixart-sigma cannot mix pictures; leave them out"):
        check_spec(replace(job, model="pixart-sigma"), registry.models())


def test_the_model_that_comes_with_the_package_keeps_the_colours_that_both_have() -> None:
    """Two pictures on one green ground: so is their blend, and it is neither of them."""
    registry = Registry({"sketch": ModelSource("sketch", SKETCH_PATH)})
    pictures = []
    for colour, box in (("crimson", (16, 16, 48, 56)), ("navy", (8, 24, 56, 48))):
        picture = Image.new("RGB", (64, 64), (40, 160, 70))
        picture.paste(colour, box)
        pictures.append(encoded(picture))
    bench = Bench(registry)
    bench.run(
        spec(
            "mine",
            "sketch",
            prompt="",
            width=64,
            height=64,
            steps=10,
            seeds=(1, 2),
            guidance_scale=3.0,
            blend=tuple(pictures),
        )
    )
    for image in bench.finished("mine").images:
        corner = np.asarray(image.crop((0, 0, 24, 24)), dtype=float).mean((0, 1))
        middle = np.asarray(image.crop((112, 128, 144, 160)), dtype=float).mean((0, 1))
        assert corner[1] > corner[0] + 20 and corner[1] > corner[2] + 20
        assert np.abs(corner - middle).max() > 40
