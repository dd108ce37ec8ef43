"""``tessera models``: from a hub's name in the configuration to a model that is listed, checked, removed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bot.__main__ as commands
from bot.config import SKETCH_MODEL
from tests.hub import REPO, REVISION, Mirror, serving

Tessera = Callable[..., tuple[int, str, str]]
NOT_YET = "Model 'mine' is not downloaded yet; type: tessera models pull mine"


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    files = {str(path.relative_to(SKETCH_MODEL)): path for path in SKETCH_MODEL.rglob("*") if path.is_file()}
    here = Mirror({name: path.read_bytes() for name, path in files.items()})
    with serving(here):
        yield here


@pytest.fixture
def tessera(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Tessera]:
    (tmp_path / "config.toml").write_text(
        f'[hub]\nmirrors = ["{mirror.address}"]\n'
        f'[models.mine]\nhub = "{REPO}"\nrevision = "{REVISION}"\n[models.own]\npath = "{SKETCH_MODEL}"\n'
    )
    monkeypatch.setenv("TESSERA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before = (root.handlers[:], root.level)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tessera", "models", *words, "--config", "config.toml"])
        with pytest.raises(SystemExit) as ended:
            commands.main()
        captured = capfd.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    yield run
    root.handlers[:], root.level = before
    logging.captureWarnings(False)


def test_a_model_s_life(tessera: Tessera, tmp_path: Path) -> None:
    assert f"mine: NOT USABLE: {NOT_YET}" in tessera("list")[1]
    assert tessera("check", "mine") == (1, f"FAIL mine: {NOT_YET}\n", "")
    code, out, _ = tessera("pull")
    assert code == 0 and out.startswith("mine: 0.0 GB, complete in ") and "own" not in out
    assert "mine: sd1, " in tessera("list")[1]
    code, out, _ = tessera("check")
    assert code == 0 and [line[:10] for line in out.splitlines()] == [
        "ok   mine:",
        "ok   own: ",
        "ok   sketc",
    ]
    weights = next((tmp_path / "data" / "models" / "mine" / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    code, out, _ = tessera("check", "mine")
    assert code == 1 and f"{weights} has " in out and "type: tessera models pull mine" in out
    assert tessera("pull", "mine")[0] == 0
    code, out, _ = tessera("remove", "mine")
    assert code == 0 and "`tessera models pull mine` brings it back" in out
    assert not weights.exists()


def test_what_another_model_reads_is_not_removed(tessera: Tessera, tmp_path: Path) -> None:
    assert tessera("pull", "mine")[0] == 0
    folder = tmp_path / "data" / "models" / "mine"
    with (tmp_path / "config.toml").open("a") as file:
        file.write(f'[models.one]\npath = "one.safetensors"\nconfig = "{folder}"\n')
    code, _, err = tessera("remove", "mine")
    assert (code, err) == (
        2,
        f"{folder} is used by [models.one] config too; take it out of their entries first.\n",
    )
    assert (folder / "model_index.json").exists()


def test_a_lora_that_is_left_out_is_told_with_its_reason(tessera: Tessera, tmp_path: Path) -> None:
    (tmp_path / "loras").mkdir()
    (tmp_path / "loras" / "ink.safetensors").write_bytes(b"cut")
    with (tmp_path / "config.toml").open("a") as file:
        file.write(f'[engine]\nloras_dir = "{tmp_path / "loras"}"\n')
    code, out, _ = tessera("check", "own")
    assert code == 0 and out.endswith(
        "; without LoRA 'ink': ink.safetensors is not a whole safetensors file; copy it again\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("pull", "yours"), "There is no model 'yours'; choose one of mine, own, sketch.\n"),
        (("check", "yours"), "There is no model 'yours'; choose one of mine, own, sketch.\n"),
        (("remove", "own"), "Model 'own' has no hub in the configuration, so it is yours to look after; "),
    ],
)
def test_wrong_names_are_one_sentence(tessera: Tessera, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = tessera(*words)
    assert (code, out) == (2, "") and err.startswith(sentence)


def test_a_failed_pull_is_one_sentence_and_shows_no_token(
    tessera: Tessera, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    monkeypatch.setattr(mirror, "status", 403)
    code, out, err = tessera("pull", "mine")
    assert (code, out) == (5, "") and len(err.splitlines()) == 1
    assert "accept its terms on its page and set HF_TOKEN" in err and "canary" not in err
    assert mirror.tokens[-1] == "Bearer hf_canary"
