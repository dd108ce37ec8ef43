"""Weighted, composed and edited prompts against the same arithmetic by hand on the stock pipeline's parts."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from engine import schedulers, stages
from engine.api import GenerationSpec
from engine.models import clip
from engine.models.registry import Registry
from engine.profile import ModelSource
from engine.stages import Batcher
from tests.engine.specs import spec

CPU = torch.device("cpu")
TOLERANCE = 1e-5
Parts = Sequence[tuple[float, torch.Tensor]]


@pytest.fixture(scope="module")
def folders(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models whose hidden states have a mean, as those of all that ever learned something."""
    root = tmp_path_factory.mktemp("biased")
    copies = {name: shutil.copytree(folders[name], root / name) for name in ("classic", "sketchy")}
    for copy in copies.values():
        file = copy / "text_encoder" / "model.safetensors"
        tensors = load_file(file)
        (bias,) = [name for name in tensors if name.endswith("final_layer_norm.bias")]
        save_file({**tensors, bias: tensors[bias] - 0.1}, file, {"format": "pt"})
    return copies


@pytest.fixture(scope="module")
def registry(folders: dict[str, Path]) -> Registry:
    return Registry({name: ModelSource(name, path) for name, path in folders.items()}, "classic", keep=2)


@pytest.fixture(scope="module", params=["classic", "sketchy"])
def parts(request: pytest.FixtureRequest, folders: dict[str, Path]) -> tuple[str, StableDiffusionPipeline]:
    """A model's name, and the stock pipeline of its folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = StableDiffusionPipeline.from_pretrained(
            folders[request.param], safety_checker=None, low_cpu_mem_usage=False
        )
    return request.param, pipeline


def hidden(pipeline: StableDiffusionPipeline, text: str, **weights: float) -> torch.Tensor:
    """(1, L, D) of one chunk by the stock tokenizer; each word of ``weights`` times its number."""
    tokens = pipeline.tokenizer(
        text, padding="max_length", max_length=pipeline.tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    states: torch.Tensor = pipeline.text_encoder(tokens)[0]
    if not weights:
        return states
    factors = torch.ones(tokens.shape)
    for word, weight in weights.items():
        own = pipeline.tokenizer(word, add_special_tokens=False).input_ids
        (place,) = [
            start for start in range(tokens.shape[1]) if tokens[0, start : start + len(own)].tolist() == own
        ]
        factors[0, place : place + len(own)] = weight
    weighted = states * factors[..., None]
    return weighted * states.mean() / weighted.mean()


@torch.inference_mode()
def by_hand(
    pipeline: StableDiffusionPipeline,
    job: GenerationSpec,
    positives: Callable[[int], Parts],
    negative: torch.Tensor,
) -> torch.Tensor:
    """Pixels after ``job.steps``, every conditioning in a pass of its own."""
    scheduler = schedulers.build(job.sampler, pipeline.scheduler.config)
    scheduler.set_timesteps(job.steps)
    shape = (1, 4, 8, 8)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(job.seeds[0]))
    latents = latents * scheduler.init_noise_sigma
    for index, timestep in enumerate(scheduler.timesteps):
        taken = scheduler.scale_model_input(latents, timestep)
        base = pipeline.unet(taken, timestep, negative, return_dict=False)[0]
        prediction = base
        for weight, states in positives(index):
            answer = pipeline.unet(taken, timestep, states, return_dict=False)[0]
            prediction = prediction + job.guidance_scale * weight * (answer - base)
        latents = scheduler.step(prediction, timestep, latents, return_dict=False)[0]
    pixels: torch.Tensor = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    return (pixels / 2 + 0.5).clamp(0, 1)


def ours(registry: Registry, job: GenerationSpec) -> torch.Tensor:
    """Pixels of ``job``, painted beside another of other length."""
    family = registry.load(job.model, CPU, torch.float32)
    other = spec("other", job.model, seeds=(9,), prompt="sea " * 40, steps=2)
    rows = [stages.prepare(family, each, each.seeds) for each in (job, other)]
    batcher = Batcher()
    while running := [row for row in rows if not row.done]:
        for row, prediction in zip(running, batcher.predict(running, 64), strict=True):
            stages.advance(row, prediction, want_clean=False)
    return family.decode(rows[0].latents, False)


def job_of(model: str, prompt: str, **changes: object) -> GenerationSpec:
    return spec("job", model, prompt=prompt, seeds=(2,), steps=4, negative_prompt="bad", **changes)


def gap(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


Named = tuple[str, StableDiffusionPipeline]


def test_weights_multiply_hidden_states_and_keep_their_mean(parts: Named, registry: Registry) -> None:
    model, pipeline = parts
    states = hidden(pipeline, "red sea cat", red=1.4, sea=1 / 1.1)
    expected = by_hand(pipeline, job_of(model, ""), lambda _: [(1, states)], hidden(pipeline, "bad"))
    assert gap(ours(registry, job_of(model, "(red:1.4) [sea] cat")), expected) <= TOLERANCE
    assert gap(ours(registry, job_of(model, "red sea cat")), expected) > 100 * TOLERANCE


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mean_of_mere_rounding_is_not_brought_back(dtype: torch.dtype) -> None:
    """A norm without a bias makes every mean nothing; the share of two of them would be any number."""
    states = torch.randn((1, 77, 32), generator=torch.Generator().manual_seed(1))
    states = torch.nn.functional.layer_norm(states, (32,)).to(dtype)
    weights = torch.ones((1, 77))
    weights[0, 1:4] = torch.tensor([1.3, -0.4, 1.3])
    chunk = clip.Tokens(torch.zeros((1, 77)), torch.ones((1, 77)), weights)
    assert torch.equal(chunk.weigh(states), states * weights[..., None].to(dtype))
    shifted = (states - 0.1).to(dtype)
    assert float(chunk.weigh(shifted).mean()) == pytest.approx(float(shifted.mean()), rel=0.01)


def test_weights_in_the_negative_prompt(parts: Named, registry: Registry) -> None:
    model, pipeline = parts
    job = spec("job", model, prompt="red sea", seeds=(2,), negative_prompt="(bad:1.5) cat")
    expected = by_hand(
        pipeline, job, lambda _: [(1, hidden(pipeline, "red sea"))], hidden(pipeline, "bad cat", bad=1.5)
    )
    assert gap(ours(registry, job), expected) <= TOLERANCE


def test_chunks_side_by_side_beside_a_short_negative_prompt(parts: Named, registry: Registry) -> None:
    model, pipeline = parts
    states = torch.cat([hidden(pipeline, "red sea"), hidden(pipeline, "cat")], dim=1)
    expected = by_hand(pipeline, job_of(model, ""), lambda _: [(1, states)], hidden(pipeline, "bad"))
    assert gap(ours(registry, job_of(model, "red sea BREAK cat")), expected) <= TOLERANCE


def test_and_adds_the_pulls_of_its_parts(parts: Named, registry: Registry) -> None:
    model, pipeline = parts
    both = [(1.0, hidden(pipeline, "red cat")), (-0.5, hidden(pipeline, "sea"))]
    expected = by_hand(pipeline, job_of(model, ""), lambda _: both, hidden(pipeline, "bad"))
    assert gap(ours(registry, job_of(model, "red cat AND sea :-0.5")), expected) <= TOLERANCE


def test_and_without_guidance_is_the_weighted_mean(parts: Named, registry: Registry) -> None:
    model, _ = parts
    plain = ours(registry, job_of(model, "red cat", guidance_scale=0.0))
    double = ours(registry, job_of(model, "red cat AND red cat :3", guidance_scale=0.0))
    assert gap(plain, double) <= TOLERANCE


def test_an_edit_changes_the_prompt_on_the_way(parts: Named, registry: Registry) -> None:
    model, pipeline = parts
    first, then = hidden(pipeline, "red cat"), hidden(pipeline, "red sea")
    expected = by_hand(
        pipeline,
        job_of(model, ""),
        lambda index: [(1, first if index < 2 else then)],
        hidden(pipeline, "bad"),
    )
    assert gap(ours(registry, job_of(model, "red [cat:sea:0.5]")), expected) <= TOLERANCE


@pytest.mark.parametrize("text", ["", "a red apple", "red " * 3])
def test_plain_text_has_the_stock_pipelines_tokens(parts: Named, text: str) -> None:
    _, pipeline = parts
    (chunk,) = clip.tokens(pipeline.tokenizer, text, CPU)
    stock = pipeline.tokenizer(
        text, padding="max_length", max_length=pipeline.tokenizer.model_max_length, return_tensors="pt"
    )
    assert torch.equal(chunk.ids, stock.input_ids)
    assert torch.equal(chunk.mask, stock.attention_mask)


def test_the_number_of_predictions_may_change_on_the_way(parts: Named, registry: Registry) -> None:
    model, _ = parts
    assert bool(ours(registry, job_of(model, "[red AND sea:cat:0.5]")).isfinite().all())
