"""/healthz, /readyz and /metrics over a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.config import Data, Settings, Web
from bot.domain.job import Job
from bot.errors import OperatorError
from bot.services.app import Services, open_services
from bot.services.sink import Picture
from bot.web.server import serving
from engine.fake import FakeEngine


class Nowhere:
    """A sink that nobody reads."""

    async def progress(self, job: Job, percent: int, preview: bytes | None) -> None: ...

    async def post(self, job: Job, pictures: tuple[Picture, ...]) -> int:
        return 1

    async def find_posted(self, job: Job) -> int | None:
        return None

    async def tell(self, job: Job, sentence: str) -> None: ...


@asynccontextmanager
async def opened(folder: Path, **web: Any) -> AsyncIterator[tuple[Services, FakeEngine]]:
    """Services that do nothing, with the web server configured."""
    engine = FakeEngine(manual=True)
    settings = Settings(data=Data(dir=folder), web=Web(enabled=True, port=0, **web))
    services = await open_services(settings, engine, Nowhere())
    try:
        yield services, engine
    finally:
        await services.close()


async def get(port: int | None, path: str) -> tuple[int, str]:
    """Status and text."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def test_a_healthy_bot(tmp_path: Path) -> None:
    """All three pages."""
    async with opened(tmp_path) as (services, _), serving(services) as port:
        assert await get(port, "/healthz") == (200, "ok\n")
        assert await get(port, "/readyz") == (200, "ready\n")
        status, figures = await get(port, "/metrics")
        assert status == 200
        assert 'tessera_jobs{state="queued"} 0.0' in figures
        assert "tessera_engine_alive 1.0" in figures
        assert "tessera_event_loop_lag_seconds_bucket" in figures


async def test_a_stalled_engine_is_not_ready_but_alive(tmp_path: Path) -> None:
    """Readiness turns within 30 s of the stall; liveness is the event loop alone."""
    async with opened(tmp_path) as (services, engine), serving(services) as port:
        engine.stalled_for = 26.0
        assert await get(port, "/readyz") == (503, "the engine made no step for 26 s\n")
        assert (await get(port, "/healthz"))[0] == 200


async def test_while_the_models_load_that_is_what_it_says(tmp_path: Path) -> None:
    """Minutes, with a large one: nothing has stopped."""
    async with opened(tmp_path) as (services, engine), serving(services) as port:
        loaded, begun = asyncio.Event(), asyncio.Event()

        async def start() -> None:
            begun.set()
            await loaded.wait()
            engine._alive = True

        engine._alive, engine.start = False, start  # type: ignore[method-assign]
        work = asyncio.create_task(services.run())
        await begun.wait()
        assert await get(port, "/readyz") == (503, "the models are being loaded\n")
        loaded.set()
        async with asyncio.timeout(60):
            while True:
                if not services.loading.is_set():
                    break
                await asyncio.sleep(0)
        assert await get(port, "/readyz") == (200, "ready\n")
        await services.drain()
        await work


async def test_a_dead_engine_and_a_lost_gateway_are_both_named(tmp_path: Path) -> None:
    """One line each."""
    async with opened(tmp_path) as (services, engine), serving(services, lambda: "no gateway") as port:
        engine.crash()
        assert await get(port, "/readyz") == (503, "the engine has stopped\nno gateway\n")


async def test_figures_name_nobody(tmp_path: Path) -> None:
    """No user, guild or prompt is a label."""
    async with opened(tmp_path) as (services, _), serving(services) as port:
        _, figures = await get(port, "/metrics")
        labels = {
            part.split("=")[0]
            for line in figures.splitlines()
            if "{" in line
            for part in line.split("{")[1].split("}")[0].split(",")
        }
        assert labels <= {"state", "le"}


async def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    """With what to change."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with opened(tmp_path) as (services, _):
            web = services.settings.web.model_copy(update={"port": port})
            settings = services.settings.model_copy(update={"web": web})
            object.__setattr__(services, "settings", settings)
            with pytest.raises(
                OperatorError, match=r"cannot listen on 127\.0\.0\.1 port \d+ .*under \[web\]\."
            ):
                async with serving(services):
                    raise AssertionError("it listened")


async def test_switched_off_it_listens_nowhere(tmp_path: Path) -> None:
    """The default."""
    services = await open_services(Settings(data=Data(dir=tmp_path)), FakeEngine(manual=True), Nowhere())
    try:
        async with serving(services) as port:
            assert port is None
    finally:
        await services.close()
