"""Where results and news of jobs go: Discord, the command line, or a test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.domain.job import Job


@dataclass(frozen=True, slots=True)
class Picture:
    """One stored picture of a job. ``index`` is zero-based; sizes are pixels of the file."""

    id: str
    job_id: str
    index: int
    path: Path
    width: int
    height: int
    seed: int


class SinkGone(Exception):
    """The place of a job no longer exists (channel deleted, bot removed, token expired): nothing can be told.

    Every exception of a sink but this one counts as "perhaps it went out": the outbox looks with
    ``find_posted`` before it sends again.
    """


class SinkRefused(Exception):
    """The place is there, but what was sent is not taken (a 4xx of an unknown kind): soon given up."""


class MessageSink(Protocol):
    """Implemented by the Discord presenter, the command line and tests.

    The caller never cancels a call and has at most one ``progress`` per job under way; ``post`` starts only
    after the job's last ``progress`` has returned. Jobs are read afresh from their rows for each call.
    """

    async def progress(self, job: Job, percent: int, preview: bytes | None) -> None:
        """Edit the waiting message: 0 to 99 percent, ``preview`` is a small JPEG grid. Errors are logged."""

    async def post(self, job: Job, pictures: tuple[Picture, ...]) -> int:
        """Send the result with a nonce derived from the job id, drop the waiting message; its id.

        ``pictures`` may be fewer than ``job.seeds`` only for U. Raises SinkGone where there is no place left,
        SinkRefused where Discord says no.
        """

    async def find_posted(self, job: Job) -> int | None:
        """Message id of a result of this job that is already in its channel's recent history, or None."""

    async def tell(self, job: Job, sentence: str) -> None:
        """Say that the job failed or was cancelled: edit the waiting message, or send; may be repeated."""
