"""Layout of buttons, and that no click can mean two things."""

from __future__ import annotations

import itertools
from dataclasses import replace

import discord
import pytest

from bot.domain.custom_id import CustomId, decode, encode
from bot.domain.job import Action
from bot.ui.components import BUTTONS, result_view, waiting_view
from tests.bot.ui.test_echo import job


def rows(view: discord.ui.View) -> list[list[str]]:
    """Labels (or emoji) by row."""
    return [
        [button.get("label") or button["emoji"]["name"] for button in row["components"]]
        for row in view.to_components()
    ]


async def test_a_grid_of_four_looks_as_people_expect() -> None:
    """Row 1 U1-U4 and re-roll, row 2 V1-V4 and delete."""
    assert rows(result_view(job("x"))) == [
        ["U1", "U2", "U3", "U4", "🔄"],
        ["V1", "V2", "V3", "V4", "🗑️"],
    ]


@pytest.mark.parametrize("count", range(1, 11))
async def test_any_number_of_pictures_fits(count: int) -> None:
    """At most five rows of five; every picture has its U and V."""
    laid = rows(result_view(replace(job("x"), seeds=tuple(range(count)))))
    assert len(laid) <= 5 and all(len(row) <= 5 for row in laid)
    flat = [label for row in laid for label in row]
    assert [label for label in flat if label[0] == "U"] == [f"U{number}" for number in range(1, count + 1)]
    assert [label for label in flat if label[0] == "V"] == [f"V{number}" for number in range(1, count + 1)]
    assert {"🔄", "🗑️"} <= set(flat)


async def test_a_single_picture_has_its_own_buttons() -> None:
    """Variations go by the grid, so that they outlive this copy; delete by the copy."""
    upscale = job("x", Action.UPSCALE)
    view = result_view(upscale)
    assert rows(view) == [["Variations", "🗑️"]]
    carried = [decode(button["custom_id"]) for button in view.to_components()[0]["components"]]
    assert carried == [CustomId("vary", upscale.parent_id or "", 2), CustomId("delete", upscale.id)]


async def test_used_buttons_are_coloured() -> None:
    """Primary, and still enabled."""
    grid = job("x")
    used = encode(CustomId("u", grid.id, 1))
    buttons = [child for row in result_view(grid, [used]).to_components() for child in row["components"]]
    assert [button["custom_id"] for button in buttons if button["style"] == 1] == [used]
    assert not any(button.get("disabled") for button in buttons)


def test_no_custom_id_fits_two_buttons() -> None:
    """discord.py starts a task for every template that fits, so two would do two things."""
    for one, other in itertools.permutations(BUTTONS, 2):
        custom_id = encode(CustomId(one.action, "ab" * 16, 3))
        template = other.__discord_ui_compiled_template__
        assert one.__discord_ui_compiled_template__.fullmatch(custom_id)
        assert not template.fullmatch(custom_id)


async def test_a_waiting_job_can_be_cancelled() -> None:
    """One red button, beside the one that explains the prompt."""
    (row,) = waiting_view("ab" * 16).to_components()
    assert [(button["label"], button["style"]) for button in row["components"]] == [
        ("Cancel", 4),
        ("Explain", 2),
    ]
