"""The real client and services on SimCord, with the scripted engine: what the tests of this folder act in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import app_commands

from bot.config import Data, Settings
from bot.domain.job import Job, JobStatus
from bot.errors import UserError
from bot.services.app import Services, open_services
from bot.store import jobs
from bot.ui.client import TesseraClient
from bot.ui.history import result_of
from bot.ui.presenter import DiscordSink
from engine.api import Engine
from engine.fake import FakeEngine

simcord = pytest.importorskip("simcord", reason="the demo extra (SimCord) is not installed")
TIMEOUT_S = 120.0


class World:
    """A server with an admin (ada) and two members (lin, max); ``engine`` moves only when told to."""

    env: Any
    client: TesseraClient
    services: Services
    engine: FakeEngine

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._work: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._forgiven: tuple[type[BaseException], ...] = (UserError,)
        self._locales: dict[int, str] = {}

    def forgive(self, kind: type[BaseException]) -> None:
        """Errors of this kind are what the test is about."""
        self._forgiven = (*self._forgiven, kind)

    def speaks(self, who: Any, locale: str) -> None:
        """This person's Discord is in another language from now on; SimCord knows English alone."""
        self._locales[who.id] = locale

    def _tongue(self, payload: dict[str, Any]) -> None:
        user = payload.get("user") or payload["member"]["user"]
        payload["locale"] = self._locales.get(int(user["id"]), payload["locale"])

    def check_errors(self) -> None:
        """SimCord collects what commands raised; sentences for users are what they should raise."""
        for error in self.env.errors:
            cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
            if not isinstance(cause, self._forgiven):
                raise cause

    def new_engine(self) -> Engine:
        """The one that paints from here on."""
        self.engine = FakeEngine(manual=True)
        return self.engine

    def paint(self) -> None:
        """Let the engine finish what it has."""
        self.engine.finish()

    async def open(self) -> TesseraClient:
        """Fresh services and a fresh client on the same data folder."""
        engine = self.new_engine()
        self.client = TesseraClient(self.settings)
        self.services = await open_services(self.settings, engine, DiscordSink(self.client))
        self.client.serve(self.services)
        return self.client

    def work(self) -> None:
        """Start painting and posting."""
        self._work = asyncio.create_task(self.services.run(), name="services")

    async def stop(self) -> None:
        """End the services as a process' end would."""
        await self.services.drain(5.0)
        if self._work is not None:
            await asyncio.wait_for(self._work, TIMEOUT_S)
        await self.services.close()

    async def restart(self) -> None:
        """Another process on the same folder, in the same Discord."""
        await self.stop()
        client = await self.open()
        await self.env.restart_bot(client)
        self.work()

    def furnish(self, env: Any) -> None:
        """The server and its people."""
        self.env = env
        emit = env.backend.emit

        def in_their_tongue(event: str, payload: Any, *args: Any, **options: Any) -> Any:
            if event == "INTERACTION_CREATE":
                self._tongue(payload)
            return emit(event, payload, *args, **options)

        env.backend.emit = in_their_tongue
        self.env.backend.subscribers.append(lambda *_: self._changed.set())
        self.guild = env.create_guild("Painters")
        self.channel = self.guild.create_text_channel("painting")
        admins = self.guild.create_role(
            "Admins", permissions=discord.Permissions(manage_guild=True, manage_messages=True)
        )
        self.ada = self.guild.add_member(env.create_user("ada"), roles=[admins])
        self.lin = self.guild.add_member(env.create_user("lin"))
        self.max = self.guild.add_member(env.create_user("max"))

    async def until(self, holds: Callable[[], Any], what: str = "condition") -> Any:
        """Wait for something to become true in the simulated Discord; its value."""
        async with asyncio.timeout(TIMEOUT_S):
            while not (value := holds()):
                await self._a_while()
        return value

    async def _a_while(self) -> None:
        """Until something changes in the simulated Discord, or shortly: rows change without a sign there."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), 0.02)

    async def until_job(self, job_id: str, *statuses: JobStatus) -> Job:
        """Wait for a job to get into one of these states."""
        async with asyncio.timeout(TIMEOUT_S):
            while (job := await self.services.job(job_id)) is None or job.status not in statuses:
                await self._a_while()
        return job

    async def until_row(self, status: JobStatus) -> Job:
        """Wait for some job to be in this state."""
        async with asyncio.timeout(TIMEOUT_S):
            while not (rows := await self.rows(status)):
                await self._a_while()
        return rows[0]

    async def rows(self, status: JobStatus) -> list[Job]:
        """The jobs in this state, oldest first."""
        return await self.services.database.read(lambda connection: jobs.in_status(connection, status))

    def messages(self) -> list[discord.Message]:
        """What stands in the channel, oldest first."""
        return list(self.channel.history())

    def results(self) -> list[discord.Message]:
        """Messages with a job's pictures."""
        return [message for message in self.messages() if result_of(message)]

    async def imagine(self, text: str = "a red apple", who: Any = None, **options: Any) -> Any:
        """/imagine, by lin unless said otherwise; the interaction's result."""
        return await (who or self.lin).slash(self.channel, "imagine", prompt=text, **options)

    async def result(self, number: int = 1) -> discord.Message:
        """Let the engine finish everything; the ``number``-th result of the channel."""

        def painted() -> discord.Message | None:
            self.paint()
            results = self.results()
            return results[number - 1] if len(results) >= number else None

        message: discord.Message = await self.until(painted, f"result {number}")
        job = result_of(message)
        assert job is not None
        await self.until_job(job, JobStatus.POSTED)
        return message

    async def grid(self, text: str = "a red apple", who: Any = None) -> discord.Message:
        """The next result of an /imagine."""
        number = len(self.results()) + 1
        await self.imagine(text, who)
        return await self.result(number)

    async def job_of(self, message: discord.Message) -> Job:
        """The job whose result a message is."""
        job = await self.services.job(result_of(message) or "")
        assert job is not None
        return job


@contextlib.asynccontextmanager
async def playing(folder: Path, kind: type[World] = World, **sections: Any) -> AsyncIterator[World]:
    """A furnished world; at its end, errors other than those told to users fail the test."""
    world = kind(Settings(data=Data(dir=folder), **sections))
    # Not simcord.run(): it enters a context variable, which a fixture cannot leave where it entered.
    env = simcord.Env(await world.open(), check_errors=False, settle_timeout=60.0)
    try:
        await env.start()
        try:
            world.furnish(env)
            await env.settle()
            world.work()
            try:
                yield world
            finally:
                await world.stop()
            world.check_errors()
        finally:
            await env.shutdown()
    finally:
        await world.services.close()


def answers(asked: Any) -> list[Any]:
    """Everything that was answered: what completed a "thinking" answer counts as the response."""
    return [*([asked.response] if asked.response is not None else []), *asked.followups]


def labels(message: Any) -> list[list[str]]:
    """The buttons of a message as rows of labels; an emoji stands for itself."""
    return [
        [child.label or str(child.emoji) for child in row.children if isinstance(child, discord.Button)]
        for row in message.components
        if isinstance(row, discord.ActionRow)
    ]


def button(message: Any, label: str) -> discord.Button:
    """The button with this label or emoji."""
    for row in message.components:
        for child in row.children:
            if isinstance(child, discord.Button) and label in (child.label, str(child.emoji)):
                return child
    raise AssertionError(f"no button {label} in {labels(message)}")
