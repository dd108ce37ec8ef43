"""SDXL's texts: weights, parts and edits by hand on the stock parts; LoRAs and words of one's own."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from engine import schedulers
from engine.api import GenerationSpec, ModelUnavailable
from engine.lora import embedding_misfit
from engine.models.registry import Registry
from engine.profile import ModelSource
from tests.engine.company import TOLERANCE, Company, gap
from tests.engine.specs import spec

Told = tuple[torch.Tensor, torch.Tensor]
"""Hidden states and pooled text."""
Parts = Sequence[tuple[float, Told]]
WORD = "<myst>"


def stock_of(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = StableDiffusionXLPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def pipeline(folders: dict[str, Path]) -> Any:
    return stock_of(folders["xl"])


@pytest.fixture(scope="module")
def shelf(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A LoRA of UNet and both encoders, a word for both, and a word for one."""
    root = tmp_path_factory.mktemp("shelf")
    generator = torch.Generator().manual_seed(1)
    state: dict[str, torch.Tensor] = {}
    for part, wanted in (("unet", "to_k"), ("text_encoder", "q_proj"), ("text_encoder_2", "v_proj")):
        for name, module in getattr(pipeline, part).named_modules():
            if name.endswith(wanted):
                down = torch.randn((2, module.in_features), generator=generator) * 0.4
                up = torch.randn((module.out_features, 2), generator=generator) * 0.4
                state |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up}
    save_file(state, root / "ink.safetensors")
    vectors = {"clip_l": torch.randn((2, 32)), "clip_g": torch.randn((2, 40))}
    save_file(vectors, root / "word.safetensors")
    save_file({"clip_l": vectors["clip_l"]}, root / "half.safetensors")
    return {name: root / f"{name}.safetensors" for name in ("ink", "word", "half")}


@pytest.fixture(scope="module")
def engine(folders: dict[str, Path], shelf: dict[str, Path]) -> Company:
    own = ModelSource(
        "xl", folders["xl"], loras=(("ink", shelf["ink"]),), embeddings=((WORD, shelf["word"]),)
    )
    return Company(Registry({"xl": own}))


@torch.inference_mode()
def told(pipeline: Any, text: str, **weights: float) -> Told:
    """(1, L, D) and (1, P) of one chunk by the stock tokenizers; words of ``weights`` times their numbers."""
    sides = []
    for end in ("", "_2"):
        tokenizer, encoder = (getattr(pipeline, name + end) for name in ("tokenizer", "text_encoder"))
        tokens = tokenizer(text, padding="max_length", max_length=77, return_tensors="pt").input_ids
        answer = encoder(tokens, output_hidden_states=True)
        states = answer.hidden_states[-2]
        factors = torch.ones(tokens.shape)
        for word, weight in weights.items():
            own = tokenizer(word, add_special_tokens=False).input_ids
            (place,) = [at for at in range(77) if tokens[0, at : at + len(own)].tolist() == own]
            factors[0, place : place + len(own)] = weight
        weighted = states * factors[..., None]
        sides.append(weighted * states.mean() / weighted.mean() if weights else states)
    return torch.cat(sides, dim=-1), answer[0]


@torch.inference_mode()
def by_hand(
    pipeline: Any, job: GenerationSpec, positives: Callable[[int], Parts], negative: Told
) -> torch.Tensor:
    """Pixels after ``job.steps``, every conditioning in a pass of its own."""
    scheduler = schedulers.build(job.sampler, pipeline.scheduler.config)
    scheduler.set_timesteps(job.steps)
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(job.seeds[0]))
    latents = latents * scheduler.init_noise_sigma
    sizes = torch.tensor([[64.0, 64.0, 0.0, 0.0, 64.0, 64.0]])

    def answer(taken: torch.Tensor, timestep: torch.Tensor, texts: Told) -> torch.Tensor:
        beside = {"text_embeds": texts[1], "time_ids": sizes}
        found: torch.Tensor = pipeline.unet(
            taken, timestep, texts[0], added_cond_kwargs=beside, return_dict=False
        )[0]
        return found

    for index, timestep in enumerate(scheduler.timesteps):
        taken = scheduler.scale_model_input(latents, timestep)
        prediction = base = answer(taken, timestep, negative)
        for weight, texts in positives(index):
            prediction = prediction + job.guidance_scale * weight * (answer(taken, timestep, texts) - base)
        latents = scheduler.step(prediction, timestep, latents, return_dict=False)[0]
    pixels: torch.Tensor = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    return (pixels / 2 + 0.5).clamp(0, 1)


def ours(engine: Company, prompt: str, negative: str = "bad") -> torch.Tensor:
    """Pixels of a prompt, painted beside another of other length."""
    other = spec("other", "xl", seeds=(9,), prompt="sea " * 40, steps=2)
    return engine.run([job_of(prompt, negative), other])[0]


def job_of(prompt: str, negative: str = "bad") -> GenerationSpec:
    return spec("job", "xl", prompt=prompt, negative_prompt=negative, seeds=(2,))


def test_weights(engine: Company, pipeline: Any) -> None:
    texts = told(pipeline, "red sea cat", red=1.4, sea=1 / 1.1)
    negative = told(pipeline, "bad cat", bad=1.5)
    expected = by_hand(pipeline, job_of(""), lambda _: [(1, texts)], negative)
    assert gap(ours(engine, "(red:1.4) [sea] cat", "(bad:1.5) cat"), expected) <= TOLERANCE
    assert gap(ours(engine, "red sea cat", "(bad:1.5) cat"), expected) > 100 * TOLERANCE


def test_chunks_pool_the_first(engine: Company, pipeline: Any) -> None:
    one, two = told(pipeline, "red sea"), told(pipeline, "cat")
    texts = torch.cat([one[0], two[0]], dim=1), one[1]
    expected = by_hand(pipeline, job_of(""), lambda _: [(1, texts)], told(pipeline, "bad"))
    assert gap(ours(engine, "red sea BREAK cat"), expected) <= TOLERANCE


def test_parts_and_edits(engine: Company, pipeline: Any) -> None:
    def positives(index: int) -> Parts:
        return [(1.0, told(pipeline, "red cat" if index < 2 else "red sea")), (-0.5, told(pipeline, "blue"))]

    expected = by_hand(pipeline, job_of(""), positives, told(pipeline, "bad"))
    assert gap(ours(engine, "red [cat:sea:0.5] AND blue :-0.5"), expected) <= TOLERANCE


def test_a_lora_of_all_three_networks(
    engine: Company, folders: dict[str, Path], shelf: dict[str, Path]
) -> None:
    job = spec("worn", "xl", seeds=(3,), loras=(("ink", 0.8),), steps=3)
    plain = spec("plain", "xl", seeds=(3,), steps=3)
    before, worn, after = (engine.run([each])[0] for each in (plain, job, plain))
    stock = stock_of(folders["xl"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stock.load_lora_weights(str(shelf["ink"].parent), weight_name="ink.safetensors", adapter_name="ink")
    stock.set_adapters(["ink"], [0.8])
    assert gap(worn, painted(stock, job)) <= TOLERANCE
    assert gap(before, after) <= TOLERANCE
    assert gap(before, worn) > 100 * TOLERANCE


def test_a_word_of_one_s_own_is_taught_to_both_encoders(
    engine: Company, folders: dict[str, Path], shelf: dict[str, Path]
) -> None:
    job = spec("job", "xl", seeds=(3,), prompt=f"red {WORD} cat", steps=3)
    stock = stock_of(folders["xl"])
    vectors = load_file(shelf["word"])
    for key, end in (("clip_l", ""), ("clip_g", "_2")):
        stock.load_textual_inversion(
            vectors[key],
            token=WORD,
            tokenizer=getattr(stock, f"tokenizer{end}"),
            text_encoder=getattr(stock, f"text_encoder{end}"),
        )
    assert gap(engine.run([job])[0], painted(stock, job)) <= TOLERANCE


def test_a_word_for_one_encoder_alone_is_refused(shelf: dict[str, Path]) -> None:
    assert embedding_misfit(shelf["half"], [32, 40]) == (
        "half.safetensors holds no embedding of 32 and 40 values for this model's text encoders, but of 32"
    )


def test_tokenizers_that_disagree_on_the_number_of_chunks(engine: Company) -> None:
    family: Any = engine.family("xl")
    one, two = [torch.zeros(1, 77, 32)], [torch.zeros(1, 77, 40)] * 3
    family._fill(one, two)
    assert [part.shape[1] for part in (torch.cat(one, 1), torch.cat(two, 1))] == [231, 231]


def test_a_refiner_is_no_model_of_its_own(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["xl"], tmp_path / "refiner"))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "text_encoder": [None, None]}))
    fault = Registry({"refiner": ModelSource("refiner", folder)}).faults["refiner"]
    assert isinstance(fault, ModelUnavailable)
    assert "names no text_encoder: it is a part of SDXL (a refiner, say)" in str(fault)
    assert "choose the base model" in str(fault)


def test_half_precision_is_near(folders: dict[str, Path], engine: Company) -> None:
    half = Company(Registry({"xl": ModelSource("xl", folders["xl"])}), torch.bfloat16)
    job = spec(model="xl", seeds=(3,), steps=2, guidance_scale=2.0)
    assert gap(half.run([job])[0], engine.run([job])[0]) < 0.2


def painted(stock: Any, job: GenerationSpec) -> torch.Tensor:
    stock.scheduler = schedulers.build(job.sampler, stock.scheduler.config)
    result: torch.Tensor = stock(
        job.prompt,
        negative_prompt=job.negative_prompt or None,
        width=job.width,
        height=job.height,
        num_inference_steps=job.steps,
        guidance_scale=job.guidance_scale,
        generator=torch.Generator().manual_seed(job.seeds[0]),
        output_type="pt",
    ).images
    return result
