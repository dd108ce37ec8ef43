"""No more requests a second than Discord takes of one bot, over all its routes together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import aiohttp

MOST, WINDOW_S = 6, 0.2
"""Thirty a second, six of them at once. Discord's limit is 50: the rest is for what a slow line bunches."""
API = "/api/"
UNCOUNTED = ("interactions", "webhooks")
"""First parts of routes that Discord leaves out of its global limit."""


class Pace:
    """``turn`` returns when one more request may begin; those who wait take turns."""

    def __init__(
        self,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._began: deque[float] = deque(maxlen=most)
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until fewer than ``most`` requests began within the last window."""
        async with self._turn:
            if len(self._began) == self._began.maxlen:
                wait = self._began[0] + WINDOW_S - self._clock()
                if wait > 0:
                    await self._sleep(wait)
            self._began.append(self._clock())

    def trace(self) -> aiohttp.TraceConfig:
        """For ``discord.Client(http_trace=…)``: it sees every request there is, repeated ones too."""
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._begins)
        return trace

    async def _begins(
        self, session: aiohttp.ClientSession, context: SimpleNamespace, about: aiohttp.TraceRequestStartParams
    ) -> None:
        if counts(about.url.path):
            await self.turn()


def counts(path: str) -> bool:
    """Whether a request is one of those that Discord limits all together: ``/api/v10/channels/…``."""
    parts = path.split("/")
    return path.startswith(API) and len(parts) > 3 and parts[3] not in UNCOUNTED
