"""A user's delivered jobs, found again: by text, favourite, model and day; and what came of what."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, exists, func, select

from bot.domain.job import Job, JobStatus
from bot.store.jobs import as_job
from bot.store.tables import favourites, images, jobs

_DELIVERED = (JobStatus.RENDERED, JobStatus.POSTING, JobStatus.POSTED)


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; everything left out is no condition."""

    text: str = ""
    """Part of the prompt's text, in any case."""
    favourites: bool = False
    model: str = ""
    since: float | None = None
    """Unix seconds; ``until`` is the first moment that no longer counts."""
    until: float | None = None


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


def children(connection: Connection, job_id: str, limit: int = 10) -> list[Job]:
    """What was made from a job, the oldest first."""
    query = (
        select(jobs)
        .where(jobs.c.parent_id == job_id, jobs.c.deleted.is_(False), jobs.c.status.in_(_DELIVERED))
        .order_by(jobs.c.seq)
        .limit(limit)
    )
    return [as_job(row) for row in connection.execute(query)]


def ancestors(connection: Connection, job: Job, limit: int = 10) -> list[Job]:
    """What a job was made from, the nearest first."""
    found: list[Job] = []
    while job.parent_id is not None and len(found) < limit:
        row = connection.execute(
            select(jobs).where(jobs.c.id == job.parent_id, jobs.c.deleted.is_(False))
        ).first()
        if row is None:
            break
        job = as_job(row)
        found.append(job)
    return found


def _conditions(user_id: int, wanted: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        jobs.c.user_id == user_id,
        jobs.c.deleted.is_(False),
        jobs.c.status.in_(_DELIVERED),
        exists().where(images.c.job_id == jobs.c.id),
    ]
    if wanted.text:
        text = func.lower(func.json_extract(jobs.c.prompt, "$.text"))
        conditions.append(text.contains(wanted.text.lower(), autoescape=True))
    if wanted.favourites:
        conditions.append(_favourite(user_id))
    if wanted.model:
        conditions.append(jobs.c.model == wanted.model)
    if wanted.since is not None:
        conditions.append(jobs.c.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(jobs.c.created_at < wanted.until)
    return conditions


def _favourite(user_id: int) -> ColumnElement[bool]:
    """Whether any picture of the job is one of the user's favourites."""
    return exists().where(
        images.c.job_id == jobs.c.id,
        favourites.c.image_id == images.c.id,
        favourites.c.user_id == user_id,
    )
