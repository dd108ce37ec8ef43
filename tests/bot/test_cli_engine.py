"""The command line with the real engine behind it, on a tiny random model made here."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops

import bot.__main__ as commands
from tests import pipelines

Tessera = Callable[..., int]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    pipelines.sketchy(folder / "tiny")
    path = folder / "config.toml"
    path.write_text(
        f'[models.tiny]\npath = "{folder / "tiny"}"\nsteps = 3\n'
        f'[engine]\ndefault_model = "tiny"\ndevice = "cpu"\nthreads = 2\n[data]\ndir = "{folder / "data"}"\n'
    )
    return path


@pytest.fixture
def tessera(monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path) -> Iterator[Tessera]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    monkeypatch.chdir(tmp_path)
    for variable in commands.LIBRARIES:
        monkeypatch.delenv(variable, raising=False)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["tessera", *words, "--config", str(config)])
        with pytest.raises(SystemExit) as ended:
            commands.main()
        return int(ended.value.code or 0)

    yield run
    root.handlers[:], root.level = before
    logging.captureWarnings(False)


def test_the_same_prompt_and_seed_paint_the_same_picture(tessera: Tessera, tmp_path: Path) -> None:
    for name, seed in (("a.png", 7), ("b.png", 7), ("c.png", 8)):
        assert tessera("imagine", f"a red apple --seed {seed} --n 2", "--out", name) == 0
    first, second, third = (
        Image.open(tmp_path / name).convert("RGB") for name in ("a.png", "b.png", "c.png")
    )
    assert ImageChops.difference(first, second).getbbox() is None
    assert ImageChops.difference(first, third).getbbox() is not None


def test_doctor_and_models_read_the_folder(
    tessera: Tessera, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tessera("doctor")
    told = capsys.readouterr().out
    assert "ok   device: cpu (" in told
    assert "ok   model tiny: sd1, " in told
    assert tessera("models", "list") == 0
    assert capsys.readouterr().out.startswith("tiny (default): sd1, ")


def test_a_model_that_is_cut_short_is_named(
    tessera: Tessera, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = config.parent / "tiny" / "unet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-9])
    try:
        assert tessera("imagine", "cat") == 5
        captured = capsys.readouterr()
        assert "diffusion_pytorch_model.safetensors is cut short" in captured.err
        tessera("doctor")
        assert "FAIL model tiny: " in capsys.readouterr().out
    finally:
        weights.write_bytes(whole)
