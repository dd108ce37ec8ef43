"""The jobs table as verbs on a connection. Every change of status names the statuses it may come from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select, union_all, update

from bot.domain import change as changes
from bot.domain.job import TRANSITIONS, Action, Job, JobStatus, Place, Requester
from bot.domain.prompt import Prompt, dumps, loads
from bot.domain.sentence import loaded
from bot.store.tables import erased, jobs

LANES = ("turbo", "fast", "relax")
_OPEN = (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.RENDERED, JobStatus.POSTING)
_OWED = (JobStatus.RENDERED, JobStatus.POSTING, JobStatus.FAILED, JobStatus.CANCELLED)
_OWED_JOBS = select(jobs).where(jobs.c.told.is_(False), jobs.c.status.in_(_OWED))


@dataclass(frozen=True, slots=True)
class Intake:
    """What the queue must know of a new job beyond the job itself."""

    lane: str
    price: float
    """Share of the full cost that is charged: 1, the relax factor, or 0 for U."""
    cost: float
    """Images charged: ``price`` times the pictures ordered."""
    expected_s: float
    """Device seconds the engine estimates."""
    inputs: tuple[str, ...] = ()
    """Pictures it starts from: ``image:<id>`` of another job, ``input:<file>`` of a link or upload."""
    strength: float | None = None
    """How far to leave the inputs (``InitImage.strength``); None without inputs."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued job, as far as others who wait are concerned."""

    job_id: str
    lane: str
    user_id: int
    seconds: float
    created_at: float
    role_ids: tuple[int, ...] = ()


def add(connection: Connection, job: Job, intake: Intake, *, told: bool = False) -> None:
    """Insert the row; IntegrityError when the interaction was admitted before."""
    connection.execute(
        insert(jobs).values(
            **_identity(job),
            lane=intake.lane,
            price=intake.price,
            cost=intake.cost,
            expected_s=intake.expected_s,
            inputs=list(intake.inputs),
            strength=intake.strength,
            told=told,
        )
    )


def find(connection: Connection, job_id: str) -> Job | None:
    """The job, or None when there is none or its owner deleted it."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id, jobs.c.deleted.is_(False))).first()
    return None if row is None else as_job(row)


def find_interaction(connection: Connection, interaction_id: int) -> Job | None:
    """The job that this interaction made, deleted or not."""
    row = connection.execute(select(jobs).where(jobs.c.interaction_id == interaction_id)).first()
    return None if row is None else as_job(row)


def known(connection: Connection, job_id: str) -> bool:
    """Whether there ever was such a job here, deleted or not."""
    ids = union_all(select(jobs.c.id), select(erased.c.job_id)).subquery()
    return connection.execute(select(ids).where(ids.c.id == job_id)).first() is not None


def find_message(connection: Connection, message_id: int) -> Job | None:
    """The job whose result this message is."""
    row = connection.execute(
        select(jobs).where(jobs.c.result_message_id == message_id, jobs.c.deleted.is_(False))
    ).first()
    return None if row is None else as_job(row)


def find_waiting(connection: Connection, message_id: int) -> Job | None:
    """The unfinished job whose waiting message this is."""
    row = connection.execute(
        select(jobs).where(
            jobs.c.status.in_((JobStatus.QUEUED, JobStatus.RUNNING)), jobs.c.message_id == message_id
        )
    ).first()
    return None if row is None else as_job(row)


def intake(connection: Connection, job_id: str) -> Intake:
    """What was settled when the job was admitted; KeyError when there is none."""
    columns = (jobs.c.lane, jobs.c.price, jobs.c.cost, jobs.c.expected_s, jobs.c.inputs, jobs.c.strength)
    row = connection.execute(select(*columns).where(jobs.c.id == job_id)).first()
    if row is None:
        raise KeyError(job_id)
    return Intake(row.lane, row.price, row.cost, row.expected_s, tuple(row.inputs), row.strength)


def move(
    connection: Connection, job_id: str, to: JobStatus, *, sources: Collection[JobStatus] = (), **values: Any
) -> bool:
    """Change the status, if the job stands where the table of transitions (or ``sources``) allows it."""
    allowed = sources or [status for status, targets in TRANSITIONS.items() if to in targets]
    changed = connection.execute(
        update(jobs).where(jobs.c.id == job_id, jobs.c.status.in_(allowed)).values(status=to, **values)
    )
    return changed.rowcount == 1


def change(connection: Connection, job_id: str, **values: Any) -> None:
    """Set columns that are not the status."""
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))


def unfinished(connection: Connection, user_id: int) -> int:
    """Queued and running jobs of a user."""
    counts = count_by_status(connection, user_id)
    return counts.get(JobStatus.QUEUED, 0) + counts.get(JobStatus.RUNNING, 0)


def undelivered(connection: Connection, user_id: int) -> int:
    """Jobs of a user that are done and not posted yet."""
    counts = count_by_status(connection, user_id)
    return counts.get(JobStatus.RENDERED, 0) + counts.get(JobStatus.POSTING, 0)


def count_by_status(connection: Connection, user_id: int | None = None) -> dict[JobStatus, int]:
    """Jobs that are not done by status, of one user or of all."""
    query = select(jobs.c.status, func.count()).where(jobs.c.status.in_(_OPEN)).group_by(jobs.c.status)
    if user_id is not None:
        query = query.where(jobs.c.user_id == user_id)
    return {JobStatus(status): count for status, count in connection.execute(query)}


def waiting(connection: Connection) -> list[Waiting]:
    """All queued jobs, oldest first."""
    columns = (
        jobs.c.id,
        jobs.c.lane,
        jobs.c.user_id,
        jobs.c.expected_s,
        jobs.c.created_at,
        jobs.c.role_ids,
    )
    query = select(*columns).where(jobs.c.status == JobStatus.QUEUED).order_by(jobs.c.seq)
    return [Waiting(*row[:5], tuple(row[5])) for row in connection.execute(query)]


def oldest(connection: Connection, without: Collection[int] = ()) -> list[tuple[str, int, int]]:
    """(lane, user, sequence number) of each user's oldest queued job by lane, from the index alone.

    Jobs whose sequence number is in ``without`` are passed over.
    """
    query = (
        select(jobs.c.lane, jobs.c.user_id, func.min(jobs.c.seq))
        .where(jobs.c.status == JobStatus.QUEUED)
        .group_by(jobs.c.lane, jobs.c.user_id)
    )
    if without:
        query = query.where(jobs.c.seq.not_in(without))
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def suspects(connection: Connection) -> frozenset[int]:
    """Sequence numbers of queued jobs that the engine held at more than one death."""
    query = select(jobs.c.seq).where(jobs.c.status == JobStatus.QUEUED, jobs.c.attempts + jobs.c.kills > 1)
    return frozenset(connection.scalars(query))


def newest(connection: Connection) -> int:
    """The highest sequence number; 0 without jobs."""
    return connection.scalar(select(func.max(jobs.c.seq))) or 0


def at(connection: Connection, seq: int) -> Job:
    """The job with this sequence number, which exists."""
    return as_job(connection.execute(select(jobs).where(jobs.c.seq == seq)).one())


def in_status(connection: Connection, status: JobStatus) -> list[Job]:
    """All jobs of one status, oldest first."""
    query = select(jobs).where(jobs.c.status == status).order_by(jobs.c.seq)
    return [as_job(row) for row in connection.execute(query)]


def owed(connection: Connection) -> list[Job]:
    """Jobs whose end has not reached Discord yet, oldest first."""
    return [as_job(row) for row in connection.execute(_OWED_JOBS.order_by(jobs.c.seq))]


def find_owed(connection: Connection, job_id: str) -> Job | None:
    """The job, while its end has not reached Discord."""
    row = connection.execute(_OWED_JOBS.where(jobs.c.id == job_id)).first()
    return as_job(row) if row else None


def erase(connection: Connection, job_id: str) -> None:
    """Blank everything personal; the row stays, so that accounts and the interaction's id still hold."""
    change(
        connection,
        job_id,
        prompt=dumps(Prompt("")),
        seeds=[],
        inputs=[],
        role_ids=[],
        token=None,
        error=None,
        message_id=None,
        result_message_id=None,
        change=None,
        deleted=True,
        told=True,
    )


def referenced(connection: Connection, inputs: Iterable[str]) -> set[str]:
    """Those of the ``inputs`` that some job still names."""
    found = set()
    for name in inputs:
        query = select(jobs.c.seq).where(func.instr(jobs.c.inputs, f'"{name}"') > 0).limit(1)
        if connection.execute(query).first():
            found.add(name)
    return found


def lifetime(connection: Connection, user_id: int) -> Mapping[str, float]:
    """Jobs, pictures charged and device seconds of a user, of jobs that were delivered."""
    query = select(func.count(), func.sum(jobs.c.cost), func.sum(jobs.c.gpu_seconds)).where(
        jobs.c.user_id == user_id,
        or_(*(jobs.c.status == status for status in _DELIVERED)),
    )
    count, images, seconds = connection.execute(query).one()
    return {"jobs": count, "images": images or 0.0, "gpu_seconds": seconds or 0.0}


_DELIVERED = (JobStatus.RENDERED, JobStatus.POSTING, JobStatus.POSTED)


def _identity(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "interaction_id": job.interaction_id,
        "action": job.action,
        "status": job.status,
        "user_id": job.requester.user_id,
        "role_ids": list(job.requester.role_ids),
        "is_admin": job.requester.is_admin,
        "guild_id": job.place.guild_id,
        "channel_id": job.place.channel_id,
        "prompt": dumps(job.prompt),
        "seeds": list(job.seeds),
        "model": job.model,
        "parent_id": job.parent_id,
        "index": job.index,
        "message_id": job.message_id,
        "token": job.token,
        "token_expires_at": job.token_expires_at,
        "created_at": job.created_at,
        "change": changes.dumps(job.change) if job.change else None,
    }


def as_job(row: Row[Any]) -> Job:
    """A row of the table as a value."""
    return Job(
        id=row.id,
        interaction_id=row.interaction_id,
        action=Action(row.action),
        requester=Requester(row.user_id, tuple(row.role_ids), row.is_admin),
        place=Place(row.guild_id, row.channel_id),
        prompt=loads(row.prompt),
        seeds=tuple(row.seeds),
        status=JobStatus(row.status),
        created_at=row.created_at,
        parent_id=row.parent_id,
        index=row._mapping[jobs.c["index"]],
        attempts=row.attempts,
        kills=row.kills,
        message_id=row.message_id,
        result_message_id=row.result_message_id,
        posting_at=row.posting_at,
        error=None if row.error is None else loaded(row.error),
        model=row.model,
        token=row.token,
        token_expires_at=row.token_expires_at,
        gpu_seconds=row.gpu_seconds,
        change=changes.loads(row.change) if row.change else None,
    )
