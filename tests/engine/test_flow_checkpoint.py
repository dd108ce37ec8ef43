"""Transformers in one file, in the layouts that they are traded in: the pictures of the diffusers folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers
from safetensors.torch import load_file, save_file

from engine.api import ModelUnavailable
from engine.models.family import PIPELINES
from engine.models.registry import Registry
from engine.profile import ModelSource, read_profile
from tests import flow_pipelines
from tests.checkpoints import flux_file, plain_file, sd3_file, z_image_file
from tests.engine.company import CPU, TOLERANCE, Company, gap
from tests.engine.specs import spec

PREFIX = "model.diffusion_model."
ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
Write = Callable[[Any, Path], Path]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' conversion knows FLUX's own width only; here, that of the tiny one and no other change."""
    convert = convert_flux_transformer_checkpoint_to_diffusers
    constants = tuple(16 if constant == 3072 else constant for constant in convert.__code__.co_consts)
    assert constants != convert.__code__.co_consts
    monkeypatch.setattr(convert, "__code__", convert.__code__.replace(co_consts=constants))


def pipeline_of(name: str, **options: Any) -> Any:
    torch.manual_seed(21)
    pipeline = flow_pipelines.BUILDERS[name](**options)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            for weight in part.parameters():
                if weight.ndim == 1:  # norms and biases begin as ones and zeros, which could change places
                    torch.nn.init.normal_(weight, 0.5, 0.3)
    return pipeline


def same_pictures(pipeline: Any, tmp_path: Path, write: Write) -> Path:
    """The file's are the folder's; another seed's are not."""
    pipeline.save_pretrained(tmp_path / "folder")
    file = write(pipeline, tmp_path / "model.safetensors")
    job = spec(model="one", seeds=(3,), steps=2, width=32, height=48, sampler="euler")
    folder, single = (
        Company(Registry({"one": ModelSource("one", path, native_size=32)}))
        for path in (tmp_path / "folder", file)
    )
    assert gap(folder.run([job])[0], single.run([job])[0]) <= TOLERANCE
    assert (
        gap(
            folder.run([spec(model="one", seeds=(4,), steps=2, width=32, height=48, sampler="euler")])[0],
            single.run([job])[0],
        )
        > 100 * TOLERANCE
    )
    return file


@pytest.mark.parametrize("name", ["flux", "schnell"])
@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_flux_s_transformer_alone(name: str, prefix: str, tmp_path: Path) -> None:
    file = same_pictures(pipeline_of(name), tmp_path, lambda made, file: flux_file(made, file, prefix))
    assert read(file).held == {"transformer"}


def test_flux_with_everything_inside(tmp_path: Path) -> None:
    file = same_pictures(
        pipeline_of("flux"), tmp_path, lambda made, file: flux_file(made, file, PREFIX, whole=True)
    )
    assert read(file).held == {"transformer", "vae", "text_encoder", "text_encoder_2"}


@pytest.mark.parametrize("inside", [(), ENCODERS[:2], ENCODERS])
def test_sd3_with_and_without_its_encoders(inside: tuple[str, ...], tmp_path: Path) -> None:
    pipeline = pipeline_of("sd3")
    with torch.no_grad():
        pipeline.text_encoder.text_projection.weight.copy_(torch.eye(12))
    file = same_pictures(pipeline, tmp_path, lambda made, file: sd3_file(made, file, inside))
    assert read(file).held == {"transformer", "vae", *inside}


def test_sd3_whose_configuration_goes_without_t5(tmp_path: Path) -> None:
    pipeline = pipeline_of("sd3", missing=("text_encoder_3", "tokenizer_3"))
    with torch.no_grad():
        pipeline.text_encoder.text_projection.weight.copy_(torch.eye(12))
    same_pictures(pipeline, tmp_path, sd3_file)


@pytest.mark.parametrize("prefix", ["", PREFIX])
@pytest.mark.parametrize(("name", "write"), [("z-image", z_image_file), ("qwen-image", plain_file)])
def test_z_image_and_qwen_image(name: str, write: Callable[..., Path], prefix: str, tmp_path: Path) -> None:
    file = same_pictures(pipeline_of(name), tmp_path, lambda made, file: write(made, file, prefix))
    assert read(file).held == {"transformer"}


def read(path: Path) -> Any:
    return read_profile(ModelSource("mine", path), PIPELINES)


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        read_profile(ModelSource("mine", path, **options), PIPELINES)
    return str(caught.value)


def changed(file: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """The file with other weights; what ``change`` does stays."""
    state = load_file(file)
    change(state)
    save_file(state, file)
    return file


def configured(file: Path, **values: Any) -> Path:
    """Its transformer's configuration, which says otherwise now."""
    config = file.with_suffix("") / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **values}))
    return config


def test_fp8_is_read_as_the_numbers_that_it_holds(tmp_path: Path) -> None:
    """Without scales beside it, as ComfyUI's FLUX is traded."""
    pipeline = pipeline_of("flux")
    with torch.no_grad():
        for weight in pipeline.transformer.parameters():
            weight.copy_(weight.to(torch.float8_e4m3fn).float())

    def write(made: Any, file: Path) -> Path:
        narrowed = {
            key: weight.to(torch.float8_e4m3fn) for key, weight in load_file(flux_file(made, file)).items()
        }
        save_file(narrowed, file)
        return file

    same_pictures(pipeline, tmp_path, write)


def test_scaled_numbers_are_refused(tmp_path: Path) -> None:
    file = flux_file(pipeline_of("flux"), tmp_path / "flux.safetensors")
    name = "double_blocks.0.img_attn.qkv.scale_weight"
    changed(file, lambda state: state.update({name: torch.ones(1)}))
    assert refused(file) == (
        f"{file} is quantised ({name}), which is not read; choose the file in bf16, fp16 or plain fp8."
    )


def test_a_file_with_more_than_its_configuration_says(tmp_path: Path) -> None:
    """diffusers would leave the rest out, and paint something else."""
    file = flux_file(pipeline_of("flux"), tmp_path / "flux.safetensors")
    config = configured(file, guidance_embeds=False)
    told = f"{file} does not fit {config}: "
    assert refused(file) == f"{told}it takes a guidance scale (FLUX.1 dev), which guidance_embeds denies."
    configured(file, guidance_embeds=True, num_single_layers=0)
    assert refused(file) == f"{told}it has 1 single_blocks, not 0."
    configured(file, num_single_layers=1, num_layers=2)
    assert refused(file) == f"{told}it has 1 double_blocks, not 2."
    configured(file, num_layers=1, in_channels=96)
    assert refused(file) == f"{told}its denoiser takes 16 channels, not 96."


@pytest.mark.parametrize(
    ("name", "write", "missing"),
    [
        ("flux", flux_file, "guidance_in.in_layer.bias"),
        ("flux", flux_file, "double_blocks.0.img_attn.proj.bias"),
        ("z-image", z_image_file, "layers.0.attention.out.weight"),
        ("qwen-image", plain_file, "transformer_blocks.0.attn.to_q.weight"),
    ],
)
def test_weights_that_are_not_there(name: str, write: Write, missing: str, tmp_path: Path) -> None:
    file = changed(write(pipeline_of(name), tmp_path / "model.safetensors"), lambda state: state.pop(missing))
    with pytest.raises(ModelUnavailable) as caught:
        Registry({"mine": ModelSource("mine", file)}).load("mine", CPU, torch.float32)
    assert str(caught.value).startswith(f"{file} lacks ")
    assert str(caught.value).endswith("; choose another file, or the configuration that fits it.")


def test_the_configuration_of_another_family(tmp_path: Path) -> None:
    files = {
        name: write(pipeline_of(name), tmp_path / f"{name}.safetensors")
        for name, write in (("flux", flux_file), ("z-image", z_image_file), ("qwen-image", plain_file))
    }
    for name, file in files.items():
        for other in files.keys() - {name}:
            said = refused(file, config=files[other].with_suffix(""))
            assert f"it looks like a model of the family {name}. Choose another file, or the" in said


def test_a_family_whose_single_files_nobody_reads(tmp_path: Path) -> None:
    file = flux_file(pipeline_of("flux"), tmp_path / "flux.safetensors")
    flow_pipelines.build("cogview4", tmp_path / "cogview4")
    assert refused(file, config=tmp_path / "cogview4") == (
        f"{file} cannot be read as one file: CogView4 models are loaded from their diffusers folder."
    )


@pytest.mark.parametrize(
    ("name", "write"),
    [("flux", flux_file), ("sd3", sd3_file), ("z-image", z_image_file), ("qwen-image", plain_file)],
)
def test_a_lora_in_diffusers_names_fits_a_single_file(name: str, write: Write, tmp_path: Path) -> None:
    """Of every layer that diffusers' loader takes, and it does to the file what it does to the folder."""
    pipeline = pipeline_of(name)
    if name == "sd3":
        with torch.no_grad():
            pipeline.text_encoder.text_projection.weight.copy_(torch.eye(12))
    state: dict[str, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(8)
    for layer, module in pipeline.transformer.named_modules():
        if (
            isinstance(module, torch.nn.Linear)
            and ".0." in layer
            and ("attn" in layer or "attention" in layer or "ff" in layer)
        ):
            down = torch.randn((2, module.in_features), generator=generator) * 0.3
            up = torch.randn((module.out_features, 2), generator=generator) * 0.3
            state |= {f"transformer.{layer}.lora_A.weight": down, f"transformer.{layer}.lora_B.weight": up}
    fits, wide = tmp_path / "fits.safetensors", tmp_path / "wide.safetensors"
    save_file(state, fits)
    save_file(
        {key: torch.cat([weight, weight], 1) if "lora_A" in key else weight for key, weight in state.items()},
        wide,
    )
    pipeline.save_pretrained(tmp_path / "folder")
    file = write(pipeline, tmp_path / "model.safetensors")
    loras = (("fits", fits), ("wide", wide))
    job: dict[str, Any] = {
        "model": "one",
        "seeds": (3,),
        "steps": 2,
        "width": 32,
        "height": 32,
        "sampler": "euler",
    }
    pictures = []
    for path in (tmp_path / "folder", file):
        registry = Registry({"one": ModelSource("one", path, native_size=32, loras=loras)})
        assert registry.models()["one"].loras == ("fits",)
        assert "was made for another kind of model" in registry.models()["one"].unfit_loras["wide"]
        company = Company(registry)
        pictures += [company.run([spec(**job, loras=worn)])[0] for worn in ((("fits", 0.8),), ())]
    worn, plain, worn_too, _ = pictures
    assert gap(worn, worn_too) <= TOLERANCE
    assert gap(worn, plain) > 100 * TOLERANCE
