"""Run the real command line in this process, pointed at the stand-in: ``python -m tests.wire.launch run …``.

Environment:
    WIRE_API, WIRE_GATEWAY   where Discord is
    WIRE_ENGINE              ``fake`` (default) or ``real``
    WIRE_LOADING             set: the fake engine never gets done with loading its model
    WIRE_PAUSE               seconds between two steps of the fake engine
    WIRE_HELD                set: the fake engine stands still from its first step on
    WIRE_CRASH               a crash point, see tests.wire.crash
    WIRE_SIGNAL              the signal it dies of there, SIGKILL by default
    WIRE_LAG                 a file that gets the event loop's lags in seconds, one a line, at the end

SIGUSR1 makes the fake engine stand still, SIGUSR2 lets it go on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from engine.api import Engine
from tests.wire import crash


def main() -> None:
    """Point discord.py at the stand-in, swap the engine, then be the bot."""
    Route.BASE = os.environ["WIRE_API"]
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["WIRE_GATEWAY"])
    if point := os.environ.get("WIRE_CRASH"):
        crash.install(crash.Crash(point))
    import bot.__main__

    if os.environ.get("WIRE_ENGINE", "fake") == "fake":
        bot.__main__.build_engine = fake_engine
    if lags := os.environ.get("WIRE_LAG"):
        measure_lag(Path(lags))
    sys.argv[0] = "tessera"
    bot.__main__.main()


def fake_engine(*_: object, **__: object) -> Engine:
    """What the composition root builds instead of the torch engine."""
    from engine.api import EngineError
    from engine.fake import Failure, FakeEngine

    brake = Brake(float(os.environ.get("WIRE_PAUSE", "0")), "WIRE_HELD" in os.environ)
    failures = {"FAIL": Failure(EngineError("The engine was told to fail."), step=2)}
    engine = FakeEngine(failures=failures, pause=brake)
    if "WIRE_LOADING" in os.environ:
        engine.start = asyncio.Event().wait  # type: ignore[assignment]
    return engine


def measure_lag(file: Path, every: float = 0.01) -> None:
    """While the bot runs, note by how much a sleep of ``every`` seconds is late."""
    import bot.ui.client

    run_bot: Any = bot.ui.client.run_bot
    lags: list[float] = []

    async def sample() -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(every)
            lags.append(loop.time() - began - every)

    async def measured(*arguments: Any) -> None:
        sampler = asyncio.create_task(sample())
        try:
            await run_bot(*arguments)
        finally:
            sampler.cancel()
            await asyncio.to_thread(file.write_text, "\n".join(map(str, lags)))

    bot.ui.client.run_bot = measured  # type: ignore[assignment]


class Brake:
    """Between two steps of the fake engine: a pause, and as long as it is held."""

    def __init__(self, seconds: float, held: bool) -> None:
        self._seconds = seconds
        self._free = asyncio.Event()
        self._listening = False
        if not held:
            self._free.set()
        signal.signal(signal.SIGUSR1, lambda *_: self._free.clear())
        signal.signal(signal.SIGUSR2, lambda *_: self._free.set())

    async def __call__(self) -> None:
        if not self._listening:
            self._listening = True
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGUSR1, self._free.clear)
            loop.add_signal_handler(signal.SIGUSR2, self._free.set)
        await asyncio.sleep(self._seconds)
        await self._free.wait()


if __name__ == "__main__":
    main()
