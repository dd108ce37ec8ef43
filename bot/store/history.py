"""A user's delivered jobs and favourites, found again by text, model and day; and what came of what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from bot.domain.job import Job, JobStatus, Place
from bot.store.jobs import as_job
from bot.store.tables import favourites, images, jobs

_DELIVERED = (JobStatus.RENDERED, JobStatus.POSTING, JobStatus.POSTED)


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; everything left out is no condition."""

    text: str = ""
    """Part of the prompt's text, in any case."""
    favourites: bool = False
    """Among these are pictures of others too, where ``guild_id`` says that everybody there saw them."""
    model: str = ""
    since: float | None = None
    """Unix seconds; ``until`` is the first moment that no longer counts."""
    until: float | None = None
    guild_id: int | None = None
    """The server where it is asked; no condition by itself."""
    job_id: str = ""


def count(connection: Connection, user_id: int, wanted: Filter) -> int:
    """How many jobs there are."""
    return connection.scalar(select(func.count()).select_from(jobs).where(*_conditions(user_id, wanted))) or 0


def find(
    connection: Connection, user_id: int, wanted: Filter, *, offset: int = 0, limit: int | None = None
) -> list[Job]:
    """Those jobs, the latest first."""
    query = select(jobs).where(*_conditions(user_id, wanted)).order_by(jobs.c.seq.desc())
    return [as_job(row) for row in connection.execute(query.offset(offset).limit(limit))]


def models(connection: Connection, user_id: int) -> list[str]:
    """The models that a user's jobs were painted with, by name."""
    query = select(jobs.c.model).where(*_conditions(user_id, Filter())).distinct().order_by(jobs.c.model)
    return [str(name) for name in connection.scalars(query)]


def children(connection: Connection, job: Job, asker: int, limit: int = 10) -> list[Job]:
    """What was made from a job and ``asker`` may know of, the oldest first."""
    query = (
        select(jobs)
        .where(jobs.c.parent_id == job.id, jobs.c.deleted.is_(False), jobs.c.status.in_(_DELIVERED))
        .order_by(jobs.c.seq)
    )
    return list(islice(_told(map(as_job, connection.execute(query)), job.place, asker), limit))


def ancestors(connection: Connection, job: Job, asker: int, limit: int = 10) -> list[Job]:
    """What a job was made from and ``asker`` may know of, the nearest first."""
    return list(islice(_told(line(connection, job, limit), job.place, asker), limit))


def line(connection: Connection, job: Job, limit: int = 10) -> Iterator[Job]:
    """What a job was made from, whosever it is, the nearest first."""
    for _ in range(limit):
        row = connection.execute(
            select(jobs).where(jobs.c.id == job.parent_id, jobs.c.deleted.is_(False))
        ).first()
        if row is None:
            return
        job = as_job(row)
        yield job


def _told(found: Iterable[Job], place: Place, asker: int) -> Iterator[Job]:
    """One's own jobs, and what everybody saw in the same channel: a job says where it is and whose."""
    for job in found:
        open_to_all = place.guild_id is not None and job.prompt.get("visibility") != "stealth"
        if job.requester.user_id == asker or (open_to_all and job.place == place):
            yield job


def _conditions(user_id: int, wanted: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        _findable(user_id, wanted),
        jobs.c.deleted.is_(False),
        jobs.c.status.in_(_DELIVERED),
        exists().where(images.c.job_id == jobs.c.id),
    ]
    if wanted.text:
        text = func.casefold(func.json_extract(jobs.c.prompt, "$.text"))
        conditions.append(text.contains(wanted.text.casefold(), autoescape=True))
    if wanted.favourites:
        conditions.append(_favourite(user_id))
    if wanted.model:
        conditions.append(jobs.c.model == wanted.model)
    if wanted.job_id:
        conditions.append(jobs.c.id == wanted.job_id)
    if wanted.since is not None:
        conditions.append(jobs.c.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(jobs.c.created_at < wanted.until)
    return conditions


def _findable(user_id: int, wanted: Filter) -> ColumnElement[bool]:
    if not wanted.favourites or wanted.guild_id is None:
        return jobs.c.user_id == user_id
    visibility = func.coalesce(func.json_extract(jobs.c.prompt, "$.values.visibility"), "")
    return or_(jobs.c.user_id == user_id, and_(jobs.c.guild_id == wanted.guild_id, visibility != "stealth"))


def _favourite(user_id: int) -> ColumnElement[bool]:
    """Whether any picture of the job is one of the user's favourites."""
    return exists().where(
        images.c.job_id == jobs.c.id,
        favourites.c.image_id == images.c.id,
        favourites.c.user_id == user_id,
    )
