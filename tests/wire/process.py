"""The bot as a process of its own: started, killed, asked to drain, its output kept."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.wire.standin import StandIn

ROOT = Path(__file__).parent.parent.parent


@dataclass
class BotProcess:
    """``async with BotProcess(discord, folder) as bot`` runs it until the block ends, then kills it.

    ``folder`` holds the data folder, the configuration and the log; it outlives the process, so the next
    one finds what this one left.
    """

    discord: StandIn
    folder: Path
    crash: str | None = None
    config: str = ""
    """More TOML."""
    environ: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    ready: bool = True
    """Whether entering waits for the gateway."""
    _process: asyncio.subprocess.Process | None = None
    started_at: float = 0.0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.kill()
        await self.process.wait()
        if error is not None:
            error.add_note(f"the bot's log ends:\n{self.log[-6000:]}")

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "not started"
        return self._process

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log_file(self) -> Path:
        return self.folder / "bot.log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    async def start(self) -> None:
        """Spawn, and wait until it is on the gateway unless ``ready`` is false."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.started_at = time.monotonic()
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tests.wire.launch", "run", "--config", str(self._write_config())),
                cwd=ROOT,
                env={**os.environ, **self._environ()},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if self.ready:
            await self.on_gateway()

    async def on_gateway(self) -> None:
        """Until it hears interactions; AssertionError when it ends before."""
        ended = asyncio.ensure_future(self.process.wait())
        connected = asyncio.ensure_future(self.discord.connected())
        await asyncio.wait({ended, connected}, return_when=asyncio.FIRST_COMPLETED)
        if not connected.done():
            connected.cancel()
            raise AssertionError(f"the bot ended with {self.process.returncode}:\n{self.log[-6000:]}")
        ended.cancel()
        await connected

    def hold(self) -> None:
        """Let the fake engine stand still."""
        self.process.send_signal(signal.SIGUSR1)

    def go(self) -> None:
        """Let the fake engine go on."""
        self.process.send_signal(signal.SIGUSR2)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()

    async def killed(self, timeout: float = 120.0, by: int = signal.SIGKILL) -> None:
        """Until it has died of a signal, by its crash point or by us."""
        code = await self.ended(timeout)
        assert code == -by, f"ended with {code}, not killed:\n{self.log[-6000:]}"
        await self.discord.wait_for(lambda: not self.discord.gateway.connected, 10.0, "socket gone")

    async def ended(self, timeout: float = 120.0) -> int:
        """Its exit code."""
        return await asyncio.wait_for(self.process.wait(), timeout)

    def terminate(self) -> None:
        """SIGTERM, as a service manager stops it."""
        self.process.terminate()

    def _write_config(self) -> Path:
        path = self.folder / "config.toml"
        token = self.discord.token if self.token is None else self.token
        path.write_text(
            f'[discord]\ntoken = "{token}"\n'
            f'[data]\ndir = "{self.data}"\n'
            f"[engine]\npreview_interval = 0.2\n{self.config}\n"
        )
        return path

    def _environ(self) -> dict[str, str]:
        crash = {"WIRE_CRASH": self.crash} if self.crash else {}
        place = {"WIRE_API": self.discord.api, "WIRE_GATEWAY": self.discord.gateway_url}
        return {**place, **crash, "PYTHONUNBUFFERED": "1", **self.environ}
