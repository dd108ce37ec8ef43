"""Orders of several jobs (``{a, b}``, ``--repeat``): priced as a whole, confirmed, then let in one by one.

Each job is admitted by a transaction of its own, as any other, so a death in between charges nothing that was
not said; the sum is checked first, so that an order is not cut off half-way for want of credit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bot.config import Settings
from bot.domain.policy import Unit
from bot.domain.prompt import Prompt
from bot.domain.sentence import say
from bot.errors import TooManyJobs, UserError
from bot.services import specs
from bot.services.admission import Admission, Admitted, Order
from bot.services.backlog import Backlog
from bot.services.quotas import Quotas
from bot.store import jobs
from bot.store.accounts import Amounts
from bot.store.database import Database
from bot.store.jobs import Intake


@dataclass(frozen=True, slots=True)
class Quote:
    """What an order would take: ``credits`` in ``unit``, ``wait_s`` seconds until its last picture."""

    jobs: int
    images: int
    credits: float
    unit: Unit
    wait_s: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of an order; ``refused`` says why the jobs behind those admitted were not."""

    admitted: tuple[Admitted, ...]
    refused: UserError | None = None


def orders_of(order: Order, prompts: Iterable[Prompt]) -> tuple[Order, ...]:
    """One order for each prompt, all of one interaction; the ids are the same whenever they are made."""
    return tuple(
        replace(order, prompt=prompt, interaction_id=_id(order.interaction_id, number))
        for number, prompt in enumerate(prompts)
    )


def _id(interaction_id: int, number: int) -> int:
    """A positive 63-bit number, unlike any Discord makes before the year 2154: the highest bit is set."""
    if number == 0:
        return interaction_id
    digest = hashlib.sha256(f"{interaction_id}:{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 2 | 1 << 62


class Batches:
    """Quotes and admits the orders of one interaction, as ``orders_of`` makes them."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        admission: Admission,
        quotas: Quotas,
        backlog: Backlog,
    ) -> None:
        self._limits = settings.limits
        self._database = database
        self._admission = admission
        self._quotas = quotas
        self._backlog = backlog

    async def quote(self, orders: Sequence[Order]) -> Quote:
        """The price of all; UserError when they could not all be let in. Nothing is fetched or written."""
        intakes = [await self._admission.appraise(order) for order in orders]
        images = math.fsum(intake.cost for intake in intakes)
        seconds = math.fsum(intake.expected_s * intake.price for intake in intakes)
        total = Amounts(images, seconds)
        await self._database.read(lambda connection: self._refuse(connection, orders, total))
        return Quote(
            jobs=len(orders),
            images=sum(specs.count_of(order.prompt) for order in orders if order.prompt),
            credits=images if self._quotas.unit is Unit.IMAGES else seconds,
            unit=self._quotas.unit,
            wait_s=self._wait(orders[0].requester.user_id, intakes),
        )

    async def admit(self, orders: Sequence[Order]) -> Batch:
        """Let them in, in order; UserError when the sum may not be. The same orders twice are one batch."""
        first = orders[0].interaction_id
        if await self._database.read(lambda connection: jobs.find_interaction(connection, first)) is None:
            await self.quote(orders)
        admitted: list[Admitted] = []
        for order in orders:
            try:
                admitted.append(await self._admission.admit(order))
            except UserError as error:
                return Batch(tuple(admitted), error)
        return Batch(tuple(admitted))

    def _refuse(self, connection: Connection, orders: Sequence[Order], total: Amounts) -> None:
        first, now = orders[0], self._quotas.clock()
        room = (
            self._limits.running + self._limits.waiting - jobs.unfinished(connection, first.requester.user_id)
        )
        if len(orders) > room:
            raise TooManyJobs(
                say(
                    "These are {count} jobs, and you have room for {room}: {running} may run and {waiting} "
                    "may wait. Ask for fewer at once, or try again when some are done. Nothing was taken.",
                    count=len(orders),
                    room=max(0, room),
                    running=self._limits.running,
                    waiting=self._limits.waiting,
                )
            )
        self._quotas.refuse_shut_out(connection, first.requester, first.place, now)
        self._quotas.refuse_dear(connection, first.requester, first.place, total, now)

    def _wait(self, user_id: int, intakes: Sequence[Intake]) -> float:
        lanes = {intake.lane for intake in intakes}
        cost = max(intake.expected_s for intake in intakes)
        ahead = (self._backlog.before(lane, user_id, cost) for lane in lanes)
        return max(ahead) + math.fsum(intake.expected_s for intake in intakes)
