"""Autocomplete: shows what was understood, offers flags, and never loses a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import Settings
from bot.domain.preferences import Preferences
from bot.ui.complete import choices
from engine.fake import FakeEngine

SETTINGS = Settings()


def shown(typed: str) -> list[tuple[str, str]]:
    return [(choice.name, str(choice.value)) for choice in choices(typed, SETTINGS)]


def test_it_shows_what_was_understood() -> None:
    """First of all, and choosing it changes nothing."""
    assert shown("a red apple --ar 6:4 --seed 7")[0] == (
        "a red apple · ar 3:2 · seed 7",
        "a red apple --ar 6:4 --seed 7",
    )


def test_it_completes_the_flag_being_typed() -> None:
    """From the flag table."""
    offers = shown("a cat --st")
    assert [value for _, value in offers] == [
        "a cat --stylize 250",
        "a cat --steps 20",
        "a cat --stop 80",
        "a cat --style raw",
        "a cat --stealth",
    ]


def test_it_warns_of_a_fault_while_typing() -> None:
    """Before the command is even sent."""
    ((name, value),) = shown("a cat --ar 99:1")
    assert name.startswith("⚠ --ar 99:1: the value must be")
    assert value == "a cat --ar 99:1"


def test_flags_that_stand_are_not_offered_again() -> None:
    """Nor anything for an empty prompt."""
    assert not any("--seed" in value[9:] for _, value in shown("a --seed 1")[1:])
    assert shown("  ") == []


def test_plain_words_are_left_alone() -> None:
    """Else Enter would choose an offer instead of sending the command."""
    assert shown("a red apple, well-lit") == []


@pytest.mark.parametrize("length", [90, 100, 101, 6000])
def test_long_prompts_get_no_offer_that_would_cut_them(length: int) -> None:
    """Discord takes 100 characters a choice."""
    typed = "x" * length + " --ar 3:2"
    for _, value in shown(typed):
        assert value.startswith(typed)


@given(st.text(max_size=120))
def test_whatever_is_typed_discord_takes_the_answer(typed: str) -> None:
    """At most 25 choices, 1 to 100 characters each."""
    offers = shown(typed)
    assert len(offers) <= 25
    assert all(1 <= len(name) <= 100 and 1 <= len(value) <= 100 for name, value in offers)


def test_it_shows_the_price_and_what_the_model_leaves_aside() -> None:
    """Of the model that would paint, with the user's settings; in their language."""
    models = FakeEngine().models()
    typed = "a {cat, dog} --draft --steps 5"
    names = [choice.name for choice in choices(typed, SETTINGS, models, Preferences(stylize=250))]
    assert names[0] == "a cat · stylize 250 · draft · steps 5"
    assert names[1] == f"Price: 4 images by {next(iter(models))}, jobs: 2"
    assert names[2] == "✂ --draft left aside, since --steps says it exactly"
    chinese = [choice.name for choice in choices(typed, SETTINGS, models, locale="zh-CN")]
    assert chinese[1].startswith("费用：4 张图") and "不起作用" in chinese[2]
    assert choices("a --ar 99:1", SETTINGS, models, locale="zh-CN")[0].name.startswith("⚠ --ar 99:1：值必须")
