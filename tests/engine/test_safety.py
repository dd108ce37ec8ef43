"""A picture that fails a check never leaves; what cannot be checked is refused before it is painted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from engine import safety
from engine.api import Finished, HeldBack, InvalidSpec, ModelUnavailable, Progress
from engine.fake import gradient
from engine.profile import ModelSource
from engine.runtime import LocalEngine
from engine.safety import NUDITY, SAFETY_CHECKER, Gate, Nudity, SafetyChecker, missing
from tests.engine.conftest import Bench
from tests.engine.specs import spec

BenchMaker = Callable[..., Bench]
HELD = "The picture was held back: it shows what is not allowed in this channel; try another prompt"


class Brightness:
    """Holds back what is bright on the whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def passes(self, picture: Image.Image) -> bool:
        return sum(picture.resize((1, 1)).getpixel((0, 0))) < 300  # type: ignore[arg-type]


def test_one_bad_picture_holds_back_all_and_names_the_reason() -> None:
    gate = Gate({NUDITY: Brightness})
    dark, bright = Image.new("RGB", (8, 8), "black"), Image.new("RGB", (8, 8), "white")
    gate.check([dark], [NUDITY], Path("m"))
    gate.check([bright], [], Path("m"))
    with pytest.raises(HeldBack, match=HELD):
        gate.check([dark, bright], [NUDITY], Path("m"))


@pytest.mark.parametrize("passes", [True, False])
def test_a_job_whose_picture_fails_ends_without_it(
    bench: BenchMaker, monkeypatch: pytest.MonkeyPatch, passes: bool
) -> None:
    monkeypatch.setattr(Brightness, "passes", lambda self, picture: passes)
    here = bench()
    here.core._finisher._gate = Gate({NUDITY: Brightness})
    here.run(spec("checked", checks=(NUDITY,)), spec("free", user="bob"))
    assert here.finished("free").images
    if passes:
        assert here.finished("checked").images
    else:
        failed = here.failed("checked")
        assert isinstance(failed.error, HeldBack) and not failed.retryable
        assert not any(isinstance(event, Finished) and event.job_id == "checked" for event in here.events)


@pytest.mark.parametrize("stop", [1.0, 0.5])
def test_nothing_is_shown_before_it_was_checked(bench: BenchMaker, stop: float) -> None:
    """A preview shows what the picture shows; where a job stops early, it is the picture."""
    here = bench(preview_interval=0.0)
    here.core._finisher._gate = Gate({NUDITY: Brightness})
    here.run(spec("checked", checks=(NUDITY,), stop=stop), spec("free", user="bob"))
    shown = {event.job_id for event in here.events if isinstance(event, Progress) and event.preview}
    assert shown == {"free"}


def test_a_check_that_breaks_lets_nothing_pass(bench: BenchMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(checker: Brightness, picture: Image.Image) -> bool:
        raise ValueError("no such layer")

    monkeypatch.setattr(Brightness, "passes", broken)
    here = bench()
    here.core._finisher._gate = Gate({NUDITY: Brightness})
    here.run(spec("checked", checks=(NUDITY,)), spec("free", user="bob"))
    assert here.finished("free").images
    assert here.failed("checked").retryable


def test_what_is_held_back_is_not_held_by_its_event(
    bench: BenchMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error's frames hold a job's tensors for as long as somebody keeps it."""
    monkeypatch.setattr(Brightness, "passes", lambda self, picture: False)
    here = bench()
    here.core._finisher._gate = Gate({NUDITY: Brightness})
    here.run(spec("checked", checks=(NUDITY,)))
    assert here.failed("checked").error.__traceback__ is None


def test_what_cannot_be_checked_is_refused_before_it_is_painted(folders: Mapping[str, Path]) -> None:
    engine = LocalEngine({"classic": ModelSource("classic", folders["classic"])}, device="cpu")
    with pytest.raises(InvalidSpec, match="no picture check 'taste'; there are nudity, safety-checker"):
        engine.check(spec(model="classic", checks=("taste",)))
    with pytest.raises(InvalidSpec, match=r"brings no safety_checker; use the check 'nudity' instead"):
        engine.check(spec(model="classic", checks=(SAFETY_CHECKER,)))


def test_a_detector_that_is_not_installed_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(safety, "find_spec", lambda name: None)
    (sentence,) = missing([NUDITY], tmp_path)
    assert sentence == "The nudity check is not installed here; type: pip install 'tessera[safety]'"


def test_the_nudity_detector_runs_offline_and_lets_a_landscape_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nudenet", reason="the extra `safety` is not installed")
    checker = Nudity(Path())
    assert checker.passes(gradient(3, 96, 64))
    found = [{"class": "FEMALE_BREAST_EXPOSED", "score": 0.7, "box": [0, 0, 9, 9]}]
    monkeypatch.setattr(checker._detector, "detect", lambda picture: found)
    assert not checker.passes(gradient(3, 96, 64))
    for harmless in ({"class": "FACE_FEMALE", "score": 0.9}, {"class": "BUTTOCKS_EXPOSED", "score": 0.3}):
        found[:] = [{**harmless, "box": [0, 0, 9, 9]}]
        assert checker.passes(gradient(3, 96, 64))


@pytest.mark.filterwarnings("ignore")
def test_the_checker_of_a_model_s_folder(tmp_path: Path) -> None:
    import torch
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        vision_config={**vision, "image_size": 32, "patch_size": 16}, text_config=vision, projection_dim=8
    )
    model = StableDiffusionSafetyChecker(config)
    with torch.no_grad():
        model.concept_embeds_weights.fill_(2.0)
        model.special_care_embeds_weights.fill_(2.0)
    model.save_pretrained(tmp_path / "safety_checker")
    CLIPImageProcessor(size=32, crop_size=32).save_pretrained(tmp_path / "feature_extractor")
    assert list(missing([SAFETY_CHECKER], tmp_path)) == []
    assert SafetyChecker(tmp_path).passes(gradient(3, 64, 64))
    with torch.no_grad():
        model.concept_embeds_weights.fill_(-2.0)
    model.save_pretrained(tmp_path / "safety_checker")
    assert not SafetyChecker(tmp_path).passes(gradient(3, 64, 64))
    weights = tmp_path / "safety_checker" / "model.safetensors"
    state = load_file(weights)
    save_file({key: weight for key, weight in state.items() if key != "concept_embeds"}, weights)
    with pytest.raises(ModelUnavailable, match="safety_checker lacks 1 weights"):
        SafetyChecker(tmp_path)
