"""UNets that are told more, or trained otherwise: SDXL, few steps, embedded guidance, pure noise at the end.

Each against its stock pipeline, alone and beside others; and each test shown to fail.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    SASolverScheduler,
    SchedulerMixin,
    StableDiffusionXLPipeline,
    TCDScheduler,
    UniPCMultistepScheduler,
)

from engine.api import GenerationSpec, InitImage, InvalidSpec, Variation
from engine.checks import check_spec
from engine.conditioning import Conditioning
from engine.models.registry import Registry
from engine.profile import ModelSource
from tests import pipelines
from tests.engine.company import CPU, TOLERANCE, Company, disc, encoded, gap, picture
from tests.engine.specs import spec
from tests.engine.stock import Stock

CONSISTENT = ("consistent", "unnamed", "xl consistent")


@pytest.fixture(scope="module")
def own(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by name."""
    root = tmp_path_factory.mktemp("unets")
    return {
        "xl": folders["xl"],
        "xl nine": pipelines.xl(root / "nine", seed=9, taken=9),
        "lightning": pipelines.lightning(root / "lightning"),
        "lightning sample": pipelines.lightning(root / "sample", "sample", seed=10),
        "consistent": pipelines.consistent(root / "consistent"),
        "unnamed": pipelines.consistent(root / "unnamed", named=False),
        "xl consistent": pipelines.xl(root / "xlc", seed=4, guided=12),
        "zero": pipelines.zero_terminal(root / "zero"),
        "edm": pipelines.xl(root / "edm", seed=12, scheduler=EDMDPMSolverMultistepScheduler()),
        "xl empty": _unforced(pipelines.xl(root / "empty", seed=13)),
    }


@pytest.fixture(scope="module")
def registry(own: dict[str, Path]) -> Registry:
    return Registry({name: ModelSource(name, path) for name, path in own.items()}, keep=len(own))


@pytest.fixture(scope="module")
def stock(own: dict[str, Path]) -> Stock:
    return Stock(own)


@pytest.fixture
def engine(registry: Registry) -> Company:
    return Company(registry)


def _unforced(folder: Path) -> Path:
    """Empty texts are encoded, as in SDXL's refiner and its descendants."""
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "force_zeros_for_empty_prompt": False}))
    return folder


def crowd(
    model: str, samplers: tuple[str, ...], seed: int, negatives: tuple[str, ...]
) -> list[GenerationSpec]:
    """Jobs that share forward passes and have nothing else in common."""
    dice = random.Random(seed)
    return [
        spec(
            str(number),
            model,
            prompt=" ".join(dice.choices(["red", "green", "apple", "sea", "cat"], k=3)),
            negative_prompt=dice.choice(negatives),
            seeds=tuple(dice.randrange(2**32) for _ in range(dice.randint(1, 2))),
            steps=dice.randint(1, 6),
            # What predicts pictures in few steps is not guided; tiny ones lose digits when they are, and so
            # do those whose noise begins at 80 times the picture.
            guidance_scale=dice.choice(
                [0.0, 1.0] if "sample" in model else [0.0, 1.0, 1.5] + [8.5] * (model != "edm")
            ),
            sampler=dice.choice(samplers),
        )
        for number in range(5)
    ]


@pytest.mark.parametrize(
    ("model", "samplers"),
    [
        ("lightning", ("euler", "euler a", "ddim", "dpm++ 2m")),
        ("lightning sample", ("euler", "ddim", "unipc")),
        ("consistent", ("lcm",)),
        ("unnamed", ("lcm", "euler", "ddim")),
        ("xl consistent", ("lcm", "euler", "dpm++ 2m")),
        ("zero", ("ddim", "euler", "dpm++ 2m", "euler a")),
        ("edm", ("euler", "dpm++ 2m")),
        ("xl empty", ("euler", "ddim")),
    ],
)
def test_a_crowd_with_random_arrivals(
    engine: Company, stock: Stock, model: str, samplers: tuple[str, ...]
) -> None:
    negatives = ("",) if model in CONSISTENT else ("", "bad", "blue stones")
    jobs = crowd(model, samplers, len(model), negatives)
    alone = engine.run(jobs[:1])
    together = engine.run(jobs, arrivals=[0, 2, 1, 3, 0])
    for job, ours in zip([jobs[0], *jobs], [*alone, *together], strict=True):
        assert gap(ours, stock.images(job)) <= TOLERANCE, job


@pytest.mark.parametrize("strength", [0.3, 1.0])
@pytest.mark.parametrize("model", [*CONSISTENT, "lightning", "zero", "edm"])
def test_from_a_picture(engine: Company, stock: Stock, model: str, strength: float) -> None:
    sampler = "lcm" if model in CONSISTENT else "euler"
    guided = 8.5 if model in CONSISTENT else 1.5 if model == "edm" else 5.0
    jobs = [
        replace(
            spec(str(seed), model, sampler=sampler, seeds=(seed,), steps=5, guidance_scale=scale),
            init=InitImage(picture(64, 64), strength),
        )
        for seed, scale in ((7, guided), (8, 1.0))
    ]
    for job, ours in zip(jobs, engine.run([*jobs, spec("other", model, sampler=sampler)])[:2], strict=True):
        # The stock pipelines of one encoder know no rescaling when they start from a picture.
        if model != "zero" or job.guidance_scale == 1:
            assert gap(ours, stock.images(job)) <= TOLERANCE


def test_a_consistency_model_takes_all_its_steps_from_a_picture(engine: Company) -> None:
    job = replace(spec(model="consistent", sampler="lcm"), init=InitImage(picture(64, 64), 0.3))
    assert len(engine.prepare(job).timesteps) == job.steps
    assert len(engine.prepare(replace(job, sampler="ddim")).timesteps) == 1
    faint = replace(job, init=InitImage(picture(64, 64), 0.001))
    assert len(engine.prepare(faint).timesteps) == 1


@pytest.mark.parametrize("sampler", ["euler", "dpm++ 2m", "euler a"])
@pytest.mark.parametrize(
    ("model", "strength"), [("xl", 0.6), ("xl", 1.0), ("xl nine", 0.6), ("xl nine", 1.0)]
)
def test_a_part_of_a_picture(
    engine: Company, stock: Stock, model: str, strength: float, sampler: str
) -> None:
    mine = replace(
        spec("mine", model, sampler=sampler, seeds=(3,), steps=5),
        init=InitImage(picture(64, 64), strength, encoded(disc(64))),
    )
    ours, *_ = engine.run([mine, spec("other", model, prompt="the sea")])
    assert gap(ours, stock.images(mine)) <= TOLERANCE


def test_a_variation_is_a_variation_of_its_own_noise(engine: Company, stock: Stock) -> None:
    plain = spec(model="xl", seeds=(3,))
    same, other = engine.run(
        [replace(plain, variation=Variation(9, share), job_id=str(share)) for share in (0.0, 0.4)]
    )
    assert gap(same, stock.images(plain)) <= TOLERANCE
    assert gap(other, same) > 100 * TOLERANCE


def test_edges_that_meet(engine: Company) -> None:
    """Rolled noise paints the rolled picture, where edges meet; not otherwise."""
    job = spec(model="xl", seeds=(3,), steps=2)
    gaps = []
    for tile in (True, False):
        rows = [engine.prepare(replace(job, tile=tile)) for _ in range(2)]
        rows[1].latents = rows[1].latents.roll(4, -1)
        still, rolled = (engine.finish(each) for each in rows)
        gaps.append(gap(still.roll(32, -1), rolled))
    assert gaps[0] <= TOLERANCE < 100 * TOLERANCE < gaps[1]


def test_a_scheduler_is_built_once_and_each_job_has_its_own(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its steps depend on tells jobs apart: the sampler, their number, and here the strength too."""
    family: Any = registry.load("consistent", CPU, torch.float32)
    jobs = [
        replace(spec(model="consistent", sampler=sampler, steps=steps), init=init)
        for sampler, steps in (("lcm", 4), ("lcm", 5), ("euler", 4))
        for init in (None, InitImage(b"", 0.3), InitImage(b"", 0.9), InitImage(b"", 0.9, b""))
    ]
    first = [family.scheduler(job) for job in jobs]
    built = [family._scheduler(job) for job in jobs]
    monkeypatch.setattr(family, "_scheduler", lambda _: pytest.fail("it is built again"))
    second = [family.scheduler(job) for job in jobs]
    for one, other, plain in zip(first, second, built, strict=True):
        assert one is not other and one.timesteps is not other.timesteps
        assert type(one) is type(plain)
        assert torch.equal(one.timesteps, plain.timesteps) and torch.equal(other.timesteps, plain.timesteps)


def test_more_steps_than_a_consistency_schedule_has(engine: Company) -> None:
    (pixels,) = engine.run([spec(model="consistent", sampler="lcm", steps=60, seeds=(1,))])
    assert bool(pixels.isfinite().all())


def test_embedded_guidance_has_no_negative_prompt(registry: Registry) -> None:
    models = registry.models()
    assert [models[name].negative_prompt for name in (*CONSISTENT, "xl")] == [False, False, False, True]
    assert (models["consistent"].steps, models["consistent"].guidance_scale) == (4, 8.5)
    job = spec(model="consistent", sampler="lcm", negative_prompt="bad")
    with pytest.raises(InvalidSpec, match="consistent takes no negative prompt; leave --no out"):
        check_spec(job, models)


@pytest.mark.parametrize("model", ["xl", "xl empty"])
def test_no_negative_prompt_is_what_the_folder_says(engine: Company, stock: Stock, model: str) -> None:
    """Zeros, or an empty text; a text that is nearly empty is neither."""
    none, some = (spec(model=model, negative_prompt=text, seeds=(3,)) for text in ("", "a"))
    (ours,) = engine.run([none])
    assert gap(ours, stock.images(none)) <= TOLERANCE
    assert gap(ours, stock.images(some)) > 100 * TOLERANCE


def test_zeros_are_not_an_empty_text(engine: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    job, family = spec(model="xl", seeds=(3,)), engine.family("xl")
    (zeros,) = engine.run([job])
    monkeypatch.setattr(family, "_unwanted", lambda spec: family.embed(spec.negative_prompt))
    assert gap(engine.run([job])[0], zeros) > 100 * TOLERANCE


Change = Callable[[Conditioning], Conditioning]


def rolled(name: str) -> Change:
    return lambda cond: cond.beside({name: cond.extra[name].roll(1, 0)})


class TestTheseTestsCanFail:
    """What rows must have of their own, mixed up on purpose."""

    @pytest.fixture
    def pair(self, engine: Company, stock: Stock) -> Iterator[Callable[[str], float]]:
        def measured(model: str) -> float:
            sampler = "lcm" if model in CONSISTENT else "euler"
            negative = "" if model in CONSISTENT else "bad"
            jobs = [
                spec("one", model, prompt="a red apple", seeds=(1,), guidance_scale=1.5, sampler=sampler),
                spec("two", model, prompt="the sea", seeds=(2,), guidance_scale=9.0, sampler=sampler),
            ]
            jobs = [replace(job, negative_prompt=negative) for job in jobs]
            return max(gap(ours, stock.images(job)) for ours, job in zip(engine.run(jobs), jobs, strict=True))

        yield measured

    @pytest.mark.parametrize("model", ["xl", "consistent", "xl consistent", "zero"])
    def test_intact(self, pair: Callable[[str], float], model: str) -> None:
        assert pair(model) <= TOLERANCE

    @pytest.mark.parametrize(
        ("model", "change"),
        [
            ("xl", rolled("text_embeds")),
            ("xl", lambda cond: cond.beside({"time_ids": cond.extra["time_ids"] + 8})),
            ("consistent", rolled("guidance")),
            ("xl consistent", rolled("guidance")),
        ],
        ids=["pooled text", "sizes", "guidance", "guidance of SDXL"],
    )
    def test_what_a_row_is_told(
        self,
        pair: Callable[[str], float],
        registry: Registry,
        monkeypatch: pytest.MonkeyPatch,
        model: str,
        change: Change,
    ) -> None:
        family = registry.load(model, CPU, torch.float32)
        denoise = family.denoise
        monkeypatch.setattr(family, "denoise", lambda x, t, cond, tile: denoise(x, t, change(cond), tile))
        assert pair(model) > 100 * TOLERANCE

    def test_guidance_that_is_not_rescaled(
        self, pair: Callable[[str], float], registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        family: Any = registry.load("zero", CPU, torch.float32)
        monkeypatch.setattr(family, "profile", replace(family.profile, guidance_rescale=0.0))
        assert pair("zero") > 100 * TOLERANCE


_ZERO = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
OWN: tuple[SchedulerMixin, ...] = (
    DDIMScheduler(**pipelines.LATENT, clip_sample=False, **_ZERO),
    DDPMScheduler(**pipelines.LATENT, variance_type="fixed_large", clip_sample=False),
    DEISMultistepScheduler(**pipelines.LATENT),
    DPMSolverMultistepScheduler(**pipelines.LATENT, algorithm_type="sde-dpmsolver++", use_karras_sigmas=True),
    DPMSolverMultistepScheduler(**pipelines.LATENT, use_lu_lambdas=True),
    EDMDPMSolverMultistepScheduler(sigma_schedule="exponential"),
    EDMEulerScheduler(),
    EulerAncestralDiscreteScheduler(**pipelines.LATENT, timestep_spacing="trailing"),
    EulerDiscreteScheduler(**pipelines.LATENT, **_ZERO),
    EulerDiscreteScheduler(**pipelines.LATENT, use_exponential_sigmas=True, final_sigmas_type="sigma_min"),
    KDPM2AncestralDiscreteScheduler(**pipelines.LATENT),
    SASolverScheduler(**pipelines.LATENT),
    TCDScheduler(**pipelines.LATENT, timestep_spacing="trailing"),
    UniPCMultistepScheduler(**pipelines.LATENT),
)


@pytest.mark.parametrize("scheduler", OWN, ids=lambda own: type(own).__name__)
@pytest.mark.parametrize("steps", [1, 4])
def test_the_folder_s_own_scheduler_untouched(tmp_path: Path, scheduler: SchedulerMixin, steps: int) -> None:
    """What a model is told to use unless somebody asks for another is what its pipeline would use."""
    folder = pipelines.xl(tmp_path / "model", scheduler=scheduler)
    registry = Registry({"model": ModelSource("model", folder)})
    job = spec(
        model="model", seeds=(3,), steps=steps, sampler=registry.models()["model"].sampler, guidance_scale=2.0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = StableDiffusionXLPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        job.prompt,
        width=64,
        height=64,
        num_inference_steps=steps,
        guidance_scale=2.0,
        generator=torch.Generator().manual_seed(3),
        output_type="pt",
    ).images
    assert gap(Company(registry).run([job])[0], expected) <= TOLERANCE
