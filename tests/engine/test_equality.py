"""A picture is a function of its spec, alone or beside others, and it is the one that diffusers makes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from engine import stages
from engine.api import InitImage
from engine.conditioning import Conditioning
from engine.models.registry import Registry
from engine.samplers import SAMPLERS, SCHEDULES, samplers_for
from tests.engine.company import CPU, TOLERANCE, Company, gap, picture
from tests.engine.conftest import Bench
from tests.engine.specs import spec
from tests.engine.stock import Stock

SPREAD = (
    "ddim sgm uniform",
    "euler karras",
    "heun exponential",
    "lms karras",
    "dpm2 a beta",
    "dpm++ 2m sde karras",
    "dpm++ 3m sde exponential",
    "dpm++ sde karras",
    "unipc sgm uniform",
    "sa-solver beta",
)
"""One at least of each schedule and each class; that the others are set alike is seen in test_samplers."""
STOCK_FAILS_ON_COSINE = ("dpm++ 2m karras", "dpm++ 2m sde karras")
"""Karras steps round to equal timesteps on a cosine schedule; the stock pipeline then runs off their end."""
BenchMaker = Callable[..., Bench]


@pytest.fixture
def engine(registry: Registry) -> Company:
    return Company(registry)


def swapped(cond: Conditioning) -> Conditioning:
    """Every row under its neighbour's text."""
    return Conditioning(cond.text.roll(1, 0), cond.mask, cond.extra)


@pytest.mark.parametrize(
    ("model", "sampler"),
    [
        (model, sampler)
        for model, prediction in (
            ("classic", "epsilon"),
            ("xl", "epsilon"),
            ("sample", "sample"),
            ("sketchy", "v_prediction"),
        )
        for sampler in samplers_for(prediction)
        if not sampler.endswith(tuple(SCHEDULES)) or (model == "classic" and sampler in SPREAD)
    ],
)
def test_every_sampler_alone_and_in_company(engine: Company, stock: Stock, model: str, sampler: str) -> None:
    mine = spec("mine", model, sampler=sampler, seeds=(1,), steps=5)
    other = spec("other", model, sampler="ddim", seeds=(5, 6), steps=4, guidance_scale=2.5, prompt="the sea")
    expected = stock.images(mine)
    (alone,) = engine.run([mine])
    _, together = engine.run([other, mine], arrivals=[0, 1])
    assert gap(alone, expected) <= TOLERANCE
    assert gap(together, expected) <= TOLERANCE


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("model", ["classic", "sketchy", "xl"])
def test_a_crowd_with_random_arrivals(engine: Company, stock: Stock, model: str, seed: int) -> None:
    dice = random.Random(seed)
    crowd = [
        spec(
            str(number),
            model,
            prompt=" ".join(dice.choices(["red", "green", "apple", "sea", "cat"], k=3)),
            negative_prompt=dice.choice(["", "bad", "blue stones"]),
            seeds=tuple(dice.randrange(2**32) for _ in range(dice.randint(1, 2))),
            steps=dice.randint(1, 7),
            guidance_scale=dice.choice([0.0, 1.0, 3.0, 12.0]),
            sampler=dice.choice([name for name in SAMPLERS if not name.endswith(tuple(SCHEDULES))]),
        )
        for number in range(6)
    ]
    pixels = engine.run(crowd, arrivals=[dice.randint(0, 6) for _ in crowd])
    for job, ours in zip(crowd, pixels, strict=True):
        assert gap(ours, stock.images(job)) <= TOLERANCE, job


@pytest.mark.parametrize("strength", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("sampler", ["ddim", "pndm", "euler a", "heun", "dpm++ 2m karras", "unipc", "lcm"])
@pytest.mark.parametrize("model", ["classic", "sketchy", "xl"])
def test_from_a_picture(engine: Company, stock: Stock, model: str, sampler: str, strength: float) -> None:
    mine = spec("mine", model, sampler=sampler, seeds=(7, 8), steps=5)
    mine = replace(mine, init=InitImage(picture(mine.width, mine.height), strength))
    (ours, _) = engine.run([mine, spec("other", model, seeds=(1,))])
    assert gap(ours, stock.images(mine)) <= TOLERANCE


@pytest.mark.parametrize("sampler", STOCK_FAILS_ON_COSINE)
def test_equal_timesteps_do_not_end_a_job(engine: Company, sampler: str) -> None:
    (ours,) = engine.run([spec(model="sketchy", sampler=sampler, steps=5)])
    assert bool(ours.isfinite().all())


def test_wide_and_high_sizes(engine: Company, stock: Stock) -> None:
    for model, width, height in (("classic", 96, 64), ("classic", 40, 72), ("xl", 72, 40)):
        mine = spec(model=model, width=width, height=height)
        (ours,) = engine.run([mine])
        assert gap(ours, stock.images(mine)) <= TOLERANCE


def test_the_whole_loop_with_every_kind_of_neighbour(bench: BenchMaker, stock: Stock) -> None:
    """Through Core: sizes, models, tiling, many images; each against the stock picture, rounded to 8 bits."""
    jobs = [
        spec("plain"),
        spec("wide", width=96, user="bob"),
        spec("other model", "velocity", user="bob", sampler="euler a"),
        spec("many", seeds=tuple(range(9)), user="cyd", steps=3),
        spec("unguided", guidance_scale=1.0, sampler="deis"),
        spec("two encoders", "xl", width=72, user="dan", sampler="heun"),
    ]
    here = bench(max_rows=4)
    here.run(*jobs, spec("tiled", tile=True))
    for job in jobs:
        ours = np.stack([np.asarray(image) for image in here.finished(job.job_id).images]) / 255
        theirs = stock.images(job).movedim(1, -1).numpy()
        assert np.abs(ours - theirs).max() <= 0.5 / 255 + TOLERANCE


def test_image_i_is_the_spec_with_its_seed_alone(engine: Company) -> None:
    job = spec(seeds=(3, 4, 5), sampler="euler a")
    (whole,) = engine.run([job])
    for index, seed in enumerate(job.seeds):
        (single,) = engine.run([replace(job, seeds=(seed,))])
        assert gap(whole[index : index + 1], single) <= TOLERANCE


@pytest.mark.parametrize("prompt", ["", "🍎 ß \u202e", "smile :) 12:30 | a\\b"])
@pytest.mark.parametrize("model", ["classic", "sketchy", "xl"])
def test_prompts_of_any_kind(engine: Company, stock: Stock, model: str, prompt: str) -> None:
    job = spec(model=model, prompt=prompt, steps=2, seeds=(1,))
    (ours,) = engine.run([job])
    assert gap(ours, stock.images(job)) <= TOLERANCE


@pytest.mark.parametrize("prompt", ["red " * 400, "龍" * 300, "a" * 6000])
@pytest.mark.parametrize("model", ["classic", "sketchy", "xl"])
def test_prompts_of_any_length(engine: Company, model: str, prompt: str) -> None:
    """Nothing is cut: the end of a long prompt still counts."""
    jobs = [
        spec(str(len(text)), model, prompt=text, steps=2, seeds=(1,)) for text in (prompt, prompt + " sea")
    ]
    one, other = engine.run(jobs)
    assert bool(one.isfinite().all())
    assert gap(one, other) > 0


class TestTheseTestsCanFail:
    """Each thing that a batch must keep apart, shared on purpose: the comparison has to notice."""

    def pair(self, engine: Company, stock: Stock) -> float:
        jobs = [
            spec("one", steps=6, sampler="dpm++ 2m", seeds=(1,), prompt="a red apple"),
            spec("two", steps=4, sampler="dpm++ 2m", seeds=(2,), prompt="the green sea"),
        ]
        ours = engine.run(jobs, arrivals=[0, 2])
        return max(gap(pixels, stock.images(job)) for job, pixels in zip(jobs, ours, strict=True))

    def test_intact(self, engine: Company, stock: Stock) -> None:
        assert self.pair(engine, stock) <= TOLERANCE

    def test_one_timestep_for_all(
        self, engine: Company, stock: Stock, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        family = registry.load("classic", CPU, torch.float32)
        denoise = family.denoise
        monkeypatch.setattr(
            family, "denoise", lambda x, t, c, tile: denoise(x, t[:1].expand(len(t)), c, tile), raising=True
        )
        assert self.pair(engine, stock) > 100 * TOLERANCE

    def test_swapped_embeddings(
        self, engine: Company, stock: Stock, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        family = registry.load("classic", CPU, torch.float32)
        denoise = family.denoise
        monkeypatch.setattr(family, "denoise", lambda x, t, c, tile: denoise(x, t, swapped(c), tile))
        assert self.pair(engine, stock) > 100 * TOLERANCE

    def test_one_scheduler_for_all(
        self, engine: Company, stock: Stock, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        family = registry.load("classic", CPU, torch.float32)
        shared = family.scheduler(spec(sampler="dpm++ 2m", steps=6))
        monkeypatch.setattr(family, "scheduler", lambda _: shared)
        with pytest.raises((AssertionError, IndexError)):
            assert self.pair(engine, stock) <= TOLERANCE


def test_pictures_are_rounded_not_cut() -> None:
    half = torch.full((1, 3, 2, 2), 0.5)
    assert stages.to_pictures(half)[0].getpixel((0, 0)) == (128, 128, 128)
    assert isinstance(stages.to_pictures(half)[0], Image.Image)
