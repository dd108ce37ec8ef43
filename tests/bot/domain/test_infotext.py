"""Parameters pasted from stable-diffusion-webui are a prompt like any other."""

from __future__ import annotations

import pytest

from bot.domain.flags import FlagValue
from bot.domain.infotext import as_typed, sampler_name
from bot.domain.prompt import Prompt, parse, render
from bot.errors import PromptError

PASTED = (
    "a (cat:1.2), best quality\n"
    "Negative prompt: (bad hands, extra feet:1.4), fog, (bad hands, tail:1.1)\n"
    "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, "
    'Model hash: 6ce0161689, Model: sd15, Clip skip: 2, Lora hashes: "a: 1, b: 2", Version: v1.9.4'
)
UNDERSTOOD: dict[str, FlagValue] = {
    "seed": 1,
    "no": ("(bad hands, extra feet:1.4)", "fog", "(bad hands, tail:1.1)"),
    "steps": 20,
    "cfg": 7.0,
    "sampler": "dpm++ 2m karras",
    "size": (512, 768),
}


@pytest.mark.parametrize("text", [PASTED, PASTED.replace("\n", " ")], ids=["lines", "one line"])
def test_the_whole_block_is_understood_with_or_without_its_lines(text: str) -> None:
    prompt = parse(text)
    assert prompt == Prompt("a (cat:1.2), best quality", (), UNDERSTOOD)
    assert parse(render(prompt)) == prompt


def test_the_model_is_taken_over_where_it_is_here() -> None:
    assert parse(PASTED, models=("sketch", "sd15")).get("model") == "sd15"
    assert parse(PASTED, models=("sketch",)).get("model") is None


def test_a_negative_prompt_alone_and_flags_behind_the_block() -> None:
    assert parse("cat Negative prompt: fog, rain --ar 3:2") == parse("cat --no fog, rain --ar 3:2")
    assert parse("cat Negative prompt:") == Prompt("cat")
    assert parse("cat\nSteps: 5, Sampler: Euler a, Seed: 3").values == {
        "seed": 3,
        "steps": 5,
        "sampler": "euler a",
    }


def test_what_the_block_asks_too_much_of_is_told_like_any_flag() -> None:
    with pytest.raises(PromptError) as caught:
        parse("cat Steps: 500, Sampler: Euler, CFG scale: 7")
    assert caught.value.faults == ("`--steps 500`: the value must be a whole number from 1 to 150.",)


@pytest.mark.parametrize("text", ["Steps: 5 and more", "a cat, Steps: many", "negative prompt: fog"])
def test_other_text_is_left_alone(text: str) -> None:
    assert as_typed(text) == text


@pytest.mark.parametrize(
    ("name", "schedule", "known"),
    [
        ("Euler a", "", "euler a"),
        ("DPM++ 2M Karras", "", "dpm++ 2m karras"),
        ("DPM++ 2M", "Karras", "dpm++ 2m karras"),
        ("DPM++ 2M Karras", "Karras", "dpm++ 2m karras"),
        ("Euler", "Automatic", "euler"),
    ],
)
def test_samplers_by_the_names_people_know(name: str, schedule: str, known: str) -> None:
    assert sampler_name(name, schedule) == known
