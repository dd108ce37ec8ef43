"""The stand-in against the unmodified discord.py, in one process: what the other tests stand on."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import aiohttp
import discord
import pytest
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route
from PIL import Image

from tests.wire.standin import File, StandIn
from tests.wire.world import Callback


def png(width: int = 8, height: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "PNG")
    return buffer.getvalue()


class Button(discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=r"t:(?P<n>\d+)"):
    def __init__(self, n: int) -> None:
        super().__init__(discord.ui.Button(label=f"U{n}", custom_id=f"t:{n}"))
        self.n = n

    @classmethod
    async def from_custom_id(cls, interaction: object, item: object, match: object) -> Button:
        return cls(int(match["n"]))  # type: ignore[index]

    async def callback(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"pressed {self.n}", ephemeral=True)


class Ask(discord.ui.Modal, title="Ask"):
    word: discord.ui.TextInput[Ask] = discord.ui.TextInput(label="word", custom_id="word")

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"you said {self.word.value}")


class Bot(discord.Client):
    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.default())
        self.tree = app_commands.CommandTree(self)
        self.resumed = asyncio.Event()
        self.tree.add_command(app_commands.Command(name="wait", description="-", callback=self.wait))
        self.tree.add_command(app_commands.Command(name="ask", description="-", callback=self.ask))
        self.tree.add_command(app_commands.Command(name="take", description="-", callback=self.take))

    async def wait(self, interaction: discord.Interaction) -> None:
        await interaction.response.defer(thinking=True)
        await interaction.followup.send("(Waiting to start)", wait=True)

    async def ask(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Ask())

    async def take(self, interaction: discord.Interaction, file: discord.Attachment) -> None:
        data = await file.read()
        await interaction.response.send_message(f"{file.filename} {len(data)}", ephemeral=True)

    async def setup_hook(self) -> None:
        self.add_dynamic_items(Button)
        await self.tree.sync()

    async def on_resumed(self) -> None:
        self.resumed.set()


@pytest.fixture
async def stand_in(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    async with StandIn() as made:
        monkeypatch.setattr(Route, "BASE", made.api)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(made.gateway_url))
        yield made


@pytest.fixture
async def bot(stand_in: StandIn) -> AsyncIterator[Bot]:
    client = Bot()
    task = asyncio.create_task(client.start(stand_in.token))
    await stand_in.connected()
    yield client
    await client.close()
    await task


def channel_of(bot: Bot, stand_in: StandIn) -> discord.PartialMessageable:
    return bot.get_partial_messageable(stand_in.channel.id)


async def test_commands_defer_and_follow_up(stand_in: StandIn, bot: Bot) -> None:
    order = await stand_in.slash(stand_in.user("ann"), "wait")
    assert order.callback is Callback.DEFER
    await stand_in.wait_for(lambda: order.said == "(Waiting to start)")
    assert [len(order.answers), stand_in.traffic.syncs, order.latency < 3] == [1, 1, True]


async def test_modal_attachment_and_button(stand_in: StandIn, bot: Bot) -> None:
    ann = stand_in.user("ann")
    opened = await stand_in.slash(ann, "ask")
    assert (await stand_in.submit(ann, opened, {"word": "yes"})).said == "you said yes"
    taken = await stand_in.slash(ann, "take", file=File("a.png", png()))
    assert taken.said == f"a.png {len(png())}"
    view = discord.ui.View(timeout=None)
    view.add_item(Button(3))
    sent = await channel_of(bot, stand_in).send("grid", view=view)
    message = stand_in.world.message(sent.id)
    assert message is not None
    assert (await stand_in.click(ann, message, "U3")).said == "pressed 3"


async def test_nonce_is_honoured_within_the_window_only(stand_in: StandIn, bot: Bot) -> None:
    channel = channel_of(bot, stand_in)
    file = discord.File(io.BytesIO(png()), "a.png")
    first = await channel.send("a", nonce="job-1", file=file)
    assert (await channel.send("a", nonce="job-1")).id == first.id
    stand_in.end_nonce_window()
    assert (await channel.send("a", nonce="job-1")).id != first.id
    assert stand_in.world.messages[0].attachments[0].image.size == (8, 8)


async def test_a_dropped_reply_is_an_accepted_send(stand_in: StandIn, bot: Bot) -> None:
    stand_in.faults.drop("POST", r"/channels/\d+/messages$")
    with pytest.raises(aiohttp.ClientError) as caught:
        await channel_of(bot, stand_in).send("a")
    assert isinstance(caught.value, OSError) and caught.value.errno in (104, None)
    assert [message.content for message in stand_in.world.messages] == ["a"]
    stand_in.faults.reset("POST", r"/channels/\d+/messages$")
    with pytest.raises(aiohttp.ClientError):
        await channel_of(bot, stand_in).send("b")
    assert len(stand_in.world.messages) == 1


async def test_rate_limits_and_server_errors_are_retried_by_the_library(stand_in: StandIn, bot: Bot) -> None:
    stand_in.faults.rate_limit("POST", r"/messages$", 0.01, times=2)
    await channel_of(bot, stand_in).send("a")
    assert stand_in.traffic.invalid == 2
    stand_in.faults.refuse("POST", r"/messages$", 403, code=50013)
    with pytest.raises(discord.Forbidden):
        await channel_of(bot, stand_in).send("b")


async def test_expired_tokens_and_late_edits(stand_in: StandIn, bot: Bot) -> None:
    order = await stand_in.slash(stand_in.user("ann"), "wait")
    await stand_in.wait_for(lambda: order.said)
    stand_in.expire(order)
    assert order.original is not None
    webhook = discord.Webhook.partial(bot.application_id or 0, order.token, client=bot)
    with pytest.raises(discord.HTTPException) as caught:
        await webhook.edit_message(order.original.id, content="late")
    assert (caught.value.status, caught.value.code) == (401, 50027)
    await channel_of(bot, stand_in).get_partial_message(order.original.id).edit(content="by bot token")
    assert order.said == "by bot token"


async def test_history_goes_both_ways(stand_in: StandIn, bot: Bot) -> None:
    ann = stand_in.user("ann")
    ids = [stand_in.say(ann, str(number)).id for number in range(120)]
    channel = channel_of(bot, stand_in)
    assert [m.id async for m in channel.history(limit=None)] == ids[::-1]
    after = discord.Object(ids[99])
    assert [m.id async for m in channel.history(after=after)] == ids[100:]
    around = [m.id async for m in channel.history(around=discord.Object(ids[50]), limit=10)]
    assert sorted(around) == ids[45:55]


async def test_what_discord_refuses(stand_in: StandIn, bot: Bot) -> None:
    channel = channel_of(bot, stand_in)
    stand_in.rest.upload_limit = 16
    with pytest.raises(discord.HTTPException) as caught:
        await channel.send(file=discord.File(io.BytesIO(png()), "a.png"))
    assert (caught.value.status, caught.value.code) == (413, 40005)
    with pytest.raises(discord.HTTPException, match="50035"):
        await channel.send("x" * 2001)
    with pytest.raises(discord.HTTPException, match="50006"):
        await channel.send("")
    with pytest.raises(discord.NotFound, match="10008"):
        await channel.get_partial_message(1).edit(content="a")


@pytest.mark.parametrize("code", [1006, 4000])
async def test_a_dropped_gateway_is_resumed_and_nothing_missed(
    stand_in: StandIn, bot: Bot, code: int
) -> None:
    await stand_in.gateway.drop(code)
    order = await stand_in.slash(stand_in.user("ann"), "wait")
    assert order.callback is Callback.DEFER
    assert [len(stand_in.traffic.identifies), stand_in.traffic.resumes] == [1, 1]


async def test_a_wrong_token_is_refused(stand_in: StandIn) -> None:
    async with Bot() as client:
        with pytest.raises(discord.LoginFailure):
            await client.start("wrong")
