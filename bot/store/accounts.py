"""The quota ledger: rows are only ever added, each under a key that cannot be used twice.

Consumption is positive, what comes back is negative, so the sum over a job is what it cost. All rows of a job
carry the time of its reservation (``at``): a refund returns credit to the window it was taken from. A job
draws on the user's ``allowance`` (the windows) first and on the ``grant`` balance for the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Table, and_, case, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert

from bot.domain.job import JobStatus
from bot.domain.policy import EPSILON, Limits, Unit, Window, window_start
from bot.store.tables import jobs, ledger, quota_limits

NONE = 1e-9
"""What ``policy.Limits`` holds for "no credit at all", since 0 means unlimited there."""


class Scope(StrEnum):
    """Whom a limit, grant or reset is for."""

    DEFAULT = "default"
    GUILD = "guild"
    ROLE = "role"
    USER = "user"


class Account(StrEnum):
    """What a ledger row moves."""

    ALLOWANCE = "allowance"
    """Credit of the calendar windows."""
    GRANT = "grant"
    """What is drawn of the credit that admins gave on top."""
    GRANTED = "granted"
    """That credit itself."""
    RESET = "reset"
    """No credit: a moment before which nothing counts."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A user, role or server by its snowflake, or everyone (``Subject(Scope.DEFAULT)``)."""

    scope: Scope
    id: int = 0
    guild_id: int = 0
    """For a user: the server whose admin says it, so that it holds nowhere else; 0 holds everywhere."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """Both units are always kept, so that the unit that counts can be changed later."""

    images: float
    gpu_seconds: float

    def times(self, share: float) -> Amounts:
        """This share of both."""
        return Amounts(self.images * share, self.gpu_seconds * share)


def subjects_of(user_id: int, guild_id: int | None, role_ids: Iterable[int]) -> tuple[Subject, ...]:
    """Everything whose limits, grants and resets concern a user in a place."""
    here = () if guild_id is None else (Subject(Scope.USER, user_id, guild_id),)
    guild = () if guild_id is None else (Subject(Scope.GUILD, guild_id),)
    roles = tuple(Subject(Scope.ROLE, role) for role in role_ids)
    return (*here, Subject(Scope.USER, user_id), *roles, *guild, Subject(Scope.DEFAULT))


def limits_of(connection: Connection, subjects: Iterable[Subject]) -> dict[Subject, Limits]:
    """What admins set for these subjects, in the terms of ``policy.Limits`` (0 unlimited, NONE no credit)."""
    asked = tuple(subjects)
    named = {_nameless(subject): subject for subject in asked} | {subject: subject for subject in asked}
    query = select(quota_limits).where(_any_of(quota_limits, named))
    found: dict[Subject, dict[str, float]] = {}
    for row in connection.execute(query):
        said = Subject(Scope(row.scope), row.scope_id, row.guild_id)
        amount = 0.0 if row.amount is None else max(row.amount, NONE)
        words = found.setdefault(named[said], {})
        if said in asked or row.period not in words:
            words[row.period] = amount
    return {subject: Limits(**words) for subject, words in found.items()}


def _nameless(subject: Subject) -> Subject:
    return replace(subject, id=pseudonym(subject.id)) if subject.scope is Scope.USER else subject


def _ever_named(subjects: Iterable[Subject]) -> set[Subject]:
    """The subjects, and what rows call them since they deleted their data."""
    return {name for subject in subjects for name in (subject, _nameless(subject))}


def set_limit(connection: Connection, subject: Subject, window: Window, amount: float | None) -> None:
    """``amount`` credits per window; 0 is none at all, None is unlimited."""
    key = {"scope": subject.scope, "scope_id": subject.id, "guild_id": subject.guild_id, "period": window}
    query = insert(quota_limits).values(**key, amount=amount)
    connection.execute(query.on_conflict_do_update(index_elements=list(key), set_={"amount": amount}))


def clear_limits(connection: Connection, subject: Subject) -> None:
    """Back to what the configuration says."""
    connection.execute(delete(quota_limits).where(_any_of(quota_limits, [subject, _nameless(subject)])))


def used(
    connection: Connection, user_id: int, subjects: Iterable[Subject], unit: Unit, now: float
) -> Mapping[Window, float]:
    """Credits of the allowance reserved or spent in each running window, since the latest reset."""
    since = _last_reset(connection, subjects)
    starts = {window: max(float(window_start(window, now)), since) for window in Window}
    sums = [
        func.sum(case((ledger.c.at >= start, ledger.c[unit.value]), else_=0.0)) for start in starts.values()
    ]
    query = select(*sums).where(
        ledger.c.scope == Scope.USER,
        ledger.c.scope_id.in_((user_id, pseudonym(user_id))),
        ledger.c.account == Account.ALLOWANCE,
        ledger.c.at >= min(starts.values()),
    )
    return {
        window: total or 0.0 for window, total in zip(Window, connection.execute(query).one(), strict=True)
    }


def balance(connection: Connection, user_id: int, subjects: Sequence[Subject], unit: Unit) -> float:
    """Credits granted and not drawn yet in the server the subjects speak of; one for all is for each."""
    here = max(subject.guild_id for subject in subjects)
    amount = ledger.c[unit.value]
    given = select(func.sum(amount)).where(
        ledger.c.account == Account.GRANTED, _any_of(ledger, _ever_named(subjects))
    )
    drawn = select(func.sum(amount)).where(
        ledger.c.scope == Scope.USER,
        ledger.c.scope_id.in_((user_id, pseudonym(user_id))),
        ledger.c.account == Account.GRANT,
        ledger.c.guild_id == here,
    )
    return max(0.0, (connection.scalar(given) or 0.0) - (connection.scalar(drawn) or 0.0))


def grant(connection: Connection, key: str, subject: Subject, amount: float, unit: Unit, now: float) -> bool:
    """Add credits on top; False when ``key`` was used before."""
    given = Amounts(amount, 0.0) if unit is Unit.IMAGES else Amounts(0.0, amount)
    return _add(connection, f"grant:{key}", "grant", Account.GRANTED, subject, given, now)


def reset(connection: Connection, key: str, subject: Subject, now: float) -> bool:
    """Forget what was used so far; False when ``key`` was used before."""
    return _add(connection, f"reset:{key}", "reset", Account.RESET, subject, Amounts(0, 0), now)


def reserve(
    connection: Connection,
    job_id: str,
    user_id: int,
    guild_id: int | None,
    parts: Mapping[Account, Amounts],
    now: float,
) -> None:
    """Take what a job is expected to cost, from one account or both."""
    for account, amounts in parts.items():
        key = f"reserve:{job_id}:{account}"
        _add(
            connection, key, "reserve", account, Subject(Scope.USER, user_id), amounts, now, job_id, guild_id
        )


def settle(connection: Connection, job_id: str, gpu_seconds: float) -> None:
    """Bring the reserved device seconds to those charged; what is saved goes back to the grant first."""
    held = _held(connection, job_id)
    spare = held.get(Account.ALLOWANCE, Amounts(0, 0)).gpu_seconds
    granted = held.get(Account.GRANT, Amounts(0, 0)).gpu_seconds
    from_grant = min(max(gpu_seconds - spare, 0.0), granted)
    wanted = {Account.GRANT: from_grant, Account.ALLOWANCE: gpu_seconds - from_grant}
    for account, amounts in held.items():
        # With a grant alone there is no allowance row to take a rest.
        target = wanted[account] if len(held) > 1 else gpu_seconds
        _again(connection, job_id, "settle", account, Amounts(0, target - amounts.gpu_seconds))


def refund(connection: Connection, job_id: str) -> None:
    """Give back everything a job still holds; a second call gives nothing."""
    for account, amounts in _held(connection, job_id).items():
        _again(connection, job_id, "refund", account, amounts.times(-1))


def forget(connection: Connection, user_id: int, now: float) -> None:
    """Take the user's name off limits, grants, resets and what was spent of them; drop older spending.

    What was granted and what was drawn of it stay together: either one alone would make or unmake credit.
    """
    subject = Subject(Scope.USER, user_id)
    mine = and_(ledger.c.scope == Scope.USER, ledger.c.scope_id == user_id)
    since = max(float(window_start(Window.MONTH, now)), _last_reset(connection, [subject]))
    counts_no_more = and_(mine, ledger.c.account == Account.ALLOWANCE, ledger.c.at < since)
    connection.execute(delete(ledger).where(counts_no_more))
    nobody = pseudonym(user_id)
    unnamed = {"scope_id": nobody, "job_id": None, "key": func.hex(func.randomblob(16))}
    connection.execute(update(ledger).where(mine).values(unnamed))
    _unname_limits(connection, user_id, nobody)


def _unname_limits(connection: Connection, user_id: int, nobody: int) -> None:
    """A limit that was set since the last time takes the place of the one before."""
    place = tuple_(quota_limits.c.guild_id, quota_limits.c.period)
    named = and_(quota_limits.c.scope == Scope.USER, quota_limits.c.scope_id == user_id)
    before = and_(quota_limits.c.scope == Scope.USER, quota_limits.c.scope_id == nobody)
    newer = select(quota_limits.c.guild_id, quota_limits.c.period).where(named)
    connection.execute(delete(quota_limits).where(before, place.in_(newer)))
    connection.execute(update(quota_limits).where(named).values(scope_id=nobody))


def pseudonym(user_id: int) -> int:
    """A number for a user whose data was deleted: it tells nobody who, but fits if they return."""
    digest = hashlib.blake2b(f"tessera:{user_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def unbalanced(connection: Connection) -> list[str]:
    """Jobs whose ledger does not say what they cost: reserved - returned = delivered (one sentence each)."""
    sums = (
        select(
            ledger.c.job_id,
            func.sum(ledger.c.images).label("images"),
            func.sum(ledger.c.gpu_seconds).label("gpu_seconds"),
        )
        .where(ledger.c.job_id.is_not(None))
        .group_by(ledger.c.job_id)
        .subquery()
    )
    images, seconds = func.coalesce(sums.c.images, 0.0), func.coalesce(sums.c.gpu_seconds, 0.0)
    lost = jobs.c.status.in_((JobStatus.FAILED, JobStatus.CANCELLED))
    waiting = jobs.c.status.in_((JobStatus.QUEUED, JobStatus.RUNNING))
    due_images = case((lost, 0.0), else_=jobs.c.cost)
    due_seconds = case((lost, 0.0), (waiting, jobs.c.expected_s), else_=jobs.c.gpu_seconds) * jobs.c.price
    wrong = or_(func.abs(images - due_images) > EPSILON, func.abs(seconds - due_seconds) > EPSILON)
    query = (
        select(jobs.c.id, jobs.c.status, images, due_images, seconds, due_seconds)
        .join(sums, sums.c.job_id == jobs.c.id, isouter=True)
        .where(wrong)
    )
    return [
        f"job {row[0]} ({row[1]}) holds {row[2]:g} images and {row[4]:g} s, "
        f"due are {row[3]:g} and {row[5]:g} s"
        for row in connection.execute(query)
    ]


def _last_reset(connection: Connection, subjects: Iterable[Subject]) -> float:
    query = select(func.max(ledger.c.at)).where(
        ledger.c.account == Account.RESET, _any_of(ledger, _ever_named(subjects))
    )
    return connection.scalar(query) or 0.0


def _held(connection: Connection, job_id: str) -> dict[Account, Amounts]:
    query = (
        select(ledger.c.account, func.sum(ledger.c.images), func.sum(ledger.c.gpu_seconds))
        .where(ledger.c.job_id == job_id)
        .group_by(ledger.c.account)
    )
    return {Account(row[0]): Amounts(row[1], row[2]) for row in connection.execute(query)}


def _again(connection: Connection, job_id: str, kind: str, account: Account, amounts: Amounts) -> None:
    """Another row of a job, for the same user, place and time as its reservation."""
    query = select(ledger.c.scope_id, ledger.c.guild_id, ledger.c.at).where(
        ledger.c.key == f"reserve:{job_id}:{account}"
    )
    first = connection.execute(query).one()
    key = f"{kind}:{job_id}:{account}"
    user = Subject(Scope.USER, first.scope_id)
    _add(connection, key, kind, account, user, amounts, first.at, job_id, first.guild_id)


def _add(
    connection: Connection,
    key: str,
    kind: str,
    account: Account,
    subject: Subject,
    amounts: Amounts,
    at: float,
    job_id: str | None = None,
    guild_id: int | None = None,
) -> bool:
    values = {
        "key": key,
        "kind": kind,
        "account": account,
        "scope": subject.scope,
        "scope_id": subject.id,
        "guild_id": guild_id or subject.guild_id,
        "job_id": job_id,
        "images": amounts.images,
        "gpu_seconds": amounts.gpu_seconds,
        "at": at,
    }
    return connection.execute(insert(ledger).values(**values).on_conflict_do_nothing()).rowcount == 1


def _any_of(table: Table, subjects: Iterable[Subject]) -> ColumnElement[bool]:
    place = tuple_(table.c.scope, table.c.scope_id, table.c.guild_id)
    return place.in_([(str(subject.scope), subject.id, subject.guild_id) for subject in subjects])
