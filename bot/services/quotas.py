"""Who may spend how much: limits of configuration and admins, what is used, what is left."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bot.config import Buckets, Quota, Settings
from bot.domain import policy
from bot.domain.job import JobStatus, Place, Requester
from bot.domain.policy import Bucket, Limits, Unit, Window
from bot.domain.sentence import say
from bot.errors import NotAllowed, QuotaExceeded, UserError
from bot.store import accounts, jobs
from bot.store.accounts import Account, Amounts, Scope, Subject
from bot.store.database import Database

MAX_AMOUNT = 2.0**53
NO_CREDIT = say("You have no credit here; ask an admin for some. Nothing was taken.")


@dataclass(frozen=True, slots=True)
class Standing:
    """What one user may spend now: a bucket for each window, and credits granted on top."""

    buckets: tuple[Bucket, ...]
    granted: float

    @property
    def left(self) -> float | None:
        """Credits that a single job may cost; None without a limit."""
        lefts = [bucket.left for bucket in self.buckets if bucket.left is not None]
        return min(lefts) + self.granted if lefts else None


@dataclass(frozen=True, slots=True)
class Info:
    """The facts of /info. ``policy.refills_at(bucket.window, now)`` says when a bucket is full again."""

    standing: Standing
    unit: Unit
    now: float
    running: int
    waiting: int
    jobs: int
    """Delivered ever, as are ``images`` (charged) and ``gpu_seconds`` (measured)."""
    images: float
    gpu_seconds: float


@dataclass(frozen=True, slots=True)
class Rule:
    """The facts of /quota show: what holds for a subject, and which part of it admins set."""

    subject: Subject
    unit: Unit
    limits: Limits
    """In effect for the subject itself: 0 is unlimited, None leaves it to the next layer."""
    stored: Limits
    """Set by /quota set, before the configuration."""
    standing: Standing | None
    """Use of a user; None for roles, servers and the default."""


class Quotas:
    """Reads and changes quotas; every verb for admins checks that the actor is one."""

    def __init__(
        self, settings: Settings, database: Database, clock: Callable[[], float] = time.time
    ) -> None:
        self._quota = settings.quota
        self._database = database
        self.clock = clock
        self.unit = Unit(settings.quota.unit)

    async def info(self, requester: Requester, place: Place) -> Info:
        """One's own facts."""
        return await self._database.read(lambda connection: self._info(connection, requester, place))

    async def show(
        self,
        actor: Requester,
        subject: Subject,
        *,
        role_ids: tuple[int, ...] = (),
        guild_id: int | None = None,
    ) -> Rule:
        """What holds for ``subject``; for a user, give the roles and server to be right about both."""
        _admins_only(actor)
        return await self._database.read(
            lambda connection: self._rule(connection, subject, role_ids, guild_id)
        )

    async def set(self, actor: Requester, subject: Subject, window: Window, amount: float | None) -> None:
        """Allow ``amount`` credits per window; 0 is none at all, None is unlimited."""
        _admins_only(actor)
        if amount is not None:
            _reasonable(amount, least=0)
        await self._database.write(lambda connection: accounts.set_limit(connection, subject, window, amount))

    async def grant(self, actor: Requester, subject: Subject, amount: float, key: str | None = None) -> None:
        """Give credits on top, spent when a window is empty; ``key`` (an interaction's id) makes it once."""
        _admins_only(actor)
        _reasonable(amount, least=1)
        once, now = key or uuid.uuid4().hex, self.clock()
        await self._database.write(
            lambda connection: accounts.grant(connection, once, subject, amount, self.unit, now)
        )

    async def reset(self, actor: Requester, subject: Subject, key: str | None = None) -> None:
        """Forget what was used, and limits that admins set for the subject."""
        _admins_only(actor)
        once, now = key or uuid.uuid4().hex, self.clock()

        def work(connection: Connection) -> None:
            if accounts.reset(connection, once, subject, now):
                accounts.clear_limits(connection, subject)

        await self._database.write(work)

    def charge(
        self,
        connection: Connection,
        job_id: str,
        requester: Requester,
        place: Place,
        full: Amounts,
        now: float,
    ) -> None:
        """Reserve inside the admission's transaction; QuotaExceeded says when there is credit again."""
        parts = self.refuse_dear(connection, requester, place, full, now)
        accounts.reserve(connection, job_id, requester.user_id, place.guild_id, parts, now)

    def refuse_dear(
        self, connection: Connection, requester: Requester, place: Place, full: Amounts, now: float
    ) -> dict[Account, Amounts]:
        """From which accounts it would be paid; QuotaExceeded when they do not hold as much."""
        cost = full.images if self.unit is Unit.IMAGES else full.gpu_seconds
        standing = self.standing(connection, requester, place, now)
        lefts = [bucket.left for bucket in standing.buckets if bucket.left is not None]
        allowed = min(cost, min(lefts, default=cost))
        if cost - allowed > standing.granted + policy.EPSILON:
            raise _exceeded(standing, cost, self.unit, now)
        return _split(full, cost, allowed)

    def refuse_shut_out(self, connection: Connection, requester: Requester, place: Place, now: float) -> None:
        """QuotaExceeded where an admin allows nothing at all: relaxed jobs are free, but not for them."""
        standing = self.standing(connection, requester, place, now)
        if not standing.granted and any(0 < bucket.limit <= accounts.NONE for bucket in standing.buckets):
            raise QuotaExceeded(NO_CREDIT, None)

    def standing(self, connection: Connection, requester: Requester, place: Place, now: float) -> Standing:
        """Buckets and grants of a user in a place."""
        subjects = accounts.subjects_of(requester.user_id, place.guild_id, requester.role_ids)
        limits = self._limits(connection, subjects)
        used = accounts.used(connection, requester.user_id, subjects, self.unit, now)
        granted = accounts.balance(connection, requester.user_id, subjects, self.unit)
        return Standing(policy.buckets(limits, used), granted)

    def _limits(self, connection: Connection, subjects: Iterable[Subject]) -> Limits:
        stored = accounts.limits_of(connection, subjects)
        layers = {subject: self._layer(subject, stored) for subject in subjects}
        by_scope = {
            scope: [limits for subject, limits in layers.items() if subject.scope is scope] for scope in Scope
        }
        return policy.resolve(
            by_scope[Scope.DEFAULT][0],
            next(iter(by_scope[Scope.GUILD]), None),
            by_scope[Scope.ROLE],
            next(iter(by_scope[Scope.USER]), None),
        )

    def _layer(self, subject: Subject, stored: Mapping[Subject, Limits]) -> Limits:
        said = stored.get(subject, Limits())
        if subject.guild_id:
            return policy.merge(said, self._layer(replace(subject, guild_id=0), stored))
        return policy.merge(said, _configured(self._quota, subject))

    def _rule(
        self, connection: Connection, subject: Subject, role_ids: tuple[int, ...], guild_id: int | None
    ) -> Rule:
        stored = accounts.limits_of(connection, [subject, replace(subject, guild_id=0)])
        standing = None
        if subject.scope is Scope.USER:
            who, where = Requester(subject.id, role_ids), Place(guild_id, 0)
            standing = self.standing(connection, who, where, self.clock())
        limits = self._layer(subject, stored)
        return Rule(subject, self.unit, limits, stored.get(subject, Limits()), standing)

    def _info(self, connection: Connection, requester: Requester, place: Place) -> Info:
        now = self.clock()
        counts = jobs.count_by_status(connection, requester.user_id)
        life = jobs.lifetime(connection, requester.user_id)
        return Info(
            standing=self.standing(connection, requester, place, now),
            unit=self.unit,
            now=now,
            running=counts.get(JobStatus.RUNNING, 0),
            waiting=counts.get(JobStatus.QUEUED, 0),
            jobs=int(life["jobs"]),
            images=life["images"],
            gpu_seconds=life["gpu_seconds"],
        )


def _configured(quota: Quota, subject: Subject) -> Limits:
    if subject.scope is Scope.DEFAULT:
        return Limits(quota.hour, quota.day, quota.month)
    layers = {Scope.USER: quota.users, Scope.ROLE: quota.roles, Scope.GUILD: quota.guilds}
    buckets = layers[subject.scope].get(subject.id, Buckets())
    return Limits(buckets.hour, buckets.day, buckets.month)


def _split(full: Amounts, cost: float, allowed: float) -> dict[Account, Amounts]:
    share = allowed / cost if cost > 0 else 1.0
    if 0 < share < 1:
        return {Account.ALLOWANCE: full.times(share), Account.GRANT: full.times(1 - share)}
    return {Account.ALLOWANCE if share else Account.GRANT: full}


def _exceeded(standing: Standing, cost: float, unit: Unit, now: float) -> QuotaExceeded:
    widened = [
        Bucket(bucket.window, bucket.limit + standing.granted, min(bucket.used, bucket.limit))
        for bucket in standing.buckets
        if bucket.limit
    ]
    short = policy.short_of(widened, cost)
    assert short is not None, "a bucket refused this cost"
    if short.limit <= accounts.NONE:
        return QuotaExceeded(NO_CREDIT, None)
    sentence = policy.quota_sentence(short, cost, unit, now)
    return QuotaExceeded(sentence, policy.quota_refill(short, cost, now))


def _admins_only(actor: Requester) -> None:
    if not actor.is_admin:
        raise NotAllowed(policy.ADMINS_ONLY)


def _reasonable(amount: float, least: float) -> None:
    if not least <= amount < MAX_AMOUNT:
        raise UserError(
            say(
                "The amount must be a number from {least:g} to {most:.0f}, not {amount:g}.",
                least=least,
                most=MAX_AMOUNT,
                amount=amount,
            )
        )
