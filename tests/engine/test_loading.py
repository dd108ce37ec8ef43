"""Parts of a folder that are whole by themselves and cannot be painted with: each is named when loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.api import ModelUnavailable
from engine.models.registry import Registry
from engine.profile import ModelSource
from tests import flow_pipelines, stock_pipelines

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore")  # Kolors' tokenizer is of an older transformers


@pytest.fixture(scope="module")
def kinds(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of each way of loading: native, native by flow matching, stock."""
    root = tmp_path_factory.mktemp("kinds")
    return {
        "classic": folders["classic"],
        "sd3": flow_pipelines.build("sd3", root / "sd3"),
        "pixart-sigma": stock_pipelines.build("pixart-sigma", root / "pixart"),
        "kolors": stock_pipelines.build("kolors", root / "kolors"),
    }


def wider(part: str, key: str) -> Callable[[Path], None]:
    """One of the weights has another shape."""

    def breaks(folder: Path) -> None:
        (file,) = (folder / part).glob("*.safetensors")
        weights = load_file(file)
        name = next(name for name in weights if key in name)
        save_file({**weights, name: torch.ones(7, 7)}, file, {"format": "pt"})

    return breaks


def edited(file: str, **changes: object) -> Callable[[Path], None]:
    def breaks(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return breaks


def wordless(folder: Path) -> None:
    (folder / "tokenizer" / "tokenizer.json").unlink()


def wordy(folder: Path) -> None:
    """As of a model that knows more words."""
    path = folder / "tokenizer" / "tokenizer.json"
    told = json.loads(path.read_text())
    words = told["model"]["vocab"]
    words.update({f"more{number}": number for number in range(len(words), 500)})
    path.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("model", "breaks", "sentence"),
    [
        ("classic", wider("unet", "conv_in.weight"), "{folder}/unet cannot be loaded: .*conv_in.weight exp"),
        ("sd3", wider("transformer", "proj.weight"), "{folder}/transformer cannot be loaded: .*expected"),
        ("pixart-sigma", wider("vae", "conv_in.weight"), "{folder}/vae cannot be loaded: .*conv_in.weight"),
        ("sd3", wider("text_encoder_2", "token_embedding"),
         r"{folder}/text_encoder_2 holds weights of another shape than its config.json describes, \S*"
         r"token_embedding.weight of \(7, 7\) and not \(200, 16\) for one; copy the model's folder again"),
        ("classic", edited("scheduler/scheduler_config.json", beta_schedule="x"),
         "{folder}/scheduler cannot be loaded: x is not implemented .*; copy the model's folder again"),
        ("pixart-sigma", edited("tokenizer/tokenizer_config.json", eos_token=[1]),
         "{folder}/tokenizer cannot be loaded: Special token eos_token has to be .*; copy the model's"),
        ("classic", wordless, "{folder}/tokenizer has none of merges.txt, tokenizer.json, vocab.json; copy"),
        ("pixart-sigma", wordless, "{folder}/tokenizer has none of spiece.model, tokenizer.json; copy"),
        ("kolors", lambda folder: (folder / "tokenizer" / "tokenizer.model").unlink(),
         "{folder}/tokenizer has none of tokenizer.model; copy the model's folder again"),
        ("classic", wordy, r"{folder}/tokenizer knows 500 words, and its text encoder \d+: they are"),
        ("classic", edited("tokenizer/tokenizer_config.json", model_max_length=-3),
         "{folder}/tokenizer/tokenizer_config.json gives a model_max_length of -3, and its text encoder"),
        ("sd3", edited("tokenizer/tokenizer_config.json", model_max_length=154),
         "{folder}/tokenizer/tokenizer_config.json gives a model_max_length of 154, and"),
    ],
)  # fmt: skip
def test_a_part_that_cannot_be_used_is_named(
    kinds: dict[str, Path], tmp_path: Path, model: str, breaks: Callable[[Path], None], sentence: str
) -> None:
    folder = Path(shutil.copytree(kinds[model], tmp_path / "model"))
    breaks(folder)
    registry = Registry({"mine": ModelSource("mine", folder)})
    assert not registry.faults
    with pytest.raises(ModelUnavailable, match=sentence.replace("{folder}", str(folder))):
        registry.load("mine", CPU, torch.float32)
