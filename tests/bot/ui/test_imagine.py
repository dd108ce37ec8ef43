"""/imagine as a person sees it: waiting, progress, result; and every way it can be refused."""

from __future__ import annotations

import errno
import io
import re
from pathlib import Path
from uuid import UUID

import discord
import pytest
from PIL import Image

from bot.config import Limits, Quota
from bot.domain.job import JobStatus
from bot.errors import StoreError
from bot.ui.history import result_of
from tests.bot.ui.test_echo import HOSTILE, assert_harmless
from tests.bot.ui.world import World, button, labels, playing


def picture(size: tuple[int, int] = (64, 64)) -> bytes:
    """A small PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


async def test_from_waiting_to_the_grid(world: World) -> None:
    """The whole life of a job, message by message."""
    asked = await world.imagine("a red apple --seed 7")
    echo = f"**a red apple --seed 7** - <@{world.lin.id}>"
    assert asked.acknowledged and not asked.ephemeral
    assert asked.response.content == f"{echo} (Waiting to start)"
    assert labels(asked.response.message) == [["Cancel", "Explain"]]

    await world.until(lambda: world.engine.submitted, "the engine has it")
    world.engine.step(steps=10)
    await world.until(lambda: "(50%)" in asked.response.content, "progress")
    assert asked.response.content == f"{echo} (50%) (fast)"
    assert [attachment.filename for attachment in asked.response.attachments] == ["preview.jpg"]
    assert labels(asked.response.message) == [["Cancel", "Explain"]]

    grid = await world.result()
    assert grid.content == f"{echo} (fast)"
    assert grid.attachments[0].filename == f"a_red_apple_{UUID(result_of(grid))}.png"
    assert labels(grid) == [
        ["U1", "U2", "U3", "U4", "🔄"],
        ["V1", "V2", "V3", "V4", "🗑️"],
        ["Seed & parameters", "Explain"],
    ]
    assert asked.response is None, "the waiting message is gone"


async def test_the_grid_is_two_by_two(world: World) -> None:
    """Four pictures of 256 pixels."""
    grid = await world.grid()
    with Image.open(io.BytesIO(await grid.attachments[0].read())) as sheet:
        assert sheet.size == (512, 512)


async def test_a_fault_is_answered_at_once_with_the_prompt(world: World) -> None:
    """Ephemeral, all faults, nothing lost, nothing queued."""
    asked = await world.imagine("a cat --ar 99:1 --seed -3 --bogus")
    assert asked.ephemeral and not asked.deferred
    said = asked.response.content
    assert "`--ar 99:1`: the value must be" in said
    assert "`--seed -3`: the value must be a whole number from 0 to 4294967295." in said
    assert "`--bogus`: there is no such flag" in said
    assert "```\na cat --ar 99:1 --seed -3 --bogus\n```" in said
    assert (await world.services.queue()).queued == 0


async def test_a_long_faulty_prompt_comes_back_as_a_file(world: World) -> None:
    """Six thousand characters do not fit a message."""
    text = "word " * 1190 + "--ar 0:0"
    asked = await world.imagine(text)
    assert asked.ephemeral
    assert asked.response.content.endswith("Your prompt is attached.")
    assert (await asked.response.attachments[0].read()).decode() == text


async def test_hostile_prompts_reach_nobody(world: World) -> None:
    """Whether painted or refused: no ping, no link, no broken message."""
    painted = 0
    for text in (text for text in HOSTILE if not re.match(r"<?\w+://", text)):
        asked = await world.imagine(text.encode("utf-8", "replace").decode())
        if asked.ephemeral:
            assert len(asked.response.content) <= 2000
            continue
        painted += 1
        grid = await world.result(painted)
        assert_harmless(grid.content, world.lin.id)
        assert not grid.mention_everyone and not grid.role_mentions
        assert {user.id for user in grid.mentions} <= {world.lin.id}
    assert painted >= 20


async def test_only_the_requester_may_be_pinged(world: World) -> None:
    """Every send and edit says so to Discord."""
    await world.grid("@everyone look")
    sent = [
        request.json["allowed_mentions"]
        for request in world.env.http_requests
        if request.json and "content" in request.json
    ]
    assert sent
    for allowed in sent:
        assert not allowed.get("parse")
        assert set(map(int, allowed.get("users", []))) <= {world.lin.id}


async def test_a_picture_may_come_along(world: World) -> None:
    """An upload goes to the engine, and is named for what it is."""
    asked = await world.imagine("a cat --iw 2", image=("mine.png", picture()))
    assert asked.response.content.startswith(r"**\[picture\] a cat --iw 2** - ")
    await world.until(lambda: world.engine.submitted, "the engine has it")
    assert world.engine.submitted[0].init is not None


async def test_a_file_that_is_no_picture_is_refused(world: World) -> None:
    """With a sentence for the user alone; the public answer is taken back."""
    asked = await world.imagine("a cat", image=("mine.png", b"not a picture at all"))
    assert asked.response is None
    (told,) = asked.followups
    assert told.ephemeral
    assert "picture" in told.content
    assert told.content.endswith("Your prompt was:\n```\na cat\n```"), "what was typed is not lost"
    assert world.messages() == []


async def test_relaxed_jobs_say_so(world: World) -> None:
    """In the result's content."""
    grid = await world.grid("a cat --relax")
    assert grid.content == f"**a cat --relax** - <@{world.lin.id}> (relaxed)"


async def test_the_fourteenth_job_is_told_to_wait(world: World) -> None:
    """Three run and ten wait; nothing of the fourteenth is left behind but its sentence."""
    for number in range(13):
        await world.imagine(f"apple {number}")
    asked = await world.imagine("one too many")
    assert asked.response is None
    (told,) = asked.followups
    assert told.ephemeral
    assert told.content.startswith("You already have 13 jobs that are not done; 3 may run and 10 may wait.")
    assert len(world.messages()) == 13


async def test_an_empty_quota_says_when_it_refills(tmp_path: Path) -> None:
    """As a time stamp that Discord shows in the reader's own zone."""
    async with playing(tmp_path, quota=Quota(day=4)) as world:
        await world.grid()
        asked = await world.imagine("another")
        (told,) = asked.followups
        assert told.ephemeral
        assert "you have 0 images left of 4 images for this day; it refills" in told.content
        assert "<t:" in told.content


async def test_the_servers_own_limits_hold(tmp_path: Path) -> None:
    """The range in the sentence is the server's, not the table's."""
    async with playing(tmp_path, limits=Limits(max_images=2)) as world:
        asked = await world.imagine("a cat --n 4")
        assert "`--n 4`: the value must be a whole number from 1 to 2." in asked.response.content


async def test_cancel_ends_the_job(world: World) -> None:
    """The waiting message says so, and the credit is back."""
    asked = await world.imagine("a cat")
    await world.lin.click(asked.response.message, label="Cancel")
    await world.until(lambda: "Cancelled" in asked.response.content, "told")
    assert asked.response.content == f"**a cat** - <@{world.lin.id}>\nCancelled. It cost you nothing."
    assert labels(asked.response.message) == []
    facts = await world.lin.slash(world.channel, "info")
    assert "100 images left of 100" in facts.response.content


async def test_cancel_is_the_owners_or_an_admins(world: World) -> None:
    """Others are told; the job goes on."""
    asked = await world.imagine("a cat")
    pressed = await world.max.click(asked.response.message, label="Cancel")
    assert pressed.followups[0].ephemeral
    assert pressed.followups[0].content == (
        "Only the one who asked for this picture, or an admin, may cancel it."
    )
    await world.ada.click(asked.response.message, label="Cancel")
    await world.until(lambda: "Cancelled" in asked.response.content, "told")


async def test_a_channel_where_the_bot_may_not_post_is_refused(world: World) -> None:
    """Before anything is painted in vain."""
    me = world.guild.me
    assert me is not None
    deny = discord.PermissionOverwrite(send_messages=False)
    quiet = world.guild.create_text_channel("quiet", overwrites={me: deny})
    asked = await world.lin.slash(quiet, "imagine", prompt="a cat")
    assert asked.ephemeral
    assert asked.response.content.startswith(
        "I may not post pictures in this channel (missing: send messages)"
    )


async def test_the_same_interaction_makes_one_job(world: World) -> None:
    """Discord may deliver twice; the row's unique interaction id decides."""
    await world.imagine("a cat")
    delivered = [payload for _, name, payload in world.env.backend.transcript if name == "INTERACTION_CREATE"]
    world.env.backend.emit("INTERACTION_CREATE", delivered[-1])
    await world.env.settle()
    jobs = await world.services.queue()
    assert jobs.queued + jobs.running == 1
    assert len(world.messages()) == 1
    world.forgive(discord.HTTPException)


async def test_unexpected_errors_become_an_apology_with_a_reference(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What went wrong is in the log under the same reference, not in the channel."""

    async def broken(_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(world.services.admission), "admit", lambda *_: broken(None))
    asked = await world.imagine("a cat")
    (told,) = asked.followups
    assert told.ephemeral and "secret detail" not in told.content
    reference = told.content.rsplit("`", 2)[1]
    assert any(reference in record.getMessage() for record in caplog.records)
    assert asked.response is None
    errors = world.env.errors
    assert [type(error.original) for error in errors] == [RuntimeError]
    world.forgive(RuntimeError)


@pytest.mark.parametrize(
    "error", [StoreError("The disk of /srv/data is full."), OSError(errno.ENOSPC, "full")]
)
async def test_a_full_disk_is_told_and_takes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Without the operator's paths."""

    async def full(_: object) -> None:
        raise error

    world.forgive(type(error))
    monkeypatch.setattr(type(world.services.admission), "admit", lambda *_: full(None))
    (told,) = (await world.imagine("a cat")).followups
    assert told.ephemeral and "My disk is full or cannot be written" in told.content
    assert "nothing was taken" in told.content and "a cat" in told.content and "/srv" not in told.content


async def test_posted_jobs_are_posted(world: World) -> None:
    """The row knows its message, which buttons and replies need."""
    grid = await world.grid()
    job = await world.job_of(grid)
    assert (job.status, job.result_message_id) == (JobStatus.POSTED, grid.id)
    assert button(grid, "U1").custom_id == f"tessera:u:{job.id}:0"


async def test_the_waiting_message_explains_what_was_understood(world: World) -> None:
    """To whoever asks, in their language, with the price and what the model leaves aside."""
    asked = await world.imagine("a red apple --ar 3:2 --draft --steps 5")
    told = await world.max.click(asked.response.message, label="Explain")
    (answer,) = told.followups
    said = answer.content
    assert answer.ephemeral
    assert "- `a red apple`: what to paint" in said and "- `--ar 3:2`: Shape of the pictures" in said
    assert "leaves aside**\n- `--draft`: left aside, since `--steps` says it exactly" in said
    assert "5 steps of" in said and said.endswith("**Price** 4 images")
    world.speaks(world.max, "zh-CN")
    told = await world.max.click(asked.response.message, label="Explain")
    assert "**我的理解**" in told.followups[0].content and "画面的宽高比" in told.followups[0].content
