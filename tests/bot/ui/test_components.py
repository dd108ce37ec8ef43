"""Layout of buttons, and that no click can mean two things."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import discord
import pytest

from bot.domain.change import Change, Layout
from bot.domain.custom_id import CustomId, decode, encode
from bot.domain.job import ENLARGING, Action
from bot.ui.buttons import REMIXED, USED, JobButton
from bot.ui.components import BUTTONS, result_view, waiting_view
from bot.ui.forms import OPENS, Opening, opening
from bot.ui.panel import custom_id as panel_id
from bot.ui.panels import PANELS
from bot.ui.region import panel_view
from tests.bot.ui.test_echo import job


def rows(view: discord.ui.View) -> list[list[str]]:
    """Labels (or emoji) by row."""
    return [
        [button.get("label") or button["emoji"]["name"] for button in row["components"]]
        for row in view.to_components()
    ]


ABOUT = ["Seed & parameters", "Explain"]
SINGLE = [
    ["Upscale (Subtle)", "Upscale (Creative)"],
    ["Vary (Subtle)", "Vary (Strong)", "Vary (Region)"],
    ["Zoom Out 2x", "Zoom Out 1.5x", "Custom Zoom"],
    ["⬅️", "➡️", "⬆️", "⬇️", "❤️"],
    ["🔄", *ABOUT, "🗑️"],
]
NUMBERED = re.compile(r"[UV]\d+")


async def test_a_grid_of_four_looks_as_people_expect() -> None:
    """Row 1 U1-U4 and re-roll, row 2 V1-V4 and delete."""
    assert rows(result_view(job("x"))) == [
        ["U1", "U2", "U3", "U4", "🔄"],
        ["V1", "V2", "V3", "V4", "🗑️"],
        ABOUT,
    ]


@pytest.mark.parametrize("action", sorted(Action))
@pytest.mark.parametrize("count", range(1, 11))
async def test_any_number_of_pictures_fits(count: int, action: Action) -> None:
    """At most five rows of five; every picture has its U and V, whatever made the grid."""
    laid = rows(result_view(replace(job("x", action), seeds=tuple(range(count)))))
    assert len(laid) <= 5 and all(len(row) <= 5 for row in laid)
    flat = [label for row in laid for label in row]
    assert {"🔄", "🗑️", *ABOUT} <= set(flat)
    if action is Action.UPSCALE or action in ENLARGING:
        assert laid == SINGLE
        return
    numbered = [label for label in flat if NUMBERED.fullmatch(label)]
    numbers = range(1, count + 1)
    assert sorted(numbered) == sorted(f"{letter}{number}" for letter in "UV" for number in numbers)


async def test_a_single_picture_has_its_own_buttons() -> None:
    """As Midjourney lays them out; all go by the message's own job, whose result they answer."""
    upscale = job("x", Action.UPSCALE)
    view = result_view(upscale)
    assert rows(view) == SINGLE
    carried = [decode(child["custom_id"]) for row in view.to_components() for child in row["components"]]
    assert {one.job_id for one in carried} == {upscale.id}
    whole = {"reroll", "parameters", "explain", "delete"}
    assert {one.action for one in carried if one.index is None} == whole
    assert {one.index for one in carried if one.action not in whole} == {0}


@pytest.mark.parametrize(
    ("values", "change", "there"),
    [
        ({}, None, False),
        ({"ar": (3, 2)}, None, True),
        ({"size": (64, 96)}, None, True),
        ({}, Change(Layout.LEFT, size=(96, 64)), True),
        ({"ar": (3, 2)}, Change(Layout.SQUARE, size=(96, 96)), False),
    ],
)
async def test_only_what_is_not_square_can_be_made_so(
    values: dict[str, object], change: Change | None, there: bool
) -> None:
    laid = rows(result_view(replace(job("x", Action.UPSCALE, **values), change=change)))
    assert ("Make Square" in laid[2]) is there


async def test_a_grid_of_one_is_a_single_picture_too() -> None:
    """Nothing that works on one picture is missing."""
    laid = rows(result_view(replace(job("x"), seeds=(1,))))
    assert laid == [["U1", *SINGLE[0]], ["V1", *SINGLE[1]], *SINGLE[2:]]


async def test_used_buttons_are_coloured() -> None:
    """Primary, green when the prompt was changed, and still enabled."""
    grid = job("x")
    used = {encode(CustomId("u", grid.id, 1)): USED, encode(CustomId("v", grid.id, 0)): REMIXED}
    buttons = [child for row in result_view(grid, used).to_components() for child in row["components"]]
    coloured = {button["custom_id"]: button["style"] for button in buttons if button["style"] in (1, 3)}
    assert coloured == {custom_id: style.value for custom_id, style in used.items()}
    assert not any(button.get("disabled") for button in buttons)


async def test_labels_are_in_the_owners_language() -> None:
    """U and V stay what they are everywhere; ids do not change."""
    single = job("x", Action.UPSCALE)
    chinese, english = result_view(single, locale="zh-CN"), result_view(single, locale="en-US")
    assert rows(chinese)[1] == ["变化（细微）", "变化（强烈）", "变化（局部）"]
    words = [label for row in rows(chinese) for label in row if label.isascii()]
    assert words == []
    assert [ids(chinese), rows(english)] == [ids(english), SINGLE]
    assert rows(waiting_view("ab" * 16, "zh-CN")) == [["取消", "说明"]]


def ids(view: discord.ui.View) -> list[str]:
    return [child["custom_id"] for row in view.to_components() for child in row["components"]]


async def test_a_panel_of_fields_fits() -> None:
    """Three by three, then what to do; the chosen ones are coloured, and read back from the colour."""
    view = panel_view("ab" * 16, {0, 8}, "")
    assert rows(view) == [["1", "2", "3"], ["4", "5", "6"], ["7", "8", "9"], ["Paint", "Name it"]]
    fields = [child for row in view.to_components()[:3] for child in row["components"]]
    assert [place for place, child in enumerate(fields) if child["style"] == 1] == [0, 8]


def test_no_custom_id_fits_two_buttons() -> None:
    """discord.py starts a task for every template that fits, so two would do two things."""
    items = [*BUTTONS, *PANELS]
    for one, other in itertools.permutations(items, 2):
        if issubclass(one, JobButton):
            custom_id = encode(CustomId(one.action, "ab" * 16, 3))
        else:
            custom_id = panel_id(one.key, "x")
        assert one.__discord_ui_compiled_template__.fullmatch(custom_id)
        assert not other.__discord_ui_compiled_template__.fullmatch(custom_id)


def test_a_window_says_what_it_is_for() -> None:
    """In at most 100 characters, another one every time; what others wrote is not understood."""
    longest = max((button.action for button in BUTTONS), key=len)
    for action in Action:
        what = Opening(CustomId(longest, "ab" * 16, 9), action, tuple(range(9)))
        assert len(what.encode()) <= 100
        assert opening(what.encode()) == (what if action in OPENS else None)
        assert what.encode() != what.encode()
    one = Opening(CustomId("v", "ab" * 16, 0), Action.VARIATION).encode()
    for forged in (
        "",
        "form",
        one.replace("variation", "grant"),
        one.replace("tessera", "other"),
        one.replace("ab", "zz"),
        one + "/x",
        one.replace("//", "/99/"),
        "panel:x:y",
    ):
        found = opening(forged)
        assert found is None or found.cells == ()


async def test_a_waiting_job_can_be_cancelled() -> None:
    """One red button, beside the one that explains the prompt."""
    (row,) = waiting_view("ab" * 16).to_components()
    assert [(button["label"], button["style"]) for button in row["components"]] == [
        ("Cancel", 4),
        ("Explain", 2),
    ]
