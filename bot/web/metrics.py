"""The figures of /metrics. No user, guild or prompt ever becomes a label."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from prometheus_client import CollectorRegistry, Gauge, Histogram

from bot.services.app import Services

LAG_INTERVAL_S = 0.25


class Metrics:
    """One registry per web server, so that tests and restarts never share figures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Gauge("tessera_jobs", "Jobs by where they stand.", ["state"], registry=self.registry)
        self.engine_rows = Gauge(
            "tessera_engine_jobs", "Jobs the engine holds.", ["state"], registry=self.registry
        )
        self.engine_alive = Gauge("tessera_engine_alive", "1 while the engine works.", registry=self.registry)
        self.engine_stalled = Gauge(
            "tessera_engine_stalled_seconds",
            "Seconds since the last step while busy.",
            registry=self.registry,
        )
        self.loop_lag = Histogram(
            "tessera_event_loop_lag_seconds",
            "How late the event loop wakes.",
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )

    async def collect(self, services: Services) -> None:
        """Read what is only read when asked for."""
        facts, health = await services.queue(), services.engine.health()
        for state, count in (("queued", facts.queued), ("running", facts.running), ("owed", facts.owed)):
            self.jobs.labels(state).set(count)
        self.engine_rows.labels("running").set(health.running)
        self.engine_rows.labels("waiting").set(health.waiting)
        self.engine_alive.set(health.alive)
        self.engine_stalled.set(health.stalled_for)

    @asynccontextmanager
    async def watching_the_loop(self) -> AsyncIterator[None]:
        """Measure the event loop's lag while the block runs."""
        task = asyncio.create_task(self._watch(), name="loop-lag")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        while True:
            due = time.monotonic() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            self.loop_lag.observe(max(0.0, time.monotonic() - due))
