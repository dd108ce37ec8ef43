"""Several jobs of one order: one price, one confirmation, checked in sum, each let in once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.job import Action, Requester
from bot.errors import PromptError, QuotaExceeded, TooManyJobs
from bot.services import specs
from bot.services.admission import Order
from bot.services.batches import Quote, orders_of
from tests.flow.conftest import ANN, HERE, House, build


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Twenty images a day; nothing runs, so that jobs stay in the queue."""
    built = await build(tmp_path / "data", QUOTA__DAY="20")
    yield built
    await built.services.close()


def orders(house: House, text: str, number: int = 77, who: Requester = ANN) -> tuple[Order, ...]:
    prompts = specs.read(text, house.services.settings, house.services.engine.models())
    return orders_of(Order(number, who, HERE, Action.IMAGINE), prompts)


async def test_a_quote_is_the_sum_and_takes_nothing(house: House) -> None:
    wanted = orders(house, "a {red, blue} bird --n 2 --turbo")
    quote = await house.services.batches.quote(wanted)
    assert quote == Quote(jobs=2, images=4, credits=8.0, unit=house.services.quotas.unit, wait_s=quote.wait_s)
    assert quote.wait_s > 0
    assert (await house.services.queue()).queued == 0 and await house.books() == []


async def test_all_are_admitted_once_however_often_it_is_confirmed(house: House) -> None:
    wanted = orders(house, "a {red, blue} bird --repeat 2")
    batch = await house.services.batches.admit(wanted)
    assert [one.job.prompt.text for one in batch.admitted] == ["a red bird"] * 2 + ["a blue bird"] * 2
    assert batch.refused is None
    again = await house.services.batches.admit(orders(house, "a {red, blue} bird --repeat 2"))
    assert [one.job.id for one in again.admitted] == [one.job.id for one in batch.admitted]
    assert not any(one.fresh for one in again.admitted)
    assert (await house.services.queue()).queued == 4


async def test_what_is_too_dear_in_sum_is_refused_as_a_whole(house: House) -> None:
    with pytest.raises(QuotaExceeded, match="This job costs 24 images, more than the 20 images"):
        await house.services.batches.admit(orders(house, "bird --repeat 6"))
    assert (await house.services.queue()).queued == 0


async def test_more_jobs_than_there_is_room_for_are_refused_as_a_whole(house: House) -> None:
    await house.order("an apple --n 1")
    with pytest.raises(TooManyJobs) as told:
        await house.services.batches.admit(orders(house, "bird --n 1 --repeat 13"))
    assert str(told.value) == (
        "These are 13 jobs, and you have room for 12: 3 may run and 10 may wait. "
        "Ask for fewer at once, or try again when some are done. Nothing was taken."
    )
    assert (await house.services.queue()).queued == 1


async def test_every_prompt_is_checked_before_the_first_is_let_in(house: House) -> None:
    with pytest.raises(PromptError, match="has no sampler `nonsense`"):
        orders(house, "bird --sampler {ddim, nonsense}")


def test_ids_are_stable_and_apart() -> None:
    order = Order(77, ANN, HERE, Action.IMAGINE)
    prompts = [None] * 40
    numbers = [one.interaction_id for one in orders_of(order, prompts)]  # type: ignore[arg-type]
    assert numbers[0] == 77 and len(set(numbers)) == 40
    assert all(number < 2**63 for number in numbers)
    assert numbers == [one.interaction_id for one in orders_of(order, prompts)]  # type: ignore[arg-type]
    other = [one.interaction_id for one in orders_of(Order(78, ANN, HERE, Action.IMAGINE), prompts)]  # type: ignore[arg-type]
    assert not set(numbers) & set(other)
