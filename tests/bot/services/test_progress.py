"""One call at a time, the latest news wins, and nothing after ``stop``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.domain.job import Job
from bot.services.progress import ProgressFeeds
from bot.services.sink import Picture, SinkGone
from bot.store import jobs
from bot.store.database import Database
from bot.store.jobs import Intake
from tests.bot.services.test_specs import job

ID = "a" * 32


@dataclass
class SlowSink:
    """Each call of ``progress`` waits to be let go."""

    calls: list[tuple[int, bytes | None]] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Exception | None = None
    ended: int = 0

    async def progress(self, job: Job, percent: int, preview: bytes | None) -> None:
        self.calls.append((percent, preview))
        self.begun.set()
        await self.go.wait()
        self.ended += 1
        if self.fault:
            raise self.fault

    async def post(self, job: Job, pictures: tuple[Picture, ...]) -> int:
        raise NotImplementedError

    async def find_posted(self, job: Job) -> int | None:
        raise NotImplementedError

    async def tell(self, job: Job, sentence: str) -> None:
        raise NotImplementedError


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = await Database.open(tmp_path)
    await made.write(lambda connection: jobs.add(connection, job("a cat"), Intake("fast", 1, 1, 1)))
    yield made
    await made.close()


async def test_stop_waits_for_the_call_under_way_and_skips_the_rest(database: Database) -> None:
    sink = SlowSink()
    feeds = ProgressFeeds(database, sink, 0.0)
    feeds.update(ID, 10, b"one")
    await sink.begun.wait()
    feeds.update(ID, 20, b"two")
    stopping = asyncio.create_task(feeds.stop(ID))
    await asyncio.sleep(0)
    assert not stopping.done()
    sink.go.set()
    await stopping
    assert sink.calls == [(10, b"one")] and sink.ended == 1


async def test_the_latest_wins_and_a_preview_is_not_lost(database: Database) -> None:
    sink = SlowSink()
    feeds = ProgressFeeds(database, sink, 0.0)
    feeds.update(ID, 10, None)
    await sink.begun.wait()
    sink.begun.clear()
    feeds.update(ID, 20, b"two")
    feeds.update(ID, 30, None)
    sink.go.set()
    await sink.begun.wait()
    await feeds.close()
    assert sink.calls == [(10, None), (30, b"two")]


@pytest.mark.parametrize(("fault", "calls"), [(OSError("down"), 2), (SinkGone(), 1)])
async def test_errors_of_the_sink(database: Database, fault: Exception, calls: int) -> None:
    """Trouble passes; where there is no place left, nothing more is tried."""
    sink = SlowSink(fault=fault)
    sink.go.set()
    feeds = ProgressFeeds(database, sink, 0.0)
    feeds.update(ID, 10, None)
    await sink.begun.wait()
    sink.begun.clear()
    for _ in range(3):
        await database.read(lambda connection: None)
    feeds.update(ID, 20, None)
    if calls == 2:
        await sink.begun.wait()
    await feeds.close()
    assert len(sink.calls) == calls
