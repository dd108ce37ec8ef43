"""The sink: nonces, looking for what was posted, files that must shrink, places that are gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aiohttp
import discord
import pytest

from bot.domain.job import JobStatus, Place
from bot.services.library import Attachment
from bot.services.sink import SinkGone, SinkRefused
from bot.ui.history import result_of
from bot.ui.presenter import NONCE_LENGTH, DiscordSink, nonce_of
from tests.bot.ui.test_echo import job
from tests.bot.ui.world import World


def sends(world: World) -> list[Any]:
    """Requests that made a message by the bot's token."""
    return [
        request
        for request in world.env.http_requests
        if request.method == "POST" and request.path == f"/channels/{world.channel.id}/messages"
    ]


async def test_results_carry_a_nonce_of_their_job(world: World) -> None:
    """Discord then gives a repeated send the first one's message."""
    grid = await world.grid()
    (sent,) = sends(world)
    assert sent.json["nonce"] == (result_of(grid) or "")[:25]
    assert sent.json["enforce_nonce"] is True
    assert len(nonce_of(job("x"))) == NONCE_LENGTH == 25


async def test_a_posted_result_is_found_again(world: World) -> None:
    """By its buttons; the waiting message, which has the same job's id, is not one."""
    sink = DiscordSink(world.client)
    asked = await world.imagine("a cat")
    waiting = await world.services.job(_job_id(asked.response.message))
    assert waiting is not None
    assert await sink.find_posted(waiting) is None
    grid = await world.result()
    assert await sink.find_posted(await world.job_of(grid)) == grid.id
    other = replace(job("never seen"), place=(await world.job_of(grid)).place)
    assert await sink.find_posted(other) is None


async def test_too_large_a_request_is_sent_smaller(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """40005 whatever the guild's tier says: the next variant, never an error."""
    asked: list[int] = []
    library = type(world.services.library)
    original = library.attachment

    async def attachment(self: Any, job: Any, pictures: Any, limit: int) -> Attachment:
        asked.append(limit)
        file = await original(self, job, pictures, limit)
        return Attachment(file.filename, file.data + b"\0" * 300_000 if len(asked) == 1 else file.data)

    monkeypatch.setattr(library, "attachment", attachment)
    world.env.inject_error("POST", "/channels/*/messages", status=400, code=40005)
    await world.grid()
    assert asked[0] == 10 * 1024 * 1024
    assert 0 < asked[1] < 10 * 1024 * 1024


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [(404, 10003, "Unknown Channel"), (403, 50007, "Cannot send messages to this user")],
)
async def test_a_deleted_channel_is_a_place_that_is_gone(
    world: World, status: int, code: int, message: str
) -> None:
    """So that the outbox stops trying."""
    world.env.inject_error("POST", "/channels/*/messages", status=status, code=code, message=message)
    with pytest.raises(SinkGone, match="no longer takes messages"):
        await DiscordSink(world.client).tell(job("x"), "Sorry.")


@pytest.mark.parametrize(
    ("status", "code", "raised"),
    [
        (400, 20026, SinkRefused),
        (403, 0, SinkRefused),
        (404, 0, SinkRefused),
        (401, 0, discord.HTTPException),
        (408, 0, discord.HTTPException),
    ],
)
async def test_what_discord_will_never_take_is_told_apart_from_what_may_pass(
    world: World, status: int, code: int, raised: type[Exception]
) -> None:
    """Only the first kind is given up after a few tries."""
    world.env.inject_error("POST", "/channels/*/messages", status=status, code=code, message="No.")
    here = replace(job("x"), place=Place(world.guild.id, world.channel.id))
    with pytest.raises(raised) as told:
        await DiscordSink(world.client).tell(here, "Sorry.")
    assert isinstance(told.value, SinkRefused) is (raised is SinkRefused)


async def test_bad_news_is_sent_anew_where_the_waiting_message_is_gone(world: World) -> None:
    """Somebody deleted it."""
    asked = await world.imagine("a cat")
    job_id = _job_id(asked.response.message)
    await world.ada.delete(asked.response.message)
    job = await world.services.job(job_id)
    assert job is not None
    await world.services.cancel(job_id, job.requester)
    told = await world.until(lambda: world.messages(), "told")
    assert told[0].content == f"**a cat** - <@{world.lin.id}>\nCancelled. It cost you nothing."


async def test_the_waiting_message_goes_when_it_is_learnt_that_the_result_is_out(world: World) -> None:
    """A crash between the two left both standing."""
    grid = await world.grid()
    posted = await world.job_of(grid)
    channel = world.client.get_channel(world.channel.id)
    assert isinstance(channel, discord.TextChannel)
    left = await channel.send("**a red apple** - (95%)")
    assert await DiscordSink(world.client).find_posted(replace(posted, message_id=left.id)) == grid.id
    assert [message.id for message in world.messages()] == [grid.id]


async def test_a_result_that_is_out_stays_out_whatever_becomes_of_the_waiting_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dropped connection is no OSError: it must not count as a send to be repeated."""
    grid = await world.grid()
    posted = replace(await world.job_of(grid), message_id=1)

    async def dropped(message: discord.PartialMessage) -> None:
        raise aiohttp.ServerDisconnectedError

    monkeypatch.setattr(discord.PartialMessage, "delete", dropped)
    assert await DiscordSink(world.client).find_posted(posted) == grid.id


async def test_an_engine_error_is_told_in_the_waiting_message(world: World) -> None:
    """With the prompt, so that it can be tried again."""
    asked = await world.imagine("a cat")
    await world.until(lambda: world.engine.submitted, "the engine has it")
    await world.services.recorder.end(_job_id(asked.response.message), JobStatus.FAILED, "It did not work.")
    await world.until(lambda: "did not work" in asked.response.content, "told")
    assert asked.response.content == f"**a cat** - <@{world.lin.id}>\nIt did not work."


def _job_id(message: discord.Message) -> str:
    """The job of a waiting message, from its Cancel button."""
    row = message.components[0]
    assert isinstance(row, discord.ActionRow)
    child = row.children[0]
    assert isinstance(child, discord.Button) and child.custom_id
    return child.custom_id.split(":")[2]
