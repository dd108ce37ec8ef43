"""What families trained by flow matching do in the loop beside plain pictures, and what they cannot do."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from engine import samplers, schedulers, stages
from engine.api import Hires, InitImage, InvalidSpec, Progress, Variation
from engine.checks import check_spec
from engine.models.latent import LatentFamily
from engine.models.preview import fit_rgb
from engine.models.registry import Registry
from engine.profile import ModelSource
from tests import flow_pipelines, pipelines
from tests.engine.company import CPU, TOLERANCE, disc, encoded, gap, picture
from tests.engine.conftest import Bench
from tests.engine.flow_stock import FlowStock
from tests.engine.test_flow_families import order, pixels, run

MODELS = tuple(flow_pipelines.BUILDERS)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Tiny models, and LoRAs of two kinds for each."""
    root = tmp_path_factory.mktemp("jobs")
    return {name: flow_pipelines.build(name, root / name) for name in MODELS}


@pytest.fixture(scope="module")
def loras(shelf: Mapping[str, Path]) -> Mapping[str, Path]:
    return {f"for {name}": lora(folder) for name, folder in shelf.items()}


@pytest.fixture(scope="module")
def registry(shelf: Mapping[str, Path], loras: Mapping[str, Path]) -> Registry:
    worn = tuple(loras.items())
    sources = {name: ModelSource(name, folder, loras=worn) for name, folder in shelf.items()}
    return Registry(sources, "flux", keep=len(sources))


def lora(folder: Path) -> Path:
    """Random low-rank changes of the attention, in diffusers' form, beside the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    generator = torch.Generator().manual_seed(1)
    state: dict[str, torch.Tensor] = {}
    for name, module in pipeline.transformer.named_modules():
        if name.endswith(("to_q", "to_v")):
            down = torch.randn((2, module.in_features), generator=generator)
            up = torch.randn((module.out_features, 2), generator=generator)
            state |= {f"transformer.{name}.lora_A.weight": down, f"transformer.{name}.lora_B.weight": up}
    path = folder.with_suffix(".safetensors")
    save_file(state, path)
    return path


def family(registry: Registry, model: str) -> LatentFamily:
    found = registry.load(model, CPU, torch.float32)
    assert isinstance(found, LatentFamily)
    return found


@pytest.mark.parametrize("model", MODELS)
def test_a_lora_is_the_stock_pipeline_s_and_comes_off_again(
    registry: Registry, shelf: Mapping[str, Path], loras: Mapping[str, Path], model: str
) -> None:
    here = family(registry, model)
    plain = order(model, steps=2)
    worn = replace(plain, loras=((f"for {model}", 0.7),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stock = FlowStock(lambda name: shelf[name])
        pipeline = stock._pipeline(model, "")
        file = loras[f"for {model}"]
        pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="a")
        pipeline.set_adapters(["a"], [0.7])
    before, after = (pixels(run(here, [job])[0]) for job in (plain, worn))
    assert gap(after, stock.images(worn)) <= TOLERANCE
    assert gap(before, after) > 1e-3
    assert gap(pixels(run(here, [plain])[0]), before) <= TOLERANCE


def test_loras_of_other_families_say_why_not(registry: Registry) -> None:
    info = registry.profiles["flux"].info
    assert "for flux" in info.loras
    assert "made for another kind of model" in info.unfit_loras["for z-image"]


def test_flux_loras_in_its_makers_names(shelf: Mapping[str, Path], tmp_path: Path) -> None:
    """As kohya's scripts write them, and XLabs'."""
    made = {}
    for name, width in (("fits", 16), ("wide", 3072)):
        key = "lora_unet_double_blocks_0_img_attn_qkv"
        up = {f"{key}.lora_up.weight": torch.ones(48, 2) / 4, f"{key}.alpha": torch.tensor(2.0)}
        made[name] = tmp_path / f"{name}.safetensors"
        save_file({f"{key}.lora_down.weight": torch.ones(2, width), **up}, made[name])
    made["xlabs"] = tmp_path / "xlabs.safetensors"
    key = "double_blocks.0.processor.qkv_lora1"
    save_file({f"{key}.down.weight": torch.ones(2, 16), f"{key}.up.weight": torch.ones(48, 2)}, made["xlabs"])
    here = Registry({"flux": ModelSource("flux", shelf["flux"], loras=tuple(made.items()))})
    info = here.profiles["flux"].info
    assert info.loras == ("fits", "xlabs")
    assert "takes 3072 values, and this model's 16" in info.unfit_loras["wide"]
    jobs = [order("flux", loras=worn) for worn in ((), (("fits", 1.0),), (("xlabs", 1.0),))]
    plain, kohya, xlabs = (pixels(run(family(here, "flux"), [job])[0]) for job in jobs)
    assert gap(plain, kohya) > 1e-4 and gap(plain, xlabs) > 1e-4


@pytest.mark.parametrize("model", MODELS)
def test_a_job_in_the_loop(registry: Registry, model: str) -> None:
    """With previews, a second pass, a variation, an early stop and a mask, all at once."""
    bench = Bench(registry, preview_interval=0.0)
    variation, start = Variation(9, 0.4), InitImage(picture(32, 32), 0.7, encoded(disc(32)), feather=3)
    bench.run(
        order(model, "plain", seeds=(1, 2)),
        order(model, "again", user="bob", variation=Variation(9, 0.0), seeds=(1,)),
        order(model, "varied", user="bob", variation=variation, seeds=(1,)),
        order(model, "large", user="cyd", hires=Hires(1.5, 0.5)),
        order(model, "stopped", user="dan", stop=0.5),
        order(model, "masked", user="eve", init=start),
    )
    images = {name: bench.finished(name).images for name in ("plain", "again", "varied", "large", "masked")}
    assert difference(images["plain"][0], images["again"][0]) <= 1
    assert difference(images["plain"][0], images["varied"][0]) > 1
    assert images["large"][0].size == (48, 48)
    kept = np.asarray(images["masked"][0], int)[:4, :4]
    assert (
        np.abs(kept - np.asarray(Image.open(io.BytesIO(start.data)).convert("RGB"), int)[:4, :4]).max() <= 1
    )
    told = [event for event in bench.events if isinstance(event, Progress) and event.job_id == "plain"]
    preview = Image.open(io.BytesIO(told[0].preview or b""))
    assert [event.step for event in told] == [1, 2, 3, 4] and preview.width == 2 * preview.height
    assert bench.finished("stopped").images[0].size == (32, 32)


def difference(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one, int) - np.asarray(other, int)).max())


@pytest.mark.parametrize("model", MODELS)
def test_an_estimate_is_where_the_steps_arrive(registry: Registry, model: str) -> None:
    """The last step of an ODE ends at its own estimate; with one step there is no other."""
    for sampler in ("euler", "heun", "unipc"):
        if sampler not in registry.profiles[model].info.samplers:
            continue
        rows = stages.prepare(family(registry, model), order(model, sampler=sampler, steps=1), (3,))
        while not rows.done:
            (prediction,) = stages.Batcher().predict([rows], 8)
            stages.advance(rows, prediction, want_clean=True)
        assert rows.clean is not None
        assert gap(rows.clean, rows.latents) <= 1e-4, sampler


@pytest.mark.parametrize("model", MODELS)
def test_every_sampler_paints_and_the_many_steps_of_each_come_near(registry: Registry, model: str) -> None:
    """Solvers of one equation; those that draw noise of their own are only to end in numbers."""
    here = family(registry, model)
    info = registry.profiles[model].info
    jobs = [
        order(model, sampler=sampler, steps=12, guidance_scale=1.0, negative_prompt="")
        for sampler in info.samplers
    ]
    painted = {job.sampler: pixels(rows) for job, rows in zip(jobs, run(here, jobs), strict=True)}
    assert all(bool(image.isfinite().all()) for image in painted.values())
    for sampler in set(painted) - {"lcm", "dpm++ 2m sde"}:
        assert gap(painted[sampler], painted["euler"]) < 0.2, sampler


@pytest.mark.parametrize("model", MODELS)
def test_in_sixteen_bits(shelf: Mapping[str, Path], registry: Registry, model: str) -> None:
    """Near the picture of 32 bits, and every part has the wanted type."""
    here = Registry({model: ModelSource(model, shelf[model])}).load(model, CPU, torch.bfloat16)
    assert isinstance(here, LatentFamily)
    parts = [part for part in here.pipeline.components.values() if isinstance(part, torch.nn.Module)]
    assert {weight.dtype for part in parts for weight in part.parameters()} == {torch.bfloat16}
    job = order(model, steps=2, guidance_scale=1.5)
    narrow, wide = (pixels(run(each, [job])[0]) for each in (here, family(registry, model)))
    assert 0 < gap(narrow, wide) < 0.1


def test_the_map_of_previews_is_fitted_to_each_vae(registry: Registry) -> None:
    for model in MODELS:
        here = family(registry, model)
        latents = torch.randn((16, here._channels, 4, 4), generator=torch.Generator().manual_seed(1))
        smooth = torch.nn.functional.interpolate(latents, size=(16, 16), mode="bicubic")
        shown = torch.nn.functional.interpolate(here.decode(smooth, False), size=(16, 16), mode="area")
        grey = shown.mean((0, 2, 3), keepdim=True).expand_as(shown)
        assert float((here.preview(smooth) - shown).pow(2).mean()) < float((grey - shown).pow(2).mean())
        assert fit_rgb(here, here._channels).shape == (here._channels + 1, 3)


@pytest.mark.parametrize(
    "missing",
    [("text_encoder_3", "tokenizer_3"), ("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")],
)
def test_sd3_without_one_of_its_encoders(tmp_path: Path, missing: tuple[str, ...]) -> None:
    """T5's absence is the stock pipeline's too; a CLIP encoder leaves zeros in its place."""
    folder = flow_pipelines.build("sd3", tmp_path / "sd3", missing=missing)
    here = family(Registry({"sd3": ModelSource("sd3", folder)}), "sd3")
    jobs = [order("sd3", prompt=prompt, steps=2) for prompt in ("a red apple", "the sea")]
    red, sea = (pixels(rows) for rows in run(here, jobs))
    assert gap(red, sea) > 1e-4, "the others still tell"
    if "text_encoder_3" in missing:
        assert gap(red, FlowStock(lambda _: folder).images(jobs[0])) <= TOLERANCE
        return
    text = here.embed("a red apple")
    assert text.text.shape == (1, 77 + 256, 32) and text.extra["pooled"].shape == (1, 28)
    empty = text.text[0, :77, :12] if "text_encoder" in missing else text.text[0, :77, 12:28]
    assert not empty.any()


def test_sd3_with_t5_alone(tmp_path: Path) -> None:
    missing = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    folder = flow_pipelines.build("sd3", tmp_path / "sd3", missing=missing)
    here = family(Registry({"sd3": ModelSource("sd3", folder)}), "sd3")
    jobs = [order("sd3", prompt=prompt, steps=2) for prompt in ("a red apple", "the sea")]
    assert gap(*(pixels(rows) for rows in run(here, jobs))) > 1e-4


class TestWhatANegativePromptMeansToFlux:
    """It is guided away from in a pass of its own, by a scale that is not the embedded guidance."""

    def test_none_costs_no_second_branch(self, registry: Registry) -> None:
        for model in ("flux", "schnell"):
            rows = stages.prepare(family(registry, model), order(model, negative_prompt=""), (1,))
            assert rows.branches == 1

    def test_its_scale(self, registry: Registry) -> None:
        dev, schnell = family(registry, "flux"), family(registry, "schnell")
        assert dev.scale(order("flux", guidance_scale=9.0)) == 2.0
        assert schnell.scale(order("schnell", guidance_scale=9.0)) == 9.0
        assert schnell.scale(order("schnell", guidance_scale=0.0)) == 2.0

    def test_a_folder_may_set_it(self, shelf: Mapping[str, Path], tmp_path: Path) -> None:
        folder = flow_pipelines.build("flux", tmp_path / "flux")
        pipelines.describe(folder, native_size=32, true_cfg_scale=3.5)
        here = family(Registry({"flux": ModelSource("flux", folder)}), "flux")
        assert here.scale(order("flux")) == 3.5


def test_defaults_follow_the_folder(registry: Registry, tmp_path: Path) -> None:
    folder = flow_pipelines.build("schnell", tmp_path / "schnell")
    pipelines.describe(folder)
    info = Registry({"schnell": ModelSource("schnell", folder)}).profiles["schnell"].info
    assert (info.steps, info.guidance_scale, info.native_size, info.size_multiple) == (4, 0.0, 1024, 8)
    assert registry.profiles["flux"].info.guidance_scale == 3.5


def test_sizes_stay_where_a_transformer_has_positions(registry: Registry) -> None:
    assert registry.profiles["sd3"].info.max_size == registry.profiles["sd3"].info.reach == 64
    assert registry.profiles["z-image"].info.max_size == 64


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tile": True}, "cannot paint a picture whose edges meet; leave --tile out"),
        ({"sampler": "ddim"}, "has no sampler 'ddim'; choose one of euler, heun"),
        ({"width": 36}, "The width must be a multiple of 8"),
        ({"loras": (("for sd3", 1.0),)}, "LoRA 'for sd3' does not fit flux"),
    ],
)
def test_what_they_cannot_do_is_said_before(
    registry: Registry, changes: dict[str, Any], sentence: str
) -> None:
    models = registry.models()
    check_spec(order("flux"), models)
    with pytest.raises(InvalidSpec, match=sentence):
        check_spec(order("flux", **changes), models)


def test_samplers_are_found_by_the_scheduler_of_the_folder() -> None:
    for name in samplers.samplers_for(samplers.FLOW):
        config = dict(schedulers.build(name, {"_class_name": "FlowMatchEulerDiscreteScheduler"}).config)
        config["_class_name"] = samplers.FLOW_SAMPLERS[name].scheduler
        assert samplers.name_of(config) == name
