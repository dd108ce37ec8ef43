"""What is stored of a user: told, handed over as a file, deleted."""

from __future__ import annotations

import asyncio
import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bot.domain.job import JobStatus, Requester
from bot.domain.sentence import say
from bot.errors import UserError
from bot.services.admission import discard_inputs
from bot.services.library import Library
from bot.store import jobs, library, personal
from bot.store.database import Database
from bot.store.personal import Leftovers

_HEADER = 512


@dataclass(frozen=True, slots=True)
class Export:
    """A ZIP of all rows and of the pictures that fit; ``left`` of those did not."""

    data: bytes = field(repr=False)
    pictures: int
    left: int


class Privacy:
    """``cancel`` drops a queued or running job, as its owner may."""

    def __init__(
        self,
        database: Database,
        files: Library,
        cancel: Callable[[str, Requester], Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._files = files
        self._cancel = cancel
        self._clock = clock

    async def export(self, user_id: int, limit: int) -> Export:
        """Everything that is stored, in at most ``limit`` bytes; pictures that do not fit are left out."""

        def read(connection: Connection) -> tuple[Mapping[str, Any], list[str]]:
            rows = personal.read(connection, user_id)
            names = [row.file for job in rows["jobs"] for row in library.of_job(connection, job["id"])]
            return rows, names

        rows, names = await self._database.read(read)
        return await asyncio.to_thread(_packed, self._files.folder, rows, names, limit)

    async def erase(self, user_id: int) -> tuple[tuple[int, int], ...]:
        """Cancel what waits or runs, then delete rows and files; channel and message of results and waits.

        UserError while a result is on its way: it would be posted by nobody's order.
        """
        await self._cancel_all(user_id)
        now = self._clock()

        def work(connection: Connection) -> Leftovers:
            if counts := jobs.count_by_status(connection, user_id):
                raise UserError(
                    say(
                        "{count} of your jobs are just being finished; try again in a minute. Nothing was "
                        "deleted yet.",
                        count=sum(counts.values()),
                    )
                )
            return personal.erase(connection, user_id, now)

        left = await self._database.write(work)
        await self._files.remove(left.files)
        await self._database.write(lambda connection: discard_inputs(connection, self._files, left.inputs))
        await self._database.checkpoint()
        return left.messages

    async def _cancel_all(self, user_id: int) -> None:
        who = Requester(user_id)
        for status in (JobStatus.QUEUED, JobStatus.RUNNING):
            found = await self._database.read(partial(jobs.in_status, status=status))
            for job in found:
                if job.requester.user_id == user_id:
                    try:
                        await self._cancel(job.id, who)
                    except UserError:
                        continue  # it was finished meanwhile, which the transaction will see


def _packed(folder: Path, rows: Mapping[str, Any], names: list[str], limit: int) -> Export:
    buffer = io.BytesIO()
    kept = 0
    told = json.dumps(rows, ensure_ascii=False, indent=1, default=str)
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.json", told, compress_type=zipfile.ZIP_DEFLATED)
        paths = [folder / name for name in names if (folder / name).is_file()]
        for path in paths:
            if buffer.tell() + path.stat().st_size + _HEADER * (kept + 2) > limit:
                continue
            archive.write(path, f"pictures/{path.name}")
            kept += 1
    return Export(buffer.getvalue(), kept, len(paths) - kept)
