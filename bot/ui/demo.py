"""The real bot in a simulated Discord, as a page in the local browser: no token, nothing leaves the machine.

SimCord plays Discord in process. It settles after every action of the page, so what is painted later must be
pushed: a subscriber marks the page dirty, a task refreshes it, another one moves the virtual clock along with
the real one, and a lock keeps these and the page's own actions apart (``_action`` is private: SimCord is
pinned).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import tempfile
import time
import webbrowser
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import discord

from bot.config import Data, Settings
from bot.errors import OperatorError
from bot.services.app import Services, open_services
from bot.ui.client import TesseraClient, stop_signal
from bot.ui.park import parked_by
from bot.ui.presenter import DiscordSink
from engine.api import Engine

if TYPE_CHECKING:
    from simcord import Env
    from simcord.builders import ChannelHandle
    from simcord.preview import Preview

log = logging.getLogger(__name__)
NO_SIMCORD = (
    "The demo needs its simulated Discord, which is not installed. Type: make demo; "
    "or: pip install 'tessera[demo]'."
)
TICK_S = 0.25
"""How often the virtual clock follows the real one."""
REFRESH_S = 0.15
"""The page is not told more often than this."""
TOPIC = "Simulated Discord on your own machine. The bot is real; the people are not."
WELCOME = """\
**Welcome to Tessera's demo.** This page is a simulated Discord that runs on your machine only. \
The bot in it is the real one, with its queue, quotas and buttons.

Try `/imagine a red apple`, watch it being painted, then press **U2** for picture 2 at full size or **V3** \
for variations of picture 3. `/help` lists the flags.
You are **ada**, who may manage this server (`/quota`). Switch the viewer to **lin**, an ordinary member, \
to see what she may do.

{model}"""
SKETCH_NOTE = """\
The pictures come from the embedded **sketch model**: small enough for two CPU cores, made to try things \
out. To paint with a real one, name its diffusers folder in `config.toml` and start again with \
`make demo CONFIG=config.toml`:
```toml
[models.mine]
path = "/path/to/stable-diffusion-v1-5"
[engine]
default_model = "mine"
```"""


@dataclass(frozen=True, slots=True)
class Stage:
    """The simulated place: a channel, an admin and a member."""

    channel: ChannelHandle
    viewers: tuple[Any, ...]


async def run_demo(settings: Settings, port: int, engine: Engine, *, browser: bool = False) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C or until it is ended there; ``port`` 0 takes a free one.

    With ``browser`` it is opened in the user's, where there is a display to show it.
    """
    with tempfile.TemporaryDirectory(prefix="tessera-demo-") as folder:
        async with stop_signal() as stop, live_demo(settings, port, engine, Path(folder)) as (url, work):
            print(f"Tessera demo (simulated Discord): {url}\nCtrl-C ends it.", flush=True)
            if browser and has_display(sys.platform, os.environ):
                await asyncio.to_thread(webbrowser.open, url)
            asked = asyncio.create_task(stop.wait())
            await asyncio.wait({asked, work}, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if work.done():
                await work


def has_display(platform: str, environ: Mapping[str, str]) -> bool:
    """Whether a browser could be seen. A terminal's browser, or one behind ssh, would only be in the way."""
    if environ.get("SSH_CONNECTION"):
        return False
    return platform in ("darwin", "win32") or any(
        environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


@contextlib.asynccontextmanager
async def live_demo(
    settings: Settings, port: int, engine: Engine, folder: Path
) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """The running demo: its address, and a task that ends when the page was closed or something broke."""
    simcord = _simcord()
    settings = settings.model_copy(update={"data": Data(dir=folder)})
    client = TesseraClient(settings)
    services = await open_services(settings, engine, DiscordSink(client))
    client.serve(services)
    try:
        async with simcord.run(client, check_errors=False, settle_timeout=30.0) as env:
            with parked_by(lambda awaitable, reason: env.external_wait(awaitable, reason=reason)):
                stage = await _set_up(env, client, services)
                async with _page(env, stage, port) as preview, _working(services, preview) as work:
                    yield preview.url, work
                await client.close()
    finally:
        await services.close()


def _simcord() -> Any:
    logger = logging.getLogger("discord.state")
    logger.disabled = True  # SimCord tries out a client without intents as it is imported
    try:
        import simcord
        import simcord.preview
    except ImportError as error:
        raise OperatorError(NO_SIMCORD) from error
    finally:
        logger.disabled = False
    return simcord


async def _set_up(env: Env, client: TesseraClient, services: Services) -> Stage:
    """A server that says what it is, two people, and a word of welcome from the bot."""
    assert client.user is not None
    # The simulated clock starts in the past; messages and refill times should read as of now.
    await env.advance_time(time.time() - env.now().timestamp())
    await client.user.edit(username="Tessera")
    guild = env.create_guild("Tessera demo (simulated)")
    channel = guild.create_text_channel("simulated-painting", topic=TOPIC)
    admins = guild.create_role("Admin", permissions=discord.Permissions(manage_guild=True))
    ada = guild.add_member(env.create_user("ada"), roles=[admins])
    lin = guild.add_member(env.create_user("lin"))
    await env.settle()
    await client.get_partial_messageable(channel.id, guild_id=guild.id).send(
        welcome(services.engine.models())
    )
    return Stage(channel, (ada, lin))


def welcome(models: Mapping[str, Any]) -> str:
    """The first message of the channel, honest about the model that paints."""
    name, info = next(iter(models.items()))
    if name == "sketch":
        return WELCOME.format(model=SKETCH_NOTE)
    return WELCOME.format(model=f"The pictures come from the model **{name}** ({info.description}).")


@contextlib.asynccontextmanager
async def _page(env: Env, stage: Stage, port: int) -> AsyncIterator[Preview]:
    """SimCord's page, kept up to date with what the bot does by itself."""
    simcord = _simcord()
    try:
        preview = env.preview(stage.channel, viewers=stage.viewers, layout="channel", port=port)
        preview._media_worker = _decoder()
        async with preview, _kept_live(env, preview):
            yield preview
    except simcord.SetupError as error:
        raise OperatorError(f"The demo's page cannot be served: {error}.") from error


def _decoder() -> Any:
    """SimCord reads each picture in a process of its own: it would come after the preview's successor.

    Ours are no stranger's, so a thread will do.
    """
    from simcord.preview import _media

    class Decoder(_media.MediaWorker):
        async def _decode(self, key: str, blob: bytes, media_time: float | None) -> Any:
            return await asyncio.to_thread(_media._process_media, blob, media_time)

    return Decoder()


@contextlib.asynccontextmanager
async def _kept_live(env: Env, preview: Preview) -> AsyncIterator[None]:
    lock, dirty = asyncio.Lock(), asyncio.Event()
    action = preview._action

    async def locked_action(*args: Any) -> Any:
        async with lock:
            return await action(*args)

    def changed(*_: Any) -> None:
        dirty.set()

    setattr(preview, "_action", locked_action)  # noqa: B010 - an instance in front of its own method
    env.backend.subscribers.append(changed)
    tasks = [
        asyncio.create_task(_refresh(preview, lock, dirty), name="demo-refresh"),
        asyncio.create_task(_tick(env, preview, lock, dirty), name="demo-clock"),
    ]
    try:
        yield
    finally:
        env.backend.subscribers.remove(changed)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _refresh(preview: Preview, lock: asyncio.Lock, dirty: asyncio.Event) -> None:
    while True:
        await dirty.wait()
        dirty.clear()
        async with lock:
            if preview._active:
                await _tolerantly(preview.refresh())
        await asyncio.sleep(REFRESH_S)


async def _tick(env: Env, preview: Preview, lock: asyncio.Lock, dirty: asyncio.Event) -> None:
    """An answer for one person's eyes comes without an event: that the bot asked for it tells of it."""
    last, told = time.monotonic(), 0
    while True:
        await asyncio.sleep(TICK_S)
        async with lock:
            now = time.monotonic()
            if preview._active:
                await _tolerantly(env.advance_time(now - last))
            last = now
        news = env.backend.transcript[told:]
        told += len(news)
        if any("/webhooks/" in what for _, what, _ in news):
            dirty.set()


async def _tolerantly(operation: Any) -> None:
    """A callback that takes longer than the simulation likes is no reason to stop the page."""
    try:
        await operation
    except TimeoutError as error:
        log.warning("the simulation did not settle: %s", error)


@contextlib.asynccontextmanager
async def _working(services: Services, preview: Preview) -> AsyncIterator[asyncio.Task[None]]:
    """The services at work; the task ends with them, or when the page's session is ended."""
    work = asyncio.create_task(services.run(), name="services")
    closed = asyncio.create_task(preview.wait_closed(), name="page-closed")

    async def until_over() -> None:
        done, _ = await asyncio.wait({work, closed}, return_when=asyncio.FIRST_COMPLETED)
        if work in done:
            await work

    over = asyncio.create_task(until_over(), name="demo-over")
    try:
        yield over
    finally:
        await services.drain(5.0)
        for task in (over, closed, work):
            task.cancel()
        await asyncio.gather(over, closed, work, return_exceptions=True)
