"""Menus of messages and reactions: for the owner, from the message alone; closed direct messages are told."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import discord
import pytest
from PIL import Image

from bot.config import Discord
from bot.ui.commands.menus import ReportWindow
from bot.ui.forms import LIFE_S
from bot.ui.history import result_of
from bot.ui.ideas import PromptWindow
from tests.bot.ui.test_imagine import picture
from tests.bot.ui.world import World, answers, playing


def mail(who: Any) -> list[discord.Message]:
    """What stands in somebody's direct messages."""
    return list(who.user.dm_channel.history())


def close_mail(world: World) -> None:
    """Discord refuses direct messages from here on."""
    channel = world.lin.user.dm_channel
    world.env.inject_error("POST", f"/channels/{channel.id}/messages", status=403, code=50007, times=None)


async def menu(world: World, name: str, message: Any, who: Any = None) -> Any:
    return await (who or world.lin).context_menu(world.channel, name, message)


async def test_cancel_job(world: World) -> None:
    """The owner's own; the credit is back."""
    asked = await world.imagine("a cat")
    refused = await menu(world, "Cancel Job", asked.response.message, world.max)
    assert "or an admin, may cancel it" in answers(refused)[0].content
    done = await menu(world, "Cancel Job", asked.response.message)
    assert answers(done)[0].content == "Cancelled. It cost you nothing."
    await world.until(lambda: "Cancelled" in asked.response.content, "told")


async def test_dm_results(world: World) -> None:
    """Each picture with job and seed; hidden ones to their owner alone."""
    grid = await world.grid("a cat --seed 7 --stealth")
    refused = await menu(world, "DM Results", grid, world.max)
    assert "only its owner may have it sent" in answers(refused)[0].content
    done = await menu(world, "DM Results", grid)
    assert answers(done)[0].content == "Sent to you by direct message."
    (sent,) = mail(world.lin)
    assert f"Job `{result_of(grid)}`" in sent.content
    assert "Image #1: seed `7`" in sent.content and "Image #4: seed `10`" in sent.content
    assert len(sent.attachments) == 4
    with Image.open(io.BytesIO(await sent.attachments[2].read())) as opened:
        assert opened.size == (256, 256) and "Seed: 9" in opened.info["parameters"]


async def test_closed_direct_messages_are_told(world: World) -> None:
    """Instead of failing silently."""
    grid = await world.grid()
    close_mail(world)
    done = await menu(world, "DM Results", grid)
    assert answers(done)[0].content.startswith("I may not send you direct messages. Allow them")


async def test_report_goes_to_the_channel_and_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With who, what and where, and without a ping."""
    async with playing(tmp_path) as world:
        desk = world.guild.create_text_channel("reports")
        settings = world.settings.model_copy(update={"discord": Discord(report_channel_id=desk.id)})
        world.client.settings = settings
        grid = await world.grid("@everyone a cat")
        shown = await menu(world, "Report Job", grid, world.max)
        done = await world.max.submit_modal(shown, {"reason": "bad <@1>"})
        assert answers(done)[-1].content == "Reported to those who run this bot. Thank you."
        (report,) = desk.history()
        assert f"<@{world.max.id}> reports job `{result_of(grid)}` of <@{world.lin.id}>" in report.content
        assert grid.jump_url in report.content
        assert not report.mention_everyone
        (sent,) = [r.json for r in world.env.http_requests if r.path == f"/channels/{desk.id}/messages"]
        assert sent["allowed_mentions"] == {"parse": []}
        assert any("was reported by" in record.getMessage() for record in caplog.records)


async def test_use_as_image_prompt(world: World) -> None:
    """A window for the words; the picture of the message goes in front."""
    grid = await world.grid()
    shown = await menu(world, "Use as Image Prompt", grid, world.max)
    await world.max.submit_modal(shown, {"prompt": "a dog --iw 2"})
    await world.until(lambda: len(world.engine.submitted) == 2, "the engine has it")
    spec = world.engine.submitted[1]
    assert spec.init is not None and spec.prompt.startswith("a dog")


async def test_describe_and_parameters(world: World) -> None:
    """Of a job of ours; and of anybody's picture."""
    grid = await world.grid("a red apple --seed 7")
    told = await menu(world, "Describe & Parameters", grid)
    assert all(message.ephemeral for message in answers(told))
    contents = "\n".join(message.content for message in answers(told))
    assert "Seeds: #1 7, #2 8, #3 9, #4 10" in contents
    assert "From the parameters that Tessera wrote into the picture." in contents
    foreign = await world.max.send(world.channel, "mine", attachments=[("a.png", picture())])
    told = await menu(world, "Describe & Parameters", foreign)
    assert "guesses from colours, light and shape alone" in answers(told)[-1].content
    bare = await world.max.send(world.channel, "no picture here")
    told = await menu(world, "Describe & Parameters", bare)
    assert answers(told)[-1].content == "There is no picture on this message."
    told = await menu(world, "Cancel Job", bare)
    assert "no job of mine" in answers(told)[-1].content


async def test_an_envelope_sends_it_to_its_owner_alone(world: World) -> None:
    """Others' envelopes mean nothing."""
    grid = await world.grid("a cat --seed 7")
    await world.max.react(grid, "✉️")
    await world.lin.react(grid, "👍")
    assert mail(world.max) == [] and mail(world.lin) == []
    await world.lin.react(grid, "✉️")
    (sent,) = mail(world.lin)
    assert "Image #1: seed `7`" in sent.content and len(sent.attachments) == 4


async def test_an_envelope_that_cannot_arrive_says_so_in_the_channel(world: World) -> None:
    """To the owner, who alone is pinged."""
    grid = await world.grid()
    close_mail(world)
    await world.lin.react(grid, "📩")
    told = world.messages()[-1]
    assert told.content.startswith(f"<@{world.lin.id}> I may not send you direct messages.")


async def test_a_cross_cancels_what_runs_and_deletes_what_is_done(world: World) -> None:
    """By the owner alone."""
    asked = await world.imagine("a cat")
    await world.lin.react(asked.response.message, "❌")
    await world.until(lambda: "Cancelled" in asked.response.content, "told")
    grid = await world.grid()
    await world.max.react(grid, "❌")
    assert [message.id for message in world.results()] == [grid.id]
    await world.lin.react(grid, "❌")
    assert world.results() == []
    assert await world.services.job(result_of(grid) or "") is None


async def test_results_by_direct_message_until_the_door_is_closed(world: World) -> None:
    """Then it is said once, and not tried again."""
    await world.lin.slash(world.channel, "prefer auto_dm")
    await world.grid("one")
    assert len(mail(world.lin)) == 1
    close_mail(world)
    await world.grid("two")
    await world.until(lambda: "so I no longer send results there" in world.messages()[-1].content, "told")
    assert not (await world.services.preferences.of(world.lin.id)).auto_dm


async def test_pictures_that_are_gone_close_no_door(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Discord says that somebody takes no direct messages."""
    await world.lin.slash(world.channel, "prefer auto_dm")

    async def none(_: object, job_id: str) -> tuple[()]:
        return ()

    monkeypatch.setattr(type(world.services), "pictures", none)
    await world.grid("one")
    assert mail(world.lin) == []
    assert (await world.services.preferences.of(world.lin.id)).auto_dm


async def test_a_window_that_is_never_sent_off_is_forgotten(world: World) -> None:
    grid = await world.grid()
    for window in (PromptWindow("", (), "en-US"), ReportWindow(grid, "en-US")):
        assert window.timeout == LIFE_S
