"""News of running jobs, coalesced: one call of the sink per job at a time, the latest state wins."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from bot.domain.job import UNFINISHED
from bot.services.sink import MessageSink, SinkGone, SinkRefused
from bot.store import jobs
from bot.store.database import Database

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Feed:
    percent: int = 0
    preview: bytes | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class ProgressFeeds:
    """``interval`` seconds lie between two calls for a job. A call under way is awaited, never cancelled."""

    def __init__(self, database: Database, sink: MessageSink, interval: float) -> None:
        self._database = database
        self._sink = sink
        self._interval = interval
        self._feeds: dict[str, _Feed] = {}

    def update(self, job_id: str, percent: int, preview: bytes | None) -> None:
        """Say how far a job is; returns at once."""
        feed = self._feeds.get(job_id)
        if feed is None:
            feed = self._feeds[job_id] = _Feed()
            feed.task = asyncio.create_task(self._tell(job_id, feed), name=f"progress {job_id}")
        feed.percent = percent
        feed.preview = preview or feed.preview
        feed.news.set()

    async def stop(self, job_id: str) -> None:
        """Return when the sink will hear no more of this job."""
        feed = self._feeds.pop(job_id, None)
        if feed is None or feed.task is None:
            return
        feed.stop.set()
        feed.news.set()
        await feed.task

    async def close(self) -> None:
        """Stop all feeds."""
        await asyncio.gather(*(self.stop(job_id) for job_id in list(self._feeds)))

    async def _tell(self, job_id: str, feed: _Feed) -> None:
        while not feed.stop.is_set():
            await feed.news.wait()
            feed.news.clear()
            if feed.stop.is_set() or not await self._tell_once(job_id, feed):
                return
            await _pause(feed.stop, self._interval)

    async def _tell_once(self, job_id: str, feed: _Feed) -> bool:
        preview, feed.preview = feed.preview, None
        try:
            job = await self._database.read(lambda connection: jobs.find(connection, job_id))
            if job is not None and job.status in UNFINISHED and not feed.stop.is_set():
                await self._sink.progress(job, feed.percent, preview)
        except (SinkGone, SinkRefused):
            return False
        except Exception:
            _log.warning("progress of job %s could not be shown", job_id, exc_info=True)
        return True


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
