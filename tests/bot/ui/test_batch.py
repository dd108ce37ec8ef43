"""Orders of several jobs: a question with the price first, then a waiting message and a result for each."""

from __future__ import annotations

from pathlib import Path

import discord
import pytest

from bot.config import Limits, Quota
from bot.domain.job import JobStatus
from bot.ui.presses import TWICE, Presses
from tests.bot.ui.test_imagine import picture
from tests.bot.ui.world import World, answers, labels, playing

SETS = "a {red, blue} bird --ar {3:2, 1:1}"


async def test_a_set_is_asked_about_with_its_price_and_painted(world: World) -> None:
    """Nothing is queued before the answer; each job has its own messages."""
    asked = await world.imagine(SETS)
    assert asked.ephemeral
    question = asked.response
    assert "These are **4 jobs** with 16 pictures for **16 images**" in question.content
    assert "- a red bird --ar 3:2" in question.content and "- a blue bird --ar 1:1" in question.content
    assert labels(question.message) == [["Paint 4 jobs", "Explain", "Drop"]]
    assert (await world.services.queue()).queued == 0
    await world.lin.click(question.message, label="Paint 4 jobs")
    assert question.content == "Jobs ordered: 4."
    assert len([m for m in world.messages() if "Waiting to start" in m.content]) == 4
    for number in range(1, 5):
        await world.result(number)
    contents = sorted(message.content for message in world.results())
    who = f"** - <@{world.lin.id}> (fast)"
    assert contents == sorted(
        f"**a {colour} bird --ar {shape}{who}" for colour in ("red", "blue") for shape in ("3:2", "1:1")
    )
    assert len(world.messages()) == 4, "no waiting message is left"


async def test_the_question_survives_a_restart_and_a_long_prompt(world: World) -> None:
    """What it asks about is in the message, or hangs on it as a file."""
    text = "word " * 500 + "{red, blue} --repeat 2"
    asked = await world.imagine(text)
    assert asked.response.attachments[0].filename == "prompt.txt"
    question = asked.response.message
    await world.restart()
    await world.lin.click(question, label="Paint 4 jobs")
    rows = [*await world.rows(JobStatus.QUEUED), *await world.rows(JobStatus.RUNNING)]
    assert len(rows) == 4
    assert {row.prompt.text[-4:].strip() for row in rows} == {"red", "blue"}


async def test_a_picture_goes_along(world: World) -> None:
    """It hangs on the question, and every job starts from it."""
    asked = await world.imagine("a {red, blue} cat", image=("mine.png", picture()))
    await world.lin.click(asked.response.message, label="Paint 2 jobs")
    await world.until(lambda: len(world.engine.submitted) == 2, "the engine has both")
    assert all(spec.init is not None for spec in world.engine.submitted)


async def test_no_is_no(world: World) -> None:
    """And the explanation changes nothing."""
    asked = await world.imagine(SETS)
    told = await world.lin.click(asked.response.message, label="Explain")
    assert told.followups[0].ephemeral and "**What I understood**" in told.followups[0].content
    await world.lin.click(asked.response.message, label="Drop")
    assert asked.response.content == "Dropped; nothing was ordered."
    assert labels(asked.response.message) == []
    assert (await world.services.queue()).queued == 0


async def test_an_order_beyond_the_credit_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    """With the prompt, so that nothing is lost."""
    async with playing(tmp_path, quota=Quota(day=8)) as world:
        (told,) = answers(await world.imagine(SETS))
        assert told.ephemeral
        assert "This job costs 16 images, more than the 8 images" in told.content
        assert SETS in told.content


async def test_a_double_click_is_one_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = await world.imagine("a {red, blue} bird")

    async def stays(_: object, **options: object) -> None:
        """The second click was made before the question went."""

    monkeypatch.setattr(discord.Interaction, "edit_original_response", stays)
    monkeypatch.setattr(world.client.desk, "_presses", Presses(lambda: 0.0))
    await world.lin.click(asked.response.message, label="Paint 2 jobs")
    again = await world.lin.click(asked.response.message, label="Paint 2 jobs")
    assert any(TWICE in message.content for message in again.followups)
    assert len([m for m in world.messages() if "Waiting to start" in m.content]) == 2


async def test_an_order_that_is_refused_can_be_given_again(tmp_path: Path) -> None:
    """The question stays with its pictures, and the prompt comes back."""
    async with playing(tmp_path, limits=Limits(running=1, waiting=1)) as world:
        asked = await world.imagine("a {red, blue} cat", image=("mine.png", picture()))
        await world.imagine("a dog")
        refused = await world.lin.click(asked.response.message, label="Paint 2 jobs")
        (told,) = refused.followups
        assert "you have room for 1" in told.content and "a {red, blue} cat" in told.content
        await world.result()
        await world.lin.click(asked.response.message, label="Paint 2 jobs")
        assert asked.response.content == "Jobs ordered: 2."
        await world.until(lambda: len(world.engine.submitted) == 2, "the engine has one")
        assert world.engine.submitted[1].init is not None


async def test_a_picture_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(_: object, **options: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(discord.Attachment, "to_file", read)
    async with playing(tmp_path, limits=Limits(upload_mb=0.0001)) as world:
        asked = await world.imagine("a {red, blue} cat", image=("mine.png", picture()))
        assert "`mine.png` is larger than 9.92e-05 MiB; make it smaller." in asked.response.content
