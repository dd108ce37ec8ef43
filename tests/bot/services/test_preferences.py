"""What users settle once: checked when it is set, merged where a prompt says nothing, gone with a reset."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.config import Settings
from bot.domain.preferences import MOST_OPTIONS, Preferences, Variability
from bot.domain.prompt import parse
from bot.errors import PromptError, UserError
from bot.services import specs
from bot.services.preferences import PreferenceBook
from bot.store.database import Database
from engine.fake import FakeEngine
from tests.flow.conftest import ANN, House, build

LIN, MAX = 11, 12


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[PreferenceBook]:
    database = await Database.open(tmp_path)
    yield PreferenceBook(Settings(), database)
    await database.close()


async def test_nobody_has_set_anything_at_first(book: PreferenceBook) -> None:
    assert await book.of(LIN) == Preferences()


async def test_settings_are_each_ones_own(book: PreferenceBook) -> None:
    await book.change(LIN, speed="relax", remix=True)
    changed = await book.change(LIN, stylize=250, variation=Variability.SUBTLE)
    assert changed == await book.of(LIN)
    assert changed == Preferences(speed="relax", remix=True, stylize=250, variation=Variability.SUBTLE)
    assert await book.of(MAX) == Preferences()


async def test_reset_leaves_options_and_suffix(book: PreferenceBook) -> None:
    await book.change(LIN, speed="turbo", remix=True, stylize=50, visibility="stealth", auto_dm=True)
    await book.set_suffix(LIN, "--ar 3:2")
    await book.set_option(LIN, "mine", "--tile")
    left = await book.reset(LIN)
    assert left == Preferences(suffix="--ar 3:2", options={"mine": "--tile"}, auto_dm=True)


async def test_a_model_must_be_there(book: PreferenceBook) -> None:
    with pytest.raises(UserError) as told:
        await book.choose_model(LIN, "gone", ("sketch",))
    assert str(told.value) == "`--model` `gone`: there is no such model here; choose one of sketch."
    assert (await book.choose_model(LIN, "sketch", ("sketch",))).model == "sketch"
    assert (await book.choose_model(LIN, "", ("sketch",))).model == ""


async def test_a_bad_suffix_is_refused_when_it_is_set(book: PreferenceBook) -> None:
    """Not at every prompt from then on."""
    with pytest.raises(PromptError, match="`--ar 99:1`: the value must be"):
        await book.set_suffix(LIN, "--ar 99:1")
    with pytest.raises(PromptError, match="there is no such model here"):
        await book.set_suffix(LIN, "--model nosuch", FakeEngine().models())
    assert (await book.set_suffix(LIN, " soft  light ")).suffix == "soft light"
    assert (await book.set_suffix(LIN, " ")).suffix == ""


async def test_options_have_good_names_and_are_twenty_at_most(book: PreferenceBook) -> None:
    for number in range(MOST_OPTIONS):
        await book.set_option(LIN, f"--mine{number}", "--ar 3:2")
    with pytest.raises(UserError, match="You have 20 options already; take one away first"):
        await book.set_option(LIN, "more", "--tile")
    assert (await book.set_option(LIN, "mine3", "--tile")).options["mine3"] == "--tile"
    assert "mine3" not in (await book.set_option(LIN, "mine3", "")).options
    with pytest.raises(UserError, match="You have no option `mine3`; /prefer option list shows yours"):
        await book.set_option(LIN, "mine3", "")
    with pytest.raises(UserError, match="`--ar` is a flag already"):
        await book.set_option(LIN, "ar", "3:2")
    with pytest.raises(UserError, match="cannot be the name of an option"):
        await book.set_option(LIN, "Mine!", "3:2")
    with pytest.raises(PromptError, match="is a control code"):
        await book.set_option(LIN, "more", "a\x07b")


async def test_a_language_is_noted_once(book: PreferenceBook) -> None:
    await book.note_locale(LIN, "zh-CN")
    await book.note_locale(LIN, "zh-CN")
    assert (await book.of(LIN)).locale == "zh-CN"


def test_flags_of_the_prompt_go_before_preferences() -> None:
    wishes = Preferences(stylize=250, speed="relax", visibility="stealth")
    filled = wishes.fill(parse("a cat --s 50 --fast"))
    assert dict(filled.values) == {"stylize": 50, "speed": "fast", "visibility": "stealth"}


def test_anothers_picture_keeps_its_looks_and_not_its_speed() -> None:
    """Who presses decides what it costs."""
    wishes = Preferences(stylize=250, speed="turbo", visibility="public", model="m")
    parent = parse("a cat --relax --stealth")
    assert dict(wishes.lend(parent, parent, own=True).values) == {"speed": "turbo", "visibility": "public"}
    assert Preferences().lend(parent, parent, own=True) == parent
    assert dict(Preferences().lend(parent, parent, own=False).values) == {"visibility": "stealth"}


@pytest.mark.parametrize("own", [True, False])
def test_what_is_typed_goes_before_settings_and_what_is_left_as_it_was_does_not(own: bool) -> None:
    """Whoever types --relax into a window is not charged for turbo."""
    wishes, parent = Preferences(speed="turbo", visibility="stealth"), parse("a cat --fast")
    typed = wishes.lend(parse("a dog --relax --public"), parent, own=own)
    assert dict(typed.values) == {"speed": "relax", "visibility": "public"}
    left = wishes.lend(parse("a dog --fast"), parent, own=own)
    assert dict(left.values) == {"speed": "turbo", "visibility": "stealth"}


def test_a_model_that_is_gone_or_named_otherwise_is_left_aside() -> None:
    models = FakeEngine().models()
    name = next(iter(models))
    for prompt, wishes, expected in (
        ("a cat", Preferences(model=name), {"model": name}),
        ("a cat", Preferences(model="gone"), {}),
        ("a cat --niji 6", Preferences(model=name), {"niji": "6"}),
    ):
        found = specs.with_defaults(parse(prompt), wishes, Settings(), models)
        assert dict(found.values) == expected


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = await build(tmp_path / "data")
    yield house
    await house.services.close()


async def test_admission_reads_them(house: House) -> None:
    """Whatever way an order took."""
    await house.services.preferences.change(ANN.user_id, speed="relax", stylize=250)
    admitted = await house.order("a cat")
    assert dict(admitted.job.prompt.values) == {"stylize": 250, "speed": "relax"}
    assert dict((await house.order("a cat --fast --s 0")).job.prompt.values) == {
        "stylize": 0,
        "speed": "fast",
    }
