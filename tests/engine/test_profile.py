"""Model folders: what they say, and every way in which they can be broken, by its sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.api import ModelUnavailable
from engine.models.family import PIPELINES
from engine.models.registry import Registry
from engine.profile import ModelSource, Profile, read_profile
from tests.pipelines import describe

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
    ("empty", lambda f: (f / WEIGHTS).write_bytes(b""), r"is not a whole safetensors file; copy it again"),
    ("noise", lambda f: (f / WEIGHTS).write_bytes(b"\x07" * 99), r"is not a whole safetensors file"),
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


@pytest.mark.parametrize(
    "foul", [{"steps": {}}, {"latent_rgb": 5}, {"native_size": "x"}, {"shown_size": 1e400}]
)
def test_foul_descriptions_stop_no_other_model(folder: Path, tmp_path: Path, foul: dict[str, object]) -> None:
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    (folder / "tessera.json").write_text(json.dumps(foul))
    edit(folder / "unet" / "config.json", block_out_channels=[{}], sample_size="wide")
    registry = Registry({"foul": ModelSource("foul", folder), "whole": ModelSource("whole", whole)})
    assert list(registry.models()) == ["whole"] and "foul" in registry.faults
