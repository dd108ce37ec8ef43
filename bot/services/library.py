"""Image files: written so that a power cut leaves them whole or absent, read, and made to fit an upload."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import re
import shutil
import threading
import unicodedata
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from PIL import Image, ImageOps

from bot.domain import change as changes
from bot.domain.change import Change
from bot.domain.job import Job
from bot.domain.prompt import render
from bot.services import canvas, encoding
from bot.services.canvas import Canvas
from bot.services.sink import Picture
from bot.store.library import ImageRow
from engine.api import GenerationSpec, grid

P = ParamSpec("P")
T = TypeVar("T")
SOFTWARE = "Tessera, AI generated"
INPUTS = "inputs"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to upload, within the limit that was asked for; its name ends in ``_<job uuid>.<type>``."""

    filename: str
    data: bytes = field(repr=False)


class Library:
    """The folder ``images``. All work on pixels and disks happens in a small pool of threads."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
        self.folder = folder
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pictures")
        self._in_use: Counter[str] = Counter()
        """Inputs of orders under way: no row names them yet."""
        self._shelf = threading.Lock()

    def close(self) -> None:
        """Wait for writes under way."""
        self._pool.shutdown(wait=True)

    async def keep(
        self, job: Job, spec: GenerationSpec, pictures: Sequence[Image.Image]
    ) -> tuple[ImageRow, ...]:
        """Write one PNG per picture, fsynced; OSError when the disk refuses. No rows are written."""
        return await self._run(self._keep, job, spec, tuple(pictures))

    async def restore(self, row: ImageRow, job: Job, spec: GenerationSpec, picture: Image.Image) -> None:
        """Write a picture again whose file is gone; ``spec`` is its job's."""
        await self._run(self._write, row.file, encoding.png(picture, _text(job, spec, row.index)))

    async def link(self, row: ImageRow, job_id: str) -> ImageRow:
        """Give a picture to another job as a file of its own (a hard link if possible); OSError if gone."""
        return await self._run(self._link, row, job_id)

    async def keep_input(self, png: bytes) -> str:
        """Keep a picture that a job starts from, in use until ``let_go``; the name is its content's."""
        return await self._run(self._keep_input, png)

    def hold(self, file: str) -> bool:
        """Take an input that was kept before into use, until ``let_go``; False when it is gone."""
        with self._shelf:
            there = self.exists(file)
            self._in_use[file] += there
        return there

    def let_go(self, files: Iterable[str]) -> None:
        """These inputs are named by a row now, or not needed."""
        with self._shelf:
            self._in_use -= Counter(files)

    def discard(self, files: Iterable[str]) -> None:
        """Delete inputs that no order under way uses. Blocks: for a write that saw no row name them."""
        with self._shelf:
            self._remove(tuple(file for file in files if file not in self._in_use))

    async def starting_picture(self, files: Sequence[str], width: int, height: int) -> bytes:
        """The files fitted to ``width`` x ``height`` and averaged, as PNG bytes; OSError when one is gone."""
        return await self._run(_blend, [self.folder / file for file in files], width, height)

    async def laid_out(self, picture: bytes, change: Change) -> Canvas:
        """The picture as a button wants it, with the mask of what is to be painted."""
        return await self._run(canvas.laid_out, picture, change)

    async def numbered(self, picture: bytes) -> bytes:
        """A copy with numbered fields to choose from, as PNG bytes."""
        return await self._run(canvas.numbered, picture)

    async def adopt(
        self, job: Job, pictures: Sequence[Image.Image], texts: Sequence[Mapping[str, str]]
    ) -> tuple[ImageRow, ...]:
        """Keep pictures that a message still had, with their texts, as those of ``job``, by its seeds."""
        return await self._run(self._adopt, job, tuple(pictures), tuple(texts))

    async def contents(self, file: str) -> bytes:
        """A file as it is; OSError when it is gone."""
        return await self._run((self.folder / file).read_bytes)

    async def remove(self, files: Iterable[str]) -> None:
        """Delete files; absent ones are fine."""
        await self._run(self._remove, tuple(files))

    async def attachment(self, job: Job, pictures: Sequence[Picture], limit: int) -> Attachment:
        """One picture as it is, several as a grid, in the best form that fits ``limit`` bytes."""
        return await self._run(_attachment, job, tuple(pictures), limit)

    async def sweep(self, known: frozenset[str]) -> int:
        """Delete files that no row names (a crash between files and rows leaves some); how many they were."""
        return await self._run(self._sweep, known)

    def exists(self, file: str) -> bool:
        """Whether a row's file is still there."""
        return (self.folder / file).is_file()

    def picture(self, row: ImageRow) -> Picture:
        """A row as front ends know it."""
        path = self.folder / row.file
        return Picture(row.id, row.job_id, row.index, path, row.width, row.height, row.seed)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: work(*args, **kwargs))

    def _keep(
        self, job: Job, spec: GenerationSpec, pictures: tuple[Image.Image, ...]
    ) -> tuple[ImageRow, ...]:
        rows = []
        for index, picture in enumerate(pictures):
            data = encoding.png(picture, _text(job, spec, index))
            file = _file(index, job.id)
            self._write(file, data)
            digest = hashlib.sha256(data).hexdigest()
            rows.append(
                ImageRow(uuid.uuid4().hex, job.id, index, file, spec.seeds[index], *picture.size, digest)
            )
        return tuple(rows)

    def _adopt(
        self, job: Job, pictures: tuple[Image.Image, ...], texts: tuple[Mapping[str, str], ...]
    ) -> tuple[ImageRow, ...]:
        rows = []
        for index, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
            data, file = encoding.png(picture, text), _file(index, job.id)
            self._write(file, data)
            digest = hashlib.sha256(data).hexdigest()
            rows.append(
                ImageRow(uuid.uuid4().hex, job.id, index, file, job.seeds[index], *picture.size, digest)
            )
        return tuple(rows)

    def _keep_input(self, png: bytes) -> str:
        name = f"{INPUTS}/{hashlib.sha256(png).hexdigest()[:32]}.png"
        with self._shelf:
            if not (self.folder / name).exists():
                self._write(name, png)
            self._in_use[name] += 1
        return name

    def _link(self, row: ImageRow, job_id: str) -> ImageRow:
        file = _file(0, job_id)
        target = self.folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(self.folder / row.file, target)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(self.folder / row.file, target)
        _sync(target.parent)
        return ImageRow(uuid.uuid4().hex, job_id, 0, file, row.seed, row.width, row.height, row.sha256)

    def _write(self, file: str, data: bytes) -> None:
        target = self.folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        # Of its own, since two orders may keep the same picture at once.
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            with part.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(target)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        _sync(target.parent)

    def _remove(self, files: tuple[str, ...]) -> None:
        for file in files:
            (self.folder / file).unlink(missing_ok=True)

    def _sweep(self, known: frozenset[str]) -> int:
        stray = [path for path in _files(self.folder) if str(path.relative_to(self.folder)) not in known]
        for path in stray:
            path.unlink(missing_ok=True)
        return len(stray)


def parameters(job: Job, spec: GenerationSpec, index: int) -> str:
    """Generation parameters in the form that stable-diffusion-webui writes and many programs read."""
    negative = f"\nNegative prompt: {spec.negative_prompt}" if spec.negative_prompt else ""
    facts = {
        "Steps": spec.steps,
        "Sampler": spec.sampler,
        "CFG scale": f"{spec.guidance_scale:g}",
        "Seed": spec.seeds[index],
        "Size": f"{spec.width}x{spec.height}",
        "Model": spec.model,
        **({"Denoising strength": f"{spec.init.strength:g}"} if spec.init else {}),
        **({"Tiling": "True"} if spec.tile else {}),
    }
    return f"{spec.prompt}{negative}\n" + ", ".join(f"{name}: {value}" for name, value in facts.items())


def _text(job: Job, spec: GenerationSpec, index: int) -> dict[str, str]:
    own = {
        "job": job.id,
        "action": job.action,
        "index": index,
        "prompt": render(job.prompt),
        "seed": spec.seeds[index],
        "seeds": list(job.seeds),
        "parent": job.parent_id,
        "parent_index": job.index,
        "change": json.loads(changes.dumps(job.change)) if job.change else None,
        "model": spec.model,
        "ai_generated": True,
    }
    return {
        encoding.PARAMETERS: parameters(job, spec, index),
        encoding.OWN: json.dumps(own, ensure_ascii=False),
        encoding.SOFTWARE: SOFTWARE,
    }


def _file(index: int, job_id: str) -> str:
    return f"{job_id[:2]}/{index}_{job_id}.png"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _blend(paths: list[Path], width: int, height: int) -> bytes:
    blended: Image.Image | None = None
    for count, path in enumerate(paths, start=1):
        with Image.open(path, formats=["PNG"]) as opened:
            fitted = ImageOps.fit(opened.convert("RGB"), (width, height), Image.Resampling.LANCZOS)
        blended = fitted if blended is None else Image.blend(blended, fitted, 1 / count)
    if blended is None:
        raise ValueError("no picture to start from")
    buffer = io.BytesIO()
    blended.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _attachment(job: Job, pictures: tuple[Picture, ...], limit: int) -> Attachment:
    # Clients of Midjourney's bot read the id behind the last underscore, dashes and all.
    stem = f"{_slug(job.prompt.text)}_{uuid.UUID(job.id)}"
    if len(pictures) == 1 and pictures[0].path.stat().st_size <= limit:
        return Attachment(f"{stem}.png", pictures[0].path.read_bytes())
    opened = [Image.open(picture.path, formats=["PNG"]) for picture in pictures]
    text = encoding.text_of(opened[0])
    sheet = grid(opened)
    for picture in opened:
        picture.close()
    for suffix, data in _ever_smaller(sheet, text, limit):
        if len(data) <= limit:
            return Attachment(f"{stem}.{suffix}", data)
    raise ValueError(f"no picture fits {limit} bytes")


def _ever_smaller(sheet: Image.Image, text: dict[str, str], limit: int) -> Iterator[tuple[str, bytes]]:
    """PNG, then WebP without loss, then with, then fewer pixels; the text stays while it is the lesser."""
    yield "png", encoding.png(sheet, text)
    if 4 * sum(map(len, text.values())) > limit:
        text = {}
    if max(sheet.size) > 16383:
        sheet.thumbnail((16383, 16383))
    yield "webp", encoding.webp(sheet, text, 0, lossless=True)
    for quality in (95, 85, 70):
        yield "webp", encoding.webp(sheet, text, quality)
    while min(sheet.size) > 1:
        width, height = (max(1, side * 2 // 3) for side in sheet.size)
        sheet = sheet.resize((width, height), Image.Resampling.LANCZOS)
        yield "webp", encoding.webp(sheet, text, 80)


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")
    return words[:48].strip("_") or "picture"
