"""Model folders: what they say, and every way in which they can be broken, by its sentence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from engine import weights
from engine.api import ModelUnavailable
from engine.models.family import PIPELINES
from engine.models.registry import Registry
from engine.profile import ModelSource, Profile, read_profile
from tests.pipelines import describe

CPU = torch.device("cpu")
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy that may be broken."""
    return Path(shutil.copytree(folders["classic"], tmp_path / "model"))


def read(folder: Path, **overrides: object) -> Profile:
    return read_profile(ModelSource("mine", folder, **overrides), PIPELINES)  # type: ignore[arg-type]


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_folder_without_tessera_json(folder: Path) -> None:
    info = read(folder).info
    assert (info.name, info.family, info.native_size, info.size_multiple) == ("mine", "sd1", 64, 8)
    assert (info.min_size, info.max_size, info.upscale) == (32, 128, 1)
    assert (info.steps, info.guidance_scale, info.sampler) == (25, 7.5, "pndm")
    assert "euler a" in info.samplers


def test_what_the_folder_says(folder: Path) -> None:
    describe(
        folder, native_size=32, shown_size=128, steps=8, guidance_scale=2, sampler="unipc", description="x"
    )
    info = read(folder).info
    assert (info.native_size, info.upscale, info.steps, info.guidance_scale) == (32, 4, 8, 2.0)
    assert (info.sampler, info.description) == ("unipc", "x")


def test_what_the_operator_says_goes_first(folder: Path) -> None:
    describe(folder, steps=8, sampler="unipc", max_size=64)
    info = read(folder, steps=30, sampler="euler a", max_size=100).info
    assert (info.steps, info.sampler, info.max_size) == (30, "euler a", 96)


def test_samplers_follow_the_prediction_type(folders: dict[str, Path]) -> None:
    assert "euler a" not in read(folders["sample"]).info.samplers
    assert read(folders["sample"]).info.sampler == "ddim"


Break = Callable[[Path], object]


def unlink(file: str, folder: Path) -> None:
    (folder / file).unlink()


BROKEN: list[tuple[str, Break, str]] = [
    ("no folder", shutil.rmtree, r"Model 'mine': there is no folder .*/model; put the model there"),
    ("no index", lambda f: (f / "model_index.json").unlink(), r"model_index.json is missing; copy"),
    (
        "bad JSON",
        lambda f: (f / "unet/config.json").write_text("{"),
        r"unet/config.json cannot be read as JSON",
    ),
    ("a list", lambda f: (f / "vae/config.json").write_text("[]"), r"vae/config.json is not a JSON object"),
    (
        "another architecture",
        lambda f: edit(f / "model_index.json", _class_name="WanPipeline"),
        r"model_index.json describes a WanPipeline, which does not make pictures from a text; choose",
    ),
    (
        "foreign code",
        lambda f: edit(f / "model_index.json", unet=["my_code", "Evil"]),
        r"wants code from 'my_code' for its unet; only diffusers and transformers are trusted",
    ),
    (
        "foreign code for what may be left out",
        lambda f: edit(f / "model_index.json", image_encoder=["my_code", "Evil"]),
        r"wants code from 'my_code' for its image_encoder; only diffusers and transformers are trusted",
    ),
    (
        "a name that no disk takes",
        lambda f: edit(f / "model_index.json", **{"a" * 5000: ["diffusers", "AutoencoderKL"]}),
        r"^The files of .*/model make no sense together \(OSError.{0,400}\)\.$",
    ),
    ("no component", lambda f: shutil.rmtree(f / "vae"), r"/vae is missing; copy"),
    ("no weights", lambda f: (f / WEIGHTS).unlink(), r"/unet has no .safetensors file; copy"),
    (
        "a pickle",
        lambda f: (f / WEIGHTS).rename(f / "unet/diffusion_pytorch_model.bin"),
        r"diffusion_pytorch_model.bin is a pickle, which is never loaded; convert",
    ),
    (
        "cut short",
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-7]),
        r"unet/diffusion_pytorch_model.safetensors is cut short: [\d,]+ of [\d,]+ bytes; copy it again",
    ),
    (
        "a description without end",
        lambda f: os.truncate(f / "unet/config.json", 2**26 + 1),
        r"unet/config.json has 67,108,865 bytes, too many for what it is to say",
    ),
    ("empty", lambda f: (f / WEIGHTS).write_bytes(b""), r"is not a whole safetensors file; copy it again"),
    ("noise", lambda f: (f / WEIGHTS).write_bytes(b"\x07" * 99), r"is not a whole safetensors file"),
    (
        "a header of another kind",
        lambda f: (f / WEIGHTS).write_bytes(b'\x09\0\0\0\0\0\0\0{"a": {}}'),
        r"unet/diffusion_pytorch_model.safetensors is not a whole safetensors file; copy it again",
    ),
    (
        "a list of weights without files",
        lambda f: (f / f"{WEIGHTS}.index.json").write_text('{"weight_map": [1]}'),
        r"unet/diffusion_pytorch_model.safetensors.index.json names no files in its weight_map; copy it",
    ),
    (
        "a tokenizer cut short",
        lambda f: os.truncate(f / "tokenizer/tokenizer.json", 99),
        r"tokenizer/tokenizer.json cannot be read as JSON: .*; copy it again",
    ),
    (
        "a description too deep",
        lambda f: (f / "tokenizer/tokenizer_config.json").write_text('{"a":' * 9999 + "1" + "}" * 9999),
        r"tokenizer/tokenizer_config.json cannot be read as JSON: maximum recursion",
    ),
    *(
        (f"no {file}", partial(unlink, file), rf"/{file} is missing; copy the model's folder again")
        for file in (
            "text_encoder/config.json",
            "tokenizer/tokenizer_config.json",
            "scheduler/scheduler_config.json",
        )
    ),
    (
        "a VAE of another model",
        lambda f: edit(f / "vae/config.json", latent_channels=16),
        r"/vae/config.json is of another model than .*/unet/config.json: it gives 16 channels, and",
    ),
    (
        "a text encoder of another model",
        lambda f: edit(f / "text_encoder/config.json", hidden_size=64),
        r"/text_encoder/config.json is of another model than .*: it gives 64 values of text, and that",
    ),
    (
        "unknown sampler",
        lambda f: describe(f, sampler="guess"),
        r"Model 'mine' has no sampler 'guess'; choose one of ddim, ",
    ),
    (
        "no size",
        lambda f: describe(f, native_size="big"),
        r"native_size must be a positive number, not 'big'",
    ),
]


@pytest.mark.parametrize(
    ("breaks", "sentence"), [item[1:] for item in BROKEN], ids=[item[0] for item in BROKEN]
)
def test_broken_folders_name_the_file(folder: Path, breaks: Break, sentence: str) -> None:
    breaks(folder)
    with pytest.raises(ModelUnavailable, match=sentence):
        read(folder)
    assert "mine" in Registry({"mine": ModelSource("mine", folder)}).faults


def test_a_header_without_end_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MOST_HEADER", 99)
    with pytest.raises(ModelUnavailable, match="safetensors is not a whole safetensors file; copy it again"):
        read(folder)


def test_a_checker_of_another_s_code_is_never_loaded(folder: Path) -> None:
    """So a folder may name one, as the hub's may; a pull leaves it out."""
    edit(folder / "model_index.json", safety_checker=["my_code", "Checker"])
    assert Registry({"mine": ModelSource("mine", folder)}).load("mine", CPU, torch.float32)


@pytest.mark.parametrize(
    "foul", [{"steps": {}}, {"latent_rgb": 5}, {"native_size": "x"}, {"shown_size": 1e400}]
)
def test_foul_descriptions_stop_no_other_model(folder: Path, tmp_path: Path, foul: dict[str, object]) -> None:
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    (folder / "tessera.json").write_text(json.dumps(foul))
    edit(folder / "unet" / "config.json", block_out_channels=[{}], sample_size="wide")
    with pytest.raises(ModelUnavailable):
        read(folder)
    registry = Registry({"foul": ModelSource("foul", folder), "whole": ModelSource("whole", whole)})
    assert list(registry.models()) == ["whole"] and "foul" in registry.faults
