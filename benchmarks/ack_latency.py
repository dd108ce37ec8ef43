"""Acknowledge latency over the wire while the engine works: ``python -m benchmarks.ack_latency``.

The real process, the real engine on both cores, 50 users. In each round all users type /imagine at the same
moment, which is harder than they ever would. Latency is from the gateway's dispatch to the acknowledgement's
arrival at the stand-in; loop lag is sampled every 10 ms inside the bot. Medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.wire import percentile, real_engine
from tests.wire.process import BotProcess
from tests.wire.standin import StandIn
from tests.wire.world import Interaction

ROUNDS = 5
ENVIRON = {
    "WIRE_ENGINE": "real",
    "TESSERA_QUOTA__DAY": "0",
    "TESSERA_LIMITS__WAITING": "1000",
    "TESSERA_LIMITS__RUNNING": "100",
    "TESSERA_ENGINE__PREVIEW_INTERVAL": "1.0",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds."""

    latencies: list[list[float]]
    """Of each round."""
    lags: list[float]
    cores: float
    """Cores that the bot kept busy during the rounds."""


async def measure(users: int, folder: Path) -> Figures:
    """Fill the engine's window with long jobs, then let the users type."""
    lag_file = folder / "lags"
    environ = {**ENVIRON, "WIRE_LAG": str(lag_file)}
    async with StandIn() as discord:
        async with BotProcess(discord, folder, config=real_engine(folder), environ=environ) as bot:
            await _saturate(discord)
            busy, began = _cpu(bot), time.monotonic()
            rounds = [await _round(discord, users, number) for number in range(ROUNDS)]
            cores = (_cpu(bot) - busy) / (time.monotonic() - began)
            bot.terminate()
            await bot.ended(60)
        lags = [float(line) for line in lag_file.read_text().split()]
    return Figures([[one.latency for one in sent] for sent in rounds], lags, cores)


async def _saturate(discord: StandIn) -> None:
    for number in range(12):
        order = await discord.slash(
            discord.user(f"load{number}"), "imagine", prompt=f"load {number} --steps 150 --n 4"
        )
    await discord.wait_for(lambda: any("%" in m.content for m in discord.world.standing()), 60.0)
    assert order.callback is not None


async def _round(discord: StandIn, users: int, number: int) -> list[Interaction]:
    """All at once, then a pause in which the engine goes on."""
    sent = [
        await discord.slash(
            discord.user(f"user{user}"), "imagine", prompt=f"apple {number} --steps 50", wait=False
        )
        for user in range(users)
    ]
    await discord.wait_for(lambda: all(one.callback for one in sent), 30.0, "acknowledgements")
    await asyncio.sleep(2.0)
    return sent


def _cpu(bot: BotProcess) -> float:
    """CPU seconds of the process so far."""
    stat = Path(f"/proc/{bot.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the figures; exit code 1 when p99 is not below a second."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ack_latency")
    parser.add_argument("--users", type=int, default=50)
    users = parser.parse_args().users
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(users, Path(folder)))
    p50 = statistics.median(percentile(values, 0.5) for values in found.latencies)
    p99 = statistics.median(percentile(values, 0.99) for values in found.latencies)
    worst = max(map(max, found.latencies))
    print(f"acknowledge, {users} users at once: p50 {p50:.3f} s, p99 {p99:.3f} s, worst of all {worst:.3f} s")
    print(
        f"event-loop lag: p50 {percentile(found.lags, 0.5) * 1000:.1f} ms, "
        f"p99 {percentile(found.lags, 0.99) * 1000:.1f} ms, max {max(found.lags) * 1000:.0f} ms"
    )
    print(f"the bot kept {found.cores:.1f} of {os.cpu_count()} cores busy meanwhile")
    raise SystemExit(0 if p99 < 1.0 else 1)


if __name__ == "__main__":
    main()
