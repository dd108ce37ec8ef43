"""An explanation says what was understood, what is left aside and why, and the numbers."""

from __future__ import annotations

from dataclasses import replace

from bot.config import load
from bot.domain.prompt import parse
from bot.services.explain import Explanation, explain, price
from engine.api import ReferenceKind
from engine.fake import SKETCH

SETTINGS = load(None, {})
PLAIN = replace(
    SKETCH, name="plain", guidance_scale=4.0, steps=20, native_size=64, upscale=4, prompt_weights=False
)


def told(text: str, **model: object) -> Explanation:
    return explain(parse(text), replace(PLAIN, **model), SETTINGS)  # type: ignore[arg-type]


def test_every_flag_is_said_in_both_languages() -> None:
    notes = told("a cat --ar 1:1 --seed 7").understood
    assert [(note.typed, note.says) for note in notes] == [
        ("a cat", "what to paint"),
        ("--ar 1:1", "Shape of the pictures, width to height."),
        (
            "--seed 7",
            "Start from this noise: the same seed and prompt give the same pictures. Random when left out.",
        ),
    ]
    assert notes[1].zh == "画面的宽高比。"


def test_parts_are_told_with_their_weights() -> None:
    notes = told("a cat::2 fog::-0.5").understood
    assert [(note.typed, note.says) for note in notes] == [("a cat", "weight 2"), ("fog", "weight -0.5")]


def test_the_numbers_are_those_of_the_spec() -> None:
    found = told("a cat::2 dog::1 fog::-0.5 --quality 0.5 --stylize 0 --n 2 --seed 7")
    assert (found.model, found.width, found.height) == ("plain", 256, 256)
    assert (found.steps, found.guidance, found.seed, found.images) == (10, 2.4, 7, 2)
    assert (found.text, found.negative) == ("a cat, dog", "fog")
    assert (found.credits, found.unit, found.sampler) == (2.0, "images", PLAIN.sampler)
    assert told("a cat").seed is None


def test_what_is_left_aside_has_a_reason() -> None:
    text = "(a:1.2) --steps 5 --quality 2 --cfg 1 --chaos 5 --size 64x64 --ar 1:1 --iw 2 --sw 5 --niji"
    assert {note.typed: note.says for note in told(text).ignored} == {
        "--quality 2": "left aside, since `--steps` says it exactly",
        "--chaos 5": "left aside, since `--cfg` says it exactly",
        "--ar 1:1": "left aside, since `--size` says it exactly",
        "--iw 2": "without effect: there is no picture in front of the text",
        "--sw 5": "without effect: there is no `--sref`",
        "": "plain reads all words alike: weights in the text are left out",
        "--niji": "there is no anime model here; the style anime takes its place",
    }


def test_a_model_without_guidance_leaves_aside_what_needs_it() -> None:
    notes = told("a cat::1 fog::-0.5 --stylize 5", guidance_scale=1.0, negative_prompt=False).ignored
    assert [note.says for note in notes] == [
        "without effect: plain paints without guidance",
        "plain has no negative prompt: parts of negative weight are left out",
    ]


def test_faults_come_along() -> None:
    (fault,) = told("a cat --sampler heun 9").faults
    assert fault.startswith("The model `plain` has no sampler `heun 9`; choose one of ")


def test_prices_by_lane_and_unit() -> None:
    assert [price(parse(f"cat {lane}"), SETTINGS) for lane in ("", "--relax", "--turbo")] == [4, 0, 8]
    seconds = load(None, {"TESSERA_QUOTA__UNIT": "gpu_seconds"})
    assert price(parse("cat"), seconds) is None
    assert price(parse("cat --turbo"), seconds, 2.5) == 5.0


def test_a_style_that_cannot_be_taken_alone_is_told() -> None:
    text = "a cat --sref https://example.org/a.png --cref https://example.org/b.png"
    both = tuple(ReferenceKind)
    assert {note.typed: note.says for note in told(text, references=both, style_apart=False).ignored} == {
        "--sref https://example.org/a.png": (
            "plain cannot take the style alone: what the picture shows comes with it"
        )
    }
    assert not told(text, references=both).ignored
