"""The bot's connection to Discord, and its life from login to the last message."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import discord

from bot.config import Settings
from bot.domain.sentence import say
from bot.errors import DiscordLoginError, UserError
from bot.services import blackbox
from bot.services.app import Services, open_services
from bot.ui.components import BUTTONS
from bot.ui.desk import Desk
from bot.ui.funnel import answer_error
from bot.ui.logins import Logins
from bot.ui.pace import Pace
from bot.ui.panels import PANELS
from bot.ui.presenter import DiscordSink
from bot.ui.reactions import reacted
from bot.ui.studio import Studio
from bot.ui.translator import Translator
from bot.ui.tree import Tree
from bot.ui.welcome import Welcomes
from engine.api import Engine

log = logging.getLogger(__name__)
# Nobody needs to be told at every start that a painter cannot speak.
discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
CLOSE_S = 28.0
"""From SIGTERM to the end of the process, with a margin to the 30 s that service managers give."""
NO_TOKEN = (
    "There is no Discord token. Put it into DISCORD_TOKEN or into token under [discord] in the config file; "
    "or try the bot without one: tessera demo."
)
WRONG_TOKEN = (
    "Discord refused the token. Copy it anew from https://discord.com/developers/applications "
    "(Bot, Reset Token) into DISCORD_TOKEN or into token under [discord] in the config file."
)
TOO_MANY_LOGINS = (
    "Discord is not connected: the bot logged in 30 times within an hour, and Discord resets the token of "
    "one that does so all day. The next login is in {minutes:.0f} minutes; the log says why it did."
)
TOKEN_GONE = 4004
"""The gateway's code for a token that was valid at login and has been reset since."""


UNKNOWN = say("I no longer have what this button was for: it is of another version of me.")


Beside = Callable[[Services, Callable[[], str | None]], contextlib.AbstractAsyncContextManager[object]]


class TesseraClient(discord.Client):
    """Commands, buttons and reactions: no message content is read, so no privileged intent is needed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True, guild_reactions=True, dm_reactions=True),
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            chunk_guilds_at_startup=False,
            http_trace=Pace().trace(),
        )
        self.settings = settings
        self.welcomes = Welcomes()
        self.logins = Logins(Path(settings.data.dir))
        self.tree = Tree(self)
        self._services: Services | None = None
        self._desk: Desk | None = None
        self._studio: Studio | None = None

    @property
    def services(self) -> Services:
        """Set by :meth:`serve`; the client is useless before."""
        assert self._services is not None, "serve() comes before the first interaction"
        return self._services

    @property
    def desk(self) -> Desk:
        """The verbs behind commands and buttons."""
        assert self._desk is not None, "serve() comes before the first interaction"
        return self._desk

    @property
    def studio(self) -> Studio:
        """What buttons do beyond making jobs."""
        assert self._studio is not None, "serve() comes before the first interaction"
        return self._studio

    @property
    def bot_id(self) -> int:
        """The bot's own user id; known after login."""
        return self.user.id if self.user else 0

    def fault(self) -> str | None:
        """Why Discord is not being heard, or None."""
        if self.ws is not None and self.ws.open:
            return None
        wait = self.logins.wait()
        return TOO_MANY_LOGINS.format(minutes=wait / 60) if wait else "Discord is not connected"

    def serve(self, services: Services) -> None:
        """Hand over the opened services."""
        self._services = services
        self._desk = Desk(services, self.welcomes)
        self._studio = Studio(services, self._desk)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Only so many logins an hour, over restarts too."""
        await super().before_identify_hook(shard_id, initial=initial)
        await self.login_turn()
        await asyncio.to_thread(self.logins.note)

    async def login_turn(self) -> None:
        """Wait until Discord may be asked for another session."""
        if wait := await asyncio.to_thread(self.logins.wait):
            log.warning(TOO_MANY_LOGINS.format(minutes=wait / 60))
            await asyncio.sleep(wait)

    async def setup_hook(self) -> None:
        """Buttons on messages of any age work from here on; commands are synced if they changed."""
        self.add_dynamic_items(*BUTTONS, *PANELS)
        await self.tree.set_translator(Translator())
        folder, guild_ids = Path(self.settings.data.dir), tuple(self.settings.discord.guild_ids)
        try:
            await self.tree.sync_if_changed(folder, self.application_id or 0, guild_ids)
        except discord.HTTPException as error:
            # Old commands still work, and a crash here would burn one of the day's logins.
            log.error("Discord did not take the commands: %s", error)

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """What discord.py itself has nobody for: windows from before a restart, buttons of other versions."""
        if interaction.type is discord.InteractionType.modal_submit and self._studio is not None:
            await self._studio.submitted(interaction)
        elif interaction.type is discord.InteractionType.component and not _is_known(interaction):
            await answer_error(interaction, UserError(UNKNOWN))

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        """Envelopes and crosses under one's own pictures."""
        if self._services is not None:
            await reacted(self, event)


def nothing_beside(
    services: Services, fault: Callable[[], str | None]
) -> contextlib.AbstractAsyncContextManager[object]:
    """Serve Discord alone."""
    return contextlib.nullcontext()


def _is_known(interaction: discord.Interaction[Any]) -> bool:
    data: Any = interaction.data or {}
    custom_id = str(data.get("custom_id"))
    return any(item.__discord_ui_compiled_template__.fullmatch(custom_id) for item in (*BUTTONS, *PANELS))


async def run_bot(settings: Settings, engine: Engine, beside: Beside = nothing_beside) -> None:
    """Serve Discord until SIGTERM or SIGINT; raises OperatorError where an operator must mend something.

    ``beside`` runs as long: the pages for monitoring, which are told why Discord is not being heard.
    """
    token = settings.discord.token
    if token is None:
        raise DiscordLoginError(NO_TOKEN)
    client = TesseraClient(settings)
    services = await open_services(settings, engine, DiscordSink(client))
    client.serve(services)
    try:
        async with stop_signal() as stop, beside(services, client.fault):
            await _unless(stop, _login(client, token.get_secret_value()))
            if not stop.is_set():
                with blackbox.recording(services.database.folder):
                    await _serve(client, services, stop)
    finally:
        await _close(client, services)


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do it, but let go of it as soon as asked to stop: Discord may not answer for minutes."""
    task, asked = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
    finally:
        for one in (task, asked):
            one.cancel()
        await asyncio.gather(task, asked, return_exceptions=True)


async def _login(client: TesseraClient, token: str) -> None:
    try:
        await client.login(token)
    except discord.LoginFailure as error:
        raise DiscordLoginError(WRONG_TOKEN) from error
    except discord.HTTPException as error:
        raise DiscordLoginError(
            f"Discord answered the login with error {error.status}; try again in a few minutes, "
            "or look at https://discordstatus.com."
        ) from error
    except (aiohttp.ClientConnectionError, OSError) as error:
        raise DiscordLoginError(f"Discord cannot be reached ({error}); check the network.") from error


async def _serve(client: TesseraClient, services: Services, stop: asyncio.Event) -> None:
    """Until asked to stop, or until one part ends by itself, whose error is then ours."""
    work = asyncio.create_task(services.run(), name="services")
    gateway = asyncio.create_task(_connect(client), name="gateway")
    asked = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({work, gateway, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            log.info("stopping: nothing new is taken, what is being posted is finished")
            await services.drain(CLOSE_S - 10)
    finally:
        for task in (asked, gateway, work):
            task.cancel()
        ended = await asyncio.gather(work, gateway, return_exceptions=True)
    for error in ended:
        if isinstance(error, discord.ConnectionClosed) and error.code == TOKEN_GONE:
            raise DiscordLoginError(WRONG_TOKEN) from error
        if isinstance(error, Exception):
            raise error


async def _connect(client: TesseraClient) -> None:
    """The wait comes first, since Discord hangs up on those who connect and do not log in."""
    await client.login_turn()
    await client.connect(reconnect=True)


async def _close(client: TesseraClient, services: Services) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            await client.close()
    await services.close()


@contextlib.asynccontextmanager
async def stop_signal() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        with contextlib.suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in signals:
            with contextlib.suppress(NotImplementedError, RuntimeError):
                loop.remove_signal_handler(number)
