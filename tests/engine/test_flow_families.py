"""SD3, FLUX.1, Z-Image, Qwen-Image and CogView4: the stock pipelines' pictures, alone and in company."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import stages
from engine.api import GenerationSpec, InitImage
from engine.conditioning import Conditioning
from engine.models.base import ModelFamily
from engine.models.flow import pack
from engine.models.registry import Registry
from engine.profile import ModelSource
from engine.stages import Batcher, Rows
from tests import flow_pipelines
from tests.engine.company import CPU, TOLERANCE, disc, encoded, gap, picture
from tests.engine.flow_stock import SAMPLERS, SHORTEST, FlowStock
from tests.engine.specs import spec

MODELS = tuple(flow_pipelines.BUILDERS)
FROM_PICTURES = tuple(name for name in MODELS if name != "cogview4")
"""Those whose stock pipeline starts from pictures."""
Loader = Callable[[str], ModelFamily]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Tiny models by name, each written once."""
    root = tmp_path_factory.mktemp("flow")
    return lambda name: root / name if (root / name).exists() else flow_pipelines.build(name, root / name)


@pytest.fixture(scope="session")
def family(folder: Callable[[str], Path]) -> Loader:
    """Each loaded once."""
    loaded: dict[str, Registry] = {}

    def get(name: str) -> ModelFamily:
        if name not in loaded:
            loaded[name] = Registry({name: ModelSource(name, folder(name))})
        return loaded[name].load(name, CPU, torch.float32)

    return get


@pytest.fixture(scope="session")
def stock(folder: Callable[[str], Path]) -> FlowStock:
    return FlowStock(folder)


def order(model: str, job_id: str = "job", **changes: Any) -> GenerationSpec:
    """A small guided job."""
    given = {"sampler": "euler", "width": 32, "height": 32, "negative_prompt": "bad", "seeds": (3,)}
    return spec(job_id, model, **{**given, **changes})


def run(
    family: ModelFamily, jobs: Sequence[GenerationSpec], arrivals: Sequence[int] | None = None
) -> list[Rows]:
    """All jobs in shared passes; job i joins at tick ``arrivals[i]``."""
    due = dict(enumerate(arrivals or [0] * len(jobs)))
    rows: dict[int, Rows] = {}
    batcher, tick = Batcher(), 0
    while due or any(not row.done for row in rows.values()):
        for index in [index for index, arrival in due.items() if arrival <= tick]:
            rows[index] = stages.prepare(family, jobs[index], jobs[index].seeds)
            del due[index]
        running = [row for row in rows.values() if not row.done]
        predictions = batcher.predict(running, 64) if running else []
        for row, prediction in zip(running, predictions, strict=True):
            stages.advance(row, prediction, want_clean=False)
        tick += 1
    return [rows[index] for index in sorted(rows)]


def pixels(rows: Rows) -> torch.Tensor:
    return rows.family.decode(rows.latents, False)


@pytest.mark.parametrize(
    ("model", "sampler"), [(model, sampler) for model in MODELS for sampler in SAMPLERS[model]]
)
def test_every_sampler_alone_and_in_company(
    family: Loader, stock: FlowStock, model: str, sampler: str
) -> None:
    mine = order(model, sampler=sampler, steps=4)
    other = order(model, seeds=(5, 6), steps=3, guidance_scale=2.5, prompt="the sea is blue and wide")
    expected = stock.images(mine)
    assert float(expected.std()) > 1e-3
    (alone,) = run(family(model), [mine])
    _, together = run(family(model), [other, mine], arrivals=[0, 1])
    assert gap(pixels(alone), expected) <= TOLERANCE
    assert gap(pixels(together), expected) <= TOLERANCE


@pytest.mark.parametrize("model", MODELS)
def test_a_crowd_with_random_arrivals(family: Loader, stock: FlowStock, model: str) -> None:
    dice = random.Random(model)
    words = ["red", "green", "apple", "sea", "cat", "a very long text about many stones on a wide road"]
    crowd = [
        order(
            model,
            str(number),
            prompt=" ".join(dice.choices(words, k=3)),
            negative_prompt=dice.choice(["", "bad", "blue stones and many other things"]),
            seeds=tuple(dice.randrange(2**32) for _ in range(dice.randint(1, 2))),
            steps=dice.randint(SHORTEST.get(model, 1), 5),
            guidance_scale=dice.choice([0.0, 1.0, 3.0, 7.0]),
            sampler=dice.choice(SAMPLERS[model]),
        )
        for number in range(5)
    ]
    rows = run(family(model), crowd, arrivals=[dice.randint(0, 4) for _ in crowd])
    for job, ours in zip(crowd, rows, strict=True):
        assert gap(pixels(ours), stock.images(job)) <= TOLERANCE, job


@pytest.mark.parametrize("strength", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("model", FROM_PICTURES)
def test_from_a_picture(family: Loader, stock: FlowStock, model: str, strength: float) -> None:
    mine = order(model, seeds=(7, 8), steps=5, init=InitImage(picture(32, 32), strength))
    ours, _ = run(family(model), [mine, order(model, prompt="the blue sea of stones")], arrivals=[1, 0])
    assert gap(pixels(ours), stock.images(mine)) <= TOLERANCE


def test_from_a_picture_by_a_sampler_of_two_calls_a_step(family: Loader, stock: FlowStock) -> None:
    mine = order("sd3", sampler="heun", steps=5, init=InitImage(picture(32, 32), 0.5))
    (ours,) = run(family("sd3"), [mine])
    assert gap(pixels(ours), stock.images(mine)) <= TOLERANCE


@pytest.mark.parametrize("strength", [0.6, 1.0])
@pytest.mark.parametrize("model", FROM_PICTURES)
def test_what_a_mask_keeps(family: Loader, stock: FlowStock, model: str, strength: float) -> None:
    """In latents: the stock pipeline of SD3 forgets the VAE's shift when it decodes what it inpainted."""
    mask = encoded(disc(32))
    mine = order(model, steps=5, init=InitImage(picture(32, 32), strength, mask))
    ours, _ = run(family(model), [mine, order(model, steps=3)], arrivals=[1, 0])
    theirs = stock.latents(mine)
    latents = ours.latents if theirs.ndim == 4 else pack(ours.latents)
    assert gap(latents, theirs) <= TOLERANCE
    plain = order(model, steps=5, init=InitImage(picture(32, 32), strength))
    assert gap(run(family(model), [plain])[0].latents, ours.latents) > 1e-3


def test_wide_and_high_sizes(family: Loader, stock: FlowStock) -> None:
    for model in MODELS:
        mine = order(model, width=48, height=16, steps=3)
        (ours,) = run(family(model), [mine])
        assert gap(pixels(ours), stock.images(mine)) <= TOLERANCE, model


@pytest.mark.parametrize("prompt", ["", "🍎 ß \u202e", "smile :) 12:30 | a\\b", "red " * 300])
@pytest.mark.parametrize("model", MODELS)
def test_prompts_of_any_kind(family: Loader, stock: FlowStock, model: str, prompt: str) -> None:
    job = order(model, prompt=prompt, negative_prompt="", steps=2)
    ours, _ = run(family(model), [job, order(model)])
    assert gap(pixels(ours), stock.images(job)) <= TOLERANCE


def _swapped(cond: Conditioning) -> Conditioning:
    """Every row under its neighbour's text."""
    mask = None if cond.mask is None else cond.mask.roll(1, 0)
    return Conditioning(cond.text.roll(1, 0), mask, cond.extra)


@pytest.mark.parametrize("model", MODELS)
class TestTheseTestsCanFail:
    """Each thing that a batch must keep apart, shared on purpose: the comparison has to notice."""

    def pair(self, family: ModelFamily, stock: FlowStock, model: str) -> float:
        jobs = [
            order(model, "one", steps=5, seeds=(1,), prompt="a red apple", guidance_scale=3.0),
            order(model, "two", steps=3, seeds=(2,), prompt="the green sea of stones", guidance_scale=7.0),
        ]
        rows = run(family, jobs, arrivals=[0, 2])
        return max(gap(pixels(ours), stock.images(job)) for job, ours in zip(jobs, rows, strict=True))

    def test_intact(self, family: Loader, stock: FlowStock, model: str) -> None:
        assert self.pair(family(model), stock, model) <= TOLERANCE

    def test_one_timestep_for_all(
        self, family: Loader, stock: FlowStock, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here = family(model)
        denoise = here.denoise
        monkeypatch.setattr(here, "denoise", lambda x, t, c, tile: denoise(x, t[:1].expand(len(t)), c, tile))
        assert self.pair(here, stock, model) > 5 * TOLERANCE

    def test_swapped_embeddings(
        self, family: Loader, stock: FlowStock, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here = family(model)
        denoise = here.denoise
        monkeypatch.setattr(here, "denoise", lambda x, t, c, tile: denoise(x, t, _swapped(c), tile))
        assert self.pair(here, stock, model) > 5 * TOLERANCE

    def test_one_scheduler_for_all(
        self, family: Loader, stock: FlowStock, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here = family(model)
        shared = here.scheduler(order(model, steps=5))
        monkeypatch.setattr(here, "scheduler", lambda _: shared)
        with pytest.raises((AssertionError, IndexError)):
            assert self.pair(here, stock, model) <= TOLERANCE


def test_one_guidance_for_all_is_noticed(
    family: Loader, stock: FlowStock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that FLUX takes as an input."""
    here = family("flux")
    denoise = here.denoise

    def shared(x: torch.Tensor, t: torch.Tensor, cond: Conditioning, tile: bool) -> torch.Tensor:
        guidance = cond.extra["guidance"]
        return denoise(x, t, cond.beside({"guidance": guidance[:1].expand(len(guidance))}), tile)

    monkeypatch.setattr(here, "denoise", shared)
    jobs = [order("flux", guidance_scale=scale, negative_prompt="") for scale in (1.0, 9.0)]
    rows = run(here, jobs)
    assert gap(pixels(rows[0]), stock.images(jobs[0])) <= TOLERANCE
    assert gap(pixels(rows[1]), stock.images(jobs[1])) > 5 * TOLERANCE


def test_a_mask_that_lets_padding_through_is_noticed(
    family: Loader, stock: FlowStock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in ("z-image", "qwen-image", "cogview4"):
        here = family(model)
        denoise = here.denoise
        jobs = [order(model, prompt="a"), order(model, prompt="red stones on the blue sea " * 2)]
        with monkeypatch.context() as patch:
            patch.setattr(
                here,
                "denoise",
                lambda x, t, c, tile, denoise=denoise: denoise(x, t, replace(c, mask=None), tile),
            )
            rows = run(here, jobs)
        assert gap(pixels(rows[0]), stock.images(jobs[0])) > 5 * TOLERANCE, model
