"""What a user painted, found again: pages of it, where a picture came from, and all of it as a ZIP."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image, ImageOps
from sqlalchemy import Connection

from bot.domain.job import Job
from bot.domain.prompt import render
from bot.services.library import Library
from bot.store import history, library
from bot.store.database import Database
from bot.store.history import Filter
from bot.store.library import ImageRow

PAGE = 5
"""Jobs of a page: as many pictures fit a row that can still be told apart."""
THUMB = 192
"""Pixels of a picture's side on the sheet of a page."""
GAP = 8
_HEADER = 512
"""Bytes that a ZIP needs for each file beside its data, generously."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A job and its pictures by index."""

    job: Job
    pictures: tuple[ImageRow, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """``number`` of ``pages``, from 0; ``total`` jobs in all."""

    entries: tuple[Entry, ...]
    number: int
    pages: int
    total: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a job was made from, the nearest first, and what was made of it."""

    ancestors: tuple[Job, ...]
    children: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class Archive:
    """A ZIP of ``jobs`` jobs; ``left`` did not fit."""

    data: bytes = field(repr=False)
    jobs: int
    left: int


class History:
    """Everything is one's own, but for favourites: each verb takes the user."""

    def __init__(self, database: Database, files: Library) -> None:
        self._database = database
        self._files = files

    async def page(self, user_id: int, wanted: Filter, number: int) -> Page:
        """One page; the last one where there are fewer."""
        return await self._database.read(lambda connection: _page(connection, user_id, wanted, number))

    async def models(self, user_id: int) -> list[str]:
        """Names of the models used so far."""
        return await self._database.read(lambda connection: history.models(connection, user_id))

    async def kept(self, user_id: int, guild_id: int | None, job_id: str) -> Job | None:
        """A job with a picture among the user's favourites, if they may find it in this server."""
        wanted = Filter(favourites=True, guild_id=guild_id, job_id=job_id)
        found = await self._database.read(lambda connection: history.find(connection, user_id, wanted))
        return found[0] if found else None

    async def lineage(self, job: Job, asker: int) -> Lineage:
        """Where a job comes from and what came of it, as far as the user ``asker`` may know."""

        def read(connection: Connection) -> Lineage:
            return Lineage(
                tuple(history.ancestors(connection, job, asker)),
                tuple(history.children(connection, job, asker)),
            )

        return await self._database.read(read)

    async def sheet(self, page: Page) -> bytes | None:
        """The first pictures of a page's jobs side by side, as a JPEG; None when none is left."""
        paths = [self._files.folder / entry.pictures[0].file for entry in page.entries if entry.pictures]
        return await asyncio.to_thread(_sheet, paths)

    async def archive(self, user_id: int, wanted: Filter, limit: int) -> Archive:
        """The jobs that fit ``limit`` bytes, the latest first, with their prompts and seeds."""
        entries = await self._database.read(lambda connection: _entries(connection, user_id, wanted))
        return await asyncio.to_thread(_zipped, self._files.folder, entries, limit)


def _page(connection: Connection, user_id: int, wanted: Filter, number: int) -> Page:
    total = history.count(connection, user_id, wanted)
    pages = max(1, -(-total // PAGE))
    number = max(0, min(number, pages - 1))
    jobs = history.find(connection, user_id, wanted, offset=number * PAGE, limit=PAGE)
    entries = tuple(Entry(job, library.of_job(connection, job.id)) for job in jobs)
    return Page(entries, number, pages, total)


def _entries(connection: Connection, user_id: int, wanted: Filter) -> list[Entry]:
    return [
        Entry(job, library.of_job(connection, job.id)) for job in history.find(connection, user_id, wanted)
    ]


def _sheet(paths: Sequence[Path]) -> bytes | None:
    """A picture that cannot be read leaves its place empty, so that the numbers still fit."""
    if not paths:
        return None
    sheet = Image.new("RGB", (len(paths) * (THUMB + GAP) - GAP, THUMB), "white")
    found = 0
    for place, path in enumerate(paths):
        try:
            with Image.open(path, formats=["PNG"]) as opened:
                opened.draft("RGB", (THUMB, THUMB))
                thumb = ImageOps.fit(opened.convert("RGB"), (THUMB, THUMB))
        except OSError:
            continue
        sheet.paste(thumb, (place * (THUMB + GAP), 0))
        found += 1
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=85)
    return buffer.getvalue() if found else None


def _zipped(folder: Path, entries: Sequence[Entry], limit: int) -> Archive:
    """PNGs are packed already, so they are only stored."""
    buffer = io.BytesIO()
    kept: list[Entry] = []
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry in entries:
            files = list(_existing(folder, entry))
            told = json.dumps(_facts(entry), ensure_ascii=False).encode()
            size = sum(path.stat().st_size + _HEADER for path in files) + len(told) + _HEADER
            if buffer.tell() + size > limit:
                break
            for path in files:
                archive.write(path, f"{entry.job.id}/{path.name}")
            archive.writestr(f"{entry.job.id}/job.json", told)
            kept.append(entry)
    return Archive(buffer.getvalue(), len(kept), len(entries) - len(kept))


def _existing(folder: Path, entry: Entry) -> Iterator[Path]:
    paths = (folder / picture.file for picture in entry.pictures)
    return (path for path in paths if path.is_file())


def _facts(entry: Entry) -> dict[str, object]:
    job = entry.job
    return {
        "job": job.id,
        "prompt": render(job.prompt),
        "model": job.model,
        "action": job.action,
        "seeds": list(job.seeds),
        "parent": job.parent_id,
        "created": datetime.fromtimestamp(job.created_at, UTC).isoformat(),
    }
