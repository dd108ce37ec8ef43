"""/healthz (the event loop turns), /readyz (jobs can be taken and painted), /metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot.errors import OperatorError
from bot.services.app import Services
from bot.web.metrics import Metrics

STALLED_S = 25.0
"""A busy engine without a step for this long is not ready; a probe comes within five seconds more."""
Fault = Callable[[], str | None]


def no_fault() -> str | None:
    """For front ends whose own readiness is not in question."""
    return None


def engine_fault(services: Services) -> str | None:
    """Why the engine cannot be counted on, or None."""
    health = services.engine.health()
    if not health.alive:
        return "the models are being loaded" if services.loading.is_set() else "the engine has stopped"
    if health.stalled_for > STALLED_S:
        return f"the engine made no step for {health.stalled_for:.0f} s"
    return None


def application(services: Services, metrics: Metrics, front_end: Fault = no_fault) -> web.Application:
    """The three pages; ``front_end`` says why Discord is not being heard, or None."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        faults = [fault for fault in (engine_fault(services), front_end()) if fault]
        return web.Response(text="\n".join(faults or ["ready"]) + "\n", status=503 if faults else 200)

    async def metrics_page(_: web.Request) -> web.Response:
        await metrics.collect(services)
        body = generate_latest(metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics_page)
    return app


@asynccontextmanager
async def serving(services: Services, front_end: Fault = no_fault) -> AsyncIterator[int | None]:
    """The web server as configured while the block runs; yields its port, None when it is switched off."""
    config = services.settings.web
    if not config.enabled:
        yield None
        return
    metrics = Metrics()
    runner = web.AppRunner(application(services, metrics, front_end), access_log=None)
    await runner.setup()
    try:
        async with metrics.watching_the_loop():
            await _listen(runner, config.host, config.port)
            yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise OperatorError(
            f"The web server cannot listen on {host} port {port} ({error.strerror}); "
            "choose another under [web]."
        ) from error
