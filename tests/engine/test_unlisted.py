"""Pipelines that no table lists: made out by what diffusers says of them, and then as any other."""

from __future__ import annotations

import inspect
import io
import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from engine.api import (
    Cancelled,
    GenerationSpec,
    InitImage,
    InvalidSpec,
    ModelInfo,
    ModelUnavailable,
    Progress,
)
from engine.checks import check_spec
from engine.models import stock as adapter
from engine.models.family import FAMILIES, PIPELINES
from engine.models.loading import strays
from engine.models.registry import Registry
from engine.models.stock import StockPipeline
from engine.models.unlisted import unlisted
from engine.profile import ModelSource, read_profile
from engine.samplers import DEFAULT
from tests import flow_pipelines, pipelines, unlisted_pipelines
from tests.engine.company import CPU, TOLERANCE, disc, encoded, picture
from tests.engine.conftest import Bench
from tests.engine.specs import spec

NAMES = tuple(unlisted_pipelines.BUILDERS)
PAG, CHROMA = "StableDiffusionPAGPipeline", "ChromaPipeline"
SCALES = {"StableCascadeCombinedPipeline": "prior_guidance_scale"}
SIBLINGS = {
    CHROMA: ("ChromaImg2ImgPipeline", ""),
    PAG: ("StableDiffusionPAGImg2ImgPipeline", "StableDiffusionPAGInpaintPipeline"),
    "AltDiffusionPipeline": ("AltDiffusionImg2ImgPipeline", ""),
}
pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers warns of its deprecated pipelines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of tiny pipelines by their class, each built once."""
    built: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in built:
            built[name] = unlisted_pipelines.build(name, tmp_path_factory.mktemp("unlisted") / name)
        return built[name]

    return get


@pytest.fixture(scope="module")
def family(folder: Callable[[str], Path]) -> Callable[[str], StockPipeline]:
    loaded: dict[str, StockPipeline] = {}

    def get(name: str) -> StockPipeline:
        if name not in loaded:
            found = Registry({name: ModelSource(name, folder(name))}).load(name, CPU, torch.float32)
            assert isinstance(found, StockPipeline)
            loaded[name] = found
        return loaded[name]

    return get


def order(info: ModelInfo, init: bool = False, masked: bool = False, **changes: Any) -> GenerationSpec:
    side = info.native_size
    mask = encoded(disc(side)) if masked else None
    given: dict[str, Any] = {
        "model": info.name,
        "width": side,
        "height": side,
        "steps": 2,
        "sampler": DEFAULT,
        "seeds": (1,),
        "guidance_scale": 3.5,
        "negative_prompt": "bad" if info.negative_prompt else "",
        "init": InitImage(picture(side, side), 0.9, mask) if init else None,
    }
    return spec(**{**given, **changes})


def painted(family: StockPipeline, job: GenerationSpec) -> torch.Tensor:
    """Pixels (n, 3, H, W) by the engine, turn by turn."""
    course = family.begin(job, job.seeds)
    while not course.done:
        course.take_turn(want_clean=False)
    return torch.cat(course._pixels)


def stock(family: StockPipeline, job: GenerationSpec, kind: str) -> torch.Tensor:
    """Pixels (1, 3, H, W) by diffusers alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = strays(family.profile, torch.float32)
        pipeline = getattr(diffusers, kind).from_pretrained(
            family.profile.source.path, low_cpu_mem_usage=False, **dict.fromkeys(parts)
        )
        pipeline.register_modules(**parts)
        if parts:  # what a pipeline is made of it may have handed on
            pipeline = type(pipeline)(**pipeline.components)
    pipeline.set_progress_bar_config(disable=True)
    given: dict[str, Any] = {
        "prompt": job.prompt,
        "negative_prompt": job.negative_prompt,
        "width": job.width,
        "height": job.height,
        "num_inference_steps": job.steps,
        SCALES.get(kind, "guidance_scale"): job.guidance_scale,
        "true_cfg_scale": family.profile.true_cfg_scale,
        "generator": torch.Generator().manual_seed(job.seeds[0]),
        "output_type": "np",
        "use_resolution_binning": False,
    }
    if job.init is not None:
        given["image"] = Image.open(io.BytesIO(job.init.data)).convert("RGB")
        given["mask_image"] = Image.open(io.BytesIO(job.init.mask)) if job.init.mask else None
        given["strength"] = job.init.strength
    known = inspect.signature(pipeline.__call__).parameters
    frames = pipeline(**{name: value for name, value in given.items() if name in known}).images
    return torch.from_numpy(np.asarray(frames)).movedim(-1, 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, name) for name in NAMES),
        *((name, kind) for name, kinds in SIBLINGS.items() for kind in kinds if kind),
    ],
)
def test_the_picture_is_the_stock_pipeline_s(
    family: Callable[[str], StockPipeline], name: str, kind: str
) -> None:
    here = family(name)
    masked = "Inpaint" in kind
    job = order(here.profile.info, masked or "Img2Img" in kind, masked)
    check_spec(job, {name: here.profile.info})
    expected = stock(here, job, kind)
    assert bool(torch.isfinite(expected).all()) and float(expected.std()) > 1e-3
    assert float((painted(here, job) - expected).abs().max()) <= TOLERANCE
    other = replace(job, guidance_scale=30.0)
    assert float((painted(here, other) - expected).abs().max()) > 10 * TOLERANCE, "the guidance is heard"


@pytest.mark.parametrize("name", NAMES)
def test_what_the_class_says_is_what_can_be_asked_for(folder: Callable[[str], Path], name: str) -> None:
    profile = read_profile(ModelSource(name, folder(name)), PIPELINES)
    family, info = profile.family, profile.info
    assert not family.listed and family.name not in FAMILIES
    assert (family.from_picture, family.inpainter) == SIBLINGS.get(name, ("", ""))
    assert (info.image_to_image, info.inpaint) == (bool(family.from_picture), bool(family.inpainter))
    known = inspect.signature(getattr(diffusers, name).__call__).parameters
    assert info.negative_prompt == ("negative_prompt" in known)
    assert info.steps == known["num_inference_steps"].default
    assert info.guidance_scale == known[SCALES.get(name, "guidance_scale")].default
    refused: dict[str, tuple[Any, str]] = {
        "width": (info.min_size + 1, "The width must be a multiple of"),
        "steps": (0, "The number of steps must lie between 1 and 150"),
        "sampler": ("guess", f"{name} has no sampler 'guess'; choose one of default"),
        "stop": (0.5, f"{name} cannot stop early"),
        "tile": (True, f"{name} cannot paint a picture whose edges meet"),
    }
    if info.min_size == info.max_size:
        del refused["width"]
    if not info.image_to_image:
        refused["init"] = (InitImage(picture(32, 32), 0.5), f"{name} cannot start from a picture")
    if not info.negative_prompt:
        refused["negative_prompt"] = ("bad", f"{name} takes no negative prompt")
    for key, (value, sentence) in refused.items():
        with pytest.raises(InvalidSpec, match=sentence):
            check_spec(replace(order(info), **{key: value}), {name: info})


def test_sizes_are_those_that_the_folder_has_positions_for(folder: Callable[[str], Path]) -> None:
    """AuraFlow's call says 1024 pixels; a table of 4 x 4 patches of 16 pixels reaches to 64."""
    info = read_profile(ModelSource("a", folder("AuraFlowPipeline")), PIPELINES).info
    assert (info.native_size, info.size_multiple, info.min_size, info.max_size) == (64, 32, 32, 64)
    info = read_profile(ModelSource("v", folder("VQDiffusionPipeline")), PIPELINES).info
    assert (info.min_size, info.max_size) == (16, 16), "its call takes no size"


@pytest.mark.parametrize("name", NAMES)
def test_progress_previews_and_a_cancel_between_two_steps(
    folder: Callable[[str], Path], family: Callable[[str], StockPipeline], name: str
) -> None:
    registry = Registry({name: ModelSource(name, folder(name))})
    bench = Bench(registry, preview_interval=0.0)
    info = registry.models()[name]
    bench.core.submit(order(info, job_id="a", steps=3))
    for _ in range(2):
        bench.core.tick()
    told = [event for event in bench.events if isinstance(event, Progress)]
    assert [event.step for event in told] == [1, 2]
    least = 4 if name != "StableCascadeCombinedPipeline" else 60
    assert all(event.steps >= least for event in told)
    # Tokens and the embeddings of a prior are no colours.
    shown = name not in ("VQDiffusionPipeline", "StableCascadeCombinedPipeline")
    assert bool(told[-1].preview) == shown
    bench.core.cancel("a")
    assert isinstance(bench.events[-1], Cancelled) and not bench.core.busy
    bench.run(order(info, job_id="b", steps=1))
    assert bench.finished("b").images[0].size == (info.native_size,) * 2


def test_packed_latents_are_unpacked_for_previews(family: Callable[[str], StockPipeline]) -> None:
    here = family(CHROMA)
    latents = torch.randn((1, 4, 12, 8), generator=torch.Generator().manual_seed(1))
    packed = diffusers.ChromaPipeline._pack_latents(latents, 1, 4, 12, 8)
    job = order(here.profile.info, width=32, height=48)
    assert torch.equal(here._unpacked(packed, job), latents)


@pytest.mark.parametrize("name", [PAG, "HunyuanDiTPAGPipeline"])
def test_two_jobs_whose_pipelines_change_the_network_do_not_meet(
    family: Callable[[str], StockPipeline], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Perturbed-attention guidance puts its own attention in, and takes it out again at the end."""
    here = family(name)
    jobs = [order(here.profile.info), order(here.profile.info, steps=3, prompt="the sea")]
    alone = [painted(here, job) for job in jobs]

    def together() -> list[torch.Tensor]:
        courses = [here.begin(job, job.seeds) for job in jobs]
        while any(not course.done for course in courses):
            for course in courses:
                if not course.done:
                    course.take_turn(want_clean=False)
        return [torch.cat(course._pixels) for course in courses]

    for ours, expected in zip(together(), alone, strict=True):
        assert float((ours - expected).abs().max()) <= TOLERANCE
    shared = here.pipeline.components[here.profile.family.denoiser]
    assert not any("PAG" in type(each).__name__ for each in shared.attn_processors.values())
    monkeypatch.setattr(adapter, "changes_its_parts", lambda kind: False)
    with pytest.raises((AssertionError, RuntimeError, ValueError)):
        for ours, expected in zip(together(), alone, strict=True):
            assert float((ours - expected).abs().max()) <= TOLERANCE


def test_a_pipeline_that_fails_unguided_is_guided_by_nothing(family: Callable[[str], StockPipeline]) -> None:
    here = family("HunyuanDiTPAGPipeline")
    job = order(here.profile.info, guidance_scale=1.0)
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        stock(here, job, "HunyuanDiTPAGPipeline")
    unguided = painted(here, job)
    assert torch.equal(painted(here, replace(job, negative_prompt="the sea", guidance_scale=0.0)), unguided)
    assert float((painted(here, replace(job, guidance_scale=2.0)) - unguided).abs().max()) > TOLERANCE


def test_weights_are_shared_by_what_is_changed(family: Callable[[str], StockPipeline]) -> None:
    here = family(PAG)
    bound = here.bound(order(here.profile.info))
    assert bound.unet is not here.pipeline.unet and bound.vae is not None
    own = {parameter.data_ptr() for parameter in here.pipeline.unet.parameters()}
    assert {parameter.data_ptr() for parameter in bound.unet.parameters()} == own


def test_a_lora_of_a_pipeline_that_is_not_listed(folder: Callable[[str], Path], tmp_path: Path) -> None:
    name, file = "AuraFlowPipeline", tmp_path / "ink.safetensors"
    stem = "transformer.joint_transformer_blocks.0.attn.to_v"
    ink = {f"{stem}.lora_A.weight": torch.ones(2, 32), f"{stem}.lora_B.weight": torch.ones(32, 2)}
    save_file(ink, file)
    registry = Registry({name: ModelSource(name, folder(name), loras=(("ink", file),))})
    here: Any = registry.load(name, CPU, torch.float32)
    info = registry.models()[name]
    assert info.loras == ("ink",)
    plain, inked = order(info), order(info, loras=(("ink", 1.0),))
    first = painted(here, plain)
    assert float((painted(here, inked) - first).abs().max()) > 10 * TOLERANCE
    assert float((painted(here, plain) - first).abs().max()) <= TOLERANCE


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        ("WanPipeline", "which does not make pictures from a text"),
        ("AudioLDM2Pipeline", "which does not make pictures from a text"),
        ("TextToVideoZeroPipeline", "which does not make pictures from a text"),
        ("ShapEPipeline", "which does not make pictures from a text"),
        ("StableDiffusionLDM3DPipeline", "which does not make pictures from a text"),
        ("DDPMPipeline", "which does not make pictures from a text"),
        ("UnCLIPImageVariationPipeline", "which does not make pictures from a text"),
        ("FluxFillPipeline", "which needs more than a text, such as a picture"),
        ("QwenImageEditPipeline", "which needs more than a text, such as a picture"),
        ("StableDiffusionInstructPix2PixPipeline", "which needs more than a text, such as a picture"),
        ("StableDiffusionControlNetPipeline", "which needs more than a text, such as a picture"),
        ("IFSuperResolutionPipeline", "which needs more than a text, such as a picture"),
        ("KandinskyV22Pipeline", "which is one half of a KandinskyV22CombinedPipeline; save that"),
        ("StableCascadePriorPipeline", "which is one half of a StableCascadeCombinedPipeline; save that"),
        *((name, "which neither this engine nor the installed diffusers knows") for name in (
            "", "None", "os", "__name__", "utils", "DiffusionPipeline", "UNet2DModel", "MyPipeline",
            "AutoPipelineForText2Image", "OnnxStableDiffusionPipeline", "FluxModularPipeline", "a b",
        )),
    ],
)  # fmt: skip
def test_what_cannot_be_run_says_why(tmp_path: Path, architecture: str, sentence: str) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": architecture}))
    with pytest.raises(ModelUnavailable, match=f"model_index.json describes a {architecture}, {sentence}"):
        read_profile(ModelSource("mine", tmp_path), PIPELINES)


def test_a_name_of_any_kind_is_told_in_few_signs(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "\x1b[2J" + "A" * 10**6}))
    with pytest.raises(ModelUnavailable, match=r"describes a '\\x1b\[2JA{10,80}, which neither"):
        read_profile(ModelSource("mine", tmp_path), PIPELINES)


def test_a_folder_that_lacks_what_its_pipeline_is_made_of(
    folder: Callable[[str], Path], tmp_path: Path
) -> None:
    index = json.loads((folder(PAG) / "model_index.json").read_text())
    del index["unet"]
    with pytest.raises(
        ModelUnavailable, match=f"describes a {PAG}, and names no unet, which that is made of"
    ):
        unlisted(PAG, tmp_path / "model_index.json", index)


def test_a_part_of_a_model_is_missed(folder: Callable[[str], Path], tmp_path: Path) -> None:
    """Where the folder lacks what a sibling is made of, that is not offered."""
    index = json.loads((folder(PAG) / "model_index.json").read_text())
    assert unlisted(PAG, tmp_path / "model_index.json", index).image_to_image
    del index["feature_extractor"]
    assert not unlisted(PAG, tmp_path / "model_index.json", index).image_to_image


def test_a_folder_of_a_sibling_is_its_base_s(folder: Callable[[str], Path], tmp_path: Path) -> None:
    index = json.loads((folder(CHROMA) / "model_index.json").read_text())
    found = unlisted("ChromaInpaintPipeline", folder(CHROMA) / "model_index.json", index)
    assert found.pipelines == (CHROMA, "ChromaImg2ImgPipeline")


def test_options_that_are_lists_are_no_components(folder: Callable[[str], Path]) -> None:
    index = json.loads((folder(PAG) / "model_index.json").read_text())
    index["pag_applied_layers"] = ["mid"]
    (folder(PAG) / "model_index.json").write_text(json.dumps(index))
    assert Registry({"mine": ModelSource("mine", folder(PAG))}).load("mine", CPU, torch.float32)


def test_every_pipeline_that_is_taken_can_be_asked(tmp_path: Path) -> None:
    """Of all that diffusers exports: a prompt alone is enough, and a scheduler's steps give the turns."""
    taken = []
    for name in sorted(name for name in set(dir(diffusers)) - set(PIPELINES) if name.endswith("Pipeline")):
        kind = getattr(diffusers, name)
        try:
            parts = inspect.signature(kind).parameters
            found = unlisted(name, tmp_path / "model_index.json", dict.fromkeys(parts))
        except ModelUnavailable:
            continue
        known = inspect.signature(getattr(diffusers, found.pipelines[0]).__call__).parameters
        needed = [each for each in known.values() if each.default is each.empty]
        assert {each.name for each in needed if each.kind is each.POSITIONAL_OR_KEYWORD} <= {"self", "prompt"}
        assert any("scheduler" in part for part in parts), name
        taken.append(name)
    assert {"OmniGenPipeline", "HiDreamImagePipeline", "FluxKontextPipeline", "PRXPipeline"} <= set(taken)
    assert 40 < len(taken) < 90


def test_the_size_that_is_asked_for_is_painted(tmp_path: Path) -> None:
    """Where a pipeline would choose one of as many pixels as it was trained on; and a part that it has no
    place for may be named as one that is not there.
    """
    folder = flow_pipelines.build("flux", tmp_path / "flux")
    index = json.loads((folder / "model_index.json").read_text())
    changed = {**index, "_class_name": "FluxKontextPipeline", "refiner": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(changed))
    registry = Registry({"kontext": ModelSource("kontext", folder)})
    here: Any = registry.load("kontext", CPU, torch.float32)
    job = order(registry.models()["kontext"], width=48)
    assert painted(here, job).shape == (1, 3, 32, 48)
    assert float((painted(here, replace(job, negative_prompt="")) - painted(here, job)).abs().max()) > 1e-3


def test_foreign_code_is_never_loaded(folder: Callable[[str], Path], tmp_path: Path) -> None:
    index = json.loads((folder("LDMTextToImagePipeline") / "model_index.json").read_text())
    index["unet"] = ["my_code", "Evil"]
    own = shutil.copytree(folder("LDMTextToImagePipeline"), tmp_path / "own")
    (own / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelUnavailable, match="wants code from 'my_code' for its unet"):
        read_profile(ModelSource("mine", own), PIPELINES)


def test_beside_a_native_model(folder: Callable[[str], Path], tmp_path: Path) -> None:
    classic = pipelines.classic(tmp_path / "classic")
    bench = Bench(
        Registry({CHROMA: ModelSource(CHROMA, folder(CHROMA)), "classic": ModelSource("classic", classic)})
    )
    info = Registry({CHROMA: ModelSource(CHROMA, folder(CHROMA))}).models()[CHROMA]
    bench.run(order(info, job_id="a"), spec("b", "classic", user="bob"))
    assert bench.finished("a") and bench.finished("b")
