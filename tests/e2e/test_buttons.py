"""Every button of a single picture, pressed once, in the simulated Discord and by the embedded model."""

from __future__ import annotations

import io
import math
from collections.abc import AsyncIterator
from typing import Any

import discord
import pytest
import pytest_asyncio
from PIL import Image

from bot.__main__ import build_engine
from bot.services import derived, specs
from bot.ui.history import result_of
from engine.api import Engine
from tests.bot.ui.world import World, button, playing

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROMPT = "a red apple --ar 3:2 --n 1 --steps 2 --seed 7"


class Studio(World):
    """With the real engine."""

    def new_engine(self) -> Engine:
        return build_engine(self.settings)

    def paint(self) -> None:
        """It does so by itself."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One engine for all buttons: it loads its model once."""
    async with playing(tmp_path_factory.mktemp("studio"), Studio) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def single(studio: World) -> discord.Message:
    """A picture that is not square."""
    return await studio.grid(PROMPT)


async def picture(message: discord.Message) -> Image.Image:
    with Image.open(io.BytesIO(await message.attachments[0].read())) as opened:
        return opened.convert("RGB")


async def pressed(world: World, parent: discord.Message, label: str, typed: dict[str, str] | None) -> Any:
    """What a press makes, by the window that it opens where there is one."""
    number = len(world.results()) + 1
    asked = await world.lin.click(parent, custom_id=button(parent, label).custom_id)
    if label == "Vary (Region)":
        panel = asked.followups[0]
        await world.lin.click(panel.message, label="5")
        asked = await world.lin.click(panel.message, label="Paint")
    if typed is not None:
        await world.lin.submit_modal(asked, typed)
    return await world.result(number)


WIDER, HIGHER = 1 + derived.PAN, 1 / (1 + derived.PAN)
MADE: dict[str, tuple[float, str]] = {
    "Vary (Subtle)": (1, "Variations (Subtle)"),
    "Vary (Strong)": (1, "Variations (Strong)"),
    "Vary (Region)": (1, "Variations (Region)"),
    "Zoom Out 2x": (1, "Zoom Out"),
    "Zoom Out 1.5x": (1, "Zoom Out"),
    "Custom Zoom": (2 / 3, "Zoom Out"),
    "Make Square": (2 / 3, "Make Square"),
    "⬅️": (WIDER, "Pan Left"),
    "➡️": (WIDER, "Pan Right"),
    "⬆️": (HIGHER, "Pan Up"),
    "⬇️": (HIGHER, "Pan Down"),
    "🔄": (1, ""),
    "Upscale (Subtle)": (1, "Upscaled (Subtle)"),
    "Upscale (Creative)": (1, "Upscaled (Creative)"),
}
"""By label: how much wider for its height the new picture is, and how its message calls it."""
TYPED = {
    "Custom Zoom": {"prompt": PROMPT.replace("3:2", "1:1") + " --zoom 1.5"},
    "Vary (Region)": {"prompt": PROMPT},
}


@pytest.mark.parametrize("label", MADE)
async def test_each_makes_a_picture_of_its_shape(studio: World, single: discord.Message, label: str) -> None:
    """Another one than before, as sharp as the model paints, posted as an answer to its parent."""
    info = studio.services.engine.models()["sketch"]
    shape, name = MADE[label]
    made = await pressed(studio, single, label, TYPED.get(label))
    job = await studio.job_of(made)
    before, after = await picture(single), await picture(made)
    painted = specs.painted_size(job, info)
    sides = [side * info.upscale for side in painted]
    grows = 2 if "Upscale" in label else 1
    assert after.size == (sides[0] * grows, sides[1] * grows)
    wanted = before.width / before.height * shape
    assert math.isclose(
        after.width / after.height, wanted, rel_tol=info.size_multiple / min(info.min_size, 32)
    )
    assert after.resize(before.size).tobytes() != before.tobytes()
    assert f"{name} by" in made.content if name else made.content.startswith("**a red apple")
    assert made.reference is not None and made.reference.message_id == single.id


async def test_a_favourite_and_its_end(studio: World, single: discord.Message) -> None:
    """Kept, taken out; deleted at last."""
    for word in ("Kept", "Taken"):
        told = await studio.lin.click(single, custom_id=button(single, "❤️").custom_id)
        assert told.followups[0].content.startswith(word)
    gone = await studio.grid(PROMPT)
    await studio.lin.click(gone, custom_id=button(gone, "🗑️").custom_id)
    assert result_of(gone) not in {result_of(message) for message in studio.results()}


async def test_a_single_picture_is_tried_whole(single: discord.Message) -> None:
    """No button of it is missing above."""
    about = {"U1", "V1", "❤️", "🗑️", "Seed & parameters", "Explain"}
    shown = {
        child.label or str(child.emoji)
        for row in single.components
        if isinstance(row, discord.ActionRow)
        for child in row.children
        if isinstance(child, discord.Button)
    }
    assert shown == {*MADE, *about}
