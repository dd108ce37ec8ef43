"""``tessera imagine``: the bot's own path from prompt to grid, with a file in place of Discord."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bot.config import Settings
from bot.domain.job import Action, Job, Place, Requester
from bot.domain.prompt import Prompt, parse, parse_all
from bot.domain.sentence import say
from bot.errors import OperatorError, PromptError
from bot.services import encoding, specs
from bot.services.admission import Order
from bot.services.app import Services, open_services
from bot.services.sink import Picture
from engine.api import Engine, EngineError, grid

DRAIN_S = 2.0
QUALITY = 92
_jpeg = partial(encoding.jpeg, quality=QUALITY)
FORMATS: dict[str, Callable[[Image.Image, dict[str, str]], bytes]] = {
    ".png": encoding.png,
    ".webp": partial(encoding.webp, quality=QUALITY),
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
}


class OutRefused(OperatorError):
    """The picture could not be written where it was asked for; told before anything is painted."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Painted:
    """What came of an order: ``size`` in pixels of the file, the first picture's seed, wall-clock seconds."""

    path: Path
    size: tuple[int, int]
    seed: int
    seconds: float


def check_out(out: Path) -> None:
    """OutRefused when ``out`` cannot become a picture file."""
    if out.suffix.lower() not in FORMATS:
        raise OutRefused(f"--out {out}: the name must end in {', '.join(FORMATS)}.")
    if out.is_dir():
        raise OutRefused(f"--out {out}: this is a folder; add a file name.")
    if not out.parent.is_dir():
        raise OutRefused(f"--out {out}: there is no folder {out.parent}; make it first.")
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise OutRefused(f"--out {out}: this cannot be written; choose another place.")


def read_prompt(text: str, settings: Settings) -> Prompt:
    """The prompt under the limits of the configuration; PromptError with every fault.

    A name that no configured model has is told here, since loading the engine first takes seconds.
    """
    highs = {"n": settings.limits.max_images, "steps": settings.limits.max_steps}
    aliases = {alias.lower(): name for name, model in settings.models.items() for alias in model.aliases}
    read = partial(
        parse,
        max_length=settings.limits.max_prompt,
        highs=highs,
        models=tuple(settings.models),
        styles=tuple(specs.styles_of(settings)),
        aliases=aliases,
    )
    prompts = parse_all(text, read)
    if len(prompts) > 1:
        asked = say("This asks for {count} jobs; the command line paints one at a time.", count=len(prompts))
        raise PromptError((asked,), text)
    return prompts[0]


def imagine(settings: Settings, text: str, out: Path, build: Callable[[Settings], Engine]) -> Painted:
    """Paint ``text`` into ``out``. Everything that can be refused is refused before the engine is built."""
    check_out(out)
    prompt = read_prompt(text, settings)
    with tempfile.TemporaryDirectory(prefix="tessera-") as folder:
        # A data folder of its own: the command works beside a running bot, and takes nobody's credit.
        data = settings.data.model_copy(update={"dir": Path(folder)})
        quota = settings.quota.model_copy(update={"hour": 0, "day": 0, "month": 0, "users": {}, "roles": {}})
        private = settings.model_copy(update={"data": data, "quota": quota})
        return asyncio.run(_paint(private, prompt, out, build(private)))


async def _paint(settings: Settings, prompt: Prompt, out: Path, engine: Engine) -> Painted:
    sink = TerminalSink()
    services = await open_services(settings, engine, sink)
    work = asyncio.create_task(services.run(), name="services")
    try:
        began = time.monotonic()
        admitted = await services.admission.admit(_order(prompt))
        with sink:
            pictures = await _first_of(sink.result, work)
        size = await asyncio.to_thread(write, [picture.path for picture in pictures], out)
        return Painted(out, size, admitted.job.seeds[0], time.monotonic() - began)
    finally:
        await _stop(services, work)


def _order(prompt: Prompt) -> Order:
    return Order(
        interaction_id=secrets.randbits(62) + 1,
        requester=Requester(user_id=1, is_admin=True),
        place=Place(guild_id=None, channel_id=1),
        action=Action.IMAGINE,
        prompt=prompt,
    )


async def _first_of(
    result: asyncio.Future[tuple[Picture, ...]], work: asyncio.Task[None]
) -> tuple[Picture, ...]:
    """The result, or the error that ended the services before there was one."""
    both: set[asyncio.Future[Any]] = {result, work}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if not result.done():
        await work
        raise EngineError("The engine stopped before the picture was done.")
    return result.result()


async def _stop(services: Services, work: asyncio.Task[None]) -> None:
    if not work.done():
        await services.drain(DRAIN_S)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await services.close()


class TerminalSink:
    """A MessageSink that draws a progress bar (while entered) and hands the pictures over."""

    def __init__(self, console: Console | None = None) -> None:
        self.result: asyncio.Future[tuple[Picture, ...]] = asyncio.get_running_loop().create_future()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=console or Console(stderr=True))
        self._task = self._bar.add_task("loading", total=100)
        self._shown: AbstractContextManager[object] = (
            self._bar if self._bar.console.is_terminal else nullcontext()
        )

    def __enter__(self) -> None:
        self._shown.__enter__()

    def __exit__(self, *error: object) -> None:
        self._shown.__exit__(None, None, None)

    async def progress(self, job: Job, percent: int, preview: bytes | None) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=percent, description="painting")

    async def post(self, job: Job, pictures: tuple[Picture, ...]) -> int:
        """Hand the pictures over."""
        self._bar.update(self._task, completed=100, description="painted")
        if not self.result.done():
            self.result.set_result(pictures)
        return 1

    async def find_posted(self, job: Job) -> int | None:
        """Nothing is ever posted before: the data folder is new."""
        return None

    async def tell(self, job: Job, sentence: str) -> None:
        """End the command with the sentence."""
        if not self.result.done():
            self.result.set_exception(EngineError(sentence))


def write(paths: list[Path], out: Path) -> tuple[int, int]:
    """One picture or a grid of several, in the format of ``out``'s name; returns its size in pixels."""
    opened = [Image.open(path, formats=["PNG"]) for path in paths]
    text, sheet = encoding.text_of(opened[0]), grid(opened)
    for picture in opened:
        picture.close()
    data = FORMATS[out.suffix.lower()](sheet, text)
    part = out.with_name(f".{out.name}.part")
    try:
        part.write_bytes(data)
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutRefused(f"--out {out}: this cannot be written ({error.strerror or error}).") from error
    return sheet.size
