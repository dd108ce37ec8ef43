"""What flags mean in numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.config import Settings, load
from bot.domain.job import Action, Job, JobStatus, Place, Requester
from bot.domain.prompt import parse
from bot.errors import PromptError
from bot.services import specs
from engine.api import ModelInfo
from engine.fake import SKETCH

SETTINGS = load(None, {})
SD15 = replace(
    SKETCH, name="sd15", native_size=512, size_multiple=8, min_size=256, max_size=1024, guidance_scale=7.5
)


def job(text: str, **changes: object) -> Job:
    made = Job(
        "a" * 32, 1, Action.IMAGINE, Requester(1), Place(None, 2), parse(text), (7,), JobStatus.QUEUED, 0.0
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        ("1:1", (512, 512)),
        ("3:2", (624, 416)),
        ("2:3", (416, 624)),
        ("4:1", (1024, 256)),
        ("16:9", (680, 384)),
    ],
)
def test_ar_keeps_the_native_area_on_the_raster(ratio: str, size: tuple[int, int]) -> None:
    assert specs.size_of(parse(f"x --ar {ratio}"), SD15) == size


def test_ar_stays_within_the_largest_size() -> None:
    narrow = replace(SD15, max_size=640)
    assert specs.size_of(parse("x --ar 4:1"), narrow) == (640, 256)
    assert specs.size_of(parse("x --ar 3:2"), replace(SD15, max_size=512)) == (512, 344)


@pytest.mark.parametrize(
    ("flags", "steps"), [("", 20), ("--quality 0.5", 10), ("--quality 2", 40), ("--steps 7 --quality 2", 7)]
)
def test_steps(flags: str, steps: int) -> None:
    assert specs.steps_of(parse(f"x {flags}"), SD15, SETTINGS) == steps


def test_quality_never_passes_the_models_most() -> None:
    assert specs.steps_of(parse("x --quality 2"), replace(SD15, max_steps=30), SETTINGS) == 30


@pytest.mark.parametrize(
    ("flags", "scale"),
    [
        ("", 7.5),
        ("--stylize 100", 7.5),
        ("--stylize 0", 4.5),
        ("--stylize 1000", 13.5),
        ("--chaos 100", 3.6),
        ("--stylize 0 --chaos 50", 3.45),
    ],
)
def test_guidance(flags: str, scale: float) -> None:
    assert specs.guidance_of(parse(f"x {flags}"), SD15) == pytest.approx(scale)


def test_models_without_guidance_stay_without() -> None:
    assert specs.guidance_of(parse("x --stylize 1000"), replace(SD15, guidance_scale=1.0)) == 1.0


def test_iw_and_variations() -> None:
    strengths = [specs.input_strength(parse(f"x --iw {weight}"), Action.IMAGINE) for weight in (0.5, 1, 3)]
    assert strengths == [0.7746, 0.6, 0.216]
    assert specs.input_strength(parse("x"), Action.VARIATION) == 0.65
    assert not specs.uses_pictures(parse("x --iw 0"))


def test_the_whole_spec() -> None:
    spec = specs.build(job("a cat --no fog, rain --stop 50 --tile --relax"), SD15, SETTINGS, lane="relax")
    assert (spec.prompt, spec.negative_prompt, spec.stop, spec.tile) == ("a cat", "fog, rain", 0.5, True)
    assert (spec.lane, spec.user, spec.sampler) == ("relax", "1", "ddim")


def test_the_servers_negative_prompt_is_added(tmp_path: Path) -> None:
    settings: Settings = load(
        None, {"TESSERA_MODELS__SD15__PATH": str(tmp_path), "TESSERA_MODELS__SD15__NEGATIVE_PROMPT": "blurry"}
    )
    assert specs.build(job("x --no fog"), SD15, settings).negative_prompt == "fog, blurry"


@pytest.mark.parametrize(
    ("model", "text", "pictures", "sentence"),
    [
        (
            replace(SD15, max_steps=30),
            "x --steps 40",
            0,
            "`--steps 40`: the value must be a whole number from 1 to 30",
        ),
        (replace(SD15, image_to_image=False), "x", 1, "The model `sd15` cannot start from a picture"),
        (replace(SD15, negative_prompt=False), "x --no fog", 0, "The model `sd15` cannot honour `--no`"),
    ],
)
def test_what_a_model_cannot_do(model: ModelInfo, text: str, pictures: int, sentence: str) -> None:
    with pytest.raises(PromptError) as told:
        specs.check(parse(text), model, SETTINGS, pictures=bool(pictures))
    assert sentence in str(told.value)


def test_an_unknown_model_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        PromptError, match=r"`--model` `flux`: there is no such model here; choose one of sd15"
    ):
        specs.model_of(parse("x --model flux"), {"sd15": SD15}, "sd15")
