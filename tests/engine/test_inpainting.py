"""Inpainting is the stock pipeline's, alone and beside others, and what is not marked is not touched."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image

from engine import inpainting, schedulers, stages
from engine.api import EngineError, GenerationSpec, InitImage
from engine.fake import gradient
from engine.models.registry import Registry
from engine.profile import ModelSource
from engine.stages import Batcher, Rows
from tests import pipelines
from tests.engine.company import disc, encoded
from tests.engine.specs import spec

CPU = torch.device("cpu")
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def masters(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders: a model that knows nothing of masks, one with a tiny autoencoder, one made for inpainting."""
    nine = pipelines.inpainter(tmp_path_factory.mktemp("inpaint") / "nine")
    return {"classic": folders["classic"], "sketchy": folders["sketchy"], "nine": nine}


@pytest.fixture(scope="module")
def shelf(masters: dict[str, Path]) -> Registry:
    return Registry({name: ModelSource(name, path) for name, path in masters.items()}, keep=3)


@pytest.fixture(scope="module")
def stock(masters: dict[str, Path]) -> Iterator[dict[str, StableDiffusionInpaintPipeline]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = {
            name: StableDiffusionInpaintPipeline.from_pretrained(
                path, safety_checker=None, low_cpu_mem_usage=False
            )
            for name, path in masters.items()
        }
    for pipeline in loaded.values():
        pipeline.set_progress_bar_config(disable=True)
        pipeline.own = pipeline.scheduler.config
    yield loaded


def marked(model: str, strength: float, feather: int = 0, **changes: object) -> GenerationSpec:
    job = spec("job", model, steps=5, seeds=(3,), **changes)
    picture, mask = gradient(4, job.width, job.height), disc(job.width)
    return replace(job, init=InitImage(encoded(picture), strength, encoded(mask), feather))


def run(shelf: Registry, *jobs: GenerationSpec) -> list[Rows]:
    """All jobs, stepped together to their ends."""
    rows = [stages.prepare(shelf.load(job.model, CPU, torch.float32), job, job.seeds) for job in jobs]
    batcher = Batcher()
    while running := [row for row in rows if not row.done]:
        for row, prediction in zip(running, batcher.predict(running, 64), strict=True):
            stages.advance(row, prediction, want_clean=False)
    return rows


def gap(rows: Rows, latents: torch.Tensor) -> float:
    """Largest difference on [0, 1] of what both decode to, before anything is put back."""
    ours, theirs = (rows.family.decode(each, False) for each in (rows.latents, latents))
    return float((ours - theirs).abs().max())


def expected(pipeline: StableDiffusionInpaintPipeline, job: GenerationSpec) -> torch.Tensor:
    assert job.init is not None and job.init.mask is not None
    pipeline.scheduler = schedulers.build(job.sampler, pipeline.own)
    result: torch.Tensor = pipeline(
        job.prompt,
        image=Image.open(io.BytesIO(job.init.data)),
        mask_image=Image.open(io.BytesIO(job.init.mask)),
        negative_prompt=job.negative_prompt,
        width=job.width,
        height=job.height,
        strength=job.init.strength,
        num_inference_steps=job.steps,
        guidance_scale=job.guidance_scale,
        generator=torch.Generator().manual_seed(job.seeds[0]),
        output_type="latent",
    ).images
    return result


@pytest.mark.parametrize("strength", [0.6, 1.0])
@pytest.mark.parametrize("sampler", ["ddim", "euler a", "dpm++ 2m", "heun"])
@pytest.mark.parametrize("model", ["classic", "sketchy", "nine"])
def test_the_stock_pipelines_pictures(
    shelf: Registry,
    stock: dict[str, StableDiffusionInpaintPipeline],
    model: str,
    sampler: str,
    strength: float,
) -> None:
    job = marked(model, strength, sampler=sampler)
    beside = [spec("other", model, seeds=(5, 6), prompt="the sea"), marked(model, 0.8, prompt="blue stone")]
    assert gap(run(shelf, job, *beside)[0], expected(stock[model], job)) <= TOLERANCE


@pytest.mark.parametrize("broken", ["blend", "beside"])
def test_the_comparison_can_fail(
    shelf: Registry,
    stock: dict[str, StableDiffusionInpaintPipeline],
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    model = "classic" if broken == "blend" else "nine"
    job = marked(model, 0.6)
    if broken == "blend":
        monkeypatch.setattr(inpainting.Kept, "blend", lambda kept, scheduler, latents, timestep: latents)
    else:
        true = inpainting.beside
        monkeypatch.setattr(stages, "beside", lambda *given: true(*given) * 0.9)
    assert gap(run(shelf, job)[0], expected(stock[model], job)) > 100 * TOLERANCE


@pytest.mark.parametrize("feather", [0, 6])
@pytest.mark.parametrize("model", ["classic", "nine"])
def test_what_is_not_marked_is_kept_to_the_bit(shelf: Registry, model: str, feather: int) -> None:
    job = marked(model, 1.0, feather, sampler="euler a")
    (picture,) = stages.decode(run(shelf, job)[0])
    assert job.init is not None
    given = np.asarray(Image.open(io.BytesIO(job.init.data)).convert("RGB")).astype(int)
    change = np.abs(np.asarray(picture).astype(int) - given).max(axis=-1)
    y, x = np.mgrid[: job.height, : job.width]
    inside = np.asarray(disc(job.width)) > 0
    far = np.ones_like(inside)
    for row, column in np.argwhere(inside):
        far &= np.maximum(abs(y - row), abs(x - column)) > feather
    assert far.any() and (change[far] == 0).all()
    assert (change[inside] > 0).mean() > 0.9
    if feather:
        assert (change[~far & ~inside] > 0).mean() > 0.5


def test_a_second_pass_of_its_own_keeps_its_pictures_apart(shelf: Registry) -> None:
    """Pictures given one for each seed give what each gives alone."""
    family = shelf.load("classic", CPU, torch.float32)
    job = replace(marked("classic", 0.5), seeds=(1, 2))
    pictures = [gradient(seed, job.width, job.height) for seed in (8, 9)]
    together = stages.prepare(family, job, job.seeds, pictures)
    for index, seed in enumerate(job.seeds):
        alone = stages.prepare(family, job, (seed,), [pictures[index]])
        assert torch.allclose(together.latents[index], alone.latents[0], atol=1e-5)


def test_an_inpainting_model_paints_from_nothing_too(shelf: Registry) -> None:
    rows = run(shelf, spec("plain", "nine"), replace(marked("nine", 0.5), job_id="picture"))
    for row in rows:
        assert stages.decode(row)


def test_a_mask_that_marks_nothing(shelf: Registry) -> None:
    job = marked("classic", 1.0)
    assert job.init is not None
    job = replace(job, init=replace(job.init, mask=encoded(Image.new("L", (64, 64)))))
    with pytest.raises(EngineError, match="The mask marks nothing to paint anew"):
        run(shelf, job)
