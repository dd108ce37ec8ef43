"""The whole path behind the front ends: a scripted engine, a real SQLite file, a remembering sink."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.config import Settings, load
from bot.domain.job import Action, Job, JobStatus, Place, Requester
from bot.domain.prompt import parse
from bot.services.admission import Admitted, Order
from bot.services.app import Services, open_services
from bot.services.sink import Picture
from bot.store import accounts
from engine.api import Engine
from engine.fake import FakeEngine

HERE = Place(guild_id=10, channel_id=20)
ANN = Requester(1)
BOB = Requester(2)
ADMIN = Requester(9, is_admin=True)


@dataclass
class RecordingSink:
    """Remembers everything; the next calls of ``post`` raise ``faults`` before it counts, or after."""

    progressed: list[tuple[str, int]] = field(default_factory=list)
    posted: list[tuple[str, tuple[Picture, ...]]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    searched: list[str] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    lost_replies: list[Exception] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, it holds ``post`` back."""
    posting: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def progress(self, job: Job, percent: int, preview: bytes | None) -> None:
        self.progressed.append((job.id, percent))
        await self._tick()

    async def post(self, job: Job, pictures: tuple[Picture, ...]) -> int:
        self.posting += 1
        await self._tick()
        await self.gate.wait()
        if self.faults:
            raise self.faults.pop(0)
        self.posted.append((job.id, pictures))
        await self._tick()
        if self.lost_replies:
            raise self.lost_replies.pop(0)
        return 1000 + len(self.posted)

    async def find_posted(self, job: Job) -> int | None:
        self.searched.append(job.id)
        known = [number for number, (job_id, _) in enumerate(self.posted, 1001) if job_id == job.id]
        return known[0] if known else None

    async def tell(self, job: Job, sentence: str) -> None:
        self.told.append((job.id, sentence))
        await self._tick()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something the sink hears of."""
        async with asyncio.timeout(120), self.changed:
            await self.changed.wait_for(condition)

    async def _tick(self) -> None:
        async with self.changed:
            self.changed.notify_all()


@dataclass
class House:
    """One bot on one data folder; ``restart`` leaves a copy of the folder as a power cut would find it."""

    folder: Path
    settings: Settings
    sink: RecordingSink
    engine: FakeEngine
    services: Services
    clock: Clock
    task: asyncio.Task[None] | None = None
    orders: int = 0

    def start(self) -> None:
        self.task = asyncio.create_task(self.services.run())

    async def stop(self) -> None:
        await self.services.drain()
        if self.task is not None:
            await self.task
        await self.services.close()

    async def order(
        self,
        text: str | None = "a red apple",
        *,
        who: Requester = ANN,
        action: Action = Action.IMAGINE,
        parent: str | None = None,
        index: int | None = None,
    ) -> Admitted:
        self.orders += 1
        prompt = None if text is None else parse(text)
        return await self.services.admission.admit(
            Order(5000 + self.orders, who, HERE, action, prompt, parent_id=parent, index=index)
        )

    async def status(self, job_id: str) -> JobStatus:
        job = await self.services.job(job_id)
        assert job is not None
        return job.status

    async def until_status(self, job_id: str, *wanted: JobStatus) -> Job:
        async with asyncio.timeout(120):
            while True:
                job = await self.services.job(job_id)
                if job is not None and job.status in wanted:
                    return job
                await asyncio.sleep(0)

    async def submitted(self, count: int = 1) -> None:
        """Wait until the engine was handed ``count`` jobs in all."""
        async with asyncio.timeout(120):
            while True:
                if len(self.engine.submitted) >= count:
                    return
                await asyncio.sleep(0)

    async def books(self) -> list[str]:
        return await self.services.database.read(accounts.unbalanced)


@dataclass
class Clock:
    """Noon of a day in June 2026, moved by hand."""

    now: float = 1_781_524_800.0

    def __call__(self) -> float:
        return self.now


Build = Callable[..., "asyncio.Future[House]"]


def settings_for(folder: Path, **variables: str) -> Settings:
    """Defaults with overrides by environment variable, previews without pauses."""
    environ = {"TESSERA_DATA_DIR": str(folder), "TESSERA_ENGINE__PREVIEW_INTERVAL": "0"}
    return load(None, environ | {f"TESSERA_{key}": value for key, value in variables.items()})


async def build(
    folder: Path, *, engine: FakeEngine | None = None, sink: RecordingSink | None = None, **variables: str
) -> House:
    """A house whose services are open but not running."""
    settings = settings_for(folder, **variables)
    engine, sink, clock = engine or FakeEngine(manual=True), sink or RecordingSink(), Clock()
    real: Engine = engine
    services = await open_services(settings, real, sink, clock=clock, backoff=lambda tries: 0.0)
    return House(folder, settings, sink, engine, services, clock)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A running house with an engine stepped by hand."""
    made = await build(tmp_path / "data")
    made.start()
    yield made
    await made.stop()
