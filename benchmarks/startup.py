"""Start-up to ready of the real process with the real engine: ``python -m benchmarks.startup [--runs 5]``.

From spawning ``tessera run`` to: being heard on the gateway of the stand-in Discord, answering /readyz with
200 (the engine is loaded), and having acknowledged a first command. The first start also makes the database.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import tempfile
import time
from pathlib import Path

import aiohttp

from benchmarks.wire import real_engine, spread
from tests.wire.process import BotProcess
from tests.wire.standin import StandIn


async def measure(runs: int, folder: Path) -> list[tuple[float, float, float]]:
    """(gateway, readyz, first acknowledgement) in seconds after the spawn, run by run on one data folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = real_engine(folder) + f"[web]\nenabled = true\nport = {port}\n"
    found = []
    for _ in range(runs):
        async with StandIn() as discord:
            bot = BotProcess(discord, folder, config=config, environ={"WIRE_ENGINE": "real"})
            async with bot, aiohttp.ClientSession() as web:
                gateway = time.monotonic() - bot.started_at
                await discord.slash(discord.user("ann"), "info")
                acknowledged = time.monotonic() - bot.started_at
                await _until_ready(web, f"http://127.0.0.1:{port}/readyz")
                found.append((gateway, time.monotonic() - bot.started_at, acknowledged))
                bot.terminate()
                await bot.ended()
        (folder / "data" / "commands.sha256").unlink(missing_ok=True)
    return found


async def _until_ready(web: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                async with web.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.02)


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup")
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(runs + 1, Path(folder)))
    print(f"first start (new database): ready after {found[0][1]:.2f} s")
    for name, values in zip(
        ("on the gateway", "ready (/readyz)", "first command acknowledged"),
        zip(*found[1:], strict=True),
        strict=True,
    ):
        print(f"{name}: {spread(values)} over {runs} starts")


if __name__ == "__main__":
    main()
