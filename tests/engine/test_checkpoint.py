"""Models in one file, as they are traded, with their configuration beside them; or refused by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.api import ModelUnavailable
from engine.models.family import PIPELINES
from engine.models.registry import Registry
from engine.profile import ModelSource, Profile, read_profile
from tests import pipelines
from tests.checkpoints import single_file
from tests.engine.company import CPU, TOLERANCE, Company, gap
from tests.engine.specs import spec


@pytest.fixture(scope="module")
def files(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Single files, each with its configuration in a folder of its name."""
    root = tmp_path_factory.mktemp("files")
    own = {
        "classic": folders["classic"],
        "xl": folders["xl"],
        "nine": pipelines.inpainter(root / "nine folder"),
        "two": pipelines.second(root / "two folder"),
    }
    return {
        name: single_file(folder, root / f"{name}.safetensors", old=name != "two")
        for name, folder in own.items()
    }


@pytest.fixture
def file(files: dict[str, Path], tmp_path: Path) -> Path:
    """A copy that may be broken."""
    shutil.copytree(files["classic"].with_suffix(""), tmp_path / "model")
    return Path(shutil.copy(files["classic"], tmp_path / "model.safetensors"))


def read(path: Path, **options: Path) -> Profile:
    return read_profile(ModelSource("mine", path, **options), PIPELINES)  # type: ignore[arg-type]


def refused(path: Path, **options: Path) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        read(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("model", ["classic", "xl", "nine", "two"])
def test_the_folder_s_pictures(
    folders: dict[str, Path], files: dict[str, Path], model: str, tmp_path: Path
) -> None:
    folder = folders.get(model) or files[model].parent / f"{model} folder"
    job = spec(model="one", seeds=(3,), steps=2)
    pixels = [
        Company(Registry({"one": ModelSource("one", path)})).run([job])[0] for path in (folder, files[model])
    ]
    assert gap(*pixels) <= TOLERANCE


def test_what_it_says_of_itself_is_what_the_folder_says(
    folders: dict[str, Path], files: dict[str, Path]
) -> None:
    for model in ("classic", "xl"):
        assert read(files[model]).info == read(folders[model]).info


def test_it_is_described_without_torch(files: dict[str, Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.models.family import PIPELINES;"
        "from engine.profile import ModelSource, read_profile;"
        f"print(read_profile(ModelSource('mine', Path({str(files['xl'])!r})), PIPELINES).info.family);"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "sdxl"


@pytest.mark.parametrize("place", ["model", "config", "."])
def test_its_configuration_lies_beside_it(files: dict[str, Path], tmp_path: Path, place: str) -> None:
    shutil.copytree(files["xl"].with_suffix(""), tmp_path / place, dirs_exist_ok=True)
    file = Path(shutil.copy(files["xl"], tmp_path / "model.safetensors"))
    assert read(file).info.family == "sdxl"


def test_its_configuration_may_be_named_and_may_have_weights(
    folders: dict[str, Path], files: dict[str, Path], tmp_path: Path
) -> None:
    """Those of the file go first."""
    state = {name: weight + 0.01 for name, weight in load_file(files["classic"]).items()}
    changed = tmp_path / "model.safetensors"
    save_file(state, changed)
    sources = [
        ModelSource("one", folders["classic"]),
        ModelSource("one", files["classic"], config=folders["classic"]),
        ModelSource("one", changed, config=folders["classic"]),
    ]
    job = spec(model="one", seeds=(3,), steps=2)
    whole, same, other = (Company(Registry({"one": source})).run([job])[0] for source in sources)
    assert gap(whole, same) <= TOLERANCE
    assert gap(whole, other) > 1e-3


def test_a_configuration_that_brings_a_checker(
    folders: dict[str, Path], files: dict[str, Path], tmp_path: Path
) -> None:
    """As published folders do; it does not paint, and its class is no library's."""
    folder = Path(shutil.copytree(folders["classic"], tmp_path / "model"))
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "safety_checker").mkdir()
    save_file({"a": torch.zeros(1)}, folder / "safety_checker" / "model.safetensors")
    source = ModelSource("mine", files["classic"], config=folder)
    assert Registry({"mine": source}).load("mine", CPU, torch.float32)


def test_a_folder_with_the_file_inside(files: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(files["classic"].with_suffix(""), tmp_path / "model"))
    shutil.copy(files["classic"], folder / "any name.safetensors")
    assert read(folder).source.checkpoint == folder / "any name.safetensors"


def test_what_the_file_does_not_hold_comes_from_the_folder(folders: dict[str, Path], file: Path) -> None:
    state = load_file(file)
    save_file({key: value for key, value in state.items() if not key.startswith("first_stage_model")}, file)
    folder = file.with_suffix("")
    assert refused(file) == (
        f"{file} holds no vae, and {folder / 'vae'} has no .safetensors file; copy one there."
    )
    shutil.copytree(folders["classic"] / "vae", folder / "vae", dirs_exist_ok=True)
    job = spec(model="one", seeds=(3,), steps=2)
    pixels = [
        Company(Registry({"one": ModelSource("one", path)})).run([job])[0]
        for path in (folders["classic"], file)
    ]
    assert gap(*pixels) <= TOLERANCE


def test_loras_are_sorted_out_by_its_layers(file: Path, tmp_path: Path) -> None:
    fit, wide = tmp_path / "fit.safetensors", tmp_path / "wide.safetensors"
    layer = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k.lora_down.weight"
    save_file({layer: torch.ones(2, 32)}, fit)
    save_file({layer: torch.ones(2, 77)}, wide)
    profile = read_profile(ModelSource("mine", file, loras=(("fit", fit), ("wide", wide))), PIPELINES)
    assert profile.info.loras == ("fit",)
    assert "takes 77 values, and this model's 32" in profile.info.unfit_loras["wide"]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def pickled(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")


def lora(file: Path) -> None:
    save_file({"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": torch.ones(2, 9)}, file)


def strange(file: Path) -> None:
    save_file({"weight": torch.ones(2)}, file)


def no_index(file: Path) -> None:
    (file.with_suffix("") / "model_index.json").unlink()


def wider(file: Path) -> None:
    config = file.with_suffix("") / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "cross_attention_dim": 99}))


@pytest.mark.parametrize(
    ("breaks", "sentence"),
    [
        (Path.unlink, "{file} is missing; put the model there, or mend its path"),
        (cut, "{file} is cut short: "),
        (lambda file: file.write_bytes(b""), "{file} is not a whole safetensors file; copy it again"),
        (lambda file: file.write_bytes(b"\x07" * 99), "{file} is not a whole safetensors file"),
        (pickled, "{file} is a pickle, which is never loaded; convert the model to safetensors"),
        (lora, "{file} holds no Stable Diffusion 1.x, 2.x model, as {folder}/model_index.json says; it is a "
         "LoRA; put it into [engine] loras_dir"),
        (strange, "it is nothing that this engine knows. Choose another file, or the configuration that"),
        (no_index, "{file} needs its model's configuration: {folder}/model_index.json or "),
        (wider, "{file} does not fit {folder}/unet/config.json: its UNet attends to 32 values of text, not"),
    ],
    ids=["missing", "cut", "empty", "noise", "pickle", "lora", "strange", "no config", "other config"],
)  # fmt: skip
def test_a_file_that_cannot_be_used_names_itself(
    file: Path, breaks: Callable[[Path], object], sentence: str
) -> None:
    breaks(file)
    said = refused(file)
    assert sentence.format(file=file, folder=file.with_suffix("")) in said
    assert str(file) in said
    assert "mine" in Registry({"mine": ModelSource("mine", file)}).faults


def test_a_pickle_is_refused_by_its_name_too(file: Path) -> None:
    other = file.rename(file.with_suffix(".ckpt"))
    assert refused(other) == f"{other} is a pickle, which is never loaded; convert the model to safetensors."


def test_one_architecture_under_the_configuration_of_another(files: dict[str, Path]) -> None:
    said = refused(files["classic"], config=files["xl"].with_suffix(""))
    assert (
        f"{files['classic']} holds no SDXL model" in said and "looks like a model of the family sd1" in said
    )
    said = refused(files["xl"], config=files["classic"].with_suffix(""))
    assert f"{files['xl']} does not fit" in said and "its UNet attends to 72 values of text, not 32" in said
    said = refused(files["nine"], config=files["classic"].with_suffix(""))
    assert "its denoiser takes 9 channels, not 4" in said


def test_weights_that_are_not_there_are_not_made_up(file: Path) -> None:
    """What no header check finds is found when the model is loaded, and ends nothing else."""
    state = load_file(file)
    missing = "model.diffusion_model.middle_block.0.in_layers.2.weight"
    save_file({key: value for key, value in state.items() if key != missing}, file)
    registry = Registry({"mine": ModelSource("mine", file)})
    with pytest.raises(ModelUnavailable) as caught:
        registry.load("mine", CPU, torch.float32)
    assert str(caught.value) == (
        f"{file} lacks weights that {file.with_suffix('')} describes; choose another file, or the "
        "configuration that fits it."
    )


def test_weights_of_a_text_encoder_that_are_not_there(file: Path) -> None:
    state = load_file(file)
    missing = "cond_stage_model.transformer.text_model.final_layer_norm.bias"
    save_file({key: value for key, value in state.items() if key != missing}, file)
    with pytest.raises(ModelUnavailable, match=f"{file} lacks 1 weights of the text_encoder that"):
        Registry({"mine": ModelSource("mine", file)}).load("mine", CPU, torch.float32)


@pytest.mark.parametrize("part", ["unet", "vae"])
def test_weights_of_a_folder_that_are_not_there(folders: dict[str, Path], tmp_path: Path, part: str) -> None:
    """Its component is named, and the first of what it lacks."""
    folder = Path(shutil.copytree(folders["classic"], tmp_path / "model"))
    weights = folder / part / "diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    missing = next(key for key in state if "conv_in" in key)
    save_file({key: weight for key, weight in state.items() if key != missing}, weights)
    with pytest.raises(ModelUnavailable) as caught:
        Registry({"mine": ModelSource("mine", folder)}).load("mine", CPU, torch.float32)
    assert str(caught.value) == (
        f"{folder / part} lacks 1 weights that its config.json describes, {missing} for one; copy the "
        "model's folder again."
    )


def test_old_names_of_parts_are_understood(folders: dict[str, Path], tmp_path: Path) -> None:
    """transformers has no CLIPFeatureExtractor any more; folders of Stable Diffusion 1.x name it."""
    folder = Path(shutil.copytree(folders["classic"], tmp_path / "model"))
    index = json.loads((folder / "model_index.json").read_text())
    index["feature_extractor"] = ["transformers", "CLIPFeatureExtractor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    assert Registry({"mine": ModelSource("mine", folder)}).load("mine", CPU, torch.float32)


def test_a_text_encoder_of_another_kind(folders: dict[str, Path], tmp_path: Path) -> None:
    """transformers would draw what it does not find."""
    folder = Path(shutil.copytree(folders["classic"], tmp_path / "model"))
    weights = folder / "text_encoder" / "model.safetensors"
    save_file({f"other.{key}": weight for key, weight in load_file(weights).items()}, weights)
    with pytest.raises(ModelUnavailable, match=r"text_encoder lacks \d+ weights that its config.json"):
        Registry({"mine": ModelSource("mine", folder)}).load("mine", CPU, torch.float32)


def test_weights_of_another_shape(file: Path) -> None:
    state = load_file(file)
    state["model.diffusion_model.out.2.bias"] = torch.ones(9)
    save_file(state, file)
    with pytest.raises(ModelUnavailable, match=f"{file} cannot be loaded: .*conv_out"):
        Registry({"mine": ModelSource("mine", file)}).load("mine", CPU, torch.float32)


def test_a_family_that_has_no_single_files(files: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(files["classic"].with_suffix(""), tmp_path / "kolors"))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": "KolorsPipeline"}))
    assert refused(files["classic"], config=folder) == (
        f"{files['classic']} cannot be read as one file: Kolors models are loaded from their diffusers "
        "folder."
    )


def test_the_size_of_a_single_file_is_its_own(files: dict[str, Path], folders: dict[str, Path]) -> None:
    registry = Registry({"one": ModelSource("one", files["classic"], config=folders["classic"])})
    assert registry._size(("one", "torch.float32")) == files["classic"].stat().st_size
